// The servers' side of a worker: leases, hand-over between workers, connecting, closing.
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "pgrecall/base/fault.h"
#include "pgrecall/base/log.h"
#include "pgrecall/net/random.h"
#include "pgrecall/session/tracked_writes.h"
#include "pgrecall/wire/builder.h"
#include "proxy/worker.h"

namespace pgrecall::proxy {

using upstream::Grant;
using upstream::Pool;
using upstream::ServerRef;
using upstream::Waiter;

namespace {

/// How soon the server refuses a command about a database that it will not run.
constexpr auto kRefusedWithin = std::chrono::milliseconds(200);

}  // namespace

bool Worker::may_connect(const Pool& pool) const {
  return shared_.config.auth.mode == config::AuthMode::kTrust || pool.unchallenged();
}

bool Worker::outdated(const upstream::ServerConnection& server) const {
  return server.baseline()->configuration != shared_.databases.port().configuration();
}

void Worker::inspect_again(upstream::ServerConnection& server) {
  ServerLink* link = servers_.find(server.id);
  PGR_ASSERT(link != nullptr);
  // As a login, it has so long; it is older than the deadline of its own.
  link->connect_deadline = loop_->now() + shared_.config.upstream.connect_timeout;
  link->relayed_login = false;
  server.configuration = shared_.databases.port().configuration();
  server.inspect_again();
}

upstream::ServerConnection* Worker::acquire(session::ClientSession& session, bool login) {
  ClientLink* link = clients_.find(session.id());
  PGR_ASSERT(link != nullptr && session.pool() != nullptr);
  Pool& pool = *session.pool();
  const Waiter waiter{index_, link->id, next_ticket_++, login};
  link->ticket = waiter.ticket;
  link->waiting_since = loop_->now();
  Grant grant = pool.acquire(waiter, may_connect(pool));
  while (grant.kind == Grant::Kind::kUse && grant.server.worker == index_) {
    ServerLink* server = servers_.find(grant.server.server);
    if (server != nullptr && !server->closing) {
      if (outdated(*server->connection)) {
        loop_->defer([this, id = server->id, client = session.id(), &pool] {
          give_local(id, client, pool);
          flush_outputs();
        });
        return nullptr;
      }
      server->connection->set_user(&session);
      return server->connection.get();
    }
    // It has just ended; its place is given up when this turn is over.
    grant = pool.acquire(waiter, may_connect(pool));
  }
  act(grant, waiter, pool);
  return nullptr;
}

void Worker::act(const Grant& grant, const Waiter& waiter, Pool& pool) {
  // Nothing here may call a session back at once: it may be the one that is asking.
  switch (grant.kind) {
    case Grant::Kind::kWait:
      return;
    case Grant::Kind::kUse:
      return give(grant.server, waiter, pool);
    case Grant::Kind::kReplace:
      close_remote(grant.server, pool);
      [[fallthrough]];
    case Grant::Kind::kConnect: {
      Worker& owner = *peers_[waiter.worker];
      return owner.post([&owner, &pool, id = waiter.session] { owner.open_server(pool, id); });
    }
    case Grant::Kind::kLost:
    case Grant::Kind::kFull: {
      const auto why =
          grant.kind == Grant::Kind::kLost ? session::NoLease::kPoolLost : session::NoLease::kFull;
      Worker& owner = *peers_[waiter.worker];
      return owner.post([&owner, id = waiter.session, why] { owner.refuse(id, why, {}); });
    }
  }
}

void Worker::refuse(SlotId session, session::NoLease why, std::string detail) {
  ClientLink* link = clients_.find(session);
  if (link != nullptr && !link->ended) link->session.on_no_lease(why, detail);
}

void Worker::give(ServerRef server, const Waiter& to, Pool& pool) {
  Worker& holder = *peers_[server.worker];
  if (server.worker == to.worker) {
    return holder.post([&holder, id = server.server, session = to.session, &pool] {
      holder.give_local(id, session, pool);
    });
  }
  Worker& taker = *peers_[to.worker];
  holder.post([&holder, &taker, id = server.server, to, &pool] {
    ServerLink* link = holder.servers_.find(id);
    if (link == nullptr || link->closing) {
      // It ended on the way; its place has been given up already: ask again.
      const Grant again = pool.acquire(to, holder.may_connect(pool));
      return holder.act(again, to, pool);
    }
    std::shared_ptr<ServerLink> moved = holder.servers_.take(id);
    const int fd = moved->stream->detach();
    moved->stream = nullptr;
    taker.post([&taker, moved, fd, session = to.session]() mutable {
      auto fresh = std::make_unique<ServerLink>(taker, taker, moved->connection->database(),
                                                moved->connection->user_name());
      fresh->connection = std::move(moved->connection);
      taker.take_over(std::move(fresh), fd, session);
    });
  });
}

void Worker::take_over(std::unique_ptr<ServerLink> owned, int fd, SlotId session) {
  ServerLink& link = *owned;
  link.connected = true;
  link.connection->set_host(*this);
  link.id = servers_.insert(std::move(owned));
  link.connection->id = link.id;
  link.stream = net::Stream::adopt(*loop_, fd, link);
  give_local(link.id, session, *link.connection->pool);
}

void Worker::give_local(SlotId server, SlotId session, Pool& pool) {
  ServerLink* link = servers_.find(server);
  ClientLink* client = clients_.find(session);
  const bool wanted = client != nullptr && !client->ended && client->session.waiting_for_lease();
  if (link == nullptr || link->closing) {
    if (!wanted) return;
    const Waiter waiter{index_, session, client->ticket, !client->session.logged_in()};
    return act(pool.acquire(waiter, may_connect(pool)), waiter, pool);
  }
  if (!wanted) return server_idle(*link->connection);
  note_wait(*client, pool, false);
  link->connection->set_user(&client->session);
  if (outdated(*link->connection)) inspect_again(*link->connection);
  client->session.on_lease(*link->connection);
}

void Worker::stop_waiting(session::ClientSession& session) {
  ClientLink* link = clients_.find(session.id());
  if (link == nullptr || session.pool() == nullptr) return;
  // If it is not in line any more, what it was granted goes back when it arrives.
  session.pool()->leave({index_, link->id, link->ticket, false});
}

void Worker::server_ready(upstream::ServerConnection& server) {
  if (!server.observer) {
    // Only now is it known that there is such a database.
    server.observer = std::make_unique<session::TrackedWrites>(
        server, shared_.databases, shared_.epochs, shared_.prepared, shared_.pools);
    server.pool->opened();
    const ServerLink* link = servers_.find(server.id);
    const ClientLink* client = clients_.find(link->connecting_for);
    if (client != nullptr && client->session.waiting_for_lease())
      note_wait(*client, *server.pool, false);
  }
}

void Worker::note_wait(const ClientLink& client, Pool& pool, bool in_vain) {
  using std::chrono::milliseconds;
  pool.waited(std::chrono::duration_cast<milliseconds>(loop_->now() - client.waiting_since),
              in_vain);
}

void Worker::server_idle(upstream::ServerConnection& server) {
  ServerLink* link = servers_.find(server.id);
  PGR_ASSERT(link != nullptr);
  server.set_user(nullptr);
  Pool& pool = *server.pool;
  const bool last = pool.numbers().connections <= 1 && !may_connect(pool);
  if (draining_ || expired(*link) || (retired(server) && !last)) {
    return loop_->defer([this, id = link->id] { close_server(id, true); });
  }
  server.idle_since = loop_->now();
  if (link->stream && !link->stream->reading()) link->stream->resume_reading();
  Waiter next;
  const ServerRef ref{index_, link->id, server.pool_generation};
  const Grant grant = pool.release(ref, &next);
  act(grant, next, pool);
}

/// It looks as none does any more. One that is inspected before its next use may look like the
/// others then; where only clients can make another, that is waited for.
bool Worker::retired(const upstream::ServerConnection& server) const {
  if (server.pool_generation == server.pool->generation()) return false;
  return may_connect(*server.pool) || (server.baseline() != nullptr && !outdated(server));
}

bool Worker::expired(const ServerLink& link) const {
  return loop_->now() - link.connection->born > shared_.config.pool.server_lifetime &&
         may_connect(*link.connection->pool);
}

void Worker::check_server(ServerLink& link, TimePoint now, std::vector<SlotId>& old) {
  const bool login_waits = !link.connection->ready() && !link.relayed_login;
  if (!link.connected || login_waits) {
    if (now >= link.connect_deadline) old.push_back(link.id);
    return;
  }
  if (link.closing || link.connection->user() != nullptr) return;
  Pool& pool = *link.connection->pool;
  const bool idle_long = now - link.connection->idle_since > shared_.config.pool.idle_timeout;
  // Under passthrough the last connection of a pool cannot be made again without a client.
  const bool last = pool.numbers().connections <= 1 && !may_connect(pool);
  if ((idle_long || expired(link) || retired(*link.connection)) && !last) {
    if (pool.take_idle(ServerRef{index_, link.id})) old.push_back(link.id);
  }
}

void Worker::open_server(Pool& pool, SlotId session) {
  auto owned = std::make_unique<ServerLink>(*this, *this, pool.database(), pool.user());
  ServerLink& link = *owned;
  link.id = servers_.insert(std::move(owned));
  link.connecting_for = session;
  link.connect_deadline = loop_->now() + shared_.config.upstream.connect_timeout;
  upstream::ServerConnection& connection = *link.connection;
  connection.id = link.id;
  connection.pool = &pool;
  connection.pool_generation = pool.generation();
  connection.born = connection.idle_since = loop_->now();
  link.resolution = net::resolve(*loop_, upstream_,
                                 [this, id = link.id](Result<std::vector<net::Address>> addresses) {
                                   ServerLink* waiting = servers_.find(id);
                                   if (waiting == nullptr) return;
                                   if (!addresses.ok())
                                     return connect_failed(*waiting, EHOSTUNREACH);
                                   waiting->addresses = std::move(addresses.value());
                                   connect_next(*waiting);
                                 });
}

void Worker::connect_next(ServerLink& link) {
  const net::Address address = link.addresses.front();
  link.addresses.erase(link.addresses.begin());
  link.stream = net::Stream::connect(*loop_, address, link);
}

void Worker::connect_failed(ServerLink& link, int error) {
  if (!link.addresses.empty() && error != ETIMEDOUT) {
    return loop_->defer([this, id = link.id] {
      if (ServerLink* again = servers_.find(id)) connect_next(*again);
    });
  }
  log::warn("cannot connect to the server",
            {{"server", upstream_.text()}, {"error", std::strerror(error)}});
  const SlotId session = link.connecting_for;
  loop_->defer([this, id = link.id, session, error] {
    close_server(id, true);
    refuse(session, session::NoLease::kUnreachable, std::strerror(error));
    flush_outputs();
  });
}

void Worker::server_connected(ServerLink& link) {
  ClientLink* client = clients_.find(link.connecting_for);
  const bool wanted = client != nullptr && !client->ended && client->session.waiting_for_lease();
  std::optional<std::string> password;
  const config::Upstream& upstream = shared_.config.upstream;
  if (shared_.config.auth.mode == config::AuthMode::kTrust &&
      link.connection->user_name() == upstream.user && !upstream.password.empty()) {
    password = upstream.password;
  }
  if (!wanted) return loop_->defer([this, id = link.id] { close_server(id, true); });
  std::string nonce;
  for (int i = 0; i < 3; ++i) nonce += std::to_string(net::secure_random_u64());
  link.relayed_login = !client->session.logged_in();
  link.connection->set_user(&client->session);
  link.connection->configuration = shared_.databases.port().configuration();
  link.connection->start(std::move(password), std::move(nonce));
  client->session.on_lease(*link.connection);
}

void Worker::flush_later(upstream::ServerConnection& server) {
  ServerLink* link = servers_.find(server.id);
  if (link == nullptr || std::exchange(link->dirty, true)) return;
  dirty_servers_.push_back(link->id);
}

void Worker::flush_server(ServerLink& link) {
  link.dirty = false;
  std::string& output = link.connection->output();
  if (output.empty() || !link.stream) return;
  link.stream->write(output);
  context_.stats.bytes_to_servers.add(output.size());
  if (output.capacity() > ByteBuffer::kKeepBytes)
    std::string().swap(output);
  else
    output.clear();
  if (link.stream->pending() < kPendingMax || link.connection->user() == nullptr) return;
  // A client that sends faster than the server takes is not read for a while.
  clients_.for_each([&](SlotId id, ClientLink& client) {
    if (client.session.server() != link.connection.get() || !client.stream || client.ended) return;
    client.stream->pause_reading();
    client.paused_by_server = true;
    link.paused_client = id;
  });
}

void Worker::server_failed(upstream::ServerConnection& server, std::string_view why) {
  ServerLink* link = servers_.find(server.id);
  if (link == nullptr || link->closing) return;
  log::info("server connection ended",
            {{"database", server.database()}, {"user", server.user_name()}, {"why", why}});
  if (server.lost_unexpectedly()) suspect_crash();
  link->closing = true;
  loop_->defer([this, id = link->id] { close_server(id, true); });
}

void Worker::suspect_crash() {
  // Rule 11: a crash of the server can take back commits that it had acknowledged.
  if (fault(Fault::kGenerationKept)) return;
  for (session::DatabaseState* database : shared_.databases.all()) database->suspect();
  shared_.epochs.advance_all();
}

void Worker::close_server(SlotId id, bool count) {
  std::unique_ptr<ServerLink> link = servers_.take(id);
  if (!link) return;
  PGR_ASSERT(link->connection->user() == nullptr);  // it would go on with what is gone
  if (link->stream && link->connected) {
    wire::append_terminate(link->connection->output());
    link->stream->write(link->connection->output());
  }
  if (!count) return;
  const std::string database = link->connection->database(), user = link->connection->user_name();
  place_freed(*link->connection->pool, {index_, id}, link->connection->observer != nullptr);
  shared_.pools.forget_unproven(database, user);
}

void Worker::place_freed(Pool& pool, ServerRef server, bool was_open) {
  Waiter next;
  Grant grant = pool.closed(server, &next, was_open);
  for (; grant.kind == Grant::Kind::kLost; grant = pool.next_lost(&next)) act(grant, next, pool);
  act(grant, next, pool);
}

void Worker::close_remote(ServerRef server, Pool& pool) {
  Worker& owner = *peers_[server.worker];
  owner.post([&owner, &pool, server] {
    owner.close_server(server.server, false);
    pool.replaced(server);
  });
}

void Worker::vacate_database(std::string_view database, const upstream::ServerConnection& by) {
  vacating_.push_back({by.id, std::string(database), loop_->now()});
}

/// PostgreSQL refuses such a command at once, or waits five seconds for other sessions to end. Only
/// when it waits is it worth a pool that cannot be made again without its clients; and what becomes
/// idle while it waits is closed, too.
void Worker::vacate_databases(TimePoint now) {
  std::erase_if(vacating_, [&](const Vacating& command) {
    const ServerLink* link = servers_.find(command.server);
    return link == nullptr || link->closing || link->connection->queue().empty();
  });
  for (const Vacating& command : vacating_) {
    if (now - command.since >= kRefusedWithin) close_idle_servers(command.database);
  }
}

void Worker::close_idle_servers(const std::string& database) {
  shared_.databases.port().release(database);
  for (Pool* pool : shared_.pools.all()) {
    if (pool->database() != database) continue;
    for (const ServerRef& server : pool->take_idle(0)) {
      Worker& owner = *peers_[server.worker];
      if (server.worker == index_)
        close_server(server.server, true);
      else
        owner.post([&owner, id = server.server] { owner.close_server(id, true); });
    }
  }
}

void Worker::cancel_server(upstream::ServerConnection& server) {
  if (server.process_id() == 0) return;
  std::string packet;
  wire::append_cancel_request(packet, server.process_id(), server.cancel_key());
  auto owned = std::make_unique<CancelLink>(*this, server.id, std::move(packet));
  CancelLink& link = *owned;
  link.id = cancel_links_.insert(std::move(owned));
  link.deadline = loop_->now() + shared_.config.upstream.connect_timeout;
  ++server.cancels_open;
  server.cancel_happened = true;
  link.resolution = net::resolve(*loop_, upstream_,
                                 [this, id = link.id](Result<std::vector<net::Address>> addresses) {
                                   CancelLink* waiting = cancel_links_.find(id);
                                   if (waiting == nullptr) return;
                                   if (!addresses.ok()) return cancel_ended(*waiting);
                                   waiting->addresses = std::move(addresses.value());
                                   cancel_next(*waiting);
                                 });
}

void Worker::cancel_next(CancelLink& link) {
  loop_->defer([this, id = link.id] {
    CancelLink* waiting = cancel_links_.find(id);
    if (waiting == nullptr || waiting->addresses.empty()) return;
    const net::Address address = waiting->addresses.front();
    waiting->addresses.erase(waiting->addresses.begin());
    waiting->stream = net::Stream::connect(*loop_, address, *waiting);
  });
}

void Worker::cancel_ended(CancelLink& link) {
  const SlotId id = link.id;
  const SlotId server = link.server;
  link.server = {};
  if (ServerLink* owner = servers_.find(server)) owner->connection->cancel_finished();
  loop_->defer([this, id] { cancel_links_.take(id); });
}

}  // namespace pgrecall::proxy
