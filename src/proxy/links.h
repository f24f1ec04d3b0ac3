// Links: a core object together with its socket.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/net/address.h"
#include "pgrecall/net/stream.h"
#include "pgrecall/session/client_session.h"
#include "pgrecall/upstream/server_connection.h"

namespace pgrecall::proxy {

class Worker;

/// How much may wait in memory for a slow peer before its counterpart is not read any more.
constexpr size_t kPendingMax = 1024 * 1024;

/// A client's socket and session. Owned by the worker's slot table.
class ClientLink final : public net::StreamHandler {
 public:
  ClientLink(Worker& worker, session::WorkerContext& context, session::PeerInfo peer);

  void on_readable_bytes(std::string_view bytes) override;
  void on_writable_drained() override;
  void on_end(int error) override;

  Worker& worker;
  SlotId id;
  std::unique_ptr<net::Stream> stream;
  session::ClientSession session;
  uint32_t cancel_id = 0;
  uint64_t ticket = 0;  ///< of the wait under way
  TimePoint waiting_since{};
  TimePoint connected_at{};
  TimePoint pinned_since{};  ///< as the ticks have seen it; {}: not pinned
  bool dirty = false;        ///< in the worker's list of outputs to send
  bool ended = false;        ///< the session has been told that it is over
  bool paused_by_server = false;
  bool backlogged = false;  ///< in the worker's list of clients that wait with enough input
  SlotId paused_server;     ///< not read until this client has taken what is pending
};

/// A server's socket and connection. Owned by the worker's slot table; moves between workers.
class ServerLink final : public net::StreamHandler {
 public:
  ServerLink(Worker& worker, upstream::ServerHost& host, std::string database, std::string user);

  void on_connected() override;
  void on_readable_bytes(std::string_view bytes) override;
  void on_writable_drained() override;
  void on_end(int error) override;

  Worker* worker;
  SlotId id;
  std::unique_ptr<net::Stream> stream;
  std::unique_ptr<net::Resolution> resolution;
  std::vector<net::Address> addresses;  ///< not yet tried
  std::unique_ptr<upstream::ServerConnection> connection;
  SlotId connecting_for;  ///< the session this connection is opened for
  TimePoint connect_deadline{};
  bool connected = false;
  bool relayed_login = false;  ///< a person may be typing a password
  bool dirty = false;
  bool closing = false;
  SlotId paused_client;  ///< not read until this server has taken what is pending
};

/// A CancelRequest on its way to PostgreSQL.
class CancelLink final : public net::StreamHandler {
 public:
  CancelLink(Worker& worker, SlotId server, std::string packet);

  void on_connected() override;
  void on_readable_bytes(std::string_view) override {}
  void on_writable_drained() override {}
  void on_end(int error) override;

  Worker& worker;
  SlotId id;
  SlotId server;
  std::string packet;
  std::vector<net::Address> addresses;  ///< not yet tried
  bool connected = false;
  std::unique_ptr<net::Stream> stream;
  std::unique_ptr<net::Resolution> resolution;
  TimePoint deadline{};
};

}  // namespace pgrecall::proxy
