#include "session/simple_query.h"

#include <algorithm>
#include <utility>

#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/frontend.h"
#include "session/count_answer.h"
#include "session/extended_query.h"
#include "session/plan_builder.h"
#include "session/prepared_statements.h"

namespace pgrecall::session {
namespace {

constexpr std::string_view kUnreadable = "\x01";

}  // namespace

Progress SimpleQuery::handle(const wire::Frame& frame, bool in_unit) {
  if (core_.owed() && !in_unit) return Progress::kBlocked;
  const auto query = wire::Query::decode(frame.payload);
  // A malformed message is for the server to refuse; until then it may be anything.
  const std::string_view sql = query ? query->sql : kUnreadable;
  if (std::exchange(core_.cancelled, false)) return answer_cancelled();
  reads_.set_waiting(nullptr);
  if (!std::exchange(clock_started_, true)) reads_.start_clock();
  // A Query ends the unnamed statement and the unnamed portal (protocol, "Extended Query").
  // Inside a unit the server may skip it.
  drops_unnamed_ = in_unit;
  if (!in_unit) core_.prepared->drop_unnamed();
  std::shared_ptr<TextEntry> entry = core_.worker.memo.text(sql);
  core_.refresh_context();
  core_.prove_again();
  ReadRequest request;
  bool miss = false;
  while (true) {
    const auto& plans =
        core_.worker.memo.plans(*entry, *core_.context, *core_.database, core_.user);
    const Plan& plan = plans->plans.front();
    miss = false;
    reads_.set_reason(entry->reason);
    if (in_unit) {
      reads_.refuse(sql::BypassReason::kMultiStatement);
      reads_.set_reason(sql::BypassReason::kOwed);
    } else if (!plans->multi()) {
      if (core_.server == nullptr && transaction_.answer_locally(plan, sql)) break;
      if (answer_deallocate(plan)) break;
      if (!entry->canonical.hints.off && answer_count(plan)) break;
      if (plan.looks_up) {
        request = {entry.get(), &plan, {entry->key_hash, entry->key}, true};
        const Verdict verdict = reads_.decide(request);
        if (verdict == Verdict::kWait) {
          reads_.set_waiting(plans);
          return Progress::kBlocked;
        }
        if (verdict == Verdict::kHit) {
          serve();
          reads_.served(plan);
          break;
        }
        miss = verdict == Verdict::kMiss;
      }
    }
    if ((in_unit && core_.server != nullptr) || core_.set_up())
      return forward(frame, entry, plans, miss, request);
    // A lease may come with other defaults, and time passes: look again once it is there.
    reads_.set_waiting(plans);
    if (!core_.ensure_lease()) return core_.closing ? Progress::kClosed : Progress::kBlocked;
    reads_.set_waiting(nullptr);
  }
  clock_started_ = false;
  core_.flush();
  core_.release_if_idle();
  return Progress::kDone;
}

/// It waited for another's answer, or for a connection: no server has seen it.
Progress SimpleQuery::answer_cancelled() {
  reads_.interrupted();
  core_.error("ERROR", "57014", "canceling statement due to user request");
  wire::append_ready_for_query(core_.output, core_.visible_status());
  clock_started_ = false;
  return Progress::kDone;
}

void SimpleQuery::serve() {
  core_.output.append(reads_.result()->bytes);
  wire::append_ready_for_query(core_.output, core_.visible_status());
  if (core_.in_transaction()) core_.read_locally = true;
}

bool SimpleQuery::answer_count(const Plan& plan) {
  int64_t rows = 0;
  if (!estimated_count(core_, plan, &rows)) return false;
  const size_t before = core_.output.size();
  append_count(core_.output, plan.analysis.plain_count.column_name, rows, wire::kTextFormat, true);
  reads_.estimated(plan, core_.output.size() - before);
  wire::append_ready_for_query(core_.output, core_.visible_status());
  if (core_.in_transaction()) core_.read_locally = true;
  return true;
}

bool SimpleQuery::answer_deallocate(const Plan& plan) {
  // Statements of the protocol live under names of ours on servers that are shared.
  if ((plan.analysis.session_effects & sql::kSessionDeallocate) == 0) return false;
  if (core_.status == 'E' || (core_.pins & sql::kSessionPrepare) != 0) return false;
  if (!core_.lazy.empty() || core_.ran_opaque_code()) return false;  // code may have prepared, too
  const std::string& name = plan.analysis.name;
  if (name.empty())
    core_.prepared->clear();
  else if (!core_.prepared->erase(name))
    return false;
  wire::append_command_complete(core_.output, name.empty() ? "DEALLOCATE ALL" : "DEALLOCATE");
  wire::append_ready_for_query(core_.output, core_.visible_status());
  core_.worker.stats.local_answers.add();
  return true;
}

/// What was resolved under settings that no longer hold, or may do more than it says, is opaque.
std::shared_ptr<const PlanSet> SimpleQuery::judged(const std::shared_ptr<TextEntry>& entry,
                                                   std::shared_ptr<const PlanSet> plans) const {
  bool all = extended_.meaning_changed();
  for (const Plan& plan : plans->plans) all = all || (plans->multi() && core_.ends_meaning(plan));
  const auto more = [&](const Plan& plan) {
    return all || core_.fetches_portal(plan) || core_.prepares_code(plan, entry) ||
           core_.may_name_temporary_types(plan);
  };
  if (std::none_of(plans->plans.begin(), plans->plans.end(), more)) return plans;
  auto doubted = std::make_shared<PlanSet>(*plans);
  for (Plan& plan : doubted->plans) {
    if (more(plan)) PlanBuilder::doubt(plan, *core_.database);
  }
  return doubted;
}

Progress SimpleQuery::forward(const wire::Frame& frame, const std::shared_ptr<TextEntry>& entry,
                              std::shared_ptr<const PlanSet> plans, bool miss,
                              const ReadRequest& request) {
  core_.prepare_server();
  const Plan& first = plans->plans.front();
  if (!plans->multi()) transaction_.before(first);
  transaction_.begin_unit();
  if (miss) reads_.forwarded_miss(request);
  for (const Plan& plan : plans->plans) {
    if (!miss) reads_.bypassed(plan, reads_.reason());
    extended_.expose(plan, *entry, false);
    if (!plan.drops_database.empty())
      core_.worker.host.vacate_database(plan.drops_database, *core_.server);
  }
  plans = judged(entry, std::move(plans));
  core_.writes()->before_query(plans->plans, core_.names(), core_.worker.stats);
  core_.server->output().append(frame.bytes);
  core_.server->expect(upstream::Reply::kQuery, upstream::Route::kForward);
  core_.server->statements.unnamed = 0;
  core_.server->flush();
  entry_ = entry;
  recording_ = miss;
  plans_ = std::move(plans);
  next_statement_ = 0;
  clock_started_ = false;
  return Progress::kDone;
}

void SimpleQuery::on_reply(const wire::Frame& frame) {
  if (std::exchange(drops_unnamed_, false)) core_.prepared->drop_unnamed();
  switch (frame.type) {
    case wire::kRowDescription:
    case wire::kDataRow:
      if (recording_) reads_.record(frame.type, frame.bytes);
      return;
    case wire::kErrorResponse:
      if (plans_ && next_statement_ < plans_->plans.size()) {
        transaction_.failed(plans_->plans[next_statement_], entry_, !plans_->multi(),
                            frame.payload);
      }
      return;
    case wire::kCommandComplete: {
      if (recording_) {
        reads_.record(frame.type, frame.bytes);
        reads_.complete();
      }
      const auto complete = wire::CommandComplete::decode(frame.payload);
      if (plans_ && complete && next_statement_ < plans_->plans.size()) {
        const Plan& plan = plans_->plans[next_statement_++];
        transaction_.completed(plan, entry_, complete->tag);
        const bool discards = (plan.analysis.session_effects & sql::kSessionDiscardAll) != 0;
        if (discards) core_.prepared->clear();
      }
      return;
    }
    case wire::kNoticeResponse:
    case wire::kCopyOutResponse:
    case wire::kCopyInResponse:
      return reads_.refuse(sql::BypassReason::kNotASelect);
    default:
      return;
  }
}

void SimpleQuery::on_ready() {
  entry_ = nullptr;
  plans_ = nullptr;
  recording_ = false;
}

}  // namespace pgrecall::session
