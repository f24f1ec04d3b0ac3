#include "session/pin_review.h"

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/wire/backend.h"
#include "session/prepared_statements.h"

namespace pgrecall::session {
namespace {

struct VisiblePin {
  uint32_t pin;
  std::string_view remains;  ///< SQL: true while there is such state
};

/// The search_path is the client's: every name is qualified, operators too. Whatever lies in a
/// temporary schema depends on it (DISCARD TEMP finds it in the same way); 2615 is pg_namespace.
/// Statements that the protocol prepared under names of ours pin nobody.
constexpr VisiblePin kVisiblePins[] = {
    {sql::kSessionTemporary,
     "EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) '2615'"
     " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"},
    {sql::kSessionListen, "EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"},
    {sql::kSessionHoldCursor, "EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {sql::kSessionAdvisoryLock,
     "EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
     " AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
    {sql::kSessionPrepare,
     "EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"
     " OR pg_catalog.left(name, 4) OPERATOR(pg_catalog.<>) 'pgr_')"},
};

/// What may stand before a permanent name, or runs code when it is used, in the temporary schema:
/// all but plain tables and sequences of names and families of their own (`hides_another` of
/// session_objects.cc judges names alike). 1259 is pg_class. And what decides about names and
/// texts beside it.
constexpr std::string_view kNamesColumns =
    ", EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) '2615'"
    " AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() AND NOT EXISTS"
    " (SELECT FROM pg_catalog.pg_class c WHERE d.classid OPERATOR(pg_catalog.=) '1259'"
    " AND c.oid OPERATOR(pg_catalog.=) d.objid"
    " AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,S}'::pg_catalog.\"char\"[])"
    " AND NOT c.relhasrules AND NOT c.relhastriggers AND NOT c.relrowsecurity"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i"
    " WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid OR i.inhparent OPERATOR(pg_catalog.=) c.oid)"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class o"
    " WHERE o.relname OPERATOR(pg_catalog.=) c.relname"
    " AND o.relnamespace OPERATOR(pg_catalog.<>) c.relnamespace)"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_type y"
    " WHERE y.typname OPERATOR(pg_catalog.=) c.relname"
    " AND y.typnamespace OPERATOR(pg_catalog.<>) c.relnamespace))),"
    " pg_catalog.current_setting('search_path'), current_user, session_user,"
    " pg_catalog.current_setting('standard_conforming_strings'),"
    " pg_catalog.current_setting('client_encoding')";
constexpr size_t kNamesCount = 6;

constexpr uint32_t kVisible = sql::kSessionTemporary | sql::kSessionListen |
                              sql::kSessionHoldCursor | sql::kSessionAdvisoryLock |
                              sql::kSessionPrepare;

/// Nothing is under way on the connection, and no Query of ours would end anything of the client's.
bool is_idle(const SessionCore& core) {
  if (core.server == nullptr || core.closing || core.setting_up || core.mid_message) return false;
  upstream::ReplyQueue& queue = core.server->queue();
  return core.status == 'I' && queue.empty() && !queue.unsynced() && !queue.skipping_to_sync() &&
         !queue.uncertain();
}

}  // namespace

void PinReview::look() {
  // Under a newer catalog a name may have become hidden that was not.
  const bool outdated = core_.names_known_in != 0 && core_.names() == Names::kHidden;
  if (!core_.review_due && !outdated) return;
  const bool names = core_.ran_opaque_code();
  if ((core_.pins & kVisible) == 0 && !names) {
    core_.review_due = false;
    return;
  }
  // A pin that no look-up can lift keeps the lease anyway; one that a newer catalog may is awaited.
  const bool lifts = (core_.pins & ~kVisible) == 0 && !core_.prepared->holds_connection();
  if ((!names && !lifts) || !is_idle(core_)) return;
  if (names && !core_.settings.synchronised()) return;
  core_.review_due = false;
  core_.reviewing = true;
  asked_ = core_.pins & kVisible;
  gone_ = 0;
  agrees_ = false;
  std::string sql;
  for (const VisiblePin& visible : kVisiblePins) {
    sql += sql.empty() ? "SELECT " : ", ";
    sql += (asked_ & visible.pin) != 0 ? visible.remains : "true";
  }
  if (names) {
    const auto catalog = core_.database->catalog();
    version_ = catalog ? catalog->version : 0;
    core_.refresh_context();
    context_ = core_.context;
    sql += kNamesColumns;
  }
  core_.server->query_silently(sql, upstream::kPinsNote);
}

void PinReview::take_row(const wire::Frame& row) {
  const auto data = wire::DataRow::decode(row.payload);
  if (!data) return;
  std::vector<std::string_view> values;
  for (const auto& column : data->columns) values.push_back(column.value_or(std::string_view()));
  constexpr size_t kPins = std::size(kVisiblePins);
  if (values.size() < kPins) return;
  for (size_t i = 0; i < kPins; ++i) {
    if (values[i] == "f") gone_ |= kVisiblePins[i].pin;
  }
  if (values.size() != kPins + kNamesCount) return;
  const std::string_view* said = values.data() + kPins;
  const ServersView view{said[1], said[2], said[3], said[4], said[5]};
  agrees_ = said[0] == "f" && agrees(*context_, view);
}

void PinReview::on_reply(const wire::Frame& frame) {
  if (frame.type == wire::kDataRow) return take_row(frame);
  // A cancel that came late, a statement_timeout: it is asked again after the next statement.
  if (frame.type == wire::kErrorResponse) core_.review_due = true;
  if (frame.type != wire::kReadyForQuery) return;
  core_.reviewing = false;
  // Unless something has happened since that asks for another look-up.
  core_.names_known_in = agrees_ && !core_.review_due ? version_ : 0;
  // A Parse that came meanwhile may need this connection.
  if (core_.prepared->holds_connection()) gone_ &= ~uint32_t{sql::kSessionPrepare};
  core_.pins &= ~(asked_ & gone_);
  if ((core_.pins & sql::kSessionTemporary) == 0) core_.objects.discard_temporary();
}

bool may_change_pinning_state(const Plan& plan, const TextEntry* entry, uint32_t pins) {
  constexpr uint32_t kEnds = sql::kSessionUnlistenAll | sql::kSessionDiscardTemp |
                             sql::kSessionCloseAll | sql::kSessionDeallocate;
  if ((plan.analysis.session_effects & (kVisible | kEnds)) != 0) return true;
  const bool hides = (pins & (sql::kSessionUnknown | kUnproved)) != 0;
  if (hides && !plan.analysis.settings.empty()) return true;  // may bring back what names meant
  switch (plan.analysis.kind) {
    case sql::StatementKind::kRollback:
    case sql::StatementKind::kRollbackTo:
      if (hides) return true;
      break;
    case sql::StatementKind::kDdl:
      return hides || (pins & sql::kSessionTemporary) != 0;
    case sql::StatementKind::kCloseCursor:
    case sql::StatementKind::kUnlisten:
      return true;
    default:
      break;
  }
  if ((pins & sql::kSessionAdvisoryLock) == 0) return false;
  return entry == nullptr || !entry->canonical.ok ||
         entry->canonical.shape.find("pg_advisory_unlock") != std::string::npos;
}

}  // namespace pgrecall::session
