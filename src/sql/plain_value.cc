// Which values can be no moving date: those of types that are no text, and literals and parameters
// as they stand (their words are checked by whoever knows the values). A cast of anything else to
// date and kin may read a word such as 'today' from a row.
#include "sql/query_walker.h"

namespace pgrecall::sql {

bool QueryWalker::all_plain(size_t count, Node* const* list, bool as_array) {
  for (size_t i = 0; i < count; ++i) {
    if (!is_plain_value(list[i], as_array)) return false;
  }
  return true;
}

bool QueryWalker::is_plain_value(const Node* node, bool as_array) {
  if (node == nullptr) return true;
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
    case PG_QUERY__NODE__NODE_PARAM_REF:
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
    case PG_QUERY__NODE__NODE_NULL_TEST:
      return true;
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
      return node->sqlvalue_function->op <=
             PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N;  // the others are text
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return is_plain_column(*node->column_ref, as_array);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return is_plain_call(*node->func_call, as_array);
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
      if (node->type_cast->type_name == nullptr) return false;
      const TypeFacts type = names_.type(*node->type_cast->type_name, facts_);
      return type.known && !type.may_be_text && (as_array || !type.is_array);
    }
    case PG_QUERY__NODE__NODE_A_EXPR: {
      if (node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF) {
        return is_plain_value(node->a_expr->lexpr, as_array);
      }
      if (node->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || as_array) return false;
      const QualifiedName name = name_of(node->a_expr->n_name, node->a_expr->name);
      return !names_.judge_operator(name, facts_).may_return_text;
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
      return all_plain(node->coalesce_expr->n_args, node->coalesce_expr->args, as_array);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
      return all_plain(node->min_max_expr->n_args, node->min_max_expr->args, as_array);
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
      const PgQuery__CaseExpr& choice = *node->case_expr;
      for (size_t i = 0; i < choice.n_args; ++i) {
        const Node* when = choice.args[i];
        if (when->node_case != PG_QUERY__NODE__NODE_CASE_WHEN) return false;
        if (!is_plain_value(when->case_when->result, as_array)) return false;
      }
      return is_plain_value(choice.defresult, as_array);
    }
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
      return all_plain(node->a_array_expr->n_elements, node->a_array_expr->elements, false);
    case PG_QUERY__NODE__NODE_SUB_LINK:
      return node->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK;
    default:
      return false;
  }
}

bool QueryWalker::is_plain_call(const FuncCall& call, bool as_array) {
  const QualifiedName name = name_of(call.n_funcname, call.funcname);
  const bool built_in = name.qualifier.empty() || name.qualifier == "pg_catalog";
  if (built_in && keeps_argument_type(name.name) && call.n_args > 0) {
    return is_plain_value(call.args[0], as_array);
  }
  if (as_array) return false;
  const auto arguments = static_cast<int>(call.n_args);
  return !names_.judge_call(name, arguments, facts_).may_return_text;
}

QueryWalker::Lookup QueryWalker::look_up(const RangeEntry& entry, std::string_view column,
                                         bool as_array) const {
  if (!entry.known) return Lookup::kMaybeText;
  if (entry.relation == nullptr) {
    for (const OutputColumn& output : entry.columns) {
      if (output.name != column) continue;
      return output.is_plain && !as_array ? Lookup::kPlain : Lookup::kMaybeText;
    }
    return Lookup::kNone;
  }
  for (const Column& found : entry.relation->columns) {
    if (found.name != column) continue;
    const TypeFacts type = names_.type(found.type);
    const bool plain = type.known && !type.may_be_text && (as_array || !type.is_array);
    return plain ? Lookup::kPlain : Lookup::kMaybeText;
  }
  return Lookup::kNone;
}

/// Every column that the name could mean, on any level, must be plain, and one must exist.
bool QueryWalker::is_plain_column(const ColumnRef& ref, bool as_array) {
  if (ref.n_fields == 0) return false;
  const std::string_view column = string_of(ref.fields[ref.n_fields - 1]);
  if (column.empty()) return false;
  const bool qualified = ref.n_fields > 1;
  const std::string_view table = qualified ? string_of(ref.fields[ref.n_fields - 2]) : "";
  bool found = false;
  for (const Level* level = level_; level != nullptr; level = level->outer) {
    for (const RangeEntry& entry : level->range) {
      if (qualified && entry.name != table) continue;
      const Lookup result = look_up(entry, column, as_array);
      if (result == Lookup::kMaybeText) return false;
      found = found || result == Lookup::kPlain;
    }
  }
  return found;
}

bool QueryWalker::column_exists(std::string_view relation, std::string_view column) const {
  for (const Level* level = level_; level != nullptr; level = level->outer) {
    for (const RangeEntry& entry : level->range) {
      if (entry.name != relation) continue;
      if (!entry.known) return false;
      if (entry.relation == nullptr) {
        for (const OutputColumn& output : entry.columns) {
          if (output.name == column) return true;
        }
        return false;
      }
      for (const Column& found : entry.relation->columns) {
        if (found.name == column) return true;
      }
      return false;
    }
  }
  return false;
}

}  // namespace pgrecall::sql
