#include "session/extended_query.h"

#include <utility>

#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/frontend.h"
#include "session/count_answer.h"

namespace pgrecall::session {

using upstream::Reply;
using upstream::Route;

namespace {

/// Key kinds: a Query's key ends after its literals; this byte tells the two apart.
constexpr char kExtendedKey = 'X';

/// More than this goes to the server, whether its answer is wanted yet or not; unless it is what
/// one read, however large, needs.
constexpr size_t kHeldBytesMax = 1024 * 1024;
constexpr size_t kHeldFew = 4;
/// Portals that one unit may name.
constexpr size_t kTouchedMax = 100'000;

bool parameters_may_be_clock(const wire::Bind& bind) {
  size_t index = 0;
  for (const auto& value : bind.parameters) {
    if (value && bind.parameter_formats.of(index) == wire::kTextFormat &&
        sql::has_clock_word(*value)) {
      return true;
    }
    ++index;
  }
  return false;
}

}  // namespace

Progress ExtendedQuery::handle(const wire::Frame& frame) {
  // The next unit waits until the last one is answered: its transaction status decides.
  if (core_.server != nullptr && core_.server->queue().owes_ready()) return Progress::kBlocked;
  // Which statements there are then is known when this has been answered.
  if (drops_statements_) return Progress::kBlocked;
  // A Sync that the server read as part of a COPY has not ended the unit.
  on_server_ = on_server_ || core_.owed() || unsynced();
  if (!std::exchange(clock_started_, true)) reads_.start_clock();
  if (too_much_held(frame.type)) {
    const Progress progress = flush_before_query();
    if (progress != Progress::kDone) return progress;
  }
  switch (frame.type) {
    case wire::kParse:
      return parse(frame);
    case wire::kBind:
      return bind(frame);
    case wire::kDescribe:
      return describe(frame);
    case wire::kClose:
      return close(frame);
    case wire::kExecute:
      return execute(frame);
    case wire::kFlush:
      return flush_message();
    default:
      return sync(frame);
  }
}

Progress ExtendedQuery::hold_malformed(const wire::Frame& frame) {
  // The server says what is wrong with it, and the connection goes on.
  Held held;
  held.malformed = true;
  hold(frame, std::move(held));
  return Progress::kDone;
}

void ExtendedQuery::hold(const wire::Frame& frame, Held held) {
  held.type = frame.type;
  held.bytes = frame.bytes;
  held_bytes_ += sizeof held + held.bytes.size();
  held_.push_back(std::move(held));
}

bool ExtendedQuery::too_much_held(char next) const {
  const bool is_held = next != wire::kExecute && next != wire::kFlush && next != wire::kSync;
  return is_held && held_bytes_ > kHeldBytesMax && held_.size() >= kHeldFew;
}

void ExtendedQuery::drop_held() {
  held_.clear();
  held_bytes_ = 0;
}

Progress ExtendedQuery::parse(const wire::Frame& frame) {
  const auto message = wire::Parse::decode(frame.payload);
  if (!message) return hold_malformed(frame);
  const uint32_t most = core_.worker.shared.config.limits.client_statements;
  if (core_.prepared->size() >= most) {
    core_.fatal("53400", "too many prepared statements (limits.client_statements = " +
                             std::to_string(most) + ")");
    return Progress::kClosed;
  }
  auto statement = std::make_shared<ClientStatement>();
  statement->name = message->statement;
  statement->sql = message->sql;
  statement->types = message->parameter_types.bytes();
  statement->entry = core_.worker.memo.text(message->sql);
  // Parse analysis reads settings (literals of a date become constants): a statement is shared only
  // where they are the same, and what it returns is remembered only under those it was parsed in.
  core_.refresh_context();
  statement->context = core_.context;
  if (statement->scanned_specially()) core_.pins |= sql::kSessionPrepare;
  statement->direct = (core_.pins & sql::kSessionPrepare) != 0 && !statement->name.empty();
  statement->id = core_.worker.shared.statement_names.id_of(
      statement->sql, statement->types + '\0' + std::to_string(core_.context->id));
  Held held;
  held.statement = statement;
  if (!statement->name.empty()) held.clash = core_.prepared->find(statement->name);
  if (statement->name.empty()) {
    // Behind one that is confirmed nobody looks further back.
    auto before = core_.prepared->find({});
    if (before && before->confirmed) replaced_.clear();
    replaced_.push_back(std::move(before));
  }
  if (!held.clash) core_.prepared->put(statement);
  hold(frame, std::move(held));
  return Progress::kDone;
}

Progress ExtendedQuery::bind(const wire::Frame& frame) {
  const auto message = wire::Bind::decode(frame.payload);
  if (!message) return hold_malformed(frame);
  const uint32_t most = core_.worker.shared.config.limits.client_statements;
  if (core_.prepared->portals() >= most || touched_portals_.size() >= kTouchedMax) {
    core_.fatal("53400",
                "too many portals (limits.client_statements = " + std::to_string(most) + ")");
    return Progress::kClosed;
  }
  auto portal = std::make_shared<ClientPortal>();
  portal->name = message->portal;
  portal->statement = core_.prepared->find(message->statement);
  const size_t names = message->portal.size() + message->statement.size() + 2;
  portal->tail = frame.payload.substr(names);
  portal->parameters_may_be_clock = parameters_may_be_clock(*message);
  portal->may_read =
      portal->statement != nullptr || core_.objects.may_read(std::string(message->statement));
  Held held;
  held.statement = portal->statement;
  held.portal = portal;
  if (!portal->name.empty()) touched_portals_.insert(portal->name);
  core_.prepared->put_portal(portal);
  hold(frame, std::move(held));
  return Progress::kDone;
}

Progress ExtendedQuery::describe(const wire::Frame& frame) {
  const auto message = wire::Describe::decode(frame.payload);
  if (!message) return hold_malformed(frame);
  Held held;
  held.kind = message->kind;
  if (message->kind == wire::kStatement)
    held.statement = core_.prepared->find(message->name);
  else
    held.portal = core_.prepared->portal(message->name);
  hold(frame, std::move(held));
  return Progress::kDone;
}

Progress ExtendedQuery::close(const wire::Frame& frame) {
  const auto message = wire::Close::decode(frame.payload);
  if (!message) return hold_malformed(frame);
  Held held;
  held.kind = message->kind;
  if (message->kind == wire::kStatement) {
    held.statement = core_.prepared->find(message->name);
    if (held.statement) closed_.push_back(held.statement);
    core_.prepared->erase(message->name);
  } else {
    held.portal = core_.prepared->portal(message->name);
    if (held.portal && !message->name.empty()) touched_portals_.emplace(message->name);
    core_.prepared->erase_portal(message->name);
  }
  hold(frame, std::move(held));
  return Progress::kDone;
}

const std::shared_ptr<const PlanSet>& ExtendedQuery::plans_of(ClientStatement& statement) {
  core_.refresh_context();
  core_.prove_again();
  return core_.worker.memo.plans(*statement.entry, *core_.context, *core_.database, core_.user);
}

bool ExtendedQuery::needs_description() const {
  for (const Held& held : held_) {
    if (held.type == wire::kDescribe) return true;
  }
  return false;
}

bool ExtendedQuery::can_answer_held(const ClientPortal& portal) const {
  if (on_server_) return false;
  for (const Held& held : held_) {
    if (held.malformed) return false;
    switch (held.type) {
      case wire::kParse:
        if (held.clash || held.statement != portal.statement) return false;
        break;
      case wire::kBind:
        if (held.portal.get() != &portal) return false;
        break;
      case wire::kDescribe:
        if (held.kind != wire::kPortal || held.portal.get() != &portal) return false;
        break;
      case wire::kClose:
        if (held.kind != wire::kStatement) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

Verdict ExtendedQuery::decide(const ClientPortal& portal, int32_t max_rows, ReadRequest* request) {
  const auto& plans = plans_of(*portal.statement);
  TextEntry& entry = *portal.statement->entry;
  // The key: everything of the text's key, then what Parse and Bind brought.
  key_ = entry.key;
  key_ += kExtendedKey;
  const auto types = static_cast<uint32_t>(portal.statement->types.size());
  key_.append(reinterpret_cast<const char*>(&types), sizeof types);
  key_ += portal.statement->types;
  key_ += portal.tail;
  *request = {&entry, &plans->plans.front(), {cache::hash_key(key_), key_}, needs_description()};
  if (portal.on_server || !can_answer_held(portal)) {
    reads_.set_reason(sql::BypassReason::kOwed);
    return Verdict::kBypass;
  }
  if (portal.statement->context != core_.context) {
    reads_.set_reason(sql::BypassReason::kUnsettledSettings);
    return Verdict::kBypass;
  }
  // A named portal may be fetched from again as long as its transaction lasts.
  const bool stays = !portal.name.empty() && core_.in_transaction();
  if (max_rows > 0 || portal.answered || stays) {
    reads_.set_reason(sql::BypassReason::kRowLimit);
    return Verdict::kBypass;
  }
  if (portal.parameters_may_be_clock) {
    reads_.set_reason(sql::BypassReason::kClockLiteral);
    return Verdict::kBypass;
  }
  return reads_.decide(*request);
}

Progress ExtendedQuery::execute(const wire::Frame& frame) {
  const auto message = wire::Execute::decode(frame.payload);
  const auto portal = message ? core_.prepared->portal(message->portal) : nullptr;
  ReadRequest request;
  bool miss = false;
  reads_.set_waiting(nullptr);
  if (portal && portal->statement) {
    const auto& plans = plans_of(*portal->statement);
    const Plan& plan = plans->plans.front();
    const bool whole = !plans->multi() && message->max_rows <= 0;
    reads_.set_reason(portal->statement->entry->reason);
    if (whole && answer_count(plan, *portal)) return Progress::kDone;
    if (!plans->multi() && plan.looks_up) {
      const Verdict verdict = decide(*portal, message->max_rows, &request);
      if (verdict == Verdict::kWait) {
        reads_.set_waiting(plans);
        return Progress::kBlocked;
      }
      if (verdict == Verdict::kHit) {
        serve(*portal, *request.plan);
        return Progress::kDone;
      }
      miss = verdict == Verdict::kMiss;
    }
  }
  if ((core_.server == nullptr || !on_server_) && !core_.set_up()) {
    if (portal && portal->statement) reads_.set_waiting(plans_of(*portal->statement));
    if (!core_.ensure_lease()) return core_.closing ? Progress::kClosed : Progress::kBlocked;
    return execute(frame);  // look again: the lease may have come with other defaults
  }
  return forward_execute(frame, portal, miss, request);
}

void ExtendedQuery::serve(ClientPortal& portal, const Plan& plan) {
  answer_held(*reads_.result());
  core_.output.append(reads_.result()->rows_and_completion());
  portal.answered = true;
  if (core_.in_transaction()) core_.read_locally = true;
  reads_.served(plan);
  core_.flush();
}

void ExtendedQuery::answer_held(const cache::CachedResult& result) {
  for (Held& held : held_) {
    switch (held.type) {
      case wire::kParse:
        held.statement->confirmed = true;
        wire::append_parse_complete(core_.output);
        break;
      case wire::kBind:
        wire::append_bind_complete(core_.output);
        break;
      case wire::kDescribe:
        core_.output.append(result.row_description());
        break;
      default:
        wire::append_close_complete(core_.output);
        on_own_reply(kCloseNote);
    }
  }
  drop_held();
}

bool ExtendedQuery::answer_count(const Plan& plan, ClientPortal& portal) {
  int64_t rows = 0;
  if (portal.on_server || portal.answered || !can_answer_held(portal)) return false;
  if (!portal.name.empty() && core_.in_transaction()) return false;  // SQL may fetch from it
  if (portal.statement->entry->canonical.hints.off) return false;
  if (!estimated_count(core_, plan, &rows)) return false;
  // The tail ends with the result formats: none, one for all, or one for the one column.
  const std::string bind = portal.name + '\0' + '\0' + portal.tail;
  const auto message = wire::Bind::decode(bind);
  if (!message) return false;
  const int16_t format = message->result_formats.of(0);
  cache::CachedResult result;
  append_count_description(result.bytes, plan.analysis.plain_count.column_name, format);
  result.row_description_bytes = static_cast<uint32_t>(result.bytes.size());
  answer_held(result);
  const size_t before = core_.output.size();
  append_count(core_.output, {}, rows, format, false);
  reads_.estimated(plan, core_.output.size() - before);
  portal.answered = true;
  if (core_.in_transaction()) core_.read_locally = true;
  core_.flush();
  return true;
}

Progress ExtendedQuery::sync(const wire::Frame& frame) {
  bool closes_only = true;
  for (const Held& held : held_) {
    closes_only = closes_only && held.type == wire::kClose && held.kind == wire::kStatement &&
                  !held.malformed && (core_.pins & sql::kSessionPrepare) == 0;
  }
  if (!on_server_ && closes_only) {
    for (size_t i = 0; i < held_.size(); ++i) wire::append_close_complete(core_.output);
    drop_held();
    closed_.clear();
    wire::append_ready_for_query(core_.output, core_.visible_status());
    if (!core_.in_transaction()) core_.prepared->clear_portals();
    clock_started_ = false;
    core_.flush();
    core_.release_if_idle();
    return Progress::kDone;
  }
  bool blocked = false;
  if (!ready_to_send(&blocked)) return blocked ? Progress::kBlocked : Progress::kClosed;
  send_held(false);
  core_.writes()->before_sync();
  core_.server->output().append(frame.bytes);
  core_.server->expect(Reply::kSync, Route::kForward);
  core_.server->flush();
  on_server_ = false;
  clock_started_ = false;
  return Progress::kDone;
}

Progress ExtendedQuery::flush_message() {
  if (held_.empty() && !on_server_) return Progress::kDone;
  bool blocked = false;
  if (!ready_to_send(&blocked)) return blocked ? Progress::kBlocked : Progress::kClosed;
  send_held(false);
  wire::append_flush(core_.server->output());
  core_.server->flush();
  return Progress::kDone;
}

Progress ExtendedQuery::flush_before_query() {
  bool blocked = false;
  if (!ready_to_send(&blocked)) return blocked ? Progress::kBlocked : Progress::kClosed;
  send_held(false);
  return Progress::kDone;
}

}  // namespace pgrecall::session
