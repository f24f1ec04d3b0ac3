// What an extended-protocol unit sends to the server, with statement names of ours.
#include <utility>

#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/frontend.h"
#include "session/extended_query.h"
#include "session/plan_builder.h"

namespace pgrecall::session {

using upstream::Reply;
using upstream::Route;

namespace {

/// The name in EXPLAIN EXECUTE name, CREATE TABLE ... AS EXECUTE name.
std::string executed_inside(std::string_view shape) {
  constexpr std::string_view kWord = " execute ";
  const size_t at = shape.find(kWord);
  if (at == std::string_view::npos) return {};
  std::string_view rest = shape.substr(at + kWord.size());
  if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find_first_of(" (;")));
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find('"')));
}

bool drops_all_statements(const Plan& plan) {
  const uint32_t effects = plan.analysis.session_effects;
  if ((effects & sql::kSessionDiscardAll) != 0) return true;
  return (effects & sql::kSessionDeallocate) != 0 && plan.analysis.name.empty();
}

}  // namespace

bool ExtendedQuery::ready_to_send(bool* blocked) {
  if ((core_.server == nullptr || !on_server_) && !core_.ensure_lease()) {
    *blocked = !core_.closing;
    return false;
  }
  return true;
}

void ExtendedQuery::own_reply(std::string bytes, uint32_t note) {
  if (core_.server->queue().skipping_to_sync()) return;
  if (core_.server->queue().empty()) {
    core_.output.append(bytes);
    on_own_reply(note);
    core_.flush();
  } else {
    core_.server->queue().push_own(std::move(bytes), note);
  }
}

void ExtendedQuery::send_held(bool fill) {
  if (!std::exchange(on_server_, true)) {
    core_.prepare_server();
    transaction_.begin_unit();
  }
  for (Held& held : held_) {
    if (held.malformed) {
      send_malformed(held);
      continue;
    }
    if (held.type != wire::kParse && held.statement && held.statement->deallocated) {
      held.statement = nullptr;
    }
    switch (held.type) {
      case wire::kParse:
        send_parse(held);
        break;
      case wire::kBind:
        send_bind(held);
        break;
      default:
        send_named(held, fill);
    }
  }
  drop_held();
  core_.server->flush();
}

void ExtendedQuery::make_room(uint64_t id) {
  upstream::ServerConnection& server = *core_.server;
  if (server.statements.take_doubt(id)) {
    wire::append_close_statement(server.output(), "pgr_" + std::to_string(id));
    server.expect(Reply::kClose, Route::kSkip);
  }
  const size_t most = core_.worker.shared.config.pool.prepared_statements_max;
  while (server.statements.size() >= std::max<size_t>(most, 1)) {
    const uint64_t oldest = server.statements.oldest();
    wire::append_close_statement(server.output(), "pgr_" + std::to_string(oldest));
    server.expect(Reply::kClose, Route::kSkip);
    server.statements.erase(oldest);
    sent_statements_.push_back(oldest);  // in doubt if the server skips the Close
  }
}

/// In a failed transaction the statement that is there may not be put on the server, but some may.
std::string ExtendedQuery::put_placeholder() {
  upstream::ServerConnection& server = *core_.server;
  const uint64_t id = core_.worker.shared.statement_names.fresh();
  make_room(id);
  server.statements.insert(id);
  sent_statements_.push_back(id);
  std::string name = "pgr_" + std::to_string(id);
  wire::Parse parse;
  parse.statement = name;
  parse.sql = "ROLLBACK";
  parse.encode(server.output());
  server.expect(Reply::kParse, Route::kSkipNoError);
  return name;
}

void ExtendedQuery::send_parse(Held& held) {
  upstream::ServerConnection& server = *core_.server;
  parsing_.push_back(held.statement);
  before_analysis(*held.statement, false);
  if (held.clash) {
    // Let the server refuse it: under the name of the statement that is there.
    std::string name;
    if (core_.status != 'E' || held.clash->direct) {
      ensure_statement(*held.clash);
      name = held.clash->server_name();
    } else {
      name = put_placeholder();
    }
    const auto message = wire::Parse::decode(std::string_view(held.bytes).substr(5));
    wire::Parse renamed = *message;
    renamed.statement = name;
    renamed.encode(server.output());
    server.expect(Reply::kParse, Route::kForward, kParseNote);
    return;
  }
  if (held.statement->name.empty() || held.statement->direct) {
    server.output().append(held.bytes);
    server.expect(Reply::kParse, Route::kForward, kParseNote);
    if (held.statement->name.empty()) server.statements.unnamed = held.statement->id;
    return;
  }
  if (const uint64_t version = core_.database->current_version();
      version == 0 || version != server.statements_version) {
    server.statements.doubt_all();  // a lease can outlive a change of definitions
    server.statements_version = version;
  }
  if (server.statements.contains(held.statement->id) && core_.status != 'E') {
    server.statements.touch(held.statement->id);
    std::string complete;
    wire::append_parse_complete(complete);
    return own_reply(std::move(complete), kParseNote);
  }
  make_room(held.statement->id);
  wire::Parse renamed = *wire::Parse::decode(std::string_view(held.bytes).substr(5));
  const std::string name = held.statement->server_name();
  renamed.statement = name;
  renamed.encode(server.output());
  server.expect(Reply::kParse, Route::kForward, kParseNote);
  server.statements.insert(held.statement->id);
  sent_statements_.push_back(held.statement->id);
}

