// The server's side of a ClientSession: replies, loss of the connection, leases.
#include <utility>

#include "pgrecall/wire/authentication.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/error_fields.h"
#include "session/client_state.h"

namespace pgrecall::session {

using upstream::Reply;
using upstream::Route;

namespace {

constexpr std::string_view kServerGone = "server closed the connection unexpectedly";

}  // namespace

void ClientSession::on_authentication(const wire::Frame& frame) {
  if (!state_->login.done()) return state_->login.on_authentication(frame);
  const auto code = wire::authentication_code(frame.payload);
  if (code && static_cast<wire::AuthenticationCode>(*code) == wire::AuthenticationCode::kOk) return;
  state_->core.pool->set_unchallenged(false);
  state_->core.fatal("28000", "the server asks for a password now",
                     "Connect again: the login is relayed to the server.");
}

void ClientSession::on_server_ready(upstream::ServerConnection& server) {
  State& state = *state_;
  if (state.core.closing) return;
  if (!state.login.done()) return state.login.on_server_ready();
  state.core.opening = nullptr;
  on_lease(server);
}

void ClientSession::on_reply(const upstream::Step& step, const wire::Frame& frame) {
  State& state = *state_;
  SessionCore& core = state.core;
  if (core.cancel_due) state.send_due_cancel();
  if (step.route != Route::kForward) {
    if (step.note == upstream::kProbeNote && frame.type == wire::kReadyForQuery) {
      core.release_if_idle();
      return core.worker.host.resume_later(*this);
    }
    if (step.note == upstream::kPinsNote) {
      state.pin_review.on_reply(frame);
      if (frame.type != wire::kReadyForQuery) return;
      core.release_if_idle();
      return core.worker.host.resume_later(*this);
    }
    if (step.note != upstream::kSettingsNote) return;
    if (frame.type == wire::kErrorResponse) state.settings_error = frame.payload;
    if (frame.type != wire::kReadyForQuery) return;
    const std::string error = std::exchange(state.settings_error, {});
    if (!state.login.done()) return state.login.on_settings_applied(error);
    if (core.closing) return;
    if (error.empty()) {
      core.settings_confirmed();
      return core.worker.host.resume_later(*this);
    }
    // What this client had set cannot be set again: it must not go on under other settings.
    const wire::ErrorFields fields = wire::read_error_fields(error);
    return core.fatal(fields.sqlstate, fields.message,
                      "A setting of this session could not be restored on another connection.");
  }
  if (core.closing) {
    core.left_unread = true;
    return;
  }
  if (frame.type == wire::kErrorResponse) {
    if (wire::read_error_fields(frame.payload).fatal()) return;  // on_server_lost shows it
    state.unit_error = true;
  }
  if (frame.type == wire::kParameterStatus) {
    // After a RESET the client is shown its start-up value instead: see below.
    const auto status = wire::ParameterStatus::decode(frame.payload);
    if (status && !state.unit_error && core.settings.restores(status->name)) return;
    if (status) core.shown_parameters.set(status->name, status->value);
  }
  std::string rewritten;
  if (step.reply == Reply::kQuery)
    state.simple.on_reply(frame);
  else if (step.reply != Reply::kFunctionCall)
    state.extended.on_reply(step, frame, &rewritten);
  if (frame.type == wire::kReadyForQuery && !state.unit_error) core.show_restored_parameters();
  core.output.append(rewritten.empty() ? frame.bytes : std::string_view(rewritten));
  core.flush();
  if (frame.type == wire::kReadyForQuery) return ready();
  // What waited for a ReadyForQuery that will not come now goes on: the server skips to the next
  // Sync, or reads what follows as part of a COPY.
  const bool turns = frame.type == wire::kErrorResponse || frame.type == wire::kCopyInResponse;
  if (turns && !state.input.empty()) core.worker.host.resume_later(*this);
}

void ClientSession::ready() {
  State& state = *state_;
  SessionCore& core = state.core;
  const bool error = std::exchange(state.unit_error, false);
  state.transaction.ready(core.server->status(), error);
  state.reads.finish(error);
  state.simple.on_ready();
  state.extended.on_ready();
  core.server->applied = core.settings.values().server;
  core.prove_again();
  state.pin_review.look();
  core.release_if_idle();
  if (!state.input.empty() || state.shutting_down) core.worker.host.resume_later(*this);
}

void ClientSession::on_reply_part(const upstream::Step& step, std::string_view bytes, bool first) {
  if (step.route != Route::kForward) return;
  SessionCore& core = state_->core;
  if (first) core.part_left = size_t{wire::load_u32(bytes.data() + 1)} + 1;
  core.part_left -= bytes.size();
  const bool recorded =
      step.reply == Reply::kQuery ? state_->simple.recording() : state_->extended.recording();
  if (recorded) state_->reads.record('D', bytes);
  core.output.append(bytes);
  core.flush();
}

void ClientSession::on_own_reply(std::string bytes, uint32_t note) {
  state_->core.output.append(bytes);
  state_->extended.on_own_reply(note);
  state_->core.flush();
}

void ClientSession::on_server_lost(std::string_view error) {
  State& state = *state_;
  SessionCore& core = state.core;
  core.forget_server();
  core.opening = nullptr;
  state.reads.stop_waiting();
  state.extended.on_lost();
  state.reads.interrupted();
  if (core.closing) return;
  if (core.part_left > 0) return core.hang_up();  // an error would be read as part of the message
  if (!error.empty()) {
    core.output.push_back(wire::kErrorResponse);
    wire::append_u32(core.output, static_cast<uint32_t>(error.size() + 4));
    core.output.append(error);
    core.flush();
    core.closing = true;
    return core.worker.host.close_later(*this);
  }
  core.fatal("08006", kServerGone);
}

void ClientSession::on_lease(upstream::ServerConnection& server) {
  State& state = *state_;
  server.set_user(this);
  if (!state.login.done()) return state.login.on_lease(server);
  if (server.phase() != upstream::ServerConnection::Phase::kReady) {
    // A client that gave up waiting and waits again may be granted two. One is enough.
    if (state.core.server == nullptr && state.core.opening == nullptr) {
      state.core.opening = &server;
      return;
    }
    server.set_user(nullptr);
    return server.abandon();
  }
  state.core.abandon_opening();
  state.core.adopt(server);
  resume();
  state.core.release_if_idle();  // what it was wanted for may have ended meanwhile
}

void ClientSession::on_no_lease(NoLease why, std::string_view detail) {
  State& state = *state_;
  state.core.waiting = false;
  state.reads.stop_waiting();
  state.reads.interrupted();
  switch (why) {
    case NoLease::kTimeout:
      return state.core.fatal("53300", "no server connection became free within pool.wait_timeout",
                              "Raise pool.size, or look for clients that hold connections: the "
                              "admin port shows who is pinned and why.");
    case NoLease::kFull:
      return state.core.fatal("53300", "too many clients wait for a server connection");
    case NoLease::kPoolLost:
      return state.core.fatal("57P01", "the connections of this user to the server are gone",
                              "Connect again: the login is relayed to the server.");
    case NoLease::kUnreachable:
      return state.core.fatal("08006", "could not connect to the server: " + std::string(detail));
  }
}

void ClientSession::on_flight(uint64_t query, cache::CachedResultPtr result) {
  state_->reads.on_flight(query, std::move(result));
  resume();
}

void ClientSession::on_cancel() {
  SessionCore& core = state_->core;
  // A Query that waits for another client's answer, a connection or its names ends here; inside a
  // block the server would have to abort the transaction, so there it waits on. Who is pinned waits
  // for its own connection, which is being inspected.
  const bool query_waits = !state_->input.empty() && state_->input.front() == wire::kQuery &&
                           core.visible_status() == 'I' && !core.owed();
  const bool renews = core.waiting && core.pins != 0;
  if (query_waits && !renews && (state_->reads.waiting() || core.waiting || core.awaits_names())) {
    core.cancelled = true;
    state_->reads.stop_waiting();
    if (std::exchange(core.waiting, false)) core.worker.host.stop_waiting(*this);
    core.abandon_opening();
    return core.worker.host.resume_later(*this);
  }
  core.cancel_due = core.server != nullptr && core.owed();
  state_->send_due_cancel();
}

/// Not while the server runs what we sent ahead: without its BEGIN a write would commit by itself.
void ClientSession::State::send_due_cancel() {
  if (core.server == nullptr || core.server->queue().skipping()) return;
  if (std::exchange(core.cancel_due, false) && core.owed())
    core.worker.host.cancel_server(*core.server);
}

void ClientSession::on_client_end() {
  State& state = *state_;
  SessionCore& core = state.core;
  core.closing = true;
  state.reads.stop_waiting();
  state.reads.interrupted();
  if (core.waiting) core.worker.host.stop_waiting(*this);
  core.waiting = false;
  core.abandon_opening();
  terminate();
}

void ClientSession::terminate() {
  SessionCore& core = state_->core;
  if (core.server == nullptr) return;
  upstream::ServerConnection* server = std::exchange(core.server, nullptr);
  if (server->phase() != upstream::ServerConnection::Phase::kReady) {
    // A login that nobody waits for any more.
    server->set_user(nullptr);
    return server->abandon();
  }
  if (state_->copy_left > 0) {
    // Half a message was sent: nothing can follow it.
    server->set_user(nullptr);
    return server->abandon();
  }
  // As PostgreSQL: a write that is under way runs to its end, whoever waits for it.
  const auto& writes = static_cast<TrackedWrites&>(*server->observer);
  if (!server->queue().empty() && !writes.transaction_wrote()) {
    core.worker.host.cancel_server(*server);
  }
  // What it left unfinished may have set anything: only a clean connection is given to others.
  const bool unfinished = !server->queue().empty() || server->queue().unsynced() ||
                          core.status != 'I' || core.setting_up || core.left_unread;
  server->applied = core.settings.values().server;
  server->tidy(core.pins != 0 || unfinished);
}

bool ClientSession::shut_down(bool now) {
  State& state = *state_;
  SessionCore& core = state.core;
  state.shutting_down = true;
  if (core.closing) return true;
  const bool busy = core.owed() || core.in_transaction() || state.reads.waiting() || core.waiting;
  if (busy && !now) return false;
  core.fatal("57P01", "terminating connection due to administrator command");
  return true;
}

void ClientSession::on_login_timeout() {
  if (!state_->login.done()) {
    state_->core.fatal("08006", "the login took longer than auth.login_timeout");
  }
}

void ClientSession::review_pins() {
  SessionCore& core = state_->core;
  if (core.closing || state_->extended.unit_open()) return;
  core.prove_again();
  state_->pin_review.look();
  core.release_if_idle();
}

void ClientSession::refuse(std::string_view sqlstate, std::string_view message) {
  state_->core.fatal(sqlstate, message);
}

SlotId ClientSession::id() const {
  return state_->core.session_id;
}
std::string& ClientSession::output() {
  return state_->core.output;
}
bool ClientSession::closing() const {
  return state_->core.closing;
}
bool ClientSession::logged_in() const {
  return state_->login.done();
}
bool ClientSession::waiting_for_lease() const {
  return state_->core.waiting;
}
upstream::Pool* ClientSession::pool() const {
  return state_->core.pool;
}
const std::string& ClientSession::user() const {
  return state_->core.user;
}
const std::string& ClientSession::database() const {
  return state_->core.database_name;
}
upstream::ServerConnection* ClientSession::server() const {
  return state_->core.server;
}
std::string ClientSession::pin_names() const {
  constexpr std::pair<uint32_t, std::string_view> kNames[] = {
      {sql::kSessionTemporary, "temporary table"},
      {sql::kSessionListen, "LISTEN"},
      {sql::kSessionHoldCursor, "cursor WITH HOLD"},
      {sql::kSessionAdvisoryLock, "advisory lock"},
      {kUnproved, "opaque code ran, a newer catalog may clear it"},
      {sql::kSessionPrepare, "PREPARE"},
      {sql::kSessionUnknown, "opaque code ran"}};
  std::string names;
  for (const auto& [bit, name] : kNames) {
    if ((state_->core.pins & bit) == 0) continue;
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}
uint32_t ClientSession::pins() const {
  return state_->core.pins;
}

}  // namespace pgrecall::session
