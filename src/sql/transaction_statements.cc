// BEGIN, COMMIT, ROLLBACK, savepoints, two-phase commit.
#include "sql/statement_rules.h"
#include "sql/transaction_modes.h"

namespace pgrecall::sql {
namespace {

void begin(const PgQuery__TransactionStmt& statement, StatementAnalysis& out) {
  set_harmless(out, StatementKind::kBegin);
  out.plain_begin = statement.n_options == 0;
  TransactionModes modes;
  for (size_t i = 0; i < statement.n_options; ++i) modes.add(statement.options[i]);
  out.isolation = modes.isolation;
  out.transaction_read_only = modes.read_only.value_or(false);
}

}  // namespace

Isolation isolation_of(std::string_view name) {
  if (name == "read uncommitted") return Isolation::kReadUncommitted;
  if (name == "read committed") return Isolation::kReadCommitted;
  if (name == "repeatable read") return Isolation::kRepeatableRead;
  if (name == "serializable") return Isolation::kSerializable;
  return Isolation::kUnspecified;
}

void TransactionModes::add(const Node* option) {
  if (option == nullptr || option->node_case != PG_QUERY__NODE__NODE_DEF_ELEM) return;
  const PgQuery__DefElem& element = *option->def_elem;
  const std::string_view name = element.defname;
  const Node* value = element.arg;
  bool on = false;
  if (value != nullptr && value->node_case == PG_QUERY__NODE__NODE_A_CONST) {
    on =
        value->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL && value->a_const->ival->ival != 0;
  }
  if (name == "transaction_isolation") isolation = isolation_of(string_of(value));
  if (name == "transaction_read_only") read_only = on;
  if (name == "transaction_deferrable") deferrable = on;
}

bool analyze_transaction(const Node& node, StatementAnalysis& out) {
  if (node.node_case != PG_QUERY__NODE__NODE_TRANSACTION_STMT) return false;
  const PgQuery__TransactionStmt& statement = *node.transaction_stmt;
  out.name = statement.savepoint_name;
  out.and_chain = statement.chain != 0;
  switch (statement.kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
      begin(statement, out);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
      set_harmless(out, StatementKind::kCommit);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
      set_harmless(out, StatementKind::kRollback);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
      set_harmless(out, StatementKind::kSavepoint);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
      set_harmless(out, StatementKind::kRelease);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
      set_harmless(out, StatementKind::kRollbackTo);
      return true;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
      set_harmless(out, StatementKind::kPrepareTransaction);
      break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
      set_harmless(out, StatementKind::kCommitPrepared);
      out.effect = Effect::kOpaque;
      out.self_committing = true;
      out.detail = "what the prepared transaction wrote is not known";
      break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
      set_harmless(out, StatementKind::kRollbackPrepared);
      break;
    default:
      set_opaque(out, "a transaction command of an unknown form");
      return true;
  }
  out.name = statement.gid;
  return true;
}

}  // namespace pgrecall::sql
