#include "session/pin_review.h"

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

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
  if (!core_.review_due) return;
  if ((core_.pins & kVisible) == 0) {
    core_.review_due = false;
    return;
  }
  // A pin that no look-up can lift keeps the lease anyway; one that a newer catalog may is awaited.
  if ((core_.pins & ~kVisible) != 0 || !is_idle(core_) || core_.prepared->holds_connection())
    return;
  core_.review_due = false;
  core_.reviewing = true;
  asked_ = core_.pins;
  gone_ = 0;
  std::string sql;
  for (const VisiblePin& visible : kVisiblePins) {
    sql += sql.empty() ? "SELECT " : ", ";
    sql += (asked_ & visible.pin) != 0 ? visible.remains : "true";
  }
  core_.server->query_silently(sql, upstream::kPinsNote);
}

void PinReview::take_row(const wire::Frame& row) {
  const auto data = wire::DataRow::decode(row.payload);
  if (!data || data->columns.size() != std::size(kVisiblePins)) return;
  const VisiblePin* visible = kVisiblePins;
  for (const auto& remains : data->columns) {
    if (remains == "f") gone_ |= visible->pin;
    ++visible;
  }
}

void PinReview::on_reply(const wire::Frame& frame) {
  if (frame.type == wire::kDataRow) return take_row(frame);
  // A cancel that came late, a statement_timeout: it is asked again after the next statement.
  if (frame.type == wire::kErrorResponse) core_.review_due = true;
  if (frame.type != wire::kReadyForQuery) return;
  core_.reviewing = false;
  // A Parse that came meanwhile may need this connection.
  if (core_.prepared->holds_connection()) gone_ &= ~uint32_t{sql::kSessionPrepare};
  core_.pins &= ~(asked_ & gone_);
  if ((core_.pins & sql::kSessionTemporary) == 0) core_.objects.discard_temporary();
}

bool may_change_pinning_state(const Plan& plan, const TextEntry* entry, uint32_t pins) {
  constexpr uint32_t kEnds = sql::kSessionUnlistenAll | sql::kSessionDiscardTemp |
                             sql::kSessionCloseAll | sql::kSessionDeallocate;
  if ((plan.analysis.session_effects & (kVisible | kEnds)) != 0) return true;
  switch (plan.analysis.kind) {
    case sql::StatementKind::kDdl:
      return (pins & sql::kSessionTemporary) != 0;
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
