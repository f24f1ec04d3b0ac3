// The FROM list: relations, subqueries, functions, joins and their aliases.
#include <algorithm>

#include "sql/query_walker.h"
#include "sql/walker_level.h"

namespace pgrecall::sql {

const QueryWalker::NamedQuery* QueryWalker::find_cte(std::string_view name) const {
  for (const Level* level = level_; level != nullptr; level = level->outer) {
    for (const NamedQuery& cte : level->ctes) {
      if (cte.name == name) return &cte;
    }
  }
  return nullptr;
}

bool QueryWalker::has_star(const std::vector<OutputColumn>& columns) {
  return std::any_of(columns.begin(), columns.end(),
                     [](const OutputColumn& column) { return column.is_star; });
}

void QueryWalker::range_item(const Node* node) {
  if (node == nullptr) return;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR:
      return range_var(*node->range_var);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
      return range_subselect(*node->range_subselect);
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
      return join(*node->join_expr);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
      facts_.refuse(BypassReason::kTableSample, in_context("TABLESAMPLE"));
      range_item(node->range_table_sample->relation);
      nodes(node->range_table_sample->n_args, node->range_table_sample->args);
      return expression(node->range_table_sample->repeatable);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC:
      // XMLTABLE turns text into values of any type, moving dates as well.
      facts_.refuse(BypassReason::kUnlistedStableFunction, in_context("xmltable()"));
      break;
    default:
      break;
  }
  // A function in FROM, or something unknown: its columns are not known.
  level_->range.push_back({{}, nullptr, {}, false});
  expression(node);
}

void QueryWalker::range_var(const RangeVar& name) {
  RangeEntry entry;
  entry.name = name.alias != nullptr ? name.alias->aliasname : name.relname;
  const std::string_view schema = name.schemaname;
  const NamedQuery* cte = schema.empty() ? find_cte(name.relname) : nullptr;
  if (cte != nullptr) {
    entry.columns = cte->columns;
    entry.known = cte->known;
  } else {
    read_range_var(name);
    Facts ignored;
    const FoundRelation found =
        names_.find_relation(name.catalogname, schema, name.relname, ignored);
    entry.relation = found.relation;
    entry.known = found.relation != nullptr;
  }
  rename_columns(name.alias, entry);
  level_->range.push_back(std::move(entry));
}

void QueryWalker::range_subselect(const PgQuery__RangeSubselect& item) {
  RangeEntry entry;
  if (item.alias != nullptr) entry.name = item.alias->aliasname;
  if (item.subquery != nullptr && item.subquery->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
    select(*item.subquery->select_stmt, &entry.columns);
    entry.known = !has_star(entry.columns);
    rename_columns(item.alias, entry);
    for (const OutputColumn& column : entry.columns) {
      // A name that PostgreSQL makes up: of a function, column1 of VALUES.
      if (column.name.empty()) entry.known = false;
    }
  } else {
    query(item.subquery);
  }
  level_->range.push_back(std::move(entry));
}

/// The target of an INSERT, UPDATE, DELETE or MERGE, for the expressions that name its columns.
void QueryWalker::range_target(const RangeVar* name) {
  if (name == nullptr) return;
  Facts ignored;
  const FoundRelation found =
      names_.find_relation(name->catalogname, name->schemaname, name->relname, ignored);
  RangeEntry entry;
  entry.name = name->alias != nullptr ? name->alias->aliasname : name->relname;
  entry.relation = found.relation;
  entry.known = found.relation != nullptr;
  level_->range.push_back(std::move(entry));
}

void QueryWalker::join(const PgQuery__JoinExpr& item) {
  if (++expansion_.depth > kWalkDepthMax) {
    facts_.refuse(BypassReason::kTooDeep, "nested too deeply");
    facts_.make_opaque("nested too deeply");
  } else {
    range_item(item.larg);
    range_item(item.rarg);
    if (item.is_natural != 0 || item.n_using_clause > 0) judge_operator({{}, {}, "="});
    expression(item.quals);
    // The alias of a join stands for columns of both sides; we do not sort out which.
    if (item.alias != nullptr) level_->range.push_back({item.alias->aliasname, nullptr, {}, false});
    if (item.join_using_alias != nullptr) {
      level_->range.push_back({item.join_using_alias->aliasname, nullptr, {}, false});
    }
  }
  --expansion_.depth;
}

void QueryWalker::rename_columns(const PgQuery__Alias* alias, RangeEntry& entry) {
  if (alias == nullptr || alias->n_colnames == 0) return;
  if (entry.relation != nullptr) {
    for (const Column& column : entry.relation->columns) {
      const TypeFacts type = names_.type(column.type);
      entry.columns.push_back({column.name, !type.may_be_text && !type.is_array, false});
    }
    entry.relation = nullptr;
  }
  for (size_t i = 0; i < alias->n_colnames && i < entry.columns.size(); ++i) {
    entry.columns[i].name = string_of(alias->colnames[i]);
  }
}

}  // namespace pgrecall::sql
