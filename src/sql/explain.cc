#include "pgrecall/sql/explain.h"

#include <iterator>
#include <utility>
#include <vector>

namespace pgrecall::sql {
namespace {

// In the order of StatementKind.
constexpr std::string_view kKindNames[] = {
    "empty",
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "copy_from",
    "copy_to",
    "truncate",
    "lock",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "rollback_to",
    "prepare_transaction",
    "commit_prepared",
    "rollback_prepared",
    "set",
    "reset",
    "show",
    "discard",
    "declare_cursor",
    "fetch",
    "close_cursor",
    "prepare",
    "execute",
    "deallocate",
    "listen",
    "unlisten",
    "notify",
    "explain",
    "maintenance",
    "ddl",
    "call",
    "do",
    "unparsed",
    "other",
};
static_assert(std::size(kKindNames) == static_cast<size_t>(StatementKind::kOther) + 1);

constexpr std::pair<SessionEffect, std::string_view> kSessionEffects[] = {
    {kSessionTemporary, "may create temporary objects"},
    {kSessionListen, "listens"},
    {kSessionUnlistenAll, "stops listening"},
    {kSessionHoldCursor, "leaves a cursor WITH HOLD"},
    {kSessionAdvisoryLock, "takes a session-level advisory lock"},
    {kSessionPrepare, "prepares a statement"},
    {kSessionDiscardAll, "discards all session state"},
    {kSessionDiscardTemp, "discards temporary objects"},
    {kSessionDiscardPlans, "discards plans"},
    {kSessionDeallocate, "deallocates prepared statements"},
    {kSessionUnknown, "runs code that may change the session unseen"},
    {kSessionCloseAll, "closes all cursors"},
};

std::string relation_name(Oid oid, const Catalog* catalog) {
  const Relation* relation = catalog != nullptr ? catalog->relation(oid) : nullptr;
  if (relation == nullptr) return "oid " + std::to_string(oid);
  const auto schema = catalog->schemas.find(relation->schema);
  if (schema == catalog->schemas.end()) return relation->name;
  return schema->second + "." + relation->name;
}

void add_relations(std::string& text, std::string_view title, const std::vector<Oid>& oids,
                   const Catalog* catalog) {
  if (oids.empty()) return;
  text += title;
  for (size_t i = 0; i < oids.size(); ++i) {
    text += (i == 0 ? " " : ", ") + relation_name(oids[i], catalog);
  }
  text += '\n';
}

std::string_view describe(Effect effect) {
  switch (effect) {
    case Effect::kNone:
      return "writes nothing that others see";
    case Effect::kWrites:
      return "writes the relations below";
    case Effect::kOpaque:
      return "may write anything: counts as a write of the whole database";
    case Effect::kDdl:
      return "changes definitions or privileges of this database";
    case Effect::kCluster:
      return "changes what all databases share";
  }
  return "unknown";
}

void add_session(std::string& text, const StatementAnalysis& analysis) {
  for (const auto& [bit, words] : kSessionEffects) {
    if ((analysis.session_effects & bit) != 0) text += "session:    " + std::string(words) + '\n';
  }
  for (const SettingChange& change : analysis.settings) {
    text += "session:    ";
    if (change.action == SettingChange::Action::kResetAll) {
      text += "resets all settings\n";
      continue;
    }
    const bool reset = change.action == SettingChange::Action::kReset;
    text += reset ? "resets " + change.name : "sets " + change.name + " to " + change.value;
    text += change.local ? " until the transaction ends\n" : "\n";
  }
}

}  // namespace

std::string_view statement_kind_name(StatementKind kind) {
  const auto index = static_cast<size_t>(kind);
  return index < std::size(kKindNames) ? kKindNames[index] : "unknown";
}

std::string_view effect_name(Effect effect) {
  constexpr std::string_view kNames[] = {"none", "writes", "opaque", "ddl", "cluster"};
  const auto index = static_cast<size_t>(effect);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::string explain_analysis(const StatementAnalysis& analysis, const Catalog* catalog) {
  std::string text = "kind:       " + std::string(statement_kind_name(analysis.kind)) + '\n';
  text += "cacheable:  ";
  if (analysis.cacheable) {
    text += "yes\n";
  } else {
    text += "no (" + std::string(bypass_reason_name(analysis.reason)) +
            (analysis.detail.empty() ? "" : ": " + analysis.detail) + ")\n";
  }
  text += "effect:     " + std::string(describe(analysis.effect)) + '\n';
  add_relations(text, "reads:     ", analysis.reads, catalog);
  add_relations(text, "policies:  ", analysis.policy_reads, catalog);
  add_relations(text, "writes:    ", analysis.writes, catalog);
  if (analysis.locks) text += "locks:      rows or tables until the transaction ends\n";
  if (analysis.uses_clock) text += "clock:      depends on the time of its transaction\n";
  if (analysis.plain_count.relation != kInvalidOid) {
    text += "count:      of the whole of " + relation_name(analysis.plain_count.relation, catalog) +
            ", may be estimated\n";
  }
  add_session(text, analysis);
  return text;
}

}  // namespace pgrecall::sql
