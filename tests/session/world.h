// A process of one worker without sockets: sessions, pools and server connections, each of which
// talks to a FakePostgres. Everything runs in `pump`.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/slot_table.h"
#include "pgrecall/session/client_session.h"
#include "pgrecall/session/session_host.h"
#include "session/fake_postgres.h"

namespace pgrecall::session::testing {

/// What a peer was sent, one word a message: `T D(public.t=0) C(SELECT 1) Z(I)`, errors as
/// `E(22012)` or `E!(57P01)` if fatal.
std::string read(std::string_view bytes);

class World;

class Client {
 public:
  Client(World& world, bool local);

  /// Feeds bytes, lets everything happen, and reads what came back.
  std::string ask(std::string_view bytes);
  std::string query(std::string_view sql);
  /// As `ask`, but nothing happens yet; `World::pump` goes on.
  void send(std::string_view bytes);
  /// What came back since the last look.
  std::string got() { return read(take()); }
  std::string take() { return std::exchange(inbox, {}); }
  void vanish();

  World& world;
  std::string inbox;
  bool closed = false;
  SlotId id;
  ClientSession session;
};

struct WorldOptions {
  config::Config config;
  bool every_byte = false;  ///< all bytes arrive one by one
};

/// Trust logins, a pool of two, everything else by default.
WorldOptions defaults();

class World final : public SessionHost,
                    public upstream::ServerHost,
                    public CatalogPort,
                    public CountPort {
 public:
  explicit World(WorldOptions options = defaults());
  ~World() override;

  /// A client that has logged in; the greeting is checked and swallowed.
  Client& client(std::map<std::string, std::string> parameters = {});
  /// A client that has sent nothing yet.
  Client& stranger(bool local = true);
  void pump();
  /// Does one small thing that is due, chosen at random: a part of a reply arrives, a request is
  /// read, a task runs. False if nothing is due.
  bool step(std::mt19937& random);

  /// Servers by order of creation, whether they still live or not.
  FakePostgres& server(size_t index);
  /// The index of the server that this client has leased; SIZE_MAX if it has none.
  size_t leased(const Client& client);
  size_t servers_made() const { return servers_made_; }
  size_t servers_alive() const { return servers_.size(); }
  /// The statements that reached any server, in order of arrival, set-up of connections excepted.
  std::vector<std::string> asked() const;
  void hold(size_t index, bool held) { of(index).held = held; }
  /// The server's connection ends, after FATAL with `sqlstate` if it is not empty. Without one the
  /// backend runs a statement that is under way to its end: see `wake`.
  void kill(size_t index, std::string_view sqlstate);
  /// A sleeping statement goes on. If its connection was lost, the fences of its unknown outcome
  /// are settled afterwards.
  void wake(size_t index);
  /// New server connections cannot be opened.
  bool refuse_connections = false;
  /// New servers say nothing until `hold(index, false)`.
  bool hold_new = false;
  /// Servers may say anything: what they claim is not checked against what they are.
  bool hostile = false;

  uint64_t hits() const;
  uint64_t misses() const;
  uint64_t bypasses(sql::BypassReason reason) const;
  size_t waiting_tasks() const { return tasks_.size(); }

  /// Someone wrote past the proxy, and the feed delivered it.
  void outside_write(std::string_view table);
  /// The catalog changed past the proxy; `known` publishes the new snapshot at once.
  void catalog_changes();
  /// The server has read its configuration again.
  void configuration_changes() { configuration_.fetch_add(1); }
  bool publish_catalogs = true;
  bool login_triggers = false;  ///< of the next catalog
  bool settle_gone = true;
  std::vector<invalidation::FenceToken> unsettled;
  std::vector<std::string> released;  ///< databases that the control plane was asked to leave
  std::map<sql::Oid, int64_t> estimates;

  invalidation::DependencyId table_id(std::string_view name);
  DatabaseState& database() { return databases_.database("site"); }
  upstream::Pool& pool() { return pools_.pool("site", "alice"); }

  FakeData data;
  FakePostgres::Login login = FakePostgres::Login::kTrust;
  config::Config config;
  invalidation::EpochTable epochs{1000};
  Shared& shared() { return shared_; }
  Clock clock;
  bool every_byte;

  // SessionHost
  void flush_later(ClientSession& session) override;
  void close_later(ClientSession& session) override;
  upstream::ServerConnection* acquire(ClientSession& session, bool login) override;
  void stop_waiting(ClientSession& session) override;
  CancelKey register_cancel_key(ClientSession& session) override;
  void cancel(uint32_t process_id, std::string secret) override;
  void cancel_server(upstream::ServerConnection& server) override;
  void tell_joiners(std::vector<cache::JoinerId> joiners, cache::CachedResultPtr result) override;
  void inspect_again(upstream::ServerConnection& server) override {
    server.configuration = configuration();
    server.inspect_again();
  }
  void vacate_database(std::string_view name, const upstream::ServerConnection& by) override;
  void resume_later(ClientSession& session) override;

  // ServerHost
  void flush_later(upstream::ServerConnection& server) override;
  void server_idle(upstream::ServerConnection& server) override;
  void server_failed(upstream::ServerConnection& server, std::string_view why) override;

  // CatalogPort
  void reread(DatabaseState& database, invalidation::FenceToken fence, bool certain) override;
  void logged_in(DatabaseState& database) override { reread(database, 0, false); }
  void release(std::string_view name) override { released.emplace_back(name); }
  void settle_when_gone(DatabaseState& database, uint32_t process_id, std::string backend_start,
                        std::vector<invalidation::FenceToken> fences) override;

  // CountPort
  bool estimate(DatabaseState& database, sql::Oid relation, sql::Oid role,
                const policy::Policy& policy, const invalidation::Stamp& now,
                int64_t* rows) override;

 private:
  friend class Client;
  struct Server {
    std::unique_ptr<upstream::ServerConnection> connection;
    size_t index = 0;
    bool held = false;
    bool closing = false;
    SlotId opened_for;
  };

  Server& of(size_t index);
  void act(const upstream::Grant& grant, const upstream::Waiter& waiter, upstream::Pool& pool);
  void give(SlotId server, SlotId session, upstream::Pool& pool);
  void open(upstream::Pool& pool, SlotId session);
  void close(SlotId server, bool count);
  void end(SlotId client);
  void publish(bool changed);
  bool wants(SlotId session) const;
  bool may_connect(const upstream::Pool& pool) const;
  bool move_bytes();
  bool take_client_output();
  bool send(Server& server);
  bool deliver(Server& server, size_t bytes);

  invalidation::PreparedTransactions prepared_;
  cache::ResultCache results_{16 << 20, 1 << 20};
  cache::SingleFlight flights_{cache::SingleFlight::Limits{}};
  DatabaseDirectory databases_{epochs, *this};
  upstream::PoolDirectory pools_;
  ContextTable contexts_{false};
  stats::Stats stats_;
  Shared shared_;
  WorkerContext context_;
  std::vector<std::unique_ptr<FakePostgres>> fakes_;
  SlotTable<Server> servers_;
  SlotTable<Client> clients_;
  std::deque<std::function<void()>> tasks_;
  std::map<uint32_t, SlotId> tickets_;
  std::map<uint32_t, std::vector<invalidation::FenceToken>> orphans_;  ///< by process id
  size_t servers_made_ = 0;
  uint64_t catalog_version_ = 1;
  uint64_t next_ticket_ = 1;
  uint32_t next_process_id_ = 1;
};

}  // namespace pgrecall::session::testing