void ExtendedQuery::send_malformed(const Held& held) {
  core_.server->output().append(held.bytes);
  core_.server->expect(held.type == wire::kParse   ? Reply::kParse
                       : held.type == wire::kBind  ? Reply::kBind
                       : held.type == wire::kClose ? Reply::kClose
                                                   : Reply::kDescribePortal,
                       Route::kForward);
}

void ExtendedQuery::expose(const Plan& plan, const TextEntry& entry, bool in_unit) {
  const sql::StatementKind kind = plan.analysis.kind;
  const bool executes = kind == sql::StatementKind::kExecute;
  const bool deallocates = (plan.analysis.session_effects & sql::kSessionDeallocate) != 0;
  if (kind == sql::StatementKind::kExplain || kind == sql::StatementKind::kDdl)
    return expose(executed_inside(entry.canonical.shape), in_unit);
  if (executes || deallocates) expose(plan.analysis.name, in_unit);
}

void ExtendedQuery::expose(const std::string& name, bool in_unit) {
  if (name.empty()) return;
  const auto statement = core_.prepared->find(name);
  if (!statement || statement->direct || core_.status == 'E') return;
  upstream::ServerConnection& server = *core_.server;
  if (server.queue().skipping_to_sync()) return;
  in_unit = in_unit || server.queue().unsynced();
  statement->direct = true;
  core_.pins |= sql::kSessionPrepare;
  wire::Parse parse;
  parse.statement = statement->name;
  parse.sql = statement->sql;
  parse.parameter_types = wire::OidList(statement->types);
  parse.encode(server.output());
  server.expect(Reply::kParse, Route::kSkip);
  if (in_unit) return;
  core_.writes()->before_own_sync();
  wire::append_sync(server.output());
  server.expect(Reply::kSync, Route::kSkip);
}

void ExtendedQuery::refuse_other_words(const ClientStatement& statement) {
  if (statement.scans_alike(*core_.context)) return;
  core_.fatal("0A000",
              "prepared statement \"" + statement.name +
                  "\" was parsed under another standard_conforming_strings or client_encoding, "
                  "and its server connection is gone",
              "Prepare it after the last change of these settings.");
}

void ExtendedQuery::ensure_statement(ClientStatement& statement) {
  upstream::ServerConnection& server = *core_.server;
  if (statement.direct) return;
  if (statement.name.empty()) {
    if (server.statements.unnamed == statement.id) return;
    refuse_other_words(statement);
    server.statements.unnamed = statement.id;
  } else if (server.statements.contains(statement.id)) {
    return server.statements.touch(statement.id);
  } else {
    refuse_other_words(statement);
    // Parsed again under other settings than those of its Parse: not for anybody else.
    if (statement.context != core_.context) {
      statement.id = core_.worker.shared.statement_names.fresh();
    }
    make_room(statement.id);
    server.statements.insert(statement.id);
    sent_statements_.push_back(statement.id);
  }
  const std::string name = statement.server_name();
  wire::Parse parse;
  parse.statement = name;
  parse.sql = statement.sql;
  parse.parameter_types = wire::OidList(statement.types);
  parse.encode(server.output());
  server.expect(Reply::kParse, Route::kSkipNoError);
}

void ExtendedQuery::hide_unnamed() {
  upstream::ServerConnection& server = *core_.server;
  if (server.statements.unnamed == 0) return;
  wire::append_close_statement(server.output(), "");
  server.expect(Reply::kClose, Route::kSkip);
  server.statements.unnamed = 0;
}

/// A Query that was answered here would have ended the unnamed portal that the server still has.
void ExtendedQuery::hide_unnamed_portal(std::string_view message) {
  if (core_.status == 'E') return;
  const size_t name_at = wire::kFrameHeaderBytes + (message[0] == wire::kDescribe ? 1 : 0);
  if (message.size() <= name_at || message[name_at] != '\0') return;
  wire::append_close_portal(core_.server->output(), "");
  core_.server->expect(Reply::kClose, Route::kSkip);
}

