// LoginPhase: from the first byte to the first ReadyForQuery.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/session/client_session.h"
#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/startup.h"
#include "session/session_core.h"

namespace pgrecall::session {

/// One per session; done when `done()`.
class LoginPhase {
 public:
  LoginPhase(SessionCore& core, PeerInfo peer) : core_(core), peer_(std::move(peer)) {}
  ~LoginPhase();
  LoginPhase(const LoginPhase&) = delete;
  LoginPhase& operator=(const LoginPhase&) = delete;

  bool done() const { return step_ == Step::kDone; }
  bool awaits_startup() const { return step_ == Step::kStartup; }

  /// A start-up packet (no type byte).
  void on_packet(std::string_view packet);
  /// A typed message before the login is done: an answer to an Authentication request.
  void on_frame(const wire::Frame& frame);

  void on_lease(upstream::ServerConnection& server);
  void on_authentication(const wire::Frame& frame);
  void on_server_ready();
  /// ReadyForQuery of the client's start-up settings; `error` is the ErrorResponse's payload.
  void on_settings_applied(std::string_view error);

 private:
  enum class Step : uint8_t { kStartup, kServer, kSettings, kDone };

  void on_startup(const wire::StartupMessage& message);
  bool take_parameters(const wire::StartupMessage& message);
  void take_options(std::string_view options);
  void add_setting(std::string_view name, std::string_view value);
  void negotiate(const wire::StartupMessage& message);
  void begin_login();
  void apply_settings();
  void greet();

  SessionCore& core_;
  PeerInfo peer_;
  Step step_ = Step::kStartup;
  bool ssl_asked_ = false;
  bool gss_asked_ = false;
  bool challenged_ = false;
  std::string bad_option_;
  std::vector<std::string> protocol_options_;
};

}  // namespace pgrecall::session
