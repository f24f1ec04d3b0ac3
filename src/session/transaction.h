// Transaction: what completed statements do to the client's session: transaction, settings, pins.
#pragma once

#include <memory>
#include <string_view>

#include "session/session_core.h"

namespace pgrecall::session {

/// Stateless helper over the core.
class Transaction {
 public:
  explicit Transaction(SessionCore& core) : core_(core) {}

  /// Answers BEGIN, SAVEPOINT, RELEASE, ROLLBACK TO, COMMIT and ROLLBACK without a server where
  /// that shows the client what PostgreSQL would have shown. False: send it.
  bool answer_locally(const Plan& plan, std::string_view text);
  /// What has to precede this statement on the server so that it fails or works as it would have.
  void before(const Plan& plan);
  /// A unit of the client is about to be sent while no transaction is open.
  void begin_unit();
  /// CommandComplete of one statement.
  void completed(const Plan& plan, const std::shared_ptr<TextEntry>& entry, std::string_view tag);
  /// ErrorResponse of one statement; `error` is its payload. `is_only_one`: of its Query.
  void failed(const Plan& plan, const std::shared_ptr<TextEntry>& entry, bool is_only_one,
              std::string_view error);
  /// ReadyForQuery ended a unit; `error`: an ErrorResponse was in it.
  void ready(char status, bool error);

 private:
  bool answer_lazily_begun(const Plan& plan, std::string_view text);
  void local_answer(std::string_view tag);
  void end(bool committed);
  void apply_isolation(const sql::StatementAnalysis& analysis);
  void apply_session_effects(const Plan& plan, const std::shared_ptr<TextEntry>& text);

  void note_objects(const Plan& plan, const std::shared_ptr<TextEntry>& entry);

  SessionCore& core_;
  bool ended_block_ = false;  ///< in this unit
};

}  // namespace pgrecall::session
