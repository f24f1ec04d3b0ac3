#include "session/session_core.h"

#include <utility>

#include "pgrecall/wire/builder.h"
#include "session/prepared_statements.h"

namespace pgrecall::session {
void SessionCore::error(std::string_view severity, std::string_view sqlstate,
                        std::string_view message, std::string_view detail, std::string_view hint) {
  wire::append_error(output, severity, sqlstate, message, detail, hint);
  worker.stats.client_errors.add();
  flush();
}

void SessionCore::fatal(std::string_view sqlstate, std::string_view message,
                        std::string_view hint) {
  if (closing) return;
  if (part_left > 0) return hang_up();
  error("FATAL", sqlstate, message, {}, hint);
  closing = true;
  worker.host.close_later(session);
}

void SessionCore::hang_up() {
  if (std::exchange(closing, true)) return;
  worker.host.close_later(session);
}

bool SessionCore::ensure_lease() {
  if (waiting || setting_up) return false;
  if (must_renew()) {
    waiting = true;
    opening = std::exchange(server, nullptr);
    worker.host.inspect_again(*opening);
    return false;
  }
  if (server == nullptr) {
    upstream::ServerConnection* leased = worker.host.acquire(session, false);
    if (leased == nullptr) {
      waiting = !closing;
      return false;
    }
    adopt(*leased);
  }
  if (settings_fit()) return true;
  // Nothing of the client's runs before its settings are confirmed: under the wrong role or path it
  // could write in the wrong place.
  setting_up = true;
  send_settings();
  return false;
}

void SessionCore::send_settings() {
  if (const std::string first = settings.take_reading_resets(); !first.empty())
    server->query_silently(first);
  server->query_silently(settings.synchronisation(), upstream::kSettingsNote);
}

bool SessionCore::must_renew() const {
  if (server == nullptr || !outdated() || status != 'I' || mid_message) return false;
  // Of what opaque code has set nobody knows what it would have to be set to again.
  if (ran_opaque_code() || reviewing) return false;
  return server->queue().empty() && !server->queue().unsynced();
}

void SessionCore::settings_confirmed() {
  setting_up = false;
  settings.applied_to_server();
  server->applied = settings.values().server;
}

void SessionCore::adopt(upstream::ServerConnection& leased) {
  PGR_ASSERT(server == nullptr && leased.queue().empty());
  waiting = false;
  server = &leased;
  if (baseline != leased.baseline()) {
    const bool same = baseline && baseline->hash == leased.baseline()->hash;
    if (!same && baseline) settings.keep_defaults(baseline->defaults, leased.baseline()->defaults);
    baseline = leased.baseline();
    if (!same) context = nullptr;
  }
  settings.server_has(leased.applied);
  refresh_context();
  if (!lazy.empty() && !context->read_committed) snapshot_isolation = true;
  // Statements prepared under an older catalog may have another result type by now.
  const uint64_t version = database->current_version();
  if (version == 0 || leased.statements_version != version) {
    leased.statements.doubt_all();
    if (leased.statements.doubtful() > 0) {
      leased.query_silently("DEALLOCATE ALL");
      leased.statements.clear();  // a Query ends the unnamed statement, too
    }
    leased.statements_version = version;
  }
}

void SessionCore::prepare_server() {
  PGR_ASSERT(server != nullptr);
  if (!lazy.empty()) {
    std::string sql;
    for (const std::string& statement : lazy) sql += sql.empty() ? statement : "; " + statement;
    lazy.clear();
    status = 'T';
    server->query_silently(sql);
  }
  show_parameter_changes();
}

void SessionCore::show_parameter_changes() {
  if (!server->queue().empty() || shown_parameters.agree_with(server->parameters())) return;
  for (const auto& [name, value] : server->parameters().all()) {
    if (settings.restores(name)) continue;
    if (shown_parameters.set(name, value)) wire::append_parameter_status(output, name, value);
  }
}

void SessionCore::show_restored_parameters() {
  if (settings.synchronised()) return;
  for (const auto& [name, value] : login_parameters.all()) {
    if (!settings.restores(name)) continue;
    if (server->status() == 'I' && settings.is_local(name)) continue;  // it has just ended
    if (shown_parameters.set(name, value)) wire::append_parameter_status(output, name, value);
  }
  show_parameter_changes();  // one that followed a RESET was taken for the RESET's
}

void SessionCore::release_if_idle() {
  if (server == nullptr || owed() || status != 'I' || pins != 0) return;
  if (mid_message || setting_up || reviewing) return;
  // A unit without its Sync is not over, even where nothing of it is owed any more.
  if (server->queue().unsynced() || server->queue().skipping_to_sync()) return;
  if (worker.shared.config.pool.mode == config::PoolMode::kSession) return;
  upstream::ServerConnection* leased = std::exchange(server, nullptr);
  leased->applied = settings.values().server;
  leased->tidy(false);
}

void SessionCore::abandon_opening() {
  if (opening == nullptr) return;
  upstream::ServerConnection& given_up = *std::exchange(opening, nullptr);
  given_up.set_user(nullptr);
  given_up.abandon();
}

void SessionCore::forget_server() {
  server = nullptr;
  setting_up = false;
  pins = 0;
  review_due = reviewing = false;
  unproved.clear();
  objects.clear();
}

void SessionCore::refresh_context() {
  if (!settings.take_changed() && context) return;
  context = worker.shared.contexts.intern(*baseline, database_name, user, settings.values().client,
                                          settings.values().local);
}

bool SessionCore::opens_lazily() const {
  return worker.shared.config.pool.lazy_begin && server == nullptr && status == 'I' && !outdated();
}

}  // namespace pgrecall::session
