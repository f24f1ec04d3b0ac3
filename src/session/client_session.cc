#include "pgrecall/session/client_session.h"

#include <algorithm>
#include <utility>

#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/message.h"
#include "session/client_state.h"

namespace pgrecall::session {

namespace {

/// How much a client may be answered before it has taken any of it.
constexpr size_t kOutputMax = 1024 * 1024;
/// PostgreSQL's own bound on an authentication message (PG_MAX_AUTH_TOKEN_LENGTH).
constexpr size_t kLoginBytesMax = 65535;
constexpr size_t kBacklogMax = 1024 * 1024;

}  // namespace

ClientSession::ClientSession(WorkerContext& worker, PeerInfo peer)
    : state_(std::make_unique<State>(worker, std::move(peer), *this)) {}

ClientSession::~ClientSession() = default;

void ClientSession::set_id(SlotId id) {
  state_->core.session_id = id;
}

void ClientSession::on_client_bytes(std::string_view bytes) {
  State& state = *state_;
  state.core.worker.stats.bytes_from_clients.add(bytes.size());
  if (state.core.closing) return;
  if (!state.input.empty()) {
    state.input.append(bytes);
    return process_input();
  }
  // The usual case: whole messages, handled where they lie.
  state.processing = true;
  size_t consumed = 0;
  while (!state.core.closing && process_frame(bytes, &consumed) == Handled::kNext) {
    bytes.remove_prefix(consumed);
    consumed = 0;
  }
  bytes.remove_prefix(consumed);
  state.processing = false;
  state.reads.input_handled();
  if (!state.core.closing) state.input.assign(bytes);
}

void ClientSession::process_input() {
  State& state = *state_;
  if (std::exchange(state.processing, true)) return;
  std::string_view left = state.input;
  size_t consumed = 0;
  while (!state.core.closing && process_frame(left, &consumed) == Handled::kNext) {
    left.remove_prefix(consumed);
    consumed = 0;
  }
  left.remove_prefix(consumed);
  state.processing = false;
  state.reads.input_handled();
  if (left.size() != state.input.size()) state.input.erase(0, state.input.size() - left.size());
}

void ClientSession::resume() {
  if (!state_->core.closing && !state_->input.empty()) process_input();
  if (state_->shutting_down) shut_down(false);
}

ClientSession::Handled ClientSession::process_frame(std::string_view input, size_t* consumed) {
  State& state = *state_;
  if (state.copy_left > 0) return process_copy_part(input, consumed);
  if (state.core.output_full) return Handled::kStop;
  if (state.core.output.size() >= kOutputMax) {
    // A pipeline of hits: what is there leaves first.
    state.core.worker.host.resume_later(*this);
    return Handled::kStop;
  }
  if (state.login.awaits_startup()) {
    std::string_view packet;
    const wire::Peek peek = wire::peek_startup(input, &packet);
    if (peek == wire::Peek::kNeedMore) return Handled::kStop;
    if (peek == wire::Peek::kBad) {
      // As PostgreSQL: what is no start-up packet gets no answer.
      state.core.hang_up();
      return Handled::kStop;
    }
    *consumed = packet.size();
    state.login.on_packet(packet);
    return Handled::kNext;
  }
  if (!input.empty() && !wire::is_frontend_type(input.front())) {
    state.core.fatal("08P01", "invalid frontend message type " +
                                  std::to_string(static_cast<unsigned char>(input.front())));
    return Handled::kStop;
  }
  wire::FrameHeader header;
  const wire::Peek peek = wire::peek_header(input, 0x7ffffff0, &header);
  if (peek == wire::Peek::kNeedMore) return Handled::kStop;
  const bool copy_data = header.type == wire::kCopyData && state.core.server != nullptr;
  const size_t most =
      state.login.done() ? state.core.worker.shared.config.limits.query_bytes : kLoginBytesMax;
  if (peek == wire::Peek::kBad) {
    state.core.hang_up();
    return Handled::kStop;
  }
  if (!copy_data && header.total_bytes > most) {
    state.core.fatal("08P01", "message of " + std::to_string(header.total_bytes) +
                                  " bytes is longer than limits.query_bytes (" +
                                  std::to_string(most) + ")");
    return Handled::kStop;
  }
  if (header.total_bytes > input.size()) {
    if (!copy_data || !state.login.done()) return Handled::kStop;
    state.copy_left = header.total_bytes;
    return process_copy_part(input, consumed);
  }
  wire::Frame frame;
  frame.type = header.type;
  frame.bytes = input.substr(0, header.total_bytes);
  frame.payload = frame.bytes.substr(wire::kFrameHeaderBytes);
  if (!state.login.done()) {
    // While the server inspects the login, a client that does not wait keeps its messages.
    if (frame.type != wire::kPassword && frame.type != wire::kTerminate) return Handled::kStop;
    *consumed = header.total_bytes;
    state.login.on_frame(frame);
    return Handled::kNext;
  }
  const Progress progress = state.dispatch(frame);
  if (progress == Progress::kDone) *consumed = header.total_bytes;
  return progress == Progress::kDone ? Handled::kNext : Handled::kStop;
}

void ClientSession::set_output_full(bool full) {
  state_->core.output_full = full;
  if (full) state_->reads.stop_leading();  // its server is not read until the client has read
}

bool ClientSession::wants_input() const {
  const std::string& input = state_->input;
  if (input.size() < kBacklogMax) return true;
  // One message may be larger than the backlog: then it must be read to its end.
  wire::FrameHeader header;
  return wire::peek_header(input, 0x7ffffff0, &header) == wire::Peek::kFrame &&
         header.total_bytes > input.size();
}

ClientSession::Handled ClientSession::process_copy_part(std::string_view input, size_t* consumed) {
  State& state = *state_;
  if (input.empty()) return Handled::kStop;
  const size_t count = std::min(state.copy_left, input.size());
  state.copy_left -= count;
  state.core.mid_message = state.copy_left > 0;
  if (state.core.server != nullptr) {
    state.core.server->output().append(input.substr(0, count));
    state.core.server->flush();
  }
  *consumed = count;
  if (state.copy_left == 0) state.core.release_if_idle();
  return Handled::kNext;
}

}  // namespace pgrecall::session
