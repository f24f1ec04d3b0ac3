#include "session/transaction.h"

#include <algorithm>
#include <utility>

#include "pgrecall/wire/builder.h"
#include "session/pin_review.h"
#include "session/prepared_statements.h"
#include "session/read_words.h"
#include "session/refusal.h"

namespace pgrecall::session {

using sql::Isolation;
using sql::StatementKind;

namespace {

constexpr size_t kLazyStatementsMax = 64;
constexpr size_t kLazyBytesMax = 1024;  ///< of one of them

bool is_snapshot(Isolation isolation) {
  return isolation == Isolation::kRepeatableRead || isolation == Isolation::kSerializable;
}

bool has_comment(std::string_view text) {
  return text.find("--") != std::string_view::npos || text.find("/*") != std::string_view::npos;
}

/// SET TRANSACTION and kin: of the open transaction only.
bool sets_transaction(const sql::StatementAnalysis& analysis) {
  if (analysis.kind == StatementKind::kBegin) return !analysis.plain_begin;
  if (analysis.kind != StatementKind::kSet) return false;
  return std::all_of(
      analysis.settings.begin(), analysis.settings.end(),
      [](const sql::SettingChange& change) { return change.name.starts_with("transaction_"); });
}

bool starts_with_start(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && (text[at] == 's' || text[at] == 'S');
}

}  // namespace

void Transaction::local_answer(std::string_view tag) {
  core_.worker.stats.local_answers.add();
  wire::append_command_complete(core_.output, tag);
  wire::append_ready_for_query(core_.output, core_.visible_status());
  core_.flush();
}

bool Transaction::answer_locally(const Plan& plan, std::string_view text) {
  if (!core_.lazy.empty()) return answer_lazily_begun(plan, text);
  if (plan.analysis.kind != StatementKind::kBegin || !plan.analysis.plain_begin) return false;
  if (!core_.opens_lazily() || has_comment(text)) return false;
  core_.lazy.emplace_back("BEGIN");
  core_.read_locally = false;
  core_.snapshot_isolation = !core_.context->read_committed;
  core_.settings.begin();
  local_answer(starts_with_start(text) ? "START TRANSACTION" : "BEGIN");
  return true;
}

bool Transaction::answer_lazily_begun(const Plan& plan, std::string_view text) {
  const sql::StatementAnalysis& analysis = plan.analysis;
  if (has_comment(text) || text.size() > kLazyBytesMax) return false;
  if (core_.lazy.size() >= kLazyStatementsMax) return false;
  switch (analysis.kind) {
    case StatementKind::kCommit:
    case StatementKind::kRollback: {
      if (analysis.and_chain) return false;
      const bool commit = analysis.kind == StatementKind::kCommit;
      core_.lazy.clear();
      end(commit);
      local_answer(commit ? "COMMIT" : "ROLLBACK");
      return true;
    }
    case StatementKind::kSavepoint:
      core_.settings.savepoint(analysis.name);
      break;
    case StatementKind::kRelease:
      if (!core_.settings.has_savepoint(analysis.name)) return false;
      core_.settings.release(analysis.name);
      break;
    case StatementKind::kRollbackTo:
      if (!core_.settings.has_savepoint(analysis.name)) return false;
      core_.settings.roll_back_to(analysis.name);
      break;
    default:
      return false;
  }
  core_.lazy.push_back(std::string(text));
  local_answer(analysis.kind == StatementKind::kSavepoint ? "SAVEPOINT"
               : analysis.kind == StatementKind::kRelease ? "RELEASE"
                                                          : "ROLLBACK");
  return true;
}

void Transaction::before(const Plan& plan) {
  if (sets_transaction(plan.analysis) && core_.read_locally && core_.status == 'T') {
    // SET TRANSACTION after a query is an error; the server has not seen the query that we
    // answered.
    core_.server->query_silently("SELECT 1");
  }
}

void Transaction::begin_unit() {
  if (!core_.settings.in_transaction()) core_.settings.begin();
}

void Transaction::end(bool committed) {
  if (committed)
    core_.settings.commit();
  else
    core_.settings.roll_back();
  core_.objects.end_transaction(committed);
  core_.snapshot_isolation = false;
  core_.read_locally = false;
}

void Transaction::apply_isolation(const sql::StatementAnalysis& analysis) {
  if (analysis.isolation != Isolation::kUnspecified) {
    core_.snapshot_isolation = is_snapshot(analysis.isolation);
  }
  if (analysis.snapshot_import) core_.snapshot_isolation = true;
}

void Transaction::completed(const Plan& plan, const std::shared_ptr<TextEntry>& entry,
                            std::string_view tag) {
  const sql::StatementAnalysis& analysis = plan.analysis;
  switch (analysis.kind) {
    case StatementKind::kBegin:
      core_.settings.begin();
      core_.refresh_context();
      // Whatever becomes of the default, the block keeps what it began with.
      core_.snapshot_isolation = core_.snapshot_isolation || !core_.context->read_committed;
      apply_isolation(analysis);
      break;
    case StatementKind::kCommit:
    case StatementKind::kPrepareTransaction:
    case StatementKind::kRollback: {
      // Outside a block PREPARE TRANSACTION commits, under the tag of one that had failed.
      const bool failed = core_.status == 'E' && !std::exchange(ended_block_, true);
      const bool prepares = analysis.kind == StatementKind::kPrepareTransaction && !failed;
      const bool chained_snapshot = analysis.and_chain && core_.snapshot_isolation;
      end(prepares || (analysis.kind != StatementKind::kRollback && tag != "ROLLBACK"));
      core_.snapshot_isolation = chained_snapshot;
      core_.settings.begin();
      break;
    }
    case StatementKind::kSavepoint:
      core_.settings.savepoint(analysis.name);
      break;
    case StatementKind::kRelease:
      core_.settings.release(analysis.name);
      break;
    case StatementKind::kRollbackTo:
      core_.settings.roll_back_to(analysis.name);
      core_.objects.roll_back_to();
      break;
    case StatementKind::kSet:
      if (analysis.settings.empty()) apply_isolation(analysis);
      break;
    default:
      break;
  }
  // A portal that is at its end and executed again computes nothing.
  const bool computed = analysis.kind != StatementKind::kSelect || tag != "SELECT 0";
  for (const sql::SettingChange& change : analysis.settings) {
    if (!computed) break;
    if (change.name.starts_with("transaction_")) {
      // Of this transaction only: nothing to carry over.
      if (change.name == "transaction_isolation")
        core_.snapshot_isolation =
            analysis.isolation == Isolation::kUnspecified || is_snapshot(analysis.isolation);
      continue;
    }
    core_.settings.apply(change);
    if (change.statement.empty() && change.action == sql::SettingChange::Action::kSet) {
      core_.pin_as_unknown();
    }
  }
  apply_session_effects(plan, entry);
}

void Transaction::apply_session_effects(const Plan& plan, const std::shared_ptr<TextEntry>& text) {
  const sql::StatementAnalysis& analysis = plan.analysis;
  const uint32_t effects = analysis.session_effects;
  constexpr uint32_t kPinning = sql::kSessionTemporary | sql::kSessionListen |
                                sql::kSessionAdvisoryLock | sql::kSessionPrepare |
                                sql::kSessionHoldCursor;
  if (effects == 0 && core_.pins == 0) return;
  core_.pins |= effects & kPinning;
  const auto entry = core_.alone(plan, text);
  note_objects(plan, entry);
  // What may have ended lifts nothing here: a ROLLBACK may bring it back.
  core_.review_due = core_.review_due || may_change_pinning_state(plan, entry.get(), core_.pins);
  if ((effects & sql::kSessionUnknown) != 0) core_.note_unproved(plan, entry);
  if ((effects & sql::kSessionDiscardAll) != 0) {
    // Done for good, whatever becomes of its unit.
    core_.settings.discard_all();
    core_.settings.commit();
    core_.settings.begin();
    core_.pins = 0;
    core_.unproved.clear();
    core_.objects.clear();
    if (core_.server != nullptr) core_.server->statements.clear();
  }
  if ((effects & sql::kSessionDeallocate) != 0 && !analysis.name.empty()) {
    core_.prepared->deallocate(analysis.name);
    // A name of ours: what it stood for is not there any more.
    if (analysis.name.starts_with("pgr_") && core_.server != nullptr) {
      core_.server->statements.doubt_all();
    }
  }
  if ((effects & sql::kSessionDeallocate) != 0 && analysis.name.empty()) {
    core_.prepared->deallocate({});
    if (core_.server != nullptr) core_.server->statements.clear();
    core_.pins &= ~uint32_t{sql::kSessionPrepare};
  }
}

void Transaction::note_objects(const Plan& plan, const std::shared_ptr<TextEntry>& entry) {
  const sql::StatementAnalysis& analysis = plan.analysis;
  const uint32_t effects = analysis.session_effects;
  SessionObjects& objects = core_.objects;
  if ((effects & sql::kSessionDeallocate) != 0) objects.deallocate(analysis.name);
  if ((effects & sql::kSessionDiscardTemp) != 0) objects.discard_temporary();
  if ((effects & sql::kSessionPrepare) != 0) {
    objects.deallocate(analysis.name);
    const bool as_read = entry && core_.context->standard_strings && core_.context->utf8 &&
                         declares_only_built_in_types(*entry);
    const std::string_view statement = as_read ? statement_after_as(entry->text) : "";
    if (!statement.empty()) {
      objects.prepare(analysis.name, core_.worker.memo.text(statement));
    }
    const std::string_view body = entry ? statement_after_as(entry->text) : "";
    if (!looks_like_read(body)) objects.prepare_other(analysis.name);
  }
  if ((effects & sql::kSessionTemporary) != 0) {
    const auto created = entry ? objects.create(*entry, core_.database->catalog().get())
                               : SessionObjects::Created::kUnknown;
    if (created == SessionObjects::Created::kUnknown) return core_.pin_as_unknown();
    if (created == SessionObjects::Created::kView) core_.note_view(*entry);
  } else if (analysis.kind == StatementKind::kDdl && entry && !objects.define(*entry)) {
    core_.pin_as_unknown();
  }
}

void Transaction::failed(const Plan& plan, const std::shared_ptr<TextEntry>& entry,
                         bool is_only_one, std::string_view error) {
  const Refusal refused = is_only_one ? refusal(plan, error) : Refusal::kNotProved;
  if (refused == Refusal::kUnread) return;
  if (refused == Refusal::kInAnalysis) {
    // A check of a domain runs for a constant of a row type; of what it can do, locks and prepared
    // statements outlive the error, and can be seen.
    if (!entry || (entry->canonical.ok && entry->canonical.literals.empty())) return;
    core_.pins |= sql::kSessionAdvisoryLock | sql::kSessionPrepare;
    core_.review_due = true;
    return;
  }
  // What outlives the rollback of a statement: session locks, and whatever opaque code did.
  const uint32_t effects = plan.analysis.session_effects;
  core_.pins |= effects & sql::kSessionAdvisoryLock;
  core_.review_due = core_.review_due || may_change_pinning_state(plan, entry.get(), core_.pins);
  if ((effects & sql::kSessionUnknown) != 0) core_.note_unproved(plan, entry);
}

void Transaction::ready(char status, bool error) {
  ended_block_ = false;
  core_.status = status;
  if (status == 'I') {
    // An implicit transaction that failed took its SETs with it.
    end(!error);
    return;
  }
  core_.settings.begin();
}

}  // namespace pgrecall::session