void ExtendedQuery::send_bind(Held& held) {
  upstream::ServerConnection& server = *core_.server;
  held.portal->on_server = true;
  held.portal->context = core_.context;
  if (!held.statement) {
    // Unknown to us: an SQL-level PREPARE, or an error the server will report. Our unnamed
    // statement must not be taken for the client's.
    const auto message = wire::Bind::decode(std::string_view(held.bytes).substr(5));
    if (message->statement.empty()) hide_unnamed();
    server.output().append(held.bytes);
  } else {
    ensure_statement(*held.statement);
    std::string payload = held.portal->name;
    payload += '\0';
    payload += held.statement->server_name();
    payload += '\0';
    payload += held.portal->tail;
    server.output().push_back(wire::kBind);
    wire::append_u32(server.output(), static_cast<uint32_t>(payload.size() + 4));
    server.output().append(payload);
  }
  const bool opaque = held.statement && binds_opaquely(*held.statement);
  server.expect(Reply::kBind, Route::kForward, opaque ? kOpaqueBindNote : 0);
}

/// Also those that this unit has asked for.
bool ExtendedQuery::may_name_temporary_types(const Plan& plan) const {
  return core_.may_name_temporary_types(plan) ||
         (makes_temporary_ && plan.analysis.kind == sql::StatementKind::kUnparsed);
}

bool ExtendedQuery::runs_code(const Plan& plan) {
  return (plan.analysis.session_effects & sql::kSessionUnknown) != 0;
}

/// Parse, Describe, Bind and Execute are doubted for the same; parameters are there from the Bind
/// on.
bool ExtendedQuery::is_doubtful(const ClientStatement& statement, const Plan& plan,
                                bool binds) const {
  if (meaning_changed_ || may_name_temporary_types(plan)) return true;
  if (!statement.scans_alike(*core_.context)) return true;
  return binds && statement.has_user_types() &&
         statement.checks_parameters(core_.database->catalog().get());
}

/// Input of constants and parameters runs checks of domains, planning runs functions that call
/// themselves IMMUTABLE: Parse, Describe and Bind write what such a statement writes, executed or
/// not. True if the plan says so itself: then it may be proved harmless later.
bool ExtendedQuery::before_analysis(ClientStatement& statement, bool binds) {
  const Plan& plan = plans_of(statement)->plans.front();
  if (PlanBuilder::is_of_session(plan)) return false;  // nothing to analyse
  const bool doubtful = is_doubtful(statement, plan, binds);
  // A temporary relation that hides a type pins its client when it is there.
  const bool hidden = core_.names() == Names::kHidden || makes_temporary_;
  if (!doubtful && !hidden && !runs_code(plan)) return false;
  core_.writes()->before_execute(doubtful || hidden ? unknown_plan() : plan, core_.names());
  if (doubtful) core_.pin_as_unknown();
  return runs_code(plan) && !doubtful;
}

Plan ExtendedQuery::unknown_plan() const {
  Plan unknown;
  unknown.writes.ids = core_.database->opaque_dependencies();
  unknown.writes.effect = sql::Effect::kOpaque;
  unknown.suspects_catalog = true;
  return unknown;
}

bool ExtendedQuery::binds_opaquely(ClientStatement& statement) {
  if (!before_analysis(statement, true)) return false;
  binding_.push_back({plans_of(statement), statement.entry});
  return true;
}

void ExtendedQuery::bound() {
  if (binding_.empty()) return;
  const Binding binding = std::move(binding_.front());
  binding_.pop_front();
  core_.note_unproved(binding.plans->plans.front(), binding.entry);
}

void ExtendedQuery::ensure_portal(ClientPortal& portal) {
  if (!portal.answered || portal.on_server || !portal.statement) return;
  // A hit answered it; now the server must have it, and have it run to its end.
  upstream::ServerConnection& server = *core_.server;
  Held bind;
  bind.type = wire::kBind;
  bind.statement = portal.statement;
  bind.portal = core_.prepared->portal(portal.name);
  if (bind.portal.get() != &portal) return;
  ensure_statement(*portal.statement);
  portal.on_server = true;
  portal.context = core_.context;
  std::string payload = portal.name;
  payload += '\0';
  payload += portal.statement->server_name();
  payload += '\0';
  payload += portal.tail;
  server.output().push_back(wire::kBind);
  wire::append_u32(server.output(), static_cast<uint32_t>(payload.size() + 4));
  server.output().append(payload);
  server.expect(Reply::kBind, Route::kSkip);
  core_.writes()->before_execute(plans_of(*portal.statement)->plans.front(), core_.names());
  wire::append_execute(server.output(), portal.name);
  server.expect(Reply::kExecute, Route::kSkip);
}

