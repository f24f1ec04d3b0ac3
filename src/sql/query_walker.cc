#include "sql/query_walker.h"

#include <algorithm>

#include "sql/walker_level.h"

namespace pgrecall::sql {

void QueryWalker::nodes(size_t count, Node* const* list) {
  for (size_t i = 0; i < count; ++i) expression(list[i]);
}

void QueryWalker::query(const Node* node) {
  if (names_.catalog().code_converts_built_ins()) run_cast("a cast between built-in types");
  switch (node == nullptr ? PG_QUERY__NODE__NODE__NOT_SET : node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
      return select(*node->select_stmt, nullptr);
    case PG_QUERY__NODE__NODE_INSERT_STMT:
      return insert(*node->insert_stmt);
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
      return update(*node->update_stmt);
    case PG_QUERY__NODE__NODE_DELETE_STMT:
      return remove(*node->delete_stmt);
    case PG_QUERY__NODE__NODE_MERGE_STMT:
      return merge(*node->merge_stmt);
    default:
      facts_.refuse(BypassReason::kUnparsed, "a query of an unknown form");
      facts_.make_opaque("a query of an unknown form");
  }
}

void QueryWalker::select(const SelectStmt& statement, std::vector<OutputColumn>* output) {
  if (++expansion_.depth > kWalkDepthMax) {
    facts_.refuse(BypassReason::kTooDeep, "nested too deeply");
    facts_.make_opaque("nested too deeply");
  } else {
    Level level;
    LevelGuard guard(level_, level);
    with_clause(statement.with_clause);
    if (statement.into_clause != nullptr && statement.into_clause != expansion_.accounted_into) {
      facts_.refuse(BypassReason::kNotASelect, "SELECT INTO");
      facts_.make_opaque("SELECT INTO inside a query");
    }
    if (statement.larg != nullptr && statement.rarg != nullptr) {
      std::vector<OutputColumn> right;
      select(*statement.larg, output);
      select(*statement.rarg, output != nullptr ? &right : nullptr);
      const bool star = has_star(right);
      for (size_t i = 0; output != nullptr && i < output->size(); ++i) {
        OutputColumn& column = (*output)[i];
        column.is_plain = column.is_plain && !star && i < right.size() && right[i].is_plain;
      }
    }
    select_body(statement, output);
  }
  --expansion_.depth;
}

void QueryWalker::select_body(const SelectStmt& statement, std::vector<OutputColumn>* output) {
  for (size_t i = 0; i < statement.n_from_clause; ++i) range_item(statement.from_clause[i]);
  for (size_t i = 0; i < statement.n_target_list; ++i) {
    const Node* target = statement.target_list[i];
    expression(target);
    if (output == nullptr || statement.larg != nullptr) continue;
    OutputColumn column;
    if (target->node_case == PG_QUERY__NODE__NODE_RES_TARGET) {
      const PgQuery__ResTarget& result = *target->res_target;
      column.name = result.name;
      const bool is_column = result.val->node_case == PG_QUERY__NODE__NODE_COLUMN_REF;
      if (column.name.empty() && is_column) {
        const ColumnRef& ref = *result.val->column_ref;
        column.name = string_of(ref.fields[ref.n_fields - 1]);
        column.is_star = column.name.empty();
      }
      if (result.val->node_case == PG_QUERY__NODE__NODE_A_INDIRECTION) column.is_star = true;
      column.is_plain = is_plain_value(result.val, false);
    }
    output->push_back(column);
  }
  values_lists(statement, output);
  nodes(statement.n_distinct_clause, statement.distinct_clause);
  expression(statement.where_clause);
  nodes(statement.n_group_clause, statement.group_clause);
  expression(statement.having_clause);
  nodes(statement.n_window_clause, statement.window_clause);
  nodes(statement.n_sort_clause, statement.sort_clause);
  expression(statement.limit_offset);
  expression(statement.limit_count);
  if (statement.n_locking_clause > 0) {
    facts_.locks = true;
    facts_.refuse(BypassReason::kLockingClause, in_context("row locks"));
  }
}

void QueryWalker::values_lists(const SelectStmt& statement, std::vector<OutputColumn>* output) {
  for (size_t row = 0; row < statement.n_values_lists; ++row) {
    const Node* list = statement.values_lists[row];
    expression(list);
    if (output == nullptr || list->node_case != PG_QUERY__NODE__NODE_LIST) continue;
    const PgQuery__List& items = *list->list;
    if (row == 0) output->assign(items.n_items, OutputColumn{{}, true, false});
    for (size_t i = 0; i < output->size(); ++i) {
      OutputColumn& column = (*output)[i];
      column.is_plain =
          column.is_plain && i < items.n_items && is_plain_value(items.items[i], false);
    }
  }
}

void QueryWalker::with_clause(const PgQuery__WithClause* with) {
  if (with == nullptr) return;
  std::vector<NamedQuery>& ctes = level_->ctes;
  const auto cte_of = [&](size_t i) -> const PgQuery__CommonTableExpr* {
    const Node* node = with->ctes[i];
    return node->node_case == PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR ? node->common_table_expr
                                                                     : nullptr;
  };
  if (with->recursive != 0) {
    // All names are visible in all of them; their columns only once they were walked.
    for (size_t i = 0; i < with->n_ctes; ++i) {
      if (const auto* cte = cte_of(i)) ctes.push_back({cte->ctename, {}, false});
    }
  }
  for (size_t i = 0; i < with->n_ctes; ++i) {
    const PgQuery__CommonTableExpr* cte = cte_of(i);
    if (cte == nullptr) {
      expression(with->ctes[i]);
      continue;
    }
    NamedQuery entry{cte->ctename, {}, false};
    common_table(*cte, entry);
    if (with->recursive == 0) ctes.push_back(std::move(entry));
  }
}

void QueryWalker::common_table(const PgQuery__CommonTableExpr& cte, NamedQuery& entry) {
  const Node* body = cte.ctequery;
  if (body != nullptr && body->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
    select(*body->select_stmt, &entry.columns);
    entry.known = !has_star(entry.columns);
    for (size_t i = 0; i < cte.n_aliascolnames && i < entry.columns.size(); ++i) {
      entry.columns[i].name = string_of(cte.aliascolnames[i]);
    }
    for (const OutputColumn& column : entry.columns) entry.known &= !column.name.empty();
  } else {
    query(body);
  }
  if (cte.search_clause != nullptr) visit_children(&cte.search_clause->base);
  if (cte.cycle_clause != nullptr) visit_children(&cte.cycle_clause->base);
}

void QueryWalker::writes(std::string_view verb, const RangeVar* target) {
  facts_.writes_something = true;
  const std::string name = target != nullptr ? target->relname : "";
  facts_.refuse(BypassReason::kWritesInside, in_context(std::string(verb) + " " + name));
}

void QueryWalker::insert(const PgQuery__InsertStmt& statement) {
  Level level;
  LevelGuard guard(level_, level);
  writes("INSERT INTO", statement.relation);
  with_clause(statement.with_clause);
  if (statement.relation != nullptr) write_range_var(*statement.relation, WriteKind::kInsert);
  nodes(statement.n_cols, statement.cols);
  if (statement.select_stmt != nullptr) query(statement.select_stmt);
  range_target(statement.relation);
  if (const PgQuery__OnConflictClause* conflict = statement.on_conflict_clause) {
    level_->range.push_back({"excluded", nullptr, {}, false});
    visit_children(&conflict->base);
    if (conflict->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING) {
      facts_.on_conflict_do_nothing = true;
    } else if (statement.relation != nullptr) {
      std::vector<std::string_view> columns;
      for (size_t i = 0; i < conflict->n_target_list; ++i) {
        const Node* target = conflict->target_list[i];
        const bool named = target->node_case == PG_QUERY__NODE__NODE_RES_TARGET;
        columns.push_back(named ? std::string_view(target->res_target->name) : "");
      }
      write_range_var(*statement.relation, WriteKind::kUpdate, &columns);
    }
  }
  nodes(statement.n_returning_list, statement.returning_list);
}

void QueryWalker::update(const PgQuery__UpdateStmt& statement) {
  Level level;
  LevelGuard guard(level_, level);
  writes("UPDATE", statement.relation);
  with_clause(statement.with_clause);
  std::vector<std::string_view> columns;
  for (size_t i = 0; i < statement.n_target_list; ++i) {
    const Node* target = statement.target_list[i];
    const bool named = target->node_case == PG_QUERY__NODE__NODE_RES_TARGET;
    columns.push_back(named ? std::string_view(target->res_target->name) : "");
  }
  if (statement.relation != nullptr) {
    write_range_var(*statement.relation, WriteKind::kUpdate, &columns);
  }
  range_target(statement.relation);
  for (size_t i = 0; i < statement.n_from_clause; ++i) range_item(statement.from_clause[i]);
  nodes(statement.n_target_list, statement.target_list);
  expression(statement.where_clause);
  nodes(statement.n_returning_list, statement.returning_list);
}

void QueryWalker::remove(const PgQuery__DeleteStmt& statement) {
  Level level;
  LevelGuard guard(level_, level);
  writes("DELETE FROM", statement.relation);
  with_clause(statement.with_clause);
  if (statement.relation != nullptr) write_range_var(*statement.relation, WriteKind::kDelete);
  range_target(statement.relation);
  for (size_t i = 0; i < statement.n_using_clause; ++i) range_item(statement.using_clause[i]);
  expression(statement.where_clause);
  nodes(statement.n_returning_list, statement.returning_list);
}

void QueryWalker::merge(const PgQuery__MergeStmt& statement) {
  Level level;
  LevelGuard guard(level_, level);
  writes("MERGE INTO", statement.relation);
  with_clause(statement.with_clause);
  if (statement.relation != nullptr) {
    // Whatever the WHEN clauses say: together these cover every action.
    write_range_var(*statement.relation, WriteKind::kUpdate);
    write_range_var(*statement.relation, WriteKind::kDelete);
  }
  range_target(statement.relation);
  range_item(statement.source_relation);
  expression(statement.join_condition);
  // WHEN clauses, and RETURNING where the grammar has it.
  const void* const done[] = {statement.relation, statement.with_clause, statement.source_relation,
                              statement.join_condition};
  for_each_child(&statement.base, [&](const Message* child) {
    if (std::find(std::begin(done), std::end(done), child) == std::end(done)) expression(child);
  });
}

}  // namespace pgrecall::sql
