#include "session/world.h"

#include <algorithm>
#include <utility>

#include "pgrecall/session/tracked_writes.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/error_fields.h"
#include "session/messages.h"

namespace pgrecall::session::testing {
namespace {

constexpr sql::Oid kPublic = 2200;
constexpr sql::Oid kTenantA = 30001;
constexpr sql::Oid kTenantB = 30002;
constexpr sql::Oid kInt4 = 23;
constexpr sql::Oid kText = 25;

sql::Relation table(sql::Oid oid, sql::Oid schema, std::string name) {
  sql::Relation relation;
  relation.oid = oid;
  relation.schema = schema;
  relation.name = std::move(name);
  relation.columns = {{"id", 1, kInt4}, {"a", 2, kText}};
  return relation;
}

sql::Function function(sql::Oid oid, sql::Oid schema, std::string name, char volatility,
                       std::string language, sql::Oid result) {
  sql::Function made;
  made.oid = oid;
  made.schema = schema;
  made.name = std::move(name);
  made.volatility = volatility;
  made.language = std::move(language);
  made.return_type = result;
  return made;
}

std::shared_ptr<const sql::Catalog> make_catalog(uint64_t version, bool login_triggers) {
  auto catalog = std::make_shared<sql::Catalog>();
  catalog->system_identifier = 1;
  catalog->database = 5;
  catalog->database_name = "site";
  catalog->server_version_num = 150004;
  catalog->version = version;
  catalog->has_login_triggers = login_triggers;
  catalog->schemas = {
      {11, "pg_catalog"}, {kPublic, "public"}, {kTenantA, "tenant_a"}, {kTenantB, "tenant_b"}};
  catalog->roles = {{10, {10, "alice"}}, {11, {11, "bob"}}};
  for (auto& relation :
       {table(40001, kPublic, "t"), table(40002, kPublic, "u"), table(40003, kPublic, "big"),
        table(40011, kTenantA, "t"), table(40012, kTenantB, "t")}) {
    catalog->relations[relation.oid] = relation;
  }
  catalog->types[kInt4] = {kInt4, 11, "int4", 'b', 'N'};
  catalog->types[kText] = {kText, 11, "text", 'b', 'S'};
  catalog->functions[65] = function(65, 11, "int4eq", 'i', "internal", 16);
  catalog->functions[40101] = function(40101, kPublic, "touch", 'v', "plpgsql", kInt4);
  catalog->functions[2803] = function(2803, 11, "count", 'i', "internal", 20);
  catalog->functions[2803].kind = 'a';
  catalog->operators[96] = {96, 11, "=", 65};
  catalog->index();
  return catalog;
}

std::string word(const wire::Frame& frame) {
  const std::string type(1, frame.type);
  switch (frame.type) {
    case wire::kDataRow: {
      const auto row = wire::DataRow::decode(frame.payload);
      std::string text;
      for (const auto& column : row->columns) {
        if (!text.empty()) text += ',';
        text += column.value_or("NULL");
      }
      if (text.size() > 200) text = text.substr(0, 20) + "..." + std::to_string(text.size());
      return "D(" + text + ")";
    }
    case wire::kCommandComplete:
      return "C(" + std::string(wire::CommandComplete::decode(frame.payload)->tag) + ")";
    case wire::kReadyForQuery:
      return std::string("Z(") + frame.payload[0] + ")";
    case wire::kErrorResponse: {
      const auto fields = wire::read_error_fields(frame.payload);
      const std::string quoted(
          fields.message.substr(std::min(fields.message.find('"'), fields.message.size())));
      return (fields.fatal() ? "E!(" : "E(") + std::string(fields.sqlstate) +
             (quoted.empty() ? "" : " " + quoted) + ")";
    }
    case wire::kNoticeResponse:
      return "N(" + std::string(wire::read_sqlstate(frame.payload)) + ")";
    case wire::kParameterStatus: {
      const auto status = wire::ParameterStatus::decode(frame.payload);
      return "S(" + std::string(status->name) + "=" + std::string(status->value) + ")";
    }
    case wire::kAuthentication:
      return "R(" + std::to_string(frame.payload[3]) + ")";
    default:
      return type;
  }
}

stats::StatsOptions stats_options() {
  stats::StatsOptions options;
  for (size_t i = 0; i < static_cast<size_t>(sql::BypassReason::kCount); ++i) {
    options.bypass_names.emplace_back(sql::bypass_reason_name(static_cast<sql::BypassReason>(i)));
  }
  options.fill_refusal_names = options.bypass_names;
  return options;
}

}  // namespace

std::string read(std::string_view bytes) {
  std::string out;
  wire::Frame frame;
  while (wire::peek_frame(bytes, 1 << 30, &frame) == wire::Peek::kFrame) {
    if (!out.empty()) out += ' ';
    out += word(frame);
    bytes.remove_prefix(frame.bytes.size());
  }
  if (!bytes.empty()) out += " +" + std::to_string(bytes.size()) + " bytes";
  return out;
}

// ---- Client ----

Client::Client(World& owner, bool local)
    : world(owner), session(owner.context_, PeerInfo{"test", local}) {}

void Client::send(std::string_view bytes) {
  if (closed) return;
  if (!world.every_byte) return session.on_client_bytes(bytes);
  for (char byte : bytes) {
    if (closed) return;
    session.on_client_bytes({&byte, 1});
    world.pump();
  }
}

std::string Client::ask(std::string_view bytes) {
  send(bytes);
  world.pump();
  return got();
}

std::string Client::query(std::string_view sql) {
  return ask(testing::query(sql));
}

void Client::vanish() {
  if (std::exchange(closed, true)) return;
  session.on_client_end();
  world.pump();
}

// ---- World ----

WorldOptions defaults() {
  WorldOptions options;
  options.config.workers = 1;
  options.config.pool.size = 2;
  options.config.auth.mode = config::AuthMode::kTrust;
  options.config.pool.prepared_statements_max = 3;
  return options;
}

World::World(WorldOptions options)
    : config(std::move(options.config)),
      every_byte(options.every_byte),
      pools_(config.pool.size, 100),
      stats_(stats_options()),
      shared_{config,
              epochs,
              prepared_,
              results_,
              flights_,
              databases_,
              pools_,
              contexts_,
              stats_,
              *this,
              policy::RuleSet::compile(config).value(),
              {config.cache.mode},
              {},
              {}},
      context_{shared_,
               *this,
               clock,
               0,
               stats_.worker(0),
               StatementMemo(shared_, stats_.worker(0), 1 << 20),
               nullptr,
               [] { return TimePoint{}; },
               1} {
  clock.set(TimePoint{} + std::chrono::hours(1));
  publish(false);
}

World::~World() {
  std::vector<SlotId> ids;
  clients_.for_each([&](SlotId id, Client& client) {
    if (!client.closed) ids.push_back(id);
  });
  for (SlotId id : ids) clients_.find(id)->vanish();
  ids.clear();
  servers_.for_each([&](SlotId id, Server&) { ids.push_back(id); });
  for (SlotId id : ids) servers_.take(id);  // what they still report must find all of this
  tasks_.clear();
}

Client& World::stranger(bool local) {
  auto owned = std::make_unique<Client>(*this, local);
  Client& client = *owned;
  client.id = clients_.insert(std::move(owned));
  client.session.set_id(client.id);
  return client;
}

Client& World::client(std::map<std::string, std::string> parameters) {
  parameters.try_emplace("user", "alice");
  parameters.try_emplace("database", "site");
  Client& client = stranger();
  const std::string got = client.ask(startup(parameters));
  PGR_ASSERT(got.ends_with("K Z(I)"));
  return client;
}

FakePostgres& World::server(size_t index) {
  return *fakes_.at(index);
}

World::Server& World::of(size_t index) {
  Server* found = nullptr;
  servers_.for_each([&](SlotId, Server& server) {
    if (server.index == index) found = &server;
  });
  PGR_ASSERT(found != nullptr);
  return *found;
}

size_t World::leased(const Client& client) {
  size_t index = SIZE_MAX;
  servers_.for_each([&](SlotId, Server& server) {
    if (server.connection.get() == client.session.server()) index = server.index;
  });
  return index;
}

std::vector<std::string> World::asked() const {
  std::vector<std::string> all;
  for (const auto& fake : fakes_) all.insert(all.end(), fake->log.begin(), fake->log.end());
  return all;
}

uint64_t World::hits() const {
  uint64_t sum = 0;
  for (const auto& counter : context_.stats.hits) sum += counter.get();
  return sum;
}

uint64_t World::misses() const {
  return context_.stats.misses.get();
}

uint64_t World::bypasses(sql::BypassReason reason) const {
  return context_.stats.bypasses[static_cast<size_t>(reason)].get();
}

void World::pump() {
  while (true) {
    if (move_bytes()) continue;
    if (tasks_.empty()) return;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
}

bool World::take_client_output() {
  bool moved = false;
  clients_.for_each([&](SlotId, Client& client) {
    std::string& output = client.session.output();
    moved = moved || !output.empty();
    client.inbox += std::exchange(output, {});
  });
  return moved;
}

bool World::send(Server& server) {
  if (server.closing || server.connection->output().empty()) return false;
  fakes_[server.index]->receive(std::exchange(server.connection->output(), {}));
  return true;
}

bool World::deliver(Server& server, size_t bytes) {
  FakePostgres& fake = *fakes_[server.index];
  if (server.closing || server.held) return false;
  if (fake.out.empty()) {
    if (fake.ended()) server.connection->on_end();
    return fake.ended();
  }
  const std::string said = fake.out.substr(0, bytes);
  fake.out.erase(0, said.size());
  if (!every_byte) {
    server.connection->on_bytes(said);
    return true;
  }
  for (const char& byte : said) server.connection->on_bytes({&byte, 1});
  return true;
}

bool World::move_bytes() {
  bool moved = take_client_output();
  std::vector<SlotId> ids;
  servers_.for_each([&](SlotId id, Server&) { ids.push_back(id); });
  for (SlotId id : ids) {
    Server* server = servers_.find(id);
    if (server == nullptr) continue;
    moved = send(*server) || moved;
    moved = deliver(*server, std::string::npos) || moved;
  }
  return moved;
}

bool World::step(std::mt19937& random) {
  take_client_output();
  std::vector<SlotId> ids;
  servers_.for_each([&](SlotId id, Server&) { ids.push_back(id); });
  // Starts anywhere and takes the first thing that is due.
  const size_t choices = ids.size() * 2 + 1;
  const size_t start = random() % choices;
  for (size_t i = 0; i < choices; ++i) {
    const size_t choice = (start + i) % choices;
    if (choice == ids.size() * 2) {
      if (tasks_.empty()) continue;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
      return true;
    }
    Server& server = *servers_.find(ids[choice / 2]);
    if (choice % 2 == 0 ? send(server) : deliver(server, 1 + random() % 60)) return true;
  }
  return take_client_output();
}

// ---- SessionHost ----

void World::flush_later(ClientSession&) {}

void World::end(SlotId id) {
  Client* client = clients_.find(id);
  if (client == nullptr || std::exchange(client->closed, true)) return;
  client->inbox += std::exchange(client->session.output(), {});
  client->session.on_client_end();
}

void World::close_later(ClientSession& session) {
  tasks_.emplace_back([this, id = session.id()] { end(id); });
}

bool World::may_connect(const upstream::Pool& pool) const {
  return config.auth.mode == config::AuthMode::kTrust || pool.unchallenged();
}

upstream::ServerConnection* World::acquire(ClientSession& session, bool for_login) {
  upstream::Pool& pool = *session.pool();
  const upstream::Waiter waiter{0, session.id(), next_ticket_++, for_login};
  upstream::Grant grant = pool.acquire(waiter, may_connect(pool));
  while (grant.kind == upstream::Grant::Kind::kUse) {
    Server* server = servers_.find(grant.server.server);
    if (server != nullptr && !server->closing) {
      server->connection->set_user(&session);
      return server->connection.get();
    }
    grant = pool.acquire(waiter, may_connect(pool));  // it has just ended
  }
  act(grant, waiter, pool);
  return nullptr;
}

void World::act(const upstream::Grant& grant, const upstream::Waiter& waiter,
                upstream::Pool& pool) {
  using Kind = upstream::Grant::Kind;
  switch (grant.kind) {
    case Kind::kWait:
      return;
    case Kind::kUse:
      tasks_.emplace_back([this, server = grant.server.server, id = waiter.session, &pool] {
        give(server, id, pool);
      });
      return;
    case Kind::kReplace:
      tasks_.emplace_back([this, server = grant.server.server] { close(server, false); });
      [[fallthrough]];
    case Kind::kConnect:
      tasks_.emplace_back([this, id = waiter.session, &pool] { open(pool, id); });
      return;
    case Kind::kLost:
    case Kind::kFull:
      tasks_.emplace_back([this, id = waiter.session, kind = grant.kind] {
        Client* client = clients_.find(id);
        if (client == nullptr || client->closed) return;
        client->session.on_no_lease(kind == Kind::kLost ? NoLease::kPoolLost : NoLease::kFull, {});
      });
  }
}

bool World::wants(SlotId session) const {
  const Client* client = clients_.find(session);
  return client != nullptr && !client->closed && client->session.waiting_for_lease();
}

void World::give(SlotId id, SlotId session, upstream::Pool& pool) {
  Server* server = servers_.find(id);
  if (server == nullptr || server->closing) {
    if (!wants(session)) return;
    const upstream::Waiter waiter{0, session, next_ticket_++, false};
    return act(pool.acquire(waiter, may_connect(pool)), waiter, pool);
  }
  if (!wants(session)) return server_idle(*server->connection);
  ClientSession& taker = clients_.find(session)->session;
  server->connection->set_user(&taker);
  taker.on_lease(*server->connection);
}

void World::open(upstream::Pool& pool, SlotId session) {
  auto owned = std::make_unique<Server>();
  Server& server = *owned;
  server.index = servers_made_++;
  server.held = hold_new;
  fakes_.push_back(std::make_unique<FakePostgres>(data, next_process_id_++));
  fakes_.back()->login = login;
  server.connection =
      std::make_unique<upstream::ServerConnection>(*this, pool.database(), pool.user());
  upstream::ServerConnection& connection = *server.connection;
  connection.pool = &pool;
  connection.pool_generation = pool.generation();
  connection.observer =
      std::make_unique<TrackedWrites>(connection, databases_, epochs, prepared_, pools_);
  const SlotId id = servers_.insert(std::move(owned));
  connection.id = id;
  if (refuse_connections || !wants(session)) {
    close(id, true);
    if (wants(session)) {
      clients_.find(session)->session.on_no_lease(NoLease::kUnreachable, "refused");
    }
    return;
  }
  ClientSession& taker = clients_.find(session)->session;
  connection.set_user(&taker);
  connection.configuration = configuration();
  connection.start(std::nullopt, "nonce");
  taker.on_lease(connection);
}

void World::close(SlotId id, bool count) {
  std::unique_ptr<Server> server = servers_.take(id);
  if (!server || !count) return;
  upstream::Pool& pool = *server->connection->pool;
  upstream::Waiter next;
  upstream::Grant grant = pool.closed({0, id}, &next);
  for (; grant.kind == upstream::Grant::Kind::kLost; grant = pool.next_lost(&next))
    act(grant, next, pool);
  act(grant, next, pool);
}

void World::stop_waiting(ClientSession& session) {
  session.pool()->leave({0, session.id(), 0, false});
}

CancelKey World::register_cancel_key(ClientSession& session) {
  const uint32_t process_id = 100 + session.id().slot;
  tickets_[process_id] = session.id();
  return {process_id, "secret"};
}

void World::cancel(uint32_t process_id, std::string secret) {
  const auto at = tickets_.find(process_id);
  if (at == tickets_.end() || secret != "secret") return;
  Client* client = clients_.find(at->second);
  if (client != nullptr && !client->closed) client->session.on_cancel();
}

void World::cancel_server(upstream::ServerConnection& connection) {
  ++connection.cancels_open;
  connection.cancel_happened = true;
  tasks_.emplace_back([this, id = connection.id] {
    Server* server = servers_.find(id);
    if (server == nullptr) return;
    fakes_[server->index]->cancel();
    server->connection->cancel_finished();
  });
}

void World::tell_joiners(std::vector<cache::JoinerId> joiners, cache::CachedResultPtr result) {
  for (const cache::JoinerId& joiner : joiners) {
    tasks_.emplace_back([this, joiner, result] {
      Client* client = clients_.find(joiner.session);
      if (client != nullptr && !client->closed) client->session.on_flight(joiner.query, result);
    });
  }
}

void World::vacate_database(std::string_view name, const upstream::ServerConnection&) {
  databases_.port().release(name);
  for (upstream::Pool* pool : pools_.all()) {
    if (pool->database() != name) continue;
    for (const auto& server : pool->take_idle(0)) close(server.server, true);
  }
}

void World::resume_later(ClientSession& session) {
  tasks_.emplace_back([this, id = session.id()] {
    Client* client = clients_.find(id);
    if (client != nullptr && !client->closed) client->session.resume();
  });
}

// ---- ServerHost ----

void World::flush_later(upstream::ServerConnection&) {}

void World::server_idle(upstream::ServerConnection& connection) {
  connection.set_user(nullptr);
  PGR_ASSERT(connection.queue().empty() && !connection.queue().unsynced());
  PGR_ASSERT(!connection.queue().skipping_to_sync() && !connection.queue().uncertain());
  PGR_ASSERT(connection.status() == 'I');
  PGR_ASSERT(hostile || server(servers_.find(connection.id)->index).status() == 'I');
  upstream::Pool& pool = *connection.pool;
  if (connection.pool_generation != pool.generation()) {
    servers_.find(connection.id)->closing = true;
    tasks_.emplace_back([this, id = connection.id] { close(id, true); });
    return;
  }
  upstream::Waiter next;
  const upstream::Grant grant = pool.release({0, connection.id, connection.pool_generation}, &next);
  act(grant, next, pool);
}

void World::server_failed(upstream::ServerConnection& connection, std::string_view) {
  Server* server = servers_.find(connection.id);
  if (server == nullptr || std::exchange(server->closing, true)) return;
  tasks_.emplace_back([this, id = connection.id] { close(id, true); });
}

void World::kill(size_t index, std::string_view sqlstate) {
  Server& server = of(index);
  upstream::ServerConnection& connection = *server.connection;
  const std::string said = std::exchange(fakes_[index]->out, {});
  if (!server.held) connection.on_bytes(said);
  if (!sqlstate.empty()) {
    fakes_[index]->die();
    std::string bytes;
    wire::append_error(bytes, "FATAL", sqlstate, "terminating");
    connection.on_bytes(bytes);
  }
  connection.on_end();
  pump();
}

void World::wake(size_t index) {
  fakes_.at(index)->wake();
  for (invalidation::FenceToken fence : std::exchange(orphans_[fakes_[index]->process_id()], {})) {
    epochs.settle_committed(fence);
  }
}

// ---- CatalogPort, CountPort, the outside ----

void World::publish(bool changed) {
  DatabaseState& state = database();
  const uint64_t suspicions = state.suspicions();
  if (changed) ++catalog_version_;
  state.publish(make_catalog(catalog_version_, login_triggers), suspicions);
}

void World::reread(DatabaseState&, invalidation::FenceToken fence, bool certain) {
  tasks_.emplace_back([this, fence, certain] {
    if (publish_catalogs) publish(certain);
    if (fence != 0) epochs.settle_committed(fence);
  });
}

void World::settle_when_gone(DatabaseState&, uint32_t process_id, std::string,
                             std::vector<invalidation::FenceToken> fences) {
  for (const auto& fake : fakes_) {
    if (fake->process_id() != process_id || !fake->sleeping()) continue;
    auto& waiting = orphans_[process_id];
    waiting.insert(waiting.end(), fences.begin(), fences.end());
    return;
  }
  unsettled.insert(unsettled.end(), fences.begin(), fences.end());
  if (!settle_gone) return;
  for (invalidation::FenceToken fence : unsettled) epochs.settle_committed(fence);
  unsettled.clear();
}

bool World::estimate(DatabaseState&, sql::Oid relation, sql::Oid, const policy::Policy&,
                     const invalidation::Stamp&, int64_t* rows) {
  const auto at = estimates.find(relation);
  if (at == estimates.end()) return false;
  *rows = at->second;
  return true;
}

invalidation::DependencyId World::table_id(std::string_view name) {
  const auto catalog = database().catalog();
  return database().relation_dependency(catalog->relation(kPublic, name)->oid);
}

void World::outside_write(std::string_view table_name) {
  ++data.versions["public." + std::string(table_name)];
  const invalidation::DependencyId ids[] = {table_id(table_name)};
  epochs.advance(ids);
}

void World::catalog_changes() {
  const invalidation::DependencyId ids[] = {database().database_dependency()};
  database().suspect();
  epochs.advance(ids);
  pump();
}

}  // namespace pgrecall::session::testing
