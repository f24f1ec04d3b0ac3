#include "pgrecall/session/statement_memo.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/fault.h"
#include "session/plan_builder.h"

namespace pgrecall::session {
namespace {

constexpr size_t kPlanSetsPerShape = 8;

uint64_t last_version(const DatabaseState& database) {
  const auto catalog = database.catalog();
  return catalog ? catalog->version : 0;
}

/// Texts that the parser and the server would read differently under these settings.
bool ambiguous(const TextEntry& entry, const SessionContext& context) {
  if (!context.utf8 && entry.canonical.non_ascii) return true;
  return !context.standard_strings && entry.text.find('\\') != std::string::npos;
}

sql::BypassReason reason_for(const TextEntry& entry, const SessionContext& context) {
  const PlanSet& set = *entry.plans;
  if (set.multi()) return sql::BypassReason::kMultiStatement;
  const Plan& plan = set.plans.front();
  if (plan.reason != sql::BypassReason::kNoBypass) return plan.reason;
  if (!entry.canonical.ok) return sql::BypassReason::kUnparsed;
  if (entry.canonical.hints.off) return sql::BypassReason::kHintOff;
  if (entry.canonical.has_clock_word) return sql::BypassReason::kClockLiteral;
  if (!context.constant_settings) return sql::BypassReason::kUnsettledSettings;
  return sql::BypassReason::kNoBypass;
}

void append_u64(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

StatementMemo::StatementMemo(Shared& shared, stats::WorkerStats& stats, size_t budget_bytes)
    : shared_(shared), stats_(stats), texts_(budget_bytes * 3 / 4), shapes_(budget_bytes / 4) {}

std::shared_ptr<TextEntry> StatementMemo::text(std::string_view sql) {
  if (auto found = texts_.find(sql)) return found;
  auto entry = std::make_shared<TextEntry>();
  entry->text = sql;
  entry->canonical = sql::canonicalize(sql);
  entry->shape = shape_of(*entry);
  texts_.insert(sql, entry, entry->bytes());
  return entry;
}

std::shared_ptr<ShapeEntry> StatementMemo::shape_of(const TextEntry& entry) {
  if (entry.canonical.ok) {
    auto known = shapes_.find(entry.canonical.shape);
    if (known && !known->literal_sensitive) return known;
  }
  auto shape = std::make_shared<ShapeEntry>();
  shape->id = shared_.next_shape_id.fetch_add(1);
  const sql::ParseLimits limits{shared_.config.limits.parse_bytes,
                                shared_.config.limits.parse_depth};
  shape->parsed = sql::parse(entry.text, limits);
  // Sensitivity needs no catalog to be known: it is a matter of the statement's kind and literals.
  for (const auto& analysis : sql::resolve(*shape->parsed, nullptr, {})) {
    shape->literal_sensitive = shape->literal_sensitive || analysis.literal_sensitive;
  }
  // A shape has one id in the whole process, so that all workers share its answers. A sensitive one
  // stands for one text alone.
  if (entry.canonical.ok && !shape->literal_sensitive) {
    shape->id = shared_.statement_names.id_of(entry.canonical.shape, "shape");
  } else {
    shape->id |= uint64_t{1} << 63;
  }
  if (entry.canonical.ok) {
    shapes_.insert(entry.canonical.shape, shape,
                   entry.canonical.shape.size() * 2 + 1024 + sql::memory_bytes(*shape->parsed));
  }
  return shape;
}

const std::shared_ptr<const PlanSet>& StatementMemo::plans(TextEntry& entry,
                                                           const SessionContext& context,
                                                           DatabaseState& database,
                                                           std::string_view user) {
  const uint64_t version = database.current_version();
  const uint64_t snapshot = version != 0 ? version : last_version(database);
  const auto fits = [&](const PlanSet& set) {
    return set.context_id == context.id && set.catalog_version == version &&
           set.snapshot == snapshot;
  };
  if (entry.plans && fits(*entry.plans)) return entry.plans;
  entry.plans = nullptr;
  if (ambiguous(entry, context)) {
    entry.plans = opaque_plans(entry, context, database, version);
  } else {
    auto& known = entry.shape->plans;
    for (const auto& set : known) {
      if (fits(*set)) entry.plans = set;
    }
    if (!entry.plans) {
      entry.plans = make_plans(entry, context, database, user, version);
      known.insert(known.begin(), entry.plans);
      if (known.size() > kPlanSetsPerShape) known.pop_back();
    }
  }
  entry.reason = reason_for(entry, context);
  entry.key.clear();
  if (entry.reason == sql::BypassReason::kNoBypass) {
    append_u64(entry.key, context.id);
    append_u64(entry.key, entry.shape->id);
    entry.key += entry.canonical.literals;
    entry.key_hash = cache::hash_key(entry.key);
  }
  return entry.plans;
}

std::shared_ptr<const PlanSet> StatementMemo::make_plans(const TextEntry& entry,
                                                         const SessionContext& context,
                                                         DatabaseState& database,
                                                         std::string_view user, uint64_t version) {
  auto set = std::make_shared<PlanSet>();
  set->context_id = context.id;
  set->catalog_version = version;
  const std::shared_ptr<const sql::Catalog> catalog = database.catalog();
  set->snapshot = catalog ? catalog->version : 0;
  sql::ResolveScope scope;
  if (catalog) scope = resolve_scope(context, *catalog);
  PlanBuilder builder(shared_, stats_, database, catalog.get(), version != 0);
  bool changed = false;
  for (auto& analysis : sql::resolve(*entry.shape->parsed, catalog.get(), scope)) {
    Plan plan = builder.build(std::move(analysis), entry.canonical, entry.text, context, user);
    if (changed) PlanBuilder::doubt(plan, database);
    changed = changed || changes_meaning(plan, false);
    set->plans.push_back(std::move(plan));
  }
  PGR_ASSERT(!set->plans.empty());
  return set;
}

std::shared_ptr<const PlanSet> StatementMemo::opaque_plans(const TextEntry& entry,
                                                           const SessionContext& context,
                                                           DatabaseState& database,
                                                           uint64_t version) {
  auto set = std::make_shared<PlanSet>();
  set->context_id = context.id;
  set->catalog_version = version;
  set->snapshot = version != 0 ? version : last_version(database);
  sql::StatementAnalysis analysis;
  analysis.reason = sql::BypassReason::kEncoding;
  analysis.session_effects = sql::kSessionUnknown;
  PlanBuilder builder(shared_, stats_, database, nullptr, false);
  set->plans.push_back(
      builder.build(std::move(analysis), sql::Canonical{}, entry.text, context, {}));
  return set;
}

}  // namespace pgrecall::session
