#include "session/login_phase.h"

#include <utility>

#include "pgrecall/wire/authentication.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/error_fields.h"

namespace pgrecall::session {
namespace {

constexpr std::string_view kConsoleDatabase = "pgrecall";

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

/// Splits as the server does (pg_split_opts): blanks separate, a backslash takes the next as it is.
std::vector<std::string> split_options(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
      if (std::exchange(open, false)) words.push_back(std::exchange(word, {}));
      continue;
    }
    open = true;
    if (c == '\\' && i + 1 < text.size())
      word += text[++i];
    else
      word += c;
  }
  if (open) words.push_back(word);
  return words;
}

/// An ErrorResponse with another severity: what fails a SET fails the login.
std::string as_fatal(std::string_view payload) {
  const wire::ErrorFields error = wire::read_error_fields(payload);
  std::string out;
  wire::append_error(out, "FATAL", error.sqlstate, error.message, error.detail, error.hint);
  return out;
}

}  // namespace

LoginPhase::~LoginPhase() {
  if (core_.pool != nullptr) core_.worker.shared.pools.leave(*core_.pool);
}

void LoginPhase::on_packet(std::string_view packet) {
  switch (wire::startup_kind(packet)) {
    case wire::StartupKind::kSslRequest:
      // Each may be asked for once, in either order, as PostgreSQL has it.
      if (std::exchange(ssl_asked_, true)) return core_.fatal("08P01", "SSL was asked for twice");
      core_.output += 'N';
      return core_.flush();
    case wire::StartupKind::kGssEncRequest:
      if (std::exchange(gss_asked_, true)) return core_.fatal("08P01", "GSS was asked for twice");
      core_.output += 'N';
      return core_.flush();
    case wire::StartupKind::kCancelRequest: {
      if (const auto request = wire::CancelRequest::decode(packet)) {
        core_.worker.host.cancel(request->process_id, std::string(request->key));
      }
      core_.closing = true;
      return core_.worker.host.close_later(core_.session);
    }
    case wire::StartupKind::kUnsupported: {
      const uint32_t code = wire::startup_code(packet);
      return core_.fatal("0A000", "unsupported frontend protocol " +
                                      std::to_string(wire::protocol_major(code)) + "." +
                                      std::to_string(wire::protocol_minor(code)) +
                                      ": server supports 3.0 to 3.0");
    }
    case wire::StartupKind::kStartup: {
      const auto message = wire::StartupMessage::decode(packet);
      if (!message) return core_.fatal("08P01", "invalid startup packet layout");
      return on_startup(*message);
    }
  }
}

void LoginPhase::on_startup(const wire::StartupMessage& message) {
  if (!take_parameters(message)) return;
  if (core_.user.empty()) {
    return core_.fatal("28000", "no PostgreSQL user name specified in startup packet");
  }
  if (core_.database_name.empty()) core_.database_name = core_.user;
  if (core_.database_name == kConsoleDatabase) {
    return core_.fatal("0A000", "the admin console is not available in this version",
                       "The admin port answers over HTTP: /api/stats, /metrics.");
  }
  negotiate(message);
  core_.pool = &core_.worker.shared.pools.enter(core_.database_name, core_.user);
  step_ = Step::kServer;
  begin_login();
}

bool LoginPhase::take_parameters(const wire::StartupMessage& message) {
  for (const auto& [name, value] : message.parameters) {
    if (name == "user") {
      core_.user = value;
    } else if (name == "database") {
      core_.database_name = value;
    } else if (name == "replication") {
      const std::string wanted = folded(value);
      if (wanted != "false" && wanted != "off" && wanted != "no" && wanted != "0") {
        core_.fatal("0A000", "replication connections cannot pass through pgrecall",
                    "Connect to the server directly.");
        return false;
      }
    } else if (name == "options") {
      take_options(value);
    } else if (name.starts_with("_pq_.")) {
      protocol_options_.emplace_back(name);
    }
  }
  // As in the server, what is named in the packet counts after what is in `options`.
  for (const auto& [name, value] : message.parameters) {
    if (name == "user" || name == "database" || name == "replication" || name == "options" ||
        name.starts_with("_pq_.")) {
      continue;
    }
    add_setting(name, value);
  }
  return true;
}

void LoginPhase::take_options(std::string_view options) {
  const std::vector<std::string> words = split_options(options);
  for (size_t i = 0; i < words.size(); ++i) {
    std::string assignment;
    if (words[i] == "-c" && i + 1 < words.size())
      assignment = words[++i];
    else if (words[i].starts_with("-c"))
      assignment = words[i].substr(2);
    else if (words[i].starts_with("--"))
      assignment = words[i].substr(2);
    const size_t equals = assignment.find('=');
    if (assignment.empty() || equals == std::string::npos || equals == 0) {
      // PostgreSQL looks at options when it has let the client in.
      bad_option_ = words[i];
      return;
    }
    std::string name = assignment.substr(0, equals);
    for (char& c : name) c = c == '-' ? '_' : c;
    add_setting(name, std::string_view(assignment).substr(equals + 1));
  }
}

