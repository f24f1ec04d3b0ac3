// Epochs and fences: the whole of what decides whether a remembered result may still be shown.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgrecall::invalidation {

/// Opaque: a hash of (system identifier, database oid, kind, oid). Never process-local.
using DependencyId = uint64_t;

enum class DependencyKind : uint8_t {
  kRelation = 1,
  kSchema = 2,
  kDatabase = 3,
  kShared = 4,
  kDefinitions = 5,
};

DependencyId dependency_id(uint64_t system_identifier, uint32_t database, DependencyKind kind,
                           uint32_t oid);

/// One word: (epoch << 1) | fenced. An epoch only grows and starts at a value never used before in
/// this deployment. A slot lives as long as its table, so pointers to it may be kept.
class EpochSlot {
 public:
  EpochSlot(DependencyId id, uint64_t first_epoch) : word_(first_epoch << 1), id_(id) {}
  DependencyId id() const { return id_; }
  uint64_t word() const { return word_.load(std::memory_order_seq_cst); }
  static bool fenced(uint64_t word) { return (word & 1) != 0; }

 private:
  friend class EpochTable;
  std::atomic<uint64_t> word_;
  const DependencyId id_;
  std::unordered_set<uint64_t> fences_;  ///< tokens; guarded by the table's mutex
};

/// What a read depends on, with the words seen before it was sent. Holds while every slot still
/// shows the same word. A default stamp is empty and must never be stored.
struct Stamp {
  struct Part {
    const EpochSlot* slot;
    uint64_t word;
  };
  std::vector<Part> parts;
};

/// A raised fence: names a write whose outcome is not settled. 0 names nothing.
using FenceToken = uint64_t;

/// All epochs and fences of the process. Slots are created on demand and never removed. Every
/// method may be called from any thread; `slot` and writers take a mutex, `holds` and `stamp` over
/// known slots take none. All words change sequentially consistent: once `raise` has returned no
/// later `holds` succeeds on the raised slots until the token is settled.
class EpochTable {
 public:
  /// `first_epoch` must be larger than any epoch used before (shell: microseconds since 1970).
  explicit EpochTable(uint64_t first_epoch) : first_epoch_(first_epoch) {}

  EpochSlot* slot(DependencyId id);
  /// As `slot`, but never creates one: null for an id that nobody asked for yet.
  const EpochSlot* find(DependencyId id) const;

  /// Rule 1. False, leaving `stamp` unspecified, if any fence is up: then nothing may be filled.
  static bool stamp(std::span<const EpochSlot* const> slots, Stamp* stamp);
  /// Rule 3. True if no fence is up and every epoch equals the stamp's.
  static bool holds(const Stamp& stamp);
  /// Rule 2. As `holds`: a fill under a fence or after an advance must not happen. Whoever stores
  /// asks with the stamp that it is about to store (under a fault point the stamp is falsified).
  static bool may_fill(Stamp& stamp);

  /// Rule 4. Raises one fence under one fresh token on every dependency of the set. Settling a
  /// token twice, or 0, does nothing.
  FenceToken raise(std::span<const DependencyId> ids);
  /// Adds dependencies to a raised fence (a transaction that learns more of its writes).
  void extend(FenceToken token, std::span<const DependencyId> ids);
  /// Rule 5, committed: all epochs advance, then the fence falls.
  void settle_committed(FenceToken token);
  /// Rule 5, proved rolled back: the fence falls, epochs stay.
  void settle_rolled_back(FenceToken token);
  /// Rule 5 for several writes at once: the epochs of `advance` grow, then the fences fall.
  void settle(std::span<const FenceToken> fall, std::span<const DependencyId> advance);
  /// Advances without a fence: what was done past pgrecall, or a generation change.
  void advance(std::span<const DependencyId> ids);
  /// Rule 11: every epoch advances.
  void advance_all();

  size_t slots() const;
  size_t open_fences() const;
  uint64_t advances() const;  ///< of single epochs, so far
  uint64_t advances_of(DependencyId id) const;

 private:
  EpochSlot* slot_locked(DependencyId id);
  void add_fence_locked(FenceToken token, std::vector<EpochSlot*>& raised,
                        std::span<const DependencyId> ids);
  void fall_locked(FenceToken token);

  mutable std::mutex mutex_;
  std::unordered_map<DependencyId, std::unique_ptr<EpochSlot>> slots_;
  std::unordered_map<FenceToken, std::vector<EpochSlot*>> fences_;
  uint64_t first_epoch_;
  uint64_t next_token_ = 1;
  uint64_t advances_ = 0;
};

}  // namespace pgrecall::invalidation
