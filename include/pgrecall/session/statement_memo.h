// StatementMemo: from raw SQL text to its analysis, so that a repeated text is never scanned and a
// repeated shape is never parsed again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/invalidation/write_tracker.h"
#include "pgrecall/session/shared.h"
#include "pgrecall/sql/analyzer.h"
#include "pgrecall/sql/canonical.h"

namespace pgrecall::session {

/// What to do with one statement in one context under one catalog version. Immutable.
struct Plan {
  sql::StatementAnalysis analysis;
  invalidation::StatementWrites writes;
  std::vector<const invalidation::EpochSlot*> slots;  ///< what a cached answer depends on
  policy::Policy policy;
  sql::BypassReason reason = sql::BypassReason::kUnparsed;  ///< kNoBypass: may be cached
  uint32_t fingerprint = 0;
  stats::FingerprintStats* fingerprint_stats = nullptr;
  bool counts_as_read = false;  ///< see stats.h; then it has a fingerprint
  bool looks_up = false;        ///< a SELECT that writes nothing: the cache is asked
  std::vector<stats::TableStats*> written_tables;  ///< of `writes`, if they are known
  uint64_t catalog_version = 0;                    ///< 0: made without a current catalog
  bool suspects_catalog = false;                   ///< may change the catalog unseen
  bool doubted = false;        ///< does more than its analysis says: see `PlanBuilder::doubt`
  std::string drops_database;  ///< connections to it must be closed first
};

/// The statements of one text.
struct PlanSet {
  uint64_t context_id = 0;
  uint64_t catalog_version = 0;  ///< 0: made without a current catalog
  uint64_t snapshot = 0;         ///< the catalog it was made from, current or not; 0: none
  std::vector<Plan> plans;       ///< never empty
  bool multi() const { return plans.size() > 1; }
};

/// One canonical shape; shared by the texts that differ from it in literals or blanks only.
struct ShapeEntry {
  uint64_t id = 0;  ///< never used twice in the process
  std::shared_ptr<const sql::ParsedText> parsed;
  bool literal_sensitive = false;
  std::vector<std::shared_ptr<const PlanSet>> plans;  ///< a few contexts, newest first
};

/// One raw text. `key` is valid for the context and catalog version of `plans`.
struct TextEntry {
  std::string text;
  sql::Canonical canonical;
  std::shared_ptr<ShapeEntry> shape;
  std::shared_ptr<const PlanSet> plans;
  std::string key;
  uint64_t key_hash = 0;
  sql::BypassReason reason = sql::BypassReason::kUnparsed;  ///< of this text; see Plan::reason
  size_t bytes() const { return sizeof(*this) + text.size() + canonical.shape.size() * 2 + 256; }
};

/// A map bounded in bytes by two generations: what was not used while one generation filled up is
/// forgotten. Look-ups allocate nothing.
template <typename Entry>
class GenerationMap {
 public:
  explicit GenerationMap(size_t budget_bytes) : half_(budget_bytes / 2) {}

  std::shared_ptr<Entry> find(std::string_view key) {
    if (auto at = young_.find(key); at != young_.end()) return at->second;
    auto old = old_.find(key);
    if (old == old_.end()) return nullptr;
    std::shared_ptr<Entry> entry = std::move(old->second);
    old_.erase(old);
    insert(key, entry, key.size() * 2 + 256);
    return entry;
  }

  void insert(std::string_view key, std::shared_ptr<Entry> entry, size_t bytes) {
    if (young_bytes_ + bytes > half_) {
      old_ = std::move(young_);
      young_.clear();
      old_bytes_ = young_bytes_;
      young_bytes_ = 0;
    }
    young_bytes_ += bytes;
    young_.insert_or_assign(std::string(key), std::move(entry));
  }

  size_t size() const { return young_.size() + old_.size(); }
  size_t bytes() const { return young_bytes_ + old_bytes_; }
  void clear() {
    young_.clear();
    old_.clear();
    young_bytes_ = old_bytes_ = 0;
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return cache::hash_key(text); }
  };
  using Map = std::unordered_map<std::string, std::shared_ptr<Entry>, Hash, std::equal_to<>>;
  size_t half_;
  size_t young_bytes_ = 0;
  size_t old_bytes_ = 0;
  Map young_;
  Map old_;
};

/// One per worker; its thread must have a stack fit for parsing. Bounded in bytes.
class StatementMemo {
 public:
  StatementMemo(Shared& shared, stats::WorkerStats& stats, size_t budget_bytes);

  /// The entry of a text, made if needed: scanned, not analysed.
  std::shared_ptr<TextEntry> text(std::string_view sql);
  /// Brings `entry.plans` and `entry.key` up to date for this context and the present catalog, and
  /// returns the plans. Cheap when nothing changed.
  const std::shared_ptr<const PlanSet>& plans(TextEntry& entry, const SessionContext& context,
                                              DatabaseState& database, std::string_view user);

  size_t entries() const { return texts_.size() + shapes_.size(); }
  size_t bytes() const { return texts_.bytes() + shapes_.bytes(); }

 private:
  std::shared_ptr<ShapeEntry> shape_of(const TextEntry& entry);
  std::shared_ptr<const PlanSet> make_plans(const TextEntry& entry, const SessionContext& context,
                                            DatabaseState& database, std::string_view user,
                                            uint64_t version);
  std::shared_ptr<const PlanSet> opaque_plans(const TextEntry& entry, const SessionContext& context,
                                              DatabaseState& database, uint64_t version);
  void finish_plan(Plan& plan, const TextEntry& entry, const SessionContext& context,
                   DatabaseState& database, const sql::Catalog* catalog, std::string_view user);

  Shared& shared_;
  stats::WorkerStats& stats_;
  GenerationMap<TextEntry> texts_;
  GenerationMap<ShapeEntry> shapes_;
};

}  // namespace pgrecall::session
