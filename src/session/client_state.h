// The parts of a ClientSession.
#pragma once

#include <string>
#include <utility>

#include "pgrecall/session/client_session.h"
#include "session/extended_query.h"
#include "session/login_phase.h"
#include "session/pin_review.h"
#include "session/prepared_statements.h"
#include "session/read_path.h"
#include "session/session_core.h"
#include "session/simple_query.h"
#include "session/transaction.h"

namespace pgrecall::session {

struct ClientSession::State {
  State(WorkerContext& worker, PeerInfo peer, ClientSession& owner)
      : core(worker, owner),
        pin_review(core),
        login(core, std::move(peer)),
        reads(core),
        transaction(core),
        extended(core, reads, transaction),
        simple(core, reads, transaction, extended) {
    core.prepared = &prepared;
  }

  Progress dispatch(const wire::Frame& frame);
  Progress function_call(const wire::Frame& frame);
  void pass_copy(const wire::Frame& frame);
  void send_due_cancel();

  SessionCore core;
  PinReview pin_review;
  LoginPhase login;
  PreparedStatements prepared;
  ReadPath reads;
  Transaction transaction;
  ExtendedQuery extended;
  SimpleQuery simple;

  std::string input;        ///< not handled yet
  size_t copy_left = 0;     ///< of a CopyData message that is passed on in parts
  bool unit_error = false;  ///< an ErrorResponse was forwarded since the last ReadyForQuery
  bool processing = false;
  bool shutting_down = false;
  std::string settings_error;  ///< payload of the error that a silent set-up query met
};

}  // namespace pgrecall::session
