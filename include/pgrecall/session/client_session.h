// ClientSession: one client, from its first byte to its last. Bytes in, bytes and actions out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pgrecall/session/session_host.h"
#include "pgrecall/upstream/server_connection.h"

namespace pgrecall::session {

/// Why no server connection could be had.
enum class NoLease : uint8_t {
  kTimeout,     ///< pool.wait_timeout
  kFull,        ///< too many wait
  kPoolLost,    ///< passthrough: nobody of this user is logged in upstream any more
  kUnreachable  ///< the server could not be reached
};

struct PeerInfo {
  std::string address;
  bool is_local = false;
};

/// Owned by the worker; its thread only. The worker feeds bytes and events and sends `output()`
/// when asked to. After `closing()` is true nothing more is fed but the end.
class ClientSession final : public upstream::ServerUser {
 public:
  ClientSession(WorkerContext& worker, PeerInfo peer);
  ~ClientSession() override;

  void set_id(SlotId id);
  SlotId id() const;
  std::string& output();

  void on_client_bytes(std::string_view bytes);
  /// The client is gone: gives up what it held. The worker destroys the session afterwards.
  void on_client_end();
  /// Something this session waited for may have happened: goes on with the input it has.
  void resume();
  /// False while enough input waits that could not be handled yet: the worker stops reading.
  bool wants_input() const;
  /// The client does not take its output: nothing more is handled until it does.
  void set_output_full(bool full);

  /// A connection for this session. One that is still logging in is its lease once it is ready.
  void on_lease(upstream::ServerConnection& server);
  void on_no_lease(NoLease why, std::string_view detail);
  void on_flight(uint64_t query, cache::CachedResultPtr result);
  /// A CancelRequest with this session's key arrived.
  void on_cancel();
  /// The process ends: 57P01 as soon as nothing is under way. True if it could be closed at once.
  bool shut_down(bool now);
  void on_login_timeout();
  /// Now and then: what held a connection may be known to be harmless from a newer catalog.
  void review_pins();
  /// Ends it with an error of the worker's own.
  void refuse(std::string_view sqlstate, std::string_view message);

  bool closing() const;
  bool logged_in() const;
  bool waiting_for_lease() const;
  upstream::Pool* pool() const;
  const std::string& user() const;
  const std::string& database() const;
  upstream::ServerConnection* server() const;
  uint32_t pins() const;
  std::string pin_names() const;  ///< why it is pinned, for people

  // ServerUser
  void on_authentication(const wire::Frame& frame) override;
  void on_server_ready(upstream::ServerConnection& server) override;
  void on_reply(const upstream::Step& step, const wire::Frame& frame) override;
  void on_reply_part(const upstream::Step& step, std::string_view bytes, bool first) override;
  void on_own_reply(std::string bytes, uint32_t note) override;
  void on_server_lost(std::string_view error) override;

 private:
  struct State;
  enum class Handled : uint8_t { kNext, kStop };

  void process_input();
  Handled process_frame(std::string_view input, size_t* consumed);
  Handled process_copy_part(std::string_view input, size_t* consumed);
  void ready();
  void terminate();

  std::unique_ptr<State> state_;
};

}  // namespace pgrecall::session
