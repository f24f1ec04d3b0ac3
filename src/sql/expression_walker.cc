// Expressions: functions, operators, casts, column references; everything else child by child.
#include <algorithm>

#include "sql/query_walker.h"
#include "sql/walker_level.h"

namespace pgrecall::sql {
namespace {

/// Columns that every table has (ddl-system-columns); they change without a visible change.
bool is_system_column(std::string_view name) {
  return name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax" || name == "ctid" ||
         name == "tableoid";
}

std::string folded(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

void QueryWalker::expression(const Message* message) {
  if (message == nullptr) return;
  if (is_node(message)) return visit(reinterpret_cast<const Node*>(message));
  const ProtobufCMessageDescriptor* kind = message->descriptor;
  if (kind == &pg_query__type_name__descriptor) {
    return type_name(*reinterpret_cast<const TypeName*>(message));
  }
  if (kind == &pg_query__range_var__descriptor) {
    return read_range_var(*reinterpret_cast<const RangeVar*>(message));
  }
  if (kind == &pg_query__select_stmt__descriptor) {
    return select(*reinterpret_cast<const SelectStmt*>(message), nullptr);
  }
  visit_children(message);
}

void QueryWalker::visit_children(const Message* message) {
  newer(*message);
  for_each_child(message, [this](const Message* child) { expression(child); });
}

void QueryWalker::visit(const Node* node) {
  if (++expansion_.depth > kWalkDepthMax) {
    facts_.refuse(BypassReason::kTooDeep, "nested too deeply");
    facts_.make_opaque("nested too deeply");
  } else {
    visit_inner(node);
  }
  --expansion_.depth;
}

void QueryWalker::visit_inner(const Node* node) {
  switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
    case PG_QUERY__NODE__NODE_PARAM_REF:
    case PG_QUERY__NODE__NODE_STRING:
    case PG_QUERY__NODE__NODE_INTEGER:
    case PG_QUERY__NODE__NODE_A_STAR:
      return;
    case PG_QUERY__NODE__NODE_COLUMN_REF:
      return column_ref(*node->column_ref);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
      return function_call(*node->func_call);
    case PG_QUERY__NODE__NODE_A_EXPR:
      operators(*node->a_expr);
      break;
    case PG_QUERY__NODE__NODE_SUB_LINK:
      return sub_link(*node->sub_link);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
      return type_cast(*node->type_cast);
    case PG_QUERY__NODE__NODE_TYPE_NAME:
      return type_name(*node->type_name);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
      return value_function(*node->sqlvalue_function);
    case PG_QUERY__NODE__NODE_RANGE_VAR:
      return read_range_var(*node->range_var);
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
      return query(node);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
      indirection(*node->a_indirection);
      break;
    case PG_QUERY__NODE__NODE_SORT_BY:
      if (node->sort_by->n_use_op > 0) {
        judge_operator(name_of(node->sort_by->n_use_op, node->sort_by->use_op));
      }
      break;
    case PG_QUERY__NODE__NODE_INDEX_ELEM:
      operator_class(node->index_elem->n_opclass, node->index_elem->opclass);
      break;
    case PG_QUERY__NODE__NODE_CONSTRAINT:
      exclusion(*node->constraint);
      break;
    case PG_QUERY__NODE__NODE_CASE_EXPR:
      if (node->case_expr->arg != nullptr) judge_operator({{}, {}, "="});
      break;
    default:
      break;
  }
  if (const Message* message = inner(node)) visit_children(message);
}

void QueryWalker::apply(const NameScope::Judged& judged, std::string_view name) {
  if (judged.clock) facts_.uses_clock = true;
  const auto label = [&] {
    const Function* function = judged.function;
    const std::string qualified =
        function != nullptr ? names_.describe(function->schema, function->name) : std::string(name);
    return in_context(qualified + "()");
  };
  switch (judged.verdict) {
    case Verdict::kSafe:
      if (judged.function->extension == "postgis") read_spatial_reference(*judged.function);
      if (judged.result_converted_by_code) run_cast(label());
      return;
    case Verdict::kReadsSetting:
      facts_.reads_custom_settings = true;
      return;
    case Verdict::kUnlisted:
      if (judged.function == nullptr) judge_json_casts();
      [[fallthrough]];
    case Verdict::kCurrentSetting:
      return facts_.refuse(BypassReason::kUnlistedStableFunction, label());
    case Verdict::kClock:
      return facts_.refuse(BypassReason::kClockFunction, label());
    case Verdict::kVolatile:
      return facts_.refuse(BypassReason::kVolatileFunction, label());
    case Verdict::kSetConfig:
      facts_.runs_code = true;
      facts_.session_effects |= kSessionUnknown;
      return facts_.refuse(BypassReason::kVolatileFunction, label());
    case Verdict::kTransactionLock:
      facts_.locks = true;
      return facts_.refuse(BypassReason::kVolatileFunction, label());
    case Verdict::kSessionLock:
      facts_.session_effects |= kSessionAdvisoryLock;
      return facts_.refuse(BypassReason::kVolatileFunction, label());
    case Verdict::kUnknown:
    case Verdict::kUserCode: {
      const bool unknown = judged.verdict == Verdict::kUnknown;
      facts_.runs_code = true;
      facts_.refuse(unknown ? BypassReason::kUnknownFunction : BypassReason::kUserFunction,
                    label());
      return facts_.make_opaque(label());
    }
    case Verdict::kRunsCode:
      facts_.runs_code = true;
      facts_.refuse(BypassReason::kVolatileFunction, label());
      return facts_.make_opaque(label());
    case Verdict::kCluster:
      facts_.cluster = true;
      return facts_.refuse(BypassReason::kVolatileFunction, label());
  }
}

/// PostGIS labels functions IMMUTABLE that look up spatial_ref_sys.
void QueryWalker::read_spatial_reference(const Function& function) {
  const Relation* table = names_.catalog().relation(function.schema, "spatial_ref_sys");
  if (table != nullptr) read(*table, true);
}

/// current_setting('name'): allowed with a constant name that is in the key. True if it was.
bool QueryWalker::setting_call(const FuncCall& call) {
  std::string_view name;
  if (call.n_args == 0 || !constant_string(through_text_casts(call.args[0]), name)) return false;
  if (!is_keyed_setting(folded(name))) return false;
  facts_.reads_custom_settings = true;
  return true;
}

void QueryWalker::function_call(const FuncCall& call) {
  const QualifiedName name = name_of(call.n_funcname, call.funcname);
  const size_t ordered = call.agg_within_group != 0 ? call.n_agg_order : 0;
  const auto arguments = static_cast<int>(call.n_args + ordered);
  const NameScope::Judged judged = names_.judge_call(name, arguments, facts_);
  const bool setting = judged.verdict == Verdict::kCurrentSetting && setting_call(call);
  TypeFacts type;
  const bool like_cast = arguments == 1 && names_.is_type_name(name.name, type);
  if (like_cast && judged.verdict == Verdict::kUnknown) {
    // f(x) where f is a type and no function: a cast (sql-expressions, function call syntax).
    cast_to(type, name.name, call.args != nullptr ? call.args[0] : nullptr);
  } else {
    if (!setting) apply(judged, name.name);
    // date(x) of a text is a cast as well, though date(timestamp) is a function; so is abs('x')
    // where somebody made a domain abs.
    const bool checks = type.is_domain && type.is_user;
    if (like_cast && call.n_args == 1 && (type.is_clock_type || checks || type.cast_runs_code)) {
      cast_to(type, name.name, call.args[0]);
    }
  }
  // Of a cast the type was named.
  const bool named = call.n_args > 0 && call.args[0]->node_case == PG_QUERY__NODE__NODE_TYPE_CAST;
  if (!named) fill_row(judged);
  visit_children(&call.base);
}

void QueryWalker::fill_row(const NameScope::Judged& judged) {
  if (judged.function == nullptr || !names_.catalog().has_domains()) return;
  if (fills_row(*judged.function)) run_cast(in_context(judged.function->name + "()"));
}

void QueryWalker::column_ref(const ColumnRef& ref) {
  if (ref.n_fields == 0) return;
  const Node* last = ref.fields[ref.n_fields - 1];
  if (last->node_case != PG_QUERY__NODE__NODE_STRING) return;
  const std::string_view column = last->string->sval;
  system_column(column);
  // t.f means f(t) if t has no column f (xfunc: functional notation).
  if (ref.n_fields < 2) return;
  if (column_exists(string_of(ref.fields[ref.n_fields - 2]), column)) return;
  attribute(column);
  // And of a function in FROM that returns no row it may be a cast: t.date, t.domain.
  TypeFacts type;
  if (!names_.is_type_name(column, type)) return;
  const bool checks = type.is_domain && type.is_user;
  if (checks || type.is_clock_type || type.cast_runs_code) cast_to(type, column, last);
}

void QueryWalker::system_column(std::string_view name) {
  if (!is_system_column(name)) return;
  facts_.refuse(BypassReason::kSystemColumn, in_context(std::string(name)));
}

/// (x).f is f(x) if x is no row, and so it may be a cast.
void QueryWalker::indirection(const PgQuery__AIndirection& steps) {
  for (size_t i = 0; i < steps.n_indirection; ++i) {
    const Node* step = steps.indirection[i];
    if (step->node_case != PG_QUERY__NODE__NODE_STRING) continue;
    const std::string_view name = step->string->sval;
    system_column(name);
    attribute(name);
    TypeFacts type;
    if (names_.is_type_name(name, type)) cast_to(type, name, i == 0 ? steps.arg : step);
  }
}

void QueryWalker::attribute(std::string_view name) {
  if (names_.catalog().functions_named(name).empty()) return;
  const NameScope::Judged judged = names_.judge_call({{}, {}, name}, 1, facts_);
  if (judged.function != nullptr) apply(judged, name);
}

void QueryWalker::judge_operator(const QualifiedName& name) {
  // "=" has dozens of forms and comes in hundreds; once found safe it stays so.
  const bool qualified = !name.qualifier.empty();
  const bool known =
      std::find(safe_operators_.begin(), safe_operators_.end(), name.name) != safe_operators_.end();
  if (known && !qualified) return;
  const NameScope::Judged judged = names_.judge_operator(name, facts_);
  if (judged.verdict == Verdict::kSafe && !qualified) safe_operators_.push_back(name.name);
  if (judged.function == nullptr) {
    const std::string what = in_context("operator " + std::string(name.name));
    facts_.runs_code = true;
    facts_.refuse(BypassReason::kUnknownFunction, what);
    facts_.make_opaque(what);
    return;
  }
  apply(judged, name.name);
  fill_row(judged);
}

void QueryWalker::operators(const PgQuery__AExpr& expression) {
  switch (expression.kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
      for (std::string_view name : {"<", "<=", ">", ">="}) judge_operator({{}, {}, name});
      return;
    default:
      judge_operator(name_of(expression.n_name, expression.name));
  }
}

/// Of whatever access method and schema: names of operator classes are not resolved.
void QueryWalker::operator_class(size_t count, Node* const* name) {
  const std::string_view wanted = name_of(count, name).name;
  if (wanted.empty()) return;
  for (const OperatorClass& known : names_.catalog().operator_classes) {
    if (known.name == wanted) return run_cast(in_context("operator class " + known.name));
  }
}

/// EXCLUDE (element WITH operator, ...): pairs of an index element and an operator's name.
void QueryWalker::exclusion(const PgQuery__Constraint& constraint) {
  for (size_t i = 0; i < constraint.n_exclusions; ++i) {
    const Node* pair = constraint.exclusions[i];
    if (pair->node_case != PG_QUERY__NODE__NODE_LIST || pair->list->n_items < 2) continue;
    const Node* name = pair->list->items[1];
    if (name->node_case != PG_QUERY__NODE__NODE_LIST) continue;
    judge_operator(name_of(name->list->n_items, name->list->items));
  }
}

void QueryWalker::sub_link(const PgQuery__SubLink& link) {
  expression(link.testexpr);
  if (link.n_oper_name > 0) {
    judge_operator(name_of(link.n_oper_name, link.oper_name));
  } else if (link.testexpr != nullptr) {
    judge_operator({{}, {}, "="});
  }
  query(link.subselect);
}

void QueryWalker::type_cast(const PgQuery__TypeCast& cast) {
  expression(cast.arg);
  if (cast.type_name == nullptr) return;
  const QualifiedName name = name_of(cast.type_name->n_names, cast.type_name->names);
  cast_to(names_.type(*cast.type_name, facts_), name.name, cast.arg);
}

void QueryWalker::type_name(const TypeName& name) {
  const QualifiedName qualified = name_of(name.n_names, name.names);
  TypeFacts type = names_.type(name, facts_);
  type.is_clock_type = false;  // nothing is cast here
  cast_to(type, qualified.name, nullptr);
}

void QueryWalker::cast_to(const TypeFacts& type, std::string_view name, const Node* argument) {
  const auto label = [&] { return in_context("type " + std::string(name)); };
  if (!type.known || type.is_domain) {
    // An unknown type may be a domain, and the checks of a domain may call any function.
    if (!type.known || type.is_user) {
      facts_.refuse(BypassReason::kUnknownType, label());
      facts_.make_opaque(label());
      facts_.runs_code = facts_.runs_code || type.known;
    }
  } else if (type.is_user) {
    facts_.refuse(BypassReason::kUnknownType, label());
  }
  if (type.cast_runs_code || type.converted_by_code) run_cast(label());
  if (type.is_registry) {
    facts_.refuse(BypassReason::kUnlistedStableFunction, label());
  }
  if (type.is_zoned_time && argument != nullptr) {
    facts_.refuse(BypassReason::kClockFunction, label());
  }
  if (type.is_clock_type && argument != nullptr && !is_plain_value(argument, type.is_array)) {
    facts_.refuse(BypassReason::kDateFromText, label());
  }
}

/// A cast may call a function of users here.
void QueryWalker::run_cast(const std::string& what) {
  facts_.runs_code = true;
  facts_.refuse(BypassReason::kUserFunction, what);
  facts_.make_opaque(what);
}

void QueryWalker::value_function(const PgQuery__SQLValueFunction& function) {
  switch (function.op) {
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA:
      return;  // part of every key
    default:
      facts_.uses_clock = true;
      facts_.refuse(BypassReason::kClockFunction, in_context("CURRENT_TIMESTAMP or kin"));
  }
}

}  // namespace pgrecall::sql
