// SET in all its forms, RESET, SHOW, DISCARD, and set_config with constants.
#include <algorithm>

#include "sql/statement_rules.h"
#include "sql/transaction_modes.h"

namespace pgrecall::sql {
namespace {

std::string folded(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

/// Settings whose elements the server quotes as identifiers (GUC_LIST_QUOTE).
bool is_identifier_list(std::string_view name) {
  constexpr std::string_view kNames[] = {"local_preload_libraries", "search_path",
                                         "session_preload_libraries", "shared_preload_libraries",
                                         "temp_tablespaces"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::string quoted_identifier(std::string_view name) {
  const bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                     });
  if (plain) return std::string(name);
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string quoted_literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

/// The text of a constant in the list of a SET; false if it is none.
bool constant_text(const Node* node, std::string& text) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_A_CONST) return false;
  const PgQuery__AConst& constant = *node->a_const;
  switch (constant.val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
      text = std::to_string(constant.ival->ival);
      return true;
    case PG_QUERY__A__CONST__VAL_FVAL:
      text = constant.fval->fval;
      return true;
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
      text = constant.boolval->boolval != 0 ? "true" : "false";
      return true;
    case PG_QUERY__A__CONST__VAL_SVAL:
      text = constant.sval->sval;
      return true;
    default:
      return false;
  }
}

std::string joined_value(const PgQuery__VariableSetStmt& statement, std::string_view name) {
  std::string value;
  const bool identifiers = is_identifier_list(name);
  for (size_t i = 0; i < statement.n_args; ++i) {
    std::string text;
    if (!constant_text(statement.args[i], text)) return {};
    if (i > 0) value += ", ";
    value += identifiers ? quoted_identifier(text) : text;
  }
  return value;
}

SettingChange change_of(std::string_view name, bool local, std::string_view statement) {
  SettingChange change;
  change.name = name;
  change.local = local;
  change.statement = statement;
  return change;
}

void add_mode(StatementAnalysis& out, std::string_view prefix, std::string_view name,
              std::string value, bool local, std::string_view statement) {
  SettingChange change = change_of(std::string(prefix) + std::string(name), local, statement);
  change.value = std::move(value);
  out.settings.push_back(std::move(change));
}

std::string_view isolation_name(Isolation isolation) {
  switch (isolation) {
    case Isolation::kReadUncommitted:
      return "read uncommitted";
    case Isolation::kReadCommitted:
      return "read committed";
    case Isolation::kRepeatableRead:
      return "repeatable read";
    case Isolation::kSerializable:
      return "serializable";
    case Isolation::kUnspecified:
      break;
  }
  return {};
}

/// SET TRANSACTION, SET TRANSACTION SNAPSHOT, SET SESSION CHARACTERISTICS AS TRANSACTION.
void set_modes(const PgQuery__VariableSetStmt& statement, std::string_view text,
               StatementAnalysis& out) {
  const std::string_view form = statement.name;
  if (form == "TRANSACTION SNAPSHOT") {
    out.snapshot_import = true;
    return;
  }
  TransactionModes modes;
  for (size_t i = 0; i < statement.n_args; ++i) modes.add(statement.args[i]);
  const bool local = form == "TRANSACTION";
  const std::string_view prefix = local ? "" : "default_";
  out.isolation = modes.isolation;
  out.transaction_read_only = modes.read_only.value_or(false);
  if (modes.isolation != Isolation::kUnspecified) {
    add_mode(out, prefix, "transaction_isolation", std::string(isolation_name(modes.isolation)),
             local, text);
  }
  if (modes.read_only.has_value()) {
    add_mode(out, prefix, "transaction_read_only", *modes.read_only ? "on" : "off", local, text);
  }
  if (modes.deferrable.has_value()) {
    add_mode(out, prefix, "transaction_deferrable", *modes.deferrable ? "on" : "off", local, text);
  }
}

void set_variable(const PgQuery__VariableSetStmt& statement, std::string_view text,
                  StatementAnalysis& out) {
  SettingChange change = change_of(folded(statement.name), statement.is_local != 0, text);
  change.value = joined_value(statement, change.name);
  if (change.name == "transaction_isolation") {
    out.isolation = isolation_of(folded(change.value));
    change.local = true;  // lasts as long as the transaction, whatever the command says
  }
  if (change.name == "transaction_read_only" || change.name == "transaction_deferrable") {
    change.local = true;
  }
  out.settings.push_back(std::move(change));
}

void reset_variable(const PgQuery__VariableSetStmt& statement, std::string_view text,
                    StatementAnalysis& out) {
  const bool all = statement.kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL;
  SettingChange change = change_of(folded(statement.name), statement.is_local != 0, text);
  change.action = all ? SettingChange::Action::kResetAll : SettingChange::Action::kReset;
  out.settings.push_back(std::move(change));
}

bool variable_set(const PgQuery__VariableSetStmt& statement, std::string_view text,
                  StatementAnalysis& out) {
  switch (statement.kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
      set_harmless(out, StatementKind::kSet);
      set_variable(statement, text, out);
      return true;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
      set_harmless(out, StatementKind::kSet);
      reset_variable(statement, text, out);
      return true;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
      set_harmless(out, StatementKind::kSet);
      set_modes(statement, text, out);
      return true;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
      set_harmless(out, StatementKind::kReset);
      reset_variable(statement, text, out);
      return true;
    default:
      set_opaque(out, "a SET of an unknown form");
      return true;
  }
}

void discard(const PgQuery__DiscardStmt& statement, StatementAnalysis& out) {
  set_harmless(out, StatementKind::kDiscard);
  switch (statement.target) {
    case PG_QUERY__DISCARD_MODE__DISCARD_PLANS:
      out.session_effects = kSessionDiscardPlans;
      break;
    case PG_QUERY__DISCARD_MODE__DISCARD_TEMP:
      out.session_effects = kSessionDiscardTemp;
      break;
    case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES:
      break;
    default:
      out.session_effects = kSessionDiscardAll;
  }
}

/// One target `set_config(name, value, is_local)`. False if it is anything else.
bool set_config_target(const StatementInput& input, const Node* target, StatementAnalysis& out) {
  if (target->node_case != PG_QUERY__NODE__NODE_RES_TARGET) return false;
  const Node* value = target->res_target->val;
  if (value == nullptr || value->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) return false;
  const FuncCall& call = *value->func_call;
  const QualifiedName function = name_of(call.n_funcname, call.funcname);
  if (function.name != "set_config" || call.n_args != 3) return false;
  if (!function.qualifier.empty() && function.qualifier != "pg_catalog") return false;
  Facts facts;
  if (input.names != nullptr &&
      input.names->judge_call(function, 3, facts).verdict != Verdict::kSetConfig) {
    return false;
  }
  std::string_view name;
  std::string_view text;
  bool local = false;
  const Node* new_value = through_text_casts(call.args[1]);
  const bool is_null = is_null_constant(new_value);
  if (!constant_string(through_text_casts(call.args[0]), name)) return false;
  if (!constant_bool(call.args[2], local)) return false;
  SettingChange change = change_of(folded(name), local, {});
  if (new_value != nullptr && new_value->node_case == PG_QUERY__NODE__NODE_PARAM_REF) {
    out.session_effects |= kSessionUnknown;  // the value is not in the text
  } else if (is_null || constant_string(new_value, text)) {
    change.action = is_null ? SettingChange::Action::kReset : SettingChange::Action::kSet;
    change.value = text;
    change.statement = "SELECT pg_catalog.set_config(" + quoted_literal(name) + ", " +
                       (is_null ? "NULL" : quoted_literal(text)) + (local ? ", true)" : ", false)");
  } else {
    return false;
  }
  out.settings.push_back(std::move(change));
  return true;
}

bool only_targets(const SelectStmt& select) {
  return select.n_target_list > 0 && select.n_from_clause == 0 && select.where_clause == nullptr &&
         select.n_distinct_clause == 0 && select.n_group_clause == 0 &&
         select.having_clause == nullptr && select.n_window_clause == 0 &&
         select.n_values_lists == 0 && select.n_sort_clause == 0 && select.limit_count == nullptr &&
         select.limit_offset == nullptr && select.n_locking_clause == 0 &&
         select.with_clause == nullptr && select.into_clause == nullptr && select.larg == nullptr;
}

}  // namespace

bool analyze_set_config(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  if (node.node_case != PG_QUERY__NODE__NODE_SELECT_STMT) return false;
  const SelectStmt& select = *node.select_stmt;
  if (!only_targets(select)) return false;
  StatementAnalysis changed = out;
  for (size_t i = 0; i < select.n_target_list; ++i) {
    if (!set_config_target(input, select.target_list[i], changed)) return false;
  }
  out = std::move(changed);
  set_harmless(out, StatementKind::kSelect);
  out.reason = BypassReason::kVolatileFunction;
  out.detail = "set_config()";
  return true;
}

bool analyze_settings(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
      return variable_set(*node.variable_set_stmt, input.slice(), out);
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
      set_harmless(out, StatementKind::kShow);
      out.name = folded(node.variable_show_stmt->name);
      return true;
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
      discard(*node.discard_stmt, out);
      return true;
    default:
      return analyze_set_config(input, node, out);
  }
}

}  // namespace pgrecall::sql