void LoginPhase::add_setting(std::string_view name, std::string_view value) {
  const std::string canonical = folded(name);
  core_.settings.set_startup(
      {canonical, std::string(value), upstream::set_statement(canonical, value)});
}

void LoginPhase::negotiate(const wire::StartupMessage& message) {
  if (message.version == wire::kProtocol30 && protocol_options_.empty()) return;
  const std::vector<std::string_view> options(protocol_options_.begin(), protocol_options_.end());
  wire::append_negotiate_protocol_version(core_.output, wire::kProtocol30, options);
  core_.flush();
}

void LoginPhase::begin_login() {
  const bool relay = core_.worker.shared.config.auth.mode == config::AuthMode::kPassthrough;
  upstream::ServerConnection* server = core_.worker.host.acquire(core_.session, relay);
  core_.waiting = server == nullptr && !core_.closing;
  if (server != nullptr) on_lease(*server);
}

void LoginPhase::on_lease(upstream::ServerConnection& server) {
  core_.waiting = false;
  core_.server = &server;
  // A connection that was opened for this login reports by itself when it is ready.
  if (server.phase() == upstream::ServerConnection::Phase::kReady) on_server_ready();
}

void LoginPhase::on_authentication(const wire::Frame& frame) {
  const bool trust = core_.worker.shared.config.auth.mode == config::AuthMode::kTrust;
  const auto code = wire::authentication_code(frame.payload);
  const bool ok =
      code && static_cast<wire::AuthenticationCode>(*code) == wire::AuthenticationCode::kOk;
  if (ok) {
    if (trust) return;
    if (core_.server->unchallenged() && !peer_.is_local) {
      // The server's pg_hba saw our address, not the client's.
      return core_.fatal("28000",
                         "the server asks for no password from pgrecall's address; such logins "
                         "are relayed to local clients only");
    }
  } else {
    challenged_ = true;
    if (trust) {
      return core_.fatal("28P01",
                         "the server asks for a password of user \"" + core_.user +
                             "\", which pgrecall does not have",
                         "With auth.mode = \"trust\" only upstream.user can have one.");
    }
    if (wire::AuthenticationSasl::decode(frame.payload)) {
      auto stripped = wire::strip_plus_mechanisms(frame.payload);
      if (!stripped.ok()) return core_.fatal("28000", stripped.error().message);
      core_.output.append(*stripped);
      return core_.flush();
    }
  }
  core_.output.append(frame.bytes);
  core_.flush();
}

void LoginPhase::on_frame(const wire::Frame& frame) {
  if (frame.type == wire::kTerminate) {
    core_.closing = true;
    return core_.worker.host.close_later(core_.session);
  }
  if (frame.type != wire::kPassword || core_.server == nullptr || !challenged_) {
    return core_.fatal("08P01", "unexpected message before the login is complete");
  }
  core_.server->answer_authentication(frame.bytes);
}

void LoginPhase::on_server_ready() {
  upstream::ServerConnection& server = *core_.server;
  // Not before the server has let somebody in: nothing is kept of names that are not there.
  core_.database = &core_.worker.shared.databases.database(core_.database_name);
  core_.pool->set_unchallenged(server.unchallenged());
  if (core_.worker.shared.config.auth.mode == config::AuthMode::kTrust) {
    wire::append_authentication_ok(core_.output);
  }
  if (!bad_option_.empty()) {
    return core_.fatal("42601", "invalid command-line argument for server process: " + bad_option_,
                       "pgrecall understands -c name=value and --name=value in options.");
  }
  apply_settings();
}

void LoginPhase::apply_settings() {
  step_ = Step::kSettings;
  core_.baseline = core_.server->baseline();
  core_.settings.server_has(core_.server->applied);
  if (core_.settings.synchronised()) return greet();
  core_.send_settings();
}

void LoginPhase::on_settings_applied(std::string_view error) {
  if (!error.empty()) {
    core_.output.append(as_fatal(error));
    core_.flush();
    core_.closing = true;
    return core_.worker.host.close_later(core_.session);
  }
  core_.settings.applied_to_server();
  core_.server->applied = core_.settings.values().server;
  greet();
}

void LoginPhase::greet() {
  step_ = Step::kDone;
  core_.shown_parameters = core_.login_parameters = core_.server->parameters();
  for (const auto& [name, value] : core_.shown_parameters.all()) {
    wire::append_parameter_status(core_.output, name, value);
  }
  const CancelKey key = core_.worker.host.register_cancel_key(core_.session);
  wire::append_backend_key_data(core_.output, key.process_id, key.secret);
  wire::append_ready_for_query(core_.output, 'I');
  core_.refresh_context();
  if (core_.database->current_version() == 0) core_.database->port().logged_in(*core_.database);
  core_.flush();
  core_.release_if_idle();
  core_.worker.host.resume_later(core_.session);
}

}  // namespace pgrecall::session
