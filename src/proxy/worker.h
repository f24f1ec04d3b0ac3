// Worker: one thread, one loop, its clients and its share of the server connections.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/admin/source.h"
#include "pgrecall/base/slot_table.h"
#include "pgrecall/net/listener.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/session/session_host.h"
#include "pgrecall/upstream/pool.h"
#include "proxy/cancel_directory.h"
#include "proxy/links.h"
#include "proxy/tier_two.h"

namespace pgrecall::proxy {

/// What a worker needs of the rest of the process.
struct WorkerOptions {
  uint32_t index = 0;
  session::Shared& shared;
  CancelDirectory& cancels;
  net::Endpoint upstream;
  std::optional<adapters::RedisOptions> redis;  ///< tier two, if there is one
  uint64_t generation = 0;                      ///< of the process
  RedisReport* redis_report = nullptr;          ///< with `redis`
  /// The other workers, by index; fixed before any of them runs.
  std::vector<std::unique_ptr<Worker>>& peers;
};

/// A command that PostgreSQL runs only when nobody else is connected to the database.
struct Vacating {
  SlotId server;  ///< that runs it
  std::string database;
  TimePoint since{};
};

/// Made by the process; everything but `post`-like calls (marked) belongs to the thread in `run`.
class Worker final : public session::SessionHost, public upstream::ServerHost {
 public:
  Worker(WorkerOptions options, std::unique_ptr<net::Loop> loop);
  ~Worker() override;

  void run();
  /// Any thread: takes a new client.
  void adopt_client(net::Accepted accepted);
  /// Any thread: runs on this worker.
  void post(std::function<void()> task);
  /// Any thread: ends sessions as they become idle; `now`: all at once; then the loop.
  void drain(bool now);
  void stop();
  uint32_t clients() const { return client_count_.load(std::memory_order_relaxed); }
  net::Loop& loop() { return *loop_; }
  /// Any thread: refuses a client beyond limits.clients.
  void refuse_client(net::Accepted accepted);
  /// Any thread: who is pinned and why, as of the last tick.
  std::vector<admin::PinnedClient> pinned() const;
  /// Any thread, as of the last tick; null: no tier two.
  const TierTwo* tier_two() const { return tier_two_.get(); }
  size_t memo_bytes() const { return memo_bytes_.load(std::memory_order_relaxed); }
  size_t memo_entries() const { return memo_entries_.load(std::memory_order_relaxed); }

  // SessionHost
  void flush_later(session::ClientSession& session) override;
  void close_later(session::ClientSession& session) override;
  upstream::ServerConnection* acquire(session::ClientSession& session, bool login) override;
  void stop_waiting(session::ClientSession& session) override;
  session::CancelKey register_cancel_key(session::ClientSession& session) override;
  void cancel(uint32_t process_id, std::string secret) override;
  void cancel_server(upstream::ServerConnection& server) override;
  void tell_joiners(std::vector<cache::JoinerId> joiners, cache::CachedResultPtr result) override;
  void vacate_database(std::string_view database, const upstream::ServerConnection& by) override;
  void resume_later(session::ClientSession& session) override;

  // ServerHost
  void flush_later(upstream::ServerConnection& server) override;
  void server_ready(upstream::ServerConnection& server) override;
  void server_idle(upstream::ServerConnection& server) override;
  void server_failed(upstream::ServerConnection& server, std::string_view why) override;

  // From the links.
  void flush_outputs();
  void client_ended(ClientLink& link);
  void server_connected(ServerLink& link);
  void connect_failed(ServerLink& link, int error);
  void connect_next(ServerLink& link);
  void cancel_ended(CancelLink& link);
  void cancel_next(CancelLink& link);
  void resume_paused(SlotId client, SlotId server);

  session::WorkerContext& context() { return context_; }

 private:
  friend class ClientLink;
  friend class ServerLink;

  void tick();
  void flush_client(ClientLink& link);
  void flush_server(ServerLink& link);
  void update_reading(ClientLink& link);
  void review_backlogged();
  void finish_client(SlotId id);

  void act(const upstream::Grant& grant, const upstream::Waiter& waiter, upstream::Pool& pool);
  void give(upstream::ServerRef server, const upstream::Waiter& to, upstream::Pool& pool);
  void give_local(SlotId server, SlotId session, upstream::Pool& pool);
  void take_over(std::unique_ptr<ServerLink> link, int fd, SlotId session);
  void open_server(upstream::Pool& pool, SlotId session);
  void refuse(SlotId session, session::NoLease why, std::string detail);
  void close_server(SlotId id, bool count);
  void close_remote(upstream::ServerRef server, upstream::Pool& pool);
  void place_freed(upstream::Pool& pool, upstream::ServerRef server, bool was_open);
  void note_wait(const ClientLink& client, upstream::Pool& pool, bool in_vain);
  bool may_connect(const upstream::Pool& pool) const;
  bool outdated(const upstream::ServerConnection& server) const;
  void inspect_again(upstream::ServerConnection& server) override;
  bool retired(const upstream::ServerConnection& server) const;
  bool expired(const ServerLink& link) const;
  void review_pinned();
  void expire_catalogs();
  void check_waiting(ClientLink& link, TimePoint now);
  void check_server(ServerLink& link, TimePoint now, std::vector<SlotId>& old);
  void suspect_crash();
  void vacate_databases(TimePoint now);
  void close_idle_servers(const std::string& database);

  const uint32_t index_;
  session::Shared& shared_;
  CancelDirectory& cancels_;
  const net::Endpoint upstream_;
  std::vector<std::unique_ptr<Worker>>& peers_;
  std::unique_ptr<net::Loop> loop_;
  const std::unique_ptr<TierTwo> tier_two_;
  session::WorkerContext context_;
  SlotTable<ClientLink> clients_;
  SlotTable<ServerLink> servers_;
  SlotTable<CancelLink> cancel_links_;
  std::vector<SlotId> dirty_clients_;
  std::vector<SlotId> dirty_servers_;
  std::vector<Vacating> vacating_;
  std::vector<SlotId> backlogged_;  ///< clients that are not read until they have been answered
  std::unique_ptr<net::Timer> ticker_;
  std::atomic<uint32_t> client_count_{0};
  std::atomic<size_t> memo_bytes_{0};
  std::atomic<size_t> memo_entries_{0};
  mutable std::mutex pinned_mutex_;
  std::vector<admin::PinnedClient> pinned_;
  uint64_t next_ticket_ = 1;
  bool draining_ = false;
};

}  // namespace pgrecall::proxy
