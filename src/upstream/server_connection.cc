#include "pgrecall/upstream/server_connection.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/assert.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/error_fields.h"

namespace pgrecall::upstream {
namespace {

bool streamable(char type) {
  return type == wire::kDataRow || type == wire::kCopyData || type == wire::kFunctionCallResponse;
}

}  // namespace

void ServerStatements::touch(uint64_t id) {
  auto at = index_.find(id);
  if (at != index_.end()) order_.splice(order_.end(), order_, at->second);
}

void ServerStatements::insert(uint64_t id) {
  if (index_.contains(id)) return touch(id);
  order_.push_back(id);
  index_[id] = std::prev(order_.end());
}

void ServerStatements::erase(uint64_t id) {
  auto at = index_.find(id);
  if (at == index_.end()) return;
  order_.erase(at->second);
  index_.erase(at);
}

void ServerStatements::doubt(uint64_t id) {
  erase(id);
  doubtful_.insert(id);
}

void ServerStatements::doubt_all() {
  doubtful_.insert(order_.begin(), order_.end());
  order_.clear();
  index_.clear();
  if (unnamed != 0) unnamed = kUnknown;
}

void ServerStatements::clear() {
  doubtful_.clear();
  order_.clear();
  index_.clear();
  unnamed = 0;
}

ServerConnection::ServerConnection(ServerHost& host, std::string database, std::string user)
    : host_(&host), database_(std::move(database)), user_name_(std::move(user)) {}

ServerConnection::~ServerConnection() {
  observer = nullptr;
}

void ServerConnection::on_bytes(std::string_view bytes) {
  if (phase_ == Phase::kFailed) return;
  if (stream_left_ > 0) {
    const size_t count = std::min(stream_left_, bytes.size());
    stream_left_ -= count;
    if (user_ != nullptr) user_->on_reply_part(stream_step_, bytes.substr(0, count), false);
    bytes.remove_prefix(count);
    if (bytes.empty()) return;
  }
  // Whole messages are handled where they lie; only an unfinished one is copied, and only once.
  if (input_.empty()) {
    input_view_ = bytes;
    process();
    if (phase_ != Phase::kFailed) input_.assign(input_view_);
  } else {
    input_.append(bytes);
    input_view_ = input_;
    process();
    if (phase_ != Phase::kFailed) input_.erase(0, input_.size() - input_view_.size());
  }
  input_view_ = {};
}

void ServerConnection::process() {
  while (phase_ != Phase::kFailed && process_one()) {
  }
}

bool ServerConnection::process_one() {
  wire::FrameHeader header;
  const wire::Peek peek = wire::peek_header(input_view_, 0x7ffffff0, &header);
  if (peek == wire::Peek::kNeedMore) return false;
  if (peek == wire::Peek::kBad) {
    fail("malformed message from the server");
    return false;
  }
  if (header.total_bytes > input_view_.size() || header.total_bytes > kMessageBytesMax) {
    if (header.total_bytes > kGatherBytes && streamable(header.type) && phase_ != Phase::kLogin &&
        phase_ != Phase::kInspection) {
      begin_stream(header);
      return !input_view_.empty();
    }
    if (header.total_bytes > kMessageBytesMax) fail("oversized message from the server");
    return false;
  }
  wire::Frame frame;
  frame.type = header.type;
  frame.bytes = input_view_.substr(0, header.total_bytes);
  frame.payload = frame.bytes.substr(wire::kFrameHeaderBytes);
  input_view_.remove_prefix(header.total_bytes);
  dispatch(frame);
  return true;
}

void ServerConnection::begin_stream(const wire::FrameHeader& header) {
  stream_step_ = queue_.on_message(header.type);
  if (stream_step_.bad) return fail("unexpected message from the server");
  const std::string_view part = input_view_.substr(0, header.total_bytes);
  stream_left_ = header.total_bytes - part.size();
  input_view_.remove_prefix(part.size());
  if (user_ != nullptr) user_->on_reply_part(stream_step_, part, true);
}

void ServerConnection::dispatch(const wire::Frame& frame) {
  if (frame.type == wire::kParameterStatus) remember_parameter(frame);
  if (frame.type == wire::kErrorResponse && wire::read_error_fields(frame.payload).fatal()) {
    last_error_ = frame.payload;
  }
  switch (phase_) {
    case Phase::kLogin:
      return dispatch_login(frame);
    case Phase::kInspection:
      return dispatch_inspection(frame);
    case Phase::kReady:
    case Phase::kTidying:
      return dispatch_ready(frame);
    case Phase::kFailed:
      return;
  }
}

void ServerConnection::dispatch_ready(const wire::Frame& frame) {
  const Step step = queue_.on_message(frame.type);
  if (step.bad) return fail("unexpected message from the server");
  if (frame.type == wire::kReadyForQuery) {
    const auto ready = wire::ReadyForQuery::decode(frame.payload);
    if (!ready) return fail("malformed ReadyForQuery");
    status_ = ready->status;
  }
  if (observer) observer->on_message(step, frame);
  if (phase_ == Phase::kTidying) {
    dispatch_tidying(frame, step);
  } else if (user_ != nullptr) {
    user_->on_reply(step, frame);
  }
  after_step();
  if (frame.type == wire::kReadyForQuery && phase_ == Phase::kReady && queue_.empty() &&
      queue_.uncertain()) {
    query_silently("", kProbeNote);
  }
}

void ServerConnection::after_step() {
  std::string bytes;
  uint32_t note = 0;
  while (queue_.take_own(&bytes, &note)) {
    if (user_ != nullptr && phase_ == Phase::kReady) user_->on_own_reply(std::move(bytes), note);
  }
}

void ServerConnection::query_silently(std::string_view sql, uint32_t note) {
  if (observer) observer->before_own_query();
  wire::append_query(output_, sql);
  queue_.push(Reply::kQuery, Route::kSkip, note);
  statements.unnamed = 0;  // a Query ends it
  flush();
}

void ServerConnection::tidy(bool clean) {
  PGR_ASSERT(phase_ == Phase::kReady);
  user_ = nullptr;
  needs_cleaning = needs_cleaning || clean || statements.doubtful() > kDoubtfulMax;
  phase_ = Phase::kTidying;
  if (queue_.copy_in()) {
    wire::append_copy_fail(output_, "the client has gone");
    queue_.end_copy_in();
  }
  const bool unsynced = queue_.unsynced();
  // A client that goes without a Sync has committed nothing.
  if (unsynced) query_silently("ROLLBACK");
  if (unsynced || !queue_.empty()) {
    // Whatever the client left unfinished ends at a Sync; a superfluous one is answered as well.
    if (observer) observer->before_own_sync();
    wire::append_sync(output_);
    queue_.push(Reply::kSync, Route::kSkip);
    flush();
    return;
  }
  continue_tidying();
}

void ServerConnection::dispatch_tidying(const wire::Frame& frame, const Step& step) {
  if (frame.type == wire::kCopyInResponse) {
    // Which of the Syncs sent so far the COPY has read cannot be told from here.
    if (step.reply == Reply::kExecute) return fail("a client left in the middle of a COPY");
    wire::append_copy_fail(output_, "the client has gone");
    queue_.end_copy_in();
    flush();
  }
  if (frame.type == wire::kErrorResponse && step.note == kCleaningNote) {
    return fail("cleaning the connection failed");
  }
  if (queue_.empty() && frame.type == wire::kReadyForQuery) continue_tidying();
}

void ServerConnection::continue_tidying() {
  if (cancel_happened) {
    // A late signal is taken by this round trip, not by the next client's statement.
    if (cancels_open > 0) return;
    cancel_happened = false;
    return query_silently("");
  }
  if (queue_.uncertain()) return query_silently("", kProbeNote);
  if (status_ != wire::kIdle) return query_silently("ROLLBACK", kCleaningNote);
  if (needs_cleaning) {
    needs_cleaning = false;
    applied.clear();
    statements.clear();
    return query_silently("DISCARD ALL", kCleaningNote);
  }
  phase_ = Phase::kReady;
  host_->server_idle(*this);
}

void ServerConnection::cancel_finished() {
  PGR_ASSERT(cancels_open > 0);
  if (--cancels_open == 0 && phase_ == Phase::kTidying && queue_.empty()) continue_tidying();
}

void ServerConnection::remember_parameter(const wire::Frame& frame) {
  const auto status = wire::ParameterStatus::decode(frame.payload);
  if (status) parameters_.set(status->name, status->value);
}

void ServerConnection::on_end() {
  if (phase_ == Phase::kFailed) return;
  lost_unexpectedly_ = phase_ != Phase::kLogin &&
                       (last_error_.empty() || wire::read_sqlstate(last_error_) == "57P02");
  fail("the server closed the connection");
}

void ServerConnection::fail(std::string_view why) {
  if (phase_ == Phase::kFailed) return;
  phase_ = Phase::kFailed;
  queue_.clear();
  ServerUser* user = std::exchange(user_, nullptr);
  const std::string error = std::move(last_error_);
  if (observer) observer->on_lost();
  if (user != nullptr) user->on_server_lost(error);
  host_->server_failed(*this, why);
}

}  // namespace pgrecall::upstream
