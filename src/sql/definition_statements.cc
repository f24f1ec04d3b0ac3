// DDL, privileges, roles, maintenance, and code given as text (DO, CALL).
#include <algorithm>

#include "sql/family.h"
#include "sql/query_walker.h"
#include "sql/statement_rules.h"

namespace pgrecall::sql {
namespace {

using Case = PgQuery__Node__NodeCase;

template <size_t N>
bool is_one_of(const Case (&cases)[N], Case node_case) {
  return std::find(std::begin(cases), std::end(cases), node_case) != std::end(cases);
}

/// Shared catalogs: acts on every database of the cluster.
constexpr Case kClusterCases[] = {
    PG_QUERY__NODE__NODE_CREATE_ROLE_STMT,
    PG_QUERY__NODE__NODE_ALTER_ROLE_STMT,
    PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT,
    PG_QUERY__NODE__NODE_DROP_ROLE_STMT,
    PG_QUERY__NODE__NODE_GRANT_ROLE_STMT,
    PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT,
    PG_QUERY__NODE__NODE_CREATEDB_STMT,
    PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT,
    PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT,
    PG_QUERY__NODE__NODE_ALTER_DATABASE_REFRESH_COLL_STMT,
    PG_QUERY__NODE__NODE_DROPDB_STMT,
    PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT,
    PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT,
    PG_QUERY__NODE__NODE_ALTER_TABLE_SPACE_OPTIONS_STMT,
    PG_QUERY__NODE__NODE_DROP_OWNED_STMT,
    PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT,
};

/// Cannot run in a transaction block, or commits on its own.
constexpr Case kSelfCommittingCases[] = {
    PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT,        PG_QUERY__NODE__NODE_CREATEDB_STMT,
    PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT,      PG_QUERY__NODE__NODE_DROPDB_STMT,
    PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT,  PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT,
    PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT, PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT,
    PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT,
};

constexpr Case kDdlCases[] = {
    PG_QUERY__NODE__NODE_ALTER_TABLE_STMT,
    PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT,
    PG_QUERY__NODE__NODE_GRANT_STMT,
    PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT,
    PG_QUERY__NODE__NODE_CREATE_STMT,
    PG_QUERY__NODE__NODE_DEFINE_STMT,
    PG_QUERY__NODE__NODE_DROP_STMT,
    PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT,
    PG_QUERY__NODE__NODE_ALTER_FUNCTION_STMT,
    PG_QUERY__NODE__NODE_RENAME_STMT,
    PG_QUERY__NODE__NODE_RULE_STMT,
    PG_QUERY__NODE__NODE_VIEW_STMT,
    PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT,
    PG_QUERY__NODE__NODE_CREATE_SEQ_STMT,
    PG_QUERY__NODE__NODE_ALTER_SEQ_STMT,
    PG_QUERY__NODE__NODE_CREATE_TRIG_STMT,
    PG_QUERY__NODE__NODE_CREATE_PLANG_STMT,
    PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT,
    PG_QUERY__NODE__NODE_CREATE_CONVERSION_STMT,
    PG_QUERY__NODE__NODE_CREATE_CAST_STMT,
    PG_QUERY__NODE__NODE_CREATE_OP_CLASS_STMT,
    PG_QUERY__NODE__NODE_CREATE_OP_FAMILY_STMT,
    PG_QUERY__NODE__NODE_ALTER_OP_FAMILY_STMT,
    PG_QUERY__NODE__NODE_ALTER_OBJECT_DEPENDS_STMT,
    PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT,
    PG_QUERY__NODE__NODE_ALTER_OWNER_STMT,
    PG_QUERY__NODE__NODE_ALTER_OPERATOR_STMT,
    PG_QUERY__NODE__NODE_ALTER_TYPE_STMT,
    PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT,
    PG_QUERY__NODE__NODE_CREATE_ENUM_STMT,
    PG_QUERY__NODE__NODE_CREATE_RANGE_STMT,
    PG_QUERY__NODE__NODE_ALTER_ENUM_STMT,
    PG_QUERY__NODE__NODE_ALTER_TSDICTIONARY_STMT,
    PG_QUERY__NODE__NODE_ALTER_TSCONFIGURATION_STMT,
    PG_QUERY__NODE__NODE_CREATE_FDW_STMT,
    PG_QUERY__NODE__NODE_ALTER_FDW_STMT,
    PG_QUERY__NODE__NODE_CREATE_FOREIGN_SERVER_STMT,
    PG_QUERY__NODE__NODE_ALTER_FOREIGN_SERVER_STMT,
    PG_QUERY__NODE__NODE_CREATE_USER_MAPPING_STMT,
    PG_QUERY__NODE__NODE_ALTER_USER_MAPPING_STMT,
    PG_QUERY__NODE__NODE_DROP_USER_MAPPING_STMT,
    PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT,
    PG_QUERY__NODE__NODE_SEC_LABEL_STMT,
    PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT,
    PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT,
    PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT,
    PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT,
    PG_QUERY__NODE__NODE_ALTER_EXTENSION_CONTENTS_STMT,
    PG_QUERY__NODE__NODE_CREATE_EVENT_TRIG_STMT,
    PG_QUERY__NODE__NODE_ALTER_EVENT_TRIG_STMT,
    PG_QUERY__NODE__NODE_CREATE_POLICY_STMT,
    PG_QUERY__NODE__NODE_ALTER_POLICY_STMT,
    PG_QUERY__NODE__NODE_CREATE_TRANSFORM_STMT,
    PG_QUERY__NODE__NODE_CREATE_AM_STMT,
    PG_QUERY__NODE__NODE_CREATE_PUBLICATION_STMT,
    PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT,
    PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT,
    PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT,
    PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT,
    PG_QUERY__NODE__NODE_ALTER_COLLATION_STMT,
};

bool is_shared_object(PgQuery__ObjectType type) {
  return type == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE ||
         type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE ||
         type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE ||
         type == PG_QUERY__OBJECT_TYPE__OBJECT_PARAMETER_ACL;
}

bool is_cluster(const Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT:
      return is_shared_object(node.alter_owner_stmt->object_type);
    case PG_QUERY__NODE__NODE_RENAME_STMT:
      return is_shared_object(node.rename_stmt->rename_type);
    case PG_QUERY__NODE__NODE_GRANT_STMT:
      return is_shared_object(node.grant_stmt->objtype);
    default:
      return is_one_of(kClusterCases, node.node_case);
  }
}

bool is_temporary_name(const RangeVar* name) {
  return name != nullptr && (std::string_view(name->relpersistence) == "t" ||
                             std::string_view(name->schemaname).starts_with("pg_temp"));
}

/// True if a name in the statement is qualified with pg_temp.
bool mentions_temporary(const Node& node) {
  std::vector<const Message*> pending;
  if (const Message* message = inner(&node)) pending.push_back(message);
  while (!pending.empty()) {
    const Message* next = pending.back();
    pending.pop_back();
    if (next->descriptor == &pg_query__range_var__descriptor &&
        is_temporary_name(reinterpret_cast<const RangeVar*>(next))) {
      return true;
    }
    if (next->descriptor == &pg_query__string__descriptor &&
        std::string_view(reinterpret_cast<const PgQuery__String*>(next)->sval)
            .starts_with("pg_temp")) {
      return true;
    }
    for_each_child(next, [&](const Message* child) { pending.push_back(child); });
  }
  return false;
}

/// Creates one temporary relation and nothing else.
bool creates_only_temporary(const Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT:
      return is_temporary_name(node.create_stmt->relation);
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
      return is_temporary_name(node.create_seq_stmt->sequence);
    case PG_QUERY__NODE__NODE_VIEW_STMT:
      return is_temporary_name(node.view_stmt->view);
    default:
      return false;
  }
}

