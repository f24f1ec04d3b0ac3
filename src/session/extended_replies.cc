// What the server's replies mean for the statements and portals of an extended-protocol unit.
#include <utility>

#include "pgrecall/wire/backend.h"
#include "session/extended_query.h"
#include "session/refusal.h"

namespace pgrecall::session {

using upstream::Reply;

void ExtendedQuery::on_reply(const upstream::Step& step, const wire::Frame& frame,
                             std::string* rewritten) {
  const bool recorded = !executing_.empty() && executing_.front().recorded;
  switch (frame.type) {
    case wire::kParseComplete:
    case wire::kCloseComplete:
      return on_own_reply(step.note);
    case wire::kBindComplete:
      if (step.note == kOpaqueBindNote) bound();
      return;
    case wire::kRowDescription:
      if (step.note == kFillNote) reads_.record(frame.type, frame.bytes);
      return;
    case wire::kDataRow:
      if (recorded) reads_.record(frame.type, frame.bytes);
      return;
    case wire::kNoticeResponse:
      return reads_.refuse(sql::BypassReason::kNotASelect);
    case wire::kErrorResponse:
      failed_ = true;
      goes_on();
      // Done past pgrecall and not known yet. Until it is, statements are parsed anew.
      if (shows_changed_result(frame.payload)) {
        core_.database->suspect();
        core_.server->statements.doubt_all();
      }
      unnamed_failed_ =
          step.note == kParseNote && !parsing_.empty() && parsing_.front()->name.empty();
      if (step.reply == Reply::kExecute && !executing_.empty()) execute_failed(frame.payload);
      if (step.note == kOpaqueBindNote) bound();
      rewrite_error(step, frame, rewritten);
      return;
    default:
      break;
  }
  if (step.reply != Reply::kExecute || !step.completes || executing_.empty()) return;
  goes_on();
  const Executing executed = std::move(executing_.front());
  const auto& plans = executed.plans;
  executing_.pop_front();
  if (!plans) core_.pin_as_unknown();
  const auto complete = frame.type == wire::kCommandComplete
                            ? wire::CommandComplete::decode(frame.payload)
                            : std::nullopt;
  if (frame.type == wire::kPortalSuspended && plans) {
    transaction_.completed(plans->plans.front(), executed.entry, {});
  }
  if (!complete) return;
  if (recorded) {
    reads_.record(frame.type, frame.bytes);
    reads_.complete();
  }
  if (!plans) return;
  transaction_.completed(plans->plans.front(), executed.entry, complete->tag);
  if ((plans->plans.front().analysis.session_effects & sql::kSessionDiscardAll) != 0) {
    core_.prepared->deallocate({});  // the unnamed one stays
  }
}

void ExtendedQuery::goes_on() {
  if (std::exchange(drops_statements_, false)) core_.worker.host.resume_later(core_.session);
}

void ExtendedQuery::execute_failed(std::string_view error) {
  const Executing& failed = executing_.front();
  if (failed.plans)
    transaction_.failed(failed.plans->plans.front(), failed.entry, !failed.plans->multi(), error);
  else if (!refused_unknown_portal(error))
    core_.pin_as_unknown();
}

void ExtendedQuery::rewrite_error(const upstream::Step& step, const wire::Frame& frame,
                                  std::string* rewritten) {
  // Names of ours must not reach the client: "pgr_12" is what it called something else.
  const size_t at = frame.payload.find("\"pgr_");
  if (at == std::string_view::npos) return;
  const size_t end = frame.payload.find('"', at + 1);
  if (end == std::string_view::npos) return;
  std::string payload(frame.payload.substr(0, at + 1));
  const std::string_view ours = frame.payload.substr(at + 1, end - at - 1);
  const bool parsing = step.note == kParseNote && !parsing_.empty();
  payload += parsing ? parsing_.front()->name : core_.prepared->client_name(ours);
  payload += frame.payload.substr(end);
  rewritten->push_back(frame.type);
  wire::append_u32(*rewritten, static_cast<uint32_t>(payload.size() + 4));
  rewritten->append(payload);
}

void ExtendedQuery::on_own_reply(uint32_t note) {
  if (note == kCloseNote && !closed_.empty()) closed_.pop_front();
  if (note != kParseNote || parsing_.empty()) return;
  ClientStatement& parsed = *parsing_.front();
  parsed.confirmed = true;
  const auto& plans = plans_of(parsed);
  if (runs_code(plans->plans.front())) core_.note_unproved(plans->plans.front(), parsed.entry);
  parsing_.pop_front();
}

void ExtendedQuery::on_ready() {
  if (failed_ && core_.server != nullptr) {
    for (uint64_t id : sent_statements_) core_.server->statements.doubt(id);
    core_.server->statements.unnamed = upstream::ServerStatements::kUnknown;
    // A Close that the server skipped has closed nothing.
    for (auto& statement : closed_) core_.prepared->put(std::move(statement));
    core_.prepared->undo_deallocate();
  }
  if (failed_) restore_unnamed();
  // What became of a portal that a failed unit bound or closed is not known.
  if (failed_) {
    for (const std::string& name : touched_portals_) core_.prepared->erase_portal(name);
  }
  touched_portals_.clear();
  replaced_.clear();
  unnamed_failed_ = false;
  closed_.clear();
  sent_statements_.clear();
  parsing_.clear();
  executing_.clear();
  binding_.clear();
  failed_ = false;
  on_server_ = false;
  meaning_changed_ = false;
  makes_temporary_ = false;
  core_.prepared->drop_unconfirmed();
  if (core_.status == 'I') core_.prepared->clear_portals();
}

/// A Parse that the server skipped has not replaced the unnamed statement; one that it refused has.
void ExtendedQuery::restore_unnamed() {
  if (unnamed_failed_ || replaced_.empty()) return;
  std::shared_ptr<ClientStatement> unnamed = core_.prepared->find({});
  while (unnamed && !unnamed->confirmed && !replaced_.empty()) {
    unnamed = std::move(replaced_.back());
    replaced_.pop_back();
  }
  if (unnamed) core_.prepared->put(std::move(unnamed));
}

void ExtendedQuery::on_lost() {
  drops_statements_ = false;
  drop_held();
  parsing_.clear();
  executing_.clear();
  binding_.clear();
  on_server_ = false;
  meaning_changed_ = false;
  makes_temporary_ = false;
}

}  // namespace pgrecall::session
