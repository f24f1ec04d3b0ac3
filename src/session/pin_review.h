// PinReview: asks the server what is left of the state that pins a client, and lifts what is gone;
// and what names mean after opaque code.
#pragma once

#include <cstdint>
#include <memory>

#include "pgrecall/wire/frame.h"
#include "session/session_core.h"

namespace pgrecall::session {

/// Part of the ClientSession. A statement that may have made or ended such state makes a look-up
/// *due*. It is one silent Query on the client's own server connection, sent once the client is
/// idle outside a transaction, so it sees what a COMMIT, a ROLLBACK or ON COMMIT DROP left. Answers
/// come in order: what the client sends meanwhile pins again when it completes.
class PinReview {
 public:
  explicit PinReview(SessionCore& core) : core_(core) {}

  /// Sends the look-up if one is due, could lift all pins, and the connection is idle.
  void look();
  /// A message of its answer.
  void on_reply(const wire::Frame& frame);

 private:
  void take_row(const wire::Frame& row);

  SessionCore& core_;
  uint32_t asked_ = 0;                             ///< the pins that the look-up in flight is about
  uint32_t gone_ = 0;                              ///< those that it showed to be gone
  std::shared_ptr<const SessionContext> context_;  ///< what names should mean, at its time
  uint64_t version_ = 0;                           ///< the catalog of its time; 0: none
  bool agrees_ = false;                            ///< they do
};

/// True if this statement may have made or ended state that pins a client with `pins`.
bool may_change_pinning_state(const Plan& plan, const TextEntry* entry, uint32_t pins);

}  // namespace pgrecall::session