bool is_concurrent_detach(const PgQuery__AlterTableStmt& statement) {
  for (size_t i = 0; i < statement.n_cmds; ++i) {
    const Node* command = statement.cmds[i];
    if (command->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_CMD) continue;
    const Node* definition = command->alter_table_cmd->def;
    if (definition != nullptr && definition->node_case == PG_QUERY__NODE__NODE_PARTITION_CMD &&
        definition->partition_cmd->concurrent != 0) {
      return true;
    }
  }
  return false;
}

/// What code that runs beside a definition leaves. What is opaque merely for a name that the
/// catalog does not know yet is not counted: every migration has such names.
void add_code(const Facts& facts, StatementAnalysis& out) {
  out.session_effects |= facts.session_effects & ~uint32_t{kSessionUnknown};
  if (facts.runs_code) out.session_effects |= kSessionUnknown;
  if (facts.cluster) out.effect = Effect::kCluster;
  out.locks = facts.locks;
}

const Relation* relation_of(const StatementInput& input, const RangeVar& name, Facts& facts) {
  return input.names->find_relation(name.catalogname, name.schemaname, name.relname, facts)
      .relation;
}

/// Of a definition that computes something at once: `walk(walker, facts)` says what.
template <typename Walk>
void add_computed(const StatementInput& input, StatementAnalysis& out, Walk walk) {
  if (input.catalog == nullptr) {
    out.session_effects |= kSessionUnknown;
    return;
  }
  Facts facts;
  Expansion expansion(*input.catalog);
  QueryWalker walker(*input.names, facts, expansion);
  walk(walker, facts);
  add_code(facts, out);
}

