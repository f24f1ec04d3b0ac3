// Queries, COPY, TRUNCATE, LOCK, EXPLAIN, REFRESH.
#include "pgrecall/sql/canonical.h"
#include "sql/known_words.h"
#include "sql/query_walker.h"
#include "sql/statement_rules.h"

namespace pgrecall::sql {
namespace {

bool is_query(const Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
      return true;
    default:
      return false;
  }
}

StatementKind kind_of(const Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
      return StatementKind::kSelect;
    case PG_QUERY__NODE__NODE_INSERT_STMT:
      return StatementKind::kInsert;
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
      return StatementKind::kUpdate;
    case PG_QUERY__NODE__NODE_DELETE_STMT:
      return StatementKind::kDelete;
    case PG_QUERY__NODE__NODE_MERGE_STMT:
      return StatementKind::kMerge;
    default:
      return StatementKind::kOther;
  }
}

/// SELECT COUNT(*) [AS x] FROM one_table, and nothing else.
void find_plain_count(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  if (node.node_case != PG_QUERY__NODE__NODE_SELECT_STMT) return;
  const SelectStmt& select = *node.select_stmt;
  if (select.n_target_list != 1 || select.n_from_clause != 1 || select.where_clause != nullptr ||
      select.n_group_clause != 0 || select.having_clause != nullptr ||
      select.n_window_clause != 0 || select.n_distinct_clause != 0 || select.n_sort_clause != 0 ||
      select.limit_count != nullptr || select.limit_offset != nullptr ||
      select.n_locking_clause != 0 || select.with_clause != nullptr || select.larg != nullptr ||
      select.into_clause != nullptr) {
    return;
  }
  const Node* from = select.from_clause[0];
  const Node* target = select.target_list[0];
  if (from->node_case != PG_QUERY__NODE__NODE_RANGE_VAR || from->range_var->inh == 0) return;
  if (target->node_case != PG_QUERY__NODE__NODE_RES_TARGET) return;
  const Node* value = target->res_target->val;
  if (value == nullptr || value->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) return;
  const FuncCall& call = *value->func_call;
  const QualifiedName function = name_of(call.n_funcname, call.funcname);
  if (function.name != "count" || call.agg_star == 0 || call.agg_filter != nullptr ||
      call.over != nullptr || out.named.size() != 1) {
    return;
  }
  Facts facts;
  if (input.names->judge_call(function, 0, facts).verdict != Verdict::kSafe) return;
  out.plain_count.relation = out.named[0];
  out.plain_count.column_name = target->res_target->name;
  if (out.plain_count.column_name.empty()) out.plain_count.column_name = "count";
}

void analyze_select_or_write(const StatementInput& input, const Node& node,
                             StatementAnalysis& out) {
  analyze_query(input, &node, out);
  out.kind = kind_of(node);
  if (out.kind != StatementKind::kSelect || input.catalog == nullptr) return;
  find_plain_count(input, node, out);
  if (out.reason == BypassReason::kNoBypass && out.reads.empty()) {
    out.reason = BypassReason::kNoRelation;
  }
  out.cacheable = out.reason == BypassReason::kNoBypass && out.effect == Effect::kNone &&
                  out.session_effects == kSessionNothing && !out.locks && out.settings.empty();
}

void copy(const StatementInput& input, const PgQuery__CopyStmt& statement, StatementAnalysis& out) {
  const StatementKind kind =
      statement.is_from != 0 ? StatementKind::kCopyFrom : StatementKind::kCopyTo;
  if (input.catalog == nullptr || statement.is_program != 0) {
    set_opaque(out, statement.is_program != 0 ? "COPY PROGRAM" : "no catalog");
    out.kind = kind;
    return;
  }
  Facts facts;
  facts.refuse(BypassReason::kNotASelect, {});
  Expansion expansion(*input.catalog);
  QueryWalker walker(*input.names, facts, expansion);
  if (statement.query != nullptr) {
    walker.query(statement.query);
  } else if (statement.relation != nullptr && statement.is_from != 0) {
    walker.write_range_var(*statement.relation, WriteKind::kInsert);
  } else if (statement.relation != nullptr) {
    walker.read_range_var(*statement.relation);
  }
  walker.expression(statement.where_clause);
  take_facts(std::move(facts), out);
  out.kind = kind;
}

void truncate(const StatementInput& input, const PgQuery__TruncateStmt& statement,
              StatementAnalysis& out) {
  if (input.catalog == nullptr) {
    set_opaque(out, "no catalog");
  } else {
    Facts facts;
    facts.refuse(BypassReason::kNotASelect, {});
    Expansion expansion(*input.catalog);
    QueryWalker walker(*input.names, facts, expansion);
    const bool cascade = statement.behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    for (size_t i = 0; i < statement.n_relations; ++i) {
      const Node* relation = statement.relations[i];
      if (relation->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
        walker.truncate(*relation->range_var, cascade);
      } else {
        facts.make_opaque("TRUNCATE of an unknown form");
      }
    }
    take_facts(std::move(facts), out);
  }
  out.kind = StatementKind::kTruncate;
}

