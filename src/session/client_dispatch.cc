// The client's side of a ClientSession after login: which message goes where.
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/frontend.h"
#include "session/client_state.h"

namespace pgrecall::session {

using upstream::Reply;
using upstream::Route;

Progress ClientSession::State::dispatch(const wire::Frame& frame) {
  if (core.server != nullptr && core.server->queue().copy_in()) {
    // The server reads everything as part of the copy and says so where it does not fit.
    pass_copy(frame);
    return core.closing ? Progress::kClosed : Progress::kDone;
  }
  // Until the server has said what names mean, everything would count as a write of everything.
  if (core.awaits_names() && frame.type != wire::kTerminate) return Progress::kBlocked;
  switch (frame.type) {
    case wire::kQuery: {
      const bool in_unit = extended.unit_open();
      if (in_unit) {
        const Progress progress = extended.flush_before_query();
        if (progress != Progress::kDone) return progress;
      }
      return simple.handle(frame, in_unit);
    }
    case wire::kParse:
    case wire::kBind:
    case wire::kDescribe:
    case wire::kExecute:
    case wire::kClose:
    case wire::kFlush:
    case wire::kSync:
      return extended.handle(frame);
    case wire::kFunctionCall:
      return function_call(frame);
    case wire::kCopyData:
    case wire::kCopyDone:
    case wire::kCopyFail:
      // Sent ahead of the server's CopyInResponse, or after a COPY that failed: it sorts that out.
      pass_copy(frame);
      return Progress::kDone;
    case wire::kTerminate:
      // What was asked before is answered first.
      if (core.owed()) return Progress::kBlocked;
      core.closing = true;
      core.worker.host.close_later(core.session);
      return Progress::kClosed;
    default:
      core.fatal("08P01", "invalid frontend message type " +
                              std::to_string(static_cast<unsigned char>(frame.type)));
      return Progress::kClosed;
  }
}

void ClientSession::State::pass_copy(const wire::Frame& frame) {
  if (frame.type == wire::kTerminate) {
    core.closing = true;
    return core.worker.host.close_later(core.session);
  }
  if (core.server == nullptr) return;
  core.server->output().append(frame.bytes);
  if (frame.type == wire::kSync) core.server->expect(Reply::kSync, Route::kForward);
  if (frame.type == wire::kCopyDone || frame.type == wire::kCopyFail) {
    if (core.server->queue().copy_in())
      core.server->queue().end_copy_in();
    else if (core.owed())
      core.server->expect(Reply::kCopyEnd, Route::kForward);
  }
  core.server->flush();
}

Progress ClientSession::State::function_call(const wire::Frame& frame) {
  if (extended.unit_open()) {
    const Progress progress = extended.flush_before_query();
    if (progress != Progress::kDone) return progress;
  } else if (core.owed()) {
    return Progress::kBlocked;
  }
  if ((core.server == nullptr || !extended.unit_open()) && !core.ensure_lease()) {
    return core.closing ? Progress::kClosed : Progress::kBlocked;
  }
  core.prepare_server();
  transaction.begin_unit();
  // Any function by its oid: it may do anything.
  core.pin_as_unknown();
  core.writes()->before_function_call(*core.database, core.worker.stats);
  core.server->output().append(frame.bytes);
  core.server->expect(Reply::kFunctionCall, Route::kForward);
  core.server->flush();
  return Progress::kDone;
}

}  // namespace pgrecall::session