void ExtendedQuery::send_named(Held& held, bool fill) {
  upstream::ServerConnection& server = *core_.server;
  if (held.type == wire::kClose) {
    if (held.kind == wire::kStatement && held.statement && !held.statement->direct) {
      // Servers keep the statement for others.
      std::string complete;
      wire::append_close_complete(complete);
      return own_reply(std::move(complete), kCloseNote);
    }
    server.output().append(held.bytes);
    const bool known = held.kind == wire::kStatement && held.statement;
    return server.expect(Reply::kClose, Route::kForward, known ? kCloseNote : 0);
  }
  if (held.kind == wire::kStatement) {
    if (held.statement) {
      ensure_statement(*held.statement);
      const auto plans = plans_of(*held.statement);
      if (before_analysis(*held.statement, false)) {
        core_.note_unproved(plans->plans.front(), held.statement->entry);
      }
      wire::append_describe_statement(server.output(), held.statement->server_name());
    } else {
      if (held.bytes.size() == wire::kFrameHeaderBytes + 2) hide_unnamed();
      server.output().append(held.bytes);
    }
    return server.expect(Reply::kDescribeStatement, Route::kForward);
  }
  if (held.portal)
    ensure_portal(*held.portal);
  else
    hide_unnamed_portal(held.bytes);
  server.output().append(held.bytes);
  server.expect(Reply::kDescribePortal, Route::kForward, fill ? kFillNote : 0);
}

/// The plan is of the text as it is read, and of the names as they are, now.
bool ExtendedQuery::means_what_it_says(const ClientPortal& portal, const PlanSet& plans) const {
  const ClientStatement& statement = *portal.statement;
  const Plan& plan = plans.plans.front();
  if (is_doubtful(statement, plan, true) || core_.fetches_portal(plan)) return false;
  if (core_.prepares_code(plan, statement.entry)) return false;
  return !portal.context || names_alike(*portal.context, *core_.context);
}

Progress ExtendedQuery::forward_execute(const wire::Frame& frame,
                                        const std::shared_ptr<ClientPortal>& portal, bool miss,
                                        const ReadRequest& request) {
  std::shared_ptr<const PlanSet> plans;
  if (portal && portal->statement) plans = plans_of(*portal->statement);
  // Rule 1: the stamp is taken before the Bind leaves, so only a Bind still held back may fill.
  if (miss)
    reads_.forwarded_miss(request);
  else if (plans)
    reads_.bypassed(plans->plans.front(), reads_.reason());
  else if (!portal)
    reads_.bypassed_unknown(sql::BypassReason::kCursor);
  else if (portal->may_read)
    reads_.bypassed_unknown(sql::BypassReason::kExecute);
  if (plans && !on_server_) {
    core_.prepare_server();
    transaction_.before(plans->plans.front());
  }
  send_held(miss);
  if (plans) {
    const Plan& front = plans->plans.front();
    expose(front, *portal->statement->entry, true);
    const bool deallocates = (front.analysis.session_effects & sql::kSessionDeallocate) != 0;
    if (deallocates) core_.prepared->begin_deallocate(front.analysis.name);
  }
  if (portal)
    ensure_portal(*portal);
  else
    hide_unnamed_portal(frame.bytes);
  Plan unknown;
  if (!plans) unknown = unknown_plan();
  const bool doubtful = plans && !means_what_it_says(*portal, *plans);
  if (doubtful) {
    // Analysed under what has changed in the meantime.
    unknown = plans->plans.front();
    PlanBuilder::doubt(unknown, *core_.database);
    if ((unknown.analysis.session_effects & sql::kSessionUnknown) != 0) core_.pin_as_unknown();
  }
  const Plan& plan = plans && !doubtful ? plans->plans.front() : unknown;
  meaning_changed_ = meaning_changed_ || changes_meaning(plan, true) || core_.ends_meaning(plan);
  makes_temporary_ =
      makes_temporary_ || (plan.analysis.session_effects & sql::kSessionTemporary) != 0;
  if (!plan.drops_database.empty())
    core_.worker.host.vacate_database(plan.drops_database, *core_.server);
  core_.writes()->before_execute(plan, core_.names(), &core_.worker.stats);
  core_.server->output().append(frame.bytes);
  core_.server->expect(Reply::kExecute, Route::kForward);
  if (drops_all_statements(plan) && !core_.server->queue().skipping_to_sync()) {
    drops_statements_ = true;
    wire::append_flush(core_.server->output());
  }
  core_.server->flush();
  executing_.push_back(
      {std::move(plans), portal && portal->statement ? portal->statement->entry : nullptr, miss});
  return Progress::kDone;
}

}  // namespace pgrecall::session