void lock_tables(const StatementInput& input, const PgQuery__LockStmt& statement,
                 StatementAnalysis& out) {
  set_harmless(out, StatementKind::kLock);
  out.locks = true;
  Facts facts;
  for (size_t i = 0; input.names != nullptr && i < statement.n_relations; ++i) {
    if (statement.relations[i]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR) continue;
    const RangeVar& name = *statement.relations[i]->range_var;
    const FoundRelation found =
        input.names->find_relation(name.catalogname, name.schemaname, name.relname, facts);
    if (found.relation != nullptr) add_unique(out.named, found.relation->oid);
  }
}

/// EXPLAIN executes its statement only with ANALYZE, unless that option says no.
bool is_analyze(const PgQuery__ExplainStmt& statement) {
  bool analyze = false;
  for (size_t i = 0; i < statement.n_options; ++i) {
    if (statement.options[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM) continue;
    const PgQuery__DefElem& option = *statement.options[i]->def_elem;
    if (std::string_view(option.defname) != "analyze") continue;
    const std::string_view value = string_of(option.arg);
    const bool is_number =
        option.arg != nullptr && option.arg->node_case == PG_QUERY__NODE__NODE_INTEGER;
    analyze = value != "false" && value != "off" && !(is_number && option.arg->integer->ival == 0);
  }
  return analyze;
}

void explain(const StatementInput& input, const PgQuery__ExplainStmt& statement,
             StatementAnalysis& out) {
  StatementAnalysis inner_analysis;
  analyze_node(input, statement.query, inner_analysis);
  if (is_analyze(statement)) {
    out = std::move(inner_analysis);
    out.cacheable = false;
    out.reason = BypassReason::kNotASelect;
    out.plain_count = {};
  } else {
    set_harmless(out, StatementKind::kExplain);
    // The planner runs functions labelled IMMUTABLE or STABLE, whatever they do in truth.
    if (input.catalog == nullptr || (inner_analysis.session_effects & kSessionUnknown) != 0) {
      out.effect = inner_analysis.effect == Effect::kNone ? Effect::kNone : Effect::kOpaque;
      out.session_effects = inner_analysis.session_effects & kSessionUnknown;
      out.detail = inner_analysis.detail;
    }
  }
  out.kind = StatementKind::kExplain;
}

/// The matview's query runs; what readers see of it changes only here.
void refresh(const StatementInput& input, const PgQuery__RefreshMatViewStmt& statement,
             StatementAnalysis& out) {
  const RangeVar* name = statement.relation;
  Facts facts;
  facts.refuse(BypassReason::kNotASelect, {});
  facts.writes_something = true;
  const Relation* relation = nullptr;
  if (input.names != nullptr && name != nullptr) {
    relation = input.names->find_relation(name->catalogname, name->schemaname, name->relname, facts)
                   .relation;
  }
  if (relation == nullptr || relation->kind != 'm') {
    facts.make_opaque("REFRESH of an unknown materialised view");
  } else {
    Expansion expansion(*input.catalog);
    QueryWalker walker(*input.names, facts, expansion);
    walker.refresh(*relation);
  }
  take_facts(std::move(facts), out);
  out.reads.clear();
  out.policy_reads.clear();
  out.kind = StatementKind::kOther;
  if (input.catalog == nullptr || input.catalog->has_event_triggers) add_event_triggers(out);
}

}  // namespace

void analyze_query(const StatementInput& input, const Node* query, StatementAnalysis& out,
                   const PgQuery__IntoClause* accounted_into) {
  const bool select = query != nullptr && query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
  if (input.catalog == nullptr) {
    const bool harmless =
        select && tokens_prove_read_only(input.slice(), &is_known_read_only_function);
    if (harmless) {
      set_harmless(out, StatementKind::kOther);
    } else {
      set_opaque(out, "no catalog");
    }
    out.reason = BypassReason::kNoCatalog;
    return;
  }
  Facts facts;
  if (!select) facts.refuse(BypassReason::kNotASelect, {});
  Expansion expansion(*input.catalog);
  expansion.accounted_into = accounted_into;
  QueryWalker(*input.names, facts, expansion).query(query);
  take_facts(std::move(facts), out);
}

bool analyze_data(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  if (is_query(node)) {
    analyze_select_or_write(input, node, out);
    return true;
  }
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_COPY_STMT:
      copy(input, *node.copy_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT:
      truncate(input, *node.truncate_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_LOCK_STMT:
      lock_tables(input, *node.lock_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
      explain(input, *node.explain_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT:
      refresh(input, *node.refresh_mat_view_stmt, out);
      return true;
    default:
      return false;
  }
}

}  // namespace pgrecall::sql