/// ALTER TABLE rewrites rows, also those of children: its expressions and the tables' own run.
void add_rewrite_effects(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  const bool table = node.node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT;
  out.self_committing = table && is_concurrent_detach(*node.alter_table_stmt);
  add_computed(input, out, [&](QueryWalker& walker, Facts& facts) {
    walker.expression(inner(&node));
    if (!table) return;
    const Relation* altered = relation_of(input, *node.alter_table_stmt->relation, facts);
    if (altered == nullptr) return;
    for (const Relation* member : family_members(*input.catalog, *altered)) {
      walker.judge_write_expressions(*member);
    }
  });
}

/// The bounds of a partition are computed, and rows of a default partition looked through.
void add_partition_effects(const StatementInput& input, const PgQuery__CreateStmt& statement,
                           StatementAnalysis& out) {
  if (statement.partbound == nullptr) return;
  add_computed(input, out, [&](QueryWalker& walker, Facts& facts) {
    walker.expression(&statement.partbound->base);
    for (size_t i = 0; i < statement.n_inh_relations; ++i) {
      const Node* node = statement.inh_relations[i];
      if (node->node_case != PG_QUERY__NODE__NODE_RANGE_VAR) continue;
      const Relation* parent = relation_of(input, *node->range_var, facts);
      if (parent != nullptr) walker.judge_write_expressions(*parent);
    }
  });
}

/// Functions that an index may call are labelled IMMUTABLE, save those of operator classes; the
/// catalog does not say which do.
bool has_user_index_functions(const Catalog& catalog) {
  return catalog.code_compares() ||
         std::any_of(catalog.functions.begin(), catalog.functions.end(), [](const auto& entry) {
           const Function& function = entry.second;
           return function.volatility == 'i' && function.kind == 'f' &&
                  judge_function(function) == Verdict::kUserCode;
         });
}

void maintenance(const StatementInput& input, bool runs_indexes, bool self_committing,
                 StatementAnalysis& out) {
  set_harmless(out, StatementKind::kMaintenance);
  out.self_committing = self_committing;
  if (!runs_indexes) return;
  if (input.catalog == nullptr || has_user_index_functions(*input.catalog)) {
    set_opaque(out, "index expressions may call functions of users");
    out.kind = StatementKind::kMaintenance;
    out.self_committing = self_committing;
  }
}

void create_index(const StatementInput& input, const PgQuery__IndexStmt& statement,
                  StatementAnalysis& out) {
  set_harmless(out, StatementKind::kMaintenance);
  out.self_committing = statement.concurrent != 0;
  Facts facts;
  if (input.catalog == nullptr) {
    facts.make_opaque("no catalog");
  } else {
    Expansion expansion(*input.catalog);
    QueryWalker walker(*input.names, facts, expansion);
    for (size_t i = 0; i < statement.n_index_params; ++i) {
      walker.expression(statement.index_params[i]);
    }
    walker.expression(statement.where_clause);
    if (statement.relation != nullptr) {
      const Relation* indexed = relation_of(input, *statement.relation, facts);
      if (indexed != nullptr) walker.judge_conversions(*indexed);
    }
  }
  if (facts.opaque) {
    const bool self_committing = out.self_committing;
    set_opaque(out, facts.detail);
    out.kind = StatementKind::kMaintenance;
    out.self_committing = self_committing;
  }
}

