// Cursors, SQL PREPARE, LISTEN: what lives on a server connection.
#include "sql/statement_rules.h"

namespace pgrecall::sql {
namespace {

constexpr int kCursorHold = 0x0020;  // CURSOR_OPT_HOLD (nodes/parsenodes.h)

void declare(const StatementInput& input, const PgQuery__DeclareCursorStmt& statement,
             StatementAnalysis& out) {
  analyze_query(input, statement.query, out);
  out.kind = StatementKind::kDeclareCursor;
  out.name = statement.portalname;
  if (out.reason == BypassReason::kNoBypass) out.reason = BypassReason::kNotASelect;
  if ((statement.options & kCursorHold) != 0) out.session_effects |= kSessionHoldCursor;
}

void close(const PgQuery__ClosePortalStmt& statement, StatementAnalysis& out) {
  set_harmless(out, StatementKind::kCloseCursor);
  out.name = statement.portalname;
  if (out.name.empty()) out.session_effects = kSessionCloseAll;
}

void execute(const PgQuery__ExecuteStmt& statement, StatementAnalysis& out) {
  set_opaque(out, "EXECUTE of " + std::string(statement.name));
  out.kind = StatementKind::kExecute;
  out.name = statement.name;
}

void unlisten(const PgQuery__UnlistenStmt& statement, StatementAnalysis& out) {
  set_harmless(out, StatementKind::kUnlisten);
  out.name = statement.conditionname;
  if (out.name.empty()) out.session_effects = kSessionUnlistenAll;
}

/// Statements that are named by one word and have at most one session effect.
bool set_named(StatementAnalysis& out, StatementKind kind, const char* name, uint32_t effects) {
  set_harmless(out, kind);
  out.name = name;
  out.session_effects = effects;
  return true;
}

}  // namespace

bool analyze_session(const StatementInput& input, const Node& node, StatementAnalysis& out) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
      declare(input, *node.declare_cursor_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_FETCH_STMT:
      // What a cursor runs was counted when it was declared, and it stays with its transaction.
      set_named(out, StatementKind::kFetch, node.fetch_stmt->portalname, kSessionNothing);
      if (!node.fetch_stmt->ismove) out.reason = BypassReason::kCursor;
      return true;
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
      close(*node.close_portal_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
      return set_named(out, StatementKind::kPrepare, node.prepare_stmt->name, kSessionPrepare);
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
      execute(*node.execute_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
      return set_named(out, StatementKind::kDeallocate, node.deallocate_stmt->name,
                       kSessionDeallocate);
    case PG_QUERY__NODE__NODE_LISTEN_STMT:
      return set_named(out, StatementKind::kListen, node.listen_stmt->conditionname,
                       kSessionListen);
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT:
      unlisten(*node.unlisten_stmt, out);
      return true;
    case PG_QUERY__NODE__NODE_NOTIFY_STMT:
      return set_named(out, StatementKind::kNotify, node.notify_stmt->conditionname,
                       kSessionNothing);
    default:
      return false;
  }
}

}  // namespace pgrecall::sql
