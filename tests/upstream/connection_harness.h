// A ServerConnection without sockets: the test plays PostgreSQL by bytes and reads what was sent.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/upstream/server_connection.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/error_fields.h"
#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/frontend.h"

namespace pgrecall::upstream::testing {

/// How the server's bytes are cut: at one offset of the whole conversation, or into single bytes.
struct Cut {
  size_t at = SIZE_MAX;
  bool every_byte = false;
};

inline std::string message(void (*append)(std::string&)) {
  std::string out;
  append(out);
  return out;
}
inline std::string ready(char status = 'I') {
  std::string out;
  wire::append_ready_for_query(out, status);
  return out;
}
inline std::string complete(std::string_view tag) {
  std::string out;
  wire::append_command_complete(out, tag);
  return out;
}
inline std::string empty(char type) {
  std::string out;
  wire::append_empty(out, type);
  return out;
}
inline std::string error(std::string_view sqlstate, std::string_view severity = "ERROR") {
  std::string out;
  wire::append_error(out, severity, sqlstate, "it failed");
  return out;
}
inline std::string row(const std::vector<std::string>& values) {
  std::vector<std::optional<std::string_view>> views(values.begin(), values.end());
  std::string out;
  wire::append_data_row(out, views);
  return out;
}
inline std::string copy_in_response() {
  return std::string("G\0\0\0\7\0\0\0", 8);
}

/// The row that the inspection asks for.
inline std::string inspection_row(std::string_view settings_hash = "aa") {
  return row({"5", "10", "alice", "\"$user\", public", "read committed", "on", "UTF8",
              "Europe/Paris", "f", "150004", "2024-05-06 07:08:09+00", std::string(settings_hash),
              "bb"});
}
inline std::string inspection_reply() {
  return empty('T').substr(0, 1) + std::string("\0\0\0\6\0\0", 6) + inspection_row() +
         complete("SELECT 1") + ready();
}
inline std::string greeting() {
  std::string out;
  wire::append_parameter_status(out, "server_version", "15.4");
  wire::append_parameter_status(out, "TimeZone", "Europe/Paris");
  wire::append_backend_key_data(out, 4711, "kkkk");
  return out + ready();
}

/// Messages sent to the server, one word each: type, and what tells it apart.
inline std::string words(std::string_view bytes) {
  std::string out;
  wire::Frame frame;
  while (wire::peek_frame(bytes, 1 << 26, &frame) == wire::Peek::kFrame) {
    if (!out.empty()) out += ' ';
    out += frame.type;
    if (frame.type == wire::kQuery)
      out += "(" + std::string(frame.payload.substr(0, frame.payload.size() - 1)) + ")";
    bytes.remove_prefix(frame.bytes.size());
  }
  EXPECT_EQ(bytes, "") << "half a message was sent";
  return out;
}

class Harness final : public ServerHost, public ServerUser {
 public:
  explicit Harness(Cut cut = {})
      : cut_(cut), connection(std::make_unique<ServerConnection>(*this, "site", "alice")) {
    connection->set_user(this);
  }

  /// Everything that was observed, in order. Bytes of streamed messages are joined.
  std::string log;
  size_t fed = 0;

  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t count = cut_.every_byte ? 1 : bytes.size();
      if (cut_.at > fed && cut_.at - fed < count) count = cut_.at - fed;
      fed += count;
      connection->on_bytes(bytes.substr(0, count));
      bytes.remove_prefix(count);
    }
  }

  /// What was sent since the last call, as words; also part of the log.
  std::string sent() {
    std::string bytes = std::exchange(connection->output(), {});
    if (std::exchange(starting_, false)) {
      std::string_view packet;
      EXPECT_EQ(wire::peek_startup(bytes, &packet), wire::Peek::kFrame);
      log += "startup; ";
      bytes.erase(0, packet.size());
    }
    const std::string out = words(bytes);
    if (!out.empty()) log += "sent " + out + "; ";
    return out;
  }
  std::string sent_bytes() { return std::exchange(connection->output(), {}); }

  void start(std::optional<std::string> password = std::nullopt) {
    connection->start(std::move(password), "clientnonceclientnonce");
    starting_ = true;
    sent();
  }
  /// Through a login without a challenge to a connection in use.
  void make_ready() {
    start();
    std::string ok;
    wire::append_authentication_ok(ok);
    feed(ok + greeting());
    sent();
    feed(inspection_reply());
    ASSERT_EQ(connection->phase(), ServerConnection::Phase::kReady);
    log.clear();
  }
  /// Sends a Query as a client's session does.
  void query(std::string_view sql) {
    wire::append_query(connection->output(), sql);
    connection->expect(Reply::kQuery, Route::kForward);
    sent();
  }
  void extended(std::string_view types, bool with_sync) {
    for (char type : types) {
      connection->output() += empty(type);
      connection->expect(type == 'P'   ? Reply::kParse
                         : type == 'B' ? Reply::kBind
                         : type == 'D' ? Reply::kDescribePortal
                                       : Reply::kExecute,
                         Route::kForward);
    }
    if (with_sync) {
      wire::append_sync(connection->output());
      connection->expect(Reply::kSync, Route::kForward);
    }
    sent();
  }

  bool idle() const { return idle_ > 0; }
  bool failed() const { return !why.empty(); }
  std::string why;

  // ServerHost
  void flush_later(ServerConnection&) override {}
  void server_idle(ServerConnection&) override {
    ++idle_;
    log += "idle; ";
  }
  void server_failed(ServerConnection&, std::string_view reason) override {
    why = reason;
    log += "failed; ";
  }

  // ServerUser
  void on_authentication(const wire::Frame& frame) override {
    log += "auth " + std::to_string(frame.payload[3]) + "; ";
  }
  void on_server_ready(ServerConnection&) override { log += "ready; "; }
  void on_reply(const Step& step, const wire::Frame& frame) override {
    if (step.route == Route::kForward) log += std::string("got ") + frame.type + "; ";
  }
  void on_reply_part(const Step&, std::string_view bytes, bool first) override {
    if (first) log += "parts; ";
    parts += bytes;
  }
  void on_own_reply(std::string bytes, uint32_t) override { log += "own " + bytes + "; "; }
  void on_server_lost(std::string_view payload) override {
    log += "lost " + std::string(wire::read_sqlstate(payload)) + "; ";
  }

  std::string parts;

 private:
  Cut cut_;
  int idle_ = 0;
  bool starting_ = false;

 public:
  std::unique_ptr<ServerConnection> connection;
};

/// Runs the same conversation whole, cut at every offset and byte by byte: the log must be the
/// same.
template <typename Conversation>
void at_every_split(Conversation conversation) {
  Harness whole;
  conversation(whole);
  for (size_t at = 0; at <= whole.fed; ++at) {
    Harness cut(at == 0 ? Cut{.every_byte = true} : Cut{.at = at});
    conversation(cut);
    ASSERT_EQ(cut.log, whole.log) << "cut at " << at;
    ASSERT_EQ(cut.parts, whole.parts) << "cut at " << at;
  }
}

}  // namespace pgrecall::upstream::testing