void create_table_as(const StatementInput& input, const Node* query,
                     const PgQuery__IntoClause* into, StatementAnalysis& out) {
  const bool execute = query != nullptr && query->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT;
  if (execute) {
    set_opaque(out, "EXECUTE");
  } else {
    analyze_query(input, query, out, into);
  }
  const bool temporary = into != nullptr && is_temporary_name(into->rel);
  if (temporary) {
    out.session_effects |= kSessionTemporary;
  } else if (out.effect != Effect::kCluster) {
    out.effect = Effect::kDdl;
  }
  out.kind = StatementKind::kDdl;
  out.reason = BypassReason::kNotASelect;
}

/// The INTO of a SELECT stands in the leftmost part of a set operation.
const PgQuery__IntoClause* into_of(const SelectStmt& select) {
  const SelectStmt* leftmost = &select;
  while (leftmost->larg != nullptr) leftmost = leftmost->larg;
  return leftmost->into_clause;
}

void define(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  set_harmless(out, StatementKind::kDdl);
  out.effect = is_cluster(node) ? Effect::kCluster : Effect::kDdl;
  out.self_committing = is_one_of(kSelfCommittingCases, node.node_case);
  if (creates_only_temporary(node)) {
    out.effect = Effect::kNone;
    out.session_effects |= kSessionTemporary;
  } else if (mentions_temporary(node)) {
    out.session_effects |= kSessionTemporary;
  }
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT:
      return add_rewrite_effects(input, node, out);
    case PG_QUERY__NODE__NODE_CREATE_STMT:
      return add_partition_effects(input, *node.create_stmt, out);
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT:
      out.session_effects |= kSessionUnknown;
      return;
    default:
      return;
  }
}

bool drop_of_nothing_seen(const PgQuery__DropStmt& statement) {
  return statement.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX ||
         statement.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_STATISTIC_EXT;
}

/// All that the firing matrix of event triggers lists, and more: whether an object is shared, and
/// what a later version adds, is not told apart.
bool may_fire_event_triggers(const Catalog* catalog, const Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
    case PG_QUERY__NODE__NODE_CLUSTER_STMT:
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
      return false;
    default:
      return catalog == nullptr || catalog->has_event_triggers;
  }
}

bool analyze_any(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT: {
      const PgQuery__IntoClause* into = into_of(*node.select_stmt);
      if (into == nullptr) return false;
      create_table_as(input, &node, into, out);
      return true;
    }
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
      create_table_as(input, node.create_table_as_stmt->query, node.create_table_as_stmt->into,
                      out);
      return true;
    case PG_QUERY__NODE__NODE_DO_STMT:
    case PG_QUERY__NODE__NODE_CALL_STMT: {
      const bool call = node.node_case == PG_QUERY__NODE__NODE_CALL_STMT;
      set_opaque(out, call ? "CALL" : "DO");
      out.kind = call ? StatementKind::kCall : StatementKind::kDo;
      out.self_committing = true;
      return true;
    }
    case PG_QUERY__NODE__NODE_LOAD_STMT:
      set_opaque(out, "LOAD");
      return true;
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
      // Deferred triggers that it fires belong to writes of the same transaction.
      set_harmless(out, StatementKind::kOther);
      return true;
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
    case PG_QUERY__NODE__NODE_CLUSTER_STMT:
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
      maintenance(input, true, true, out);
      return true;
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
    case PG_QUERY__NODE__NODE_ALTER_STATS_STMT:
      maintenance(input, false, false, out);
      return true;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
      create_index(input, *node.index_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_DROP_STMT:
      if (drop_of_nothing_seen(*node.drop_stmt)) {
        maintenance(input, false, node.drop_stmt->concurrent != 0, out);
        return true;
      }
      break;
    default:
      break;
  }
  if (!is_cluster(node) && !is_one_of(kDdlCases, node.node_case)) return false;
  define(input, node, out);
  return true;
}

}  // namespace

void add_event_triggers(StatementAnalysis& out) {
  if (out.effect < Effect::kOpaque) out.effect = Effect::kOpaque;
  if (out.detail.empty()) out.detail = "event triggers";
  out.writes.clear();
  // A temporary table that code may have altered is none whose name tells what it is.
  out.session_effects &= ~uint32_t{kSessionTemporary};
  out.session_effects |= kSessionUnknown;
}

bool analyze_definition(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  if (!analyze_any(input, node, out)) return false;
  if (may_fire_event_triggers(input.catalog, node)) add_event_triggers(out);
  return true;
}

}  // namespace pgrecall::sql
