#include "pgrecall/sql/analyzer.h"

#include <optional>

#include "sql/name_scope.h"
#include "sql/parsed_text.h"
#include "sql/statement_rules.h"

namespace pgrecall::sql {
namespace {

/// Statements whose analysis looks at no literal, unless `minds_literals`. Like everything that
/// decides on sensitivity it must not depend on the catalog: shapes are sorted without one.
bool is_literal_free(StatementKind kind) {
  switch (kind) {
    case StatementKind::kSelect:
    case StatementKind::kInsert:
    case StatementKind::kUpdate:
    case StatementKind::kDelete:
    case StatementKind::kMerge:
      return true;
    default:
      return false;
  }
}

StatementAnalysis analyze(const StatementInput& input, bool is_only) {
  StatementAnalysis out;
  analyze_node(input, input.statement.node, out);
  out.literal_sensitive = !is_only || !is_literal_free(out.kind) || input.statement.minds_literals;
  out.location = out.literal_sensitive ? input.statement.location : 0;
  out.length = out.literal_sensitive ? input.statement.length : UINT32_MAX;
  if (out.cacheable && !is_only) {
    out.cacheable = false;
    out.reason = BypassReason::kMultiStatement;
  }
  return out;
}

}  // namespace

void set_opaque(StatementAnalysis& out, std::string_view detail) {
  out.kind = StatementKind::kOther;
  out.effect = Effect::kOpaque;
  out.reason = BypassReason::kNotASelect;
  out.detail = detail;
  out.session_effects |= kSessionUnknown;
}

void set_harmless(StatementAnalysis& out, StatementKind kind) {
  out.kind = kind;
  out.effect = Effect::kNone;
  out.reason = BypassReason::kNotASelect;
}

void take_facts(Facts&& facts, StatementAnalysis& out) {
  out.effect = facts.effect();
  out.reason = facts.reason;
  out.detail = std::move(facts.detail);
  sort_unique(facts.reads);
  sort_unique(facts.policy_reads);
  sort_unique(facts.named);
  sort_unique(facts.schemas);
  sort_unique(facts.writes);
  out.reads = std::move(facts.reads);
  out.policy_reads = std::move(facts.policy_reads);
  out.named = std::move(facts.named);
  out.schemas = std::move(facts.schemas);
  if (out.effect == Effect::kWrites) out.writes = std::move(facts.writes);
  out.session_effects |= facts.session_effects;
  out.locks = facts.locks;
  out.on_conflict_do_nothing = facts.on_conflict_do_nothing;
  out.uses_clock = facts.uses_clock;
  out.reads_custom_settings = facts.reads_custom_settings;
}

void analyze_node(const StatementInput& input, const Node* node, StatementAnalysis& out) {
  if (node == nullptr) return set_opaque(out, "an empty parse tree");
  if (analyze_transaction(*node, out) || analyze_settings(input, *node, out) ||
      analyze_session(input, *node, out) || analyze_definition(input, *node, out) ||
      analyze_data(input, *node, out)) {
    return;
  }
  set_opaque(out, "a statement of an unknown kind");
}

std::vector<StatementAnalysis> resolve(const ParsedText& parsed, const Catalog* catalog,
                                       const ResolveScope& scope) {
  std::vector<StatementAnalysis> result;
  std::optional<NameScope> names;
  if (catalog != nullptr) names.emplace(*catalog, scope);
  if (parsed.failure != BypassReason::kNoBypass) {
    result.push_back(analyze_unparsed(parsed, names ? &*names : nullptr));
    return result;
  }
  if (parsed.statements.empty()) {
    set_harmless(result.emplace_back(), StatementKind::kEmpty);
    return result;
  }
  result.reserve(parsed.statements.size());
  for (const ParsedStatement& statement : parsed.statements) {
    const StatementInput input{parsed, statement, catalog, names ? &*names : nullptr};
    result.push_back(analyze(input, parsed.statements.size() == 1));
  }
  return result;
}

}  // namespace pgrecall::sql
