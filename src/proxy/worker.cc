// The clients' side of a worker.
#include "proxy/worker.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "pgrecall/base/log.h"
#include "pgrecall/net/random.h"
#include "pgrecall/wire/builder.h"

namespace pgrecall::proxy {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

TimePoint steady_now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Worker::Worker(WorkerOptions options, std::unique_ptr<net::Loop> loop)
    : index_(options.index),
      shared_(options.shared),
      cancels_(options.cancels),
      upstream_(options.upstream),
      peers_(options.peers),
      loop_(std::move(loop)),
      tier_two_(options.redis ? std::make_unique<TierTwo>(*loop_, std::move(*options.redis),
                                                          options.generation, *options.redis_report,
                                                          options.index)
                              : nullptr),
      context_{shared_,
               *this,
               loop_->clock(),
               index_,
               shared_.stats.worker(index_),
               session::StatementMemo(shared_, shared_.stats.worker(index_),
                                      shared_.config.cache.memo_size_bytes /
                                          std::max<size_t>(1, shared_.config.workers)),
               tier_two_.get(),
               &steady_now,
               net::secure_random_u64() | 1} {}

Worker::~Worker() = default;

void Worker::run() {
  ticker_ = loop_->make_timer([this] {
    tick();
    flush_outputs();
  });
  ticker_->start(kTick, kTick);
  loop_->run();
  // Two-step end: nothing runs any more, now everything goes.
  ticker_ = nullptr;
  std::vector<SlotId> ids;
  clients_.for_each([&](SlotId id, ClientLink&) { ids.push_back(id); });
  for (SlotId id : ids) finish_client(id);
  ids.clear();
  servers_.for_each([&](SlotId id, ServerLink&) { ids.push_back(id); });
  for (SlotId id : ids) close_server(id, false);
  ids.clear();
  cancel_links_.for_each([&](SlotId id, CancelLink&) { ids.push_back(id); });
  for (SlotId id : ids) cancel_links_.take(id);
}

void Worker::post(std::function<void()> task) {
  loop_->post([this, task = std::move(task)] {
    task();
    flush_outputs();
  });
}

void Worker::stop() {
  loop_->stop();
}

void Worker::adopt_client(net::Accepted accepted) {
  client_count_.fetch_add(1, std::memory_order_relaxed);
  post([this, accepted = std::move(accepted)] {
    auto owned = std::make_unique<ClientLink>(*this, context_,
                                              session::PeerInfo{accepted.peer, accepted.is_local});
    ClientLink& link = *owned;
    link.id = clients_.insert(std::move(owned));
    link.session.set_id(link.id);
    link.connected_at = loop_->now();
    link.stream = net::Stream::adopt(*loop_, accepted.fd, link);
    context_.stats.clients.add();
    context_.stats.clients_total.add();
  });
}

void Worker::flush_later(session::ClientSession& session) {
  ClientLink* link = clients_.find(session.id());
  if (link == nullptr || std::exchange(link->dirty, true)) return;
  dirty_clients_.push_back(link->id);
}

void Worker::flush_outputs() {
  // Sending may end a peer, which appends more; the lists grow while they are walked.
  for (size_t i = 0; i < dirty_clients_.size(); ++i) {
    if (ClientLink* link = clients_.find(dirty_clients_[i])) flush_client(*link);
  }
  dirty_clients_.clear();
  for (size_t i = 0; i < dirty_servers_.size(); ++i) {
    if (ServerLink* link = servers_.find(dirty_servers_[i])) flush_server(*link);
  }
  dirty_servers_.clear();
  if (!backlogged_.empty()) review_backlogged();
}

/// A backlog shrinks for many reasons (an answer, a flight, a lease), so whatever happened, who was
/// paused for it is looked at again.
void Worker::review_backlogged() {
  for (const SlotId id : std::exchange(backlogged_, {})) {
    ClientLink* link = clients_.find(id);
    if (link == nullptr) continue;
    link->backlogged = false;
    update_reading(*link);
  }
}

void Worker::flush_client(ClientLink& link) {
  link.dirty = false;
  std::string& output = link.session.output();
  if (output.empty() || !link.stream) return;
  link.stream->write(output);
  context_.stats.bytes_to_clients.add(output.size());
  if (output.capacity() > ByteBuffer::kKeepBytes)
    std::string().swap(output);
  else
    output.clear();
  if (link.stream->pending() < kPendingMax) return;
  link.session.set_output_full(true);
  upstream::ServerConnection* server = link.session.server();
  if (server == nullptr) return;
  if (ServerLink* other = servers_.find(server->id)) {
    if (other->stream) other->stream->pause_reading();
    link.paused_server = other->id;
  }
}

void Worker::resume_paused(SlotId client, SlotId server) {
  if (ClientLink* link = clients_.find(client)) {
    link->paused_by_server = false;
    if (link->stream && !link->ended) link->stream->resume_reading();
  }
  if (ServerLink* link = servers_.find(server)) {
    if (link->stream) link->stream->resume_reading();
  }
}

void Worker::update_reading(ClientLink& link) {
  if (!link.stream || link.ended) return;
  const bool full = !link.session.wants_input();
  if (full && !std::exchange(link.backlogged, true)) backlogged_.push_back(link.id);
  if (full && link.stream->reading())
    link.stream->pause_reading();
  else if (!full && !link.stream->reading() && !link.paused_by_server)
    link.stream->resume_reading();
}

void Worker::close_later(session::ClientSession& session) {
  const SlotId id = session.id();
  loop_->defer([this, id] {
    ClientLink* link = clients_.find(id);
    if (link == nullptr || std::exchange(link->ended, true)) return;
    flush_client(*link);
    link->session.on_client_end();
    if (link->stream) link->stream->shutdown_after_flush();
    flush_outputs();
  });
}

void Worker::client_ended(ClientLink& link) {
  if (!std::exchange(link.ended, true)) link.session.on_client_end();
  // The handler is running inside the stream: the link goes when the turn ends.
  loop_->defer([this, id = link.id] { finish_client(id); });
}

void Worker::finish_client(SlotId id) {
  ClientLink* link = clients_.find(id);
  if (link == nullptr) return;
  if (!std::exchange(link->ended, true)) link->session.on_client_end();
  if (link->cancel_id != 0) cancels_.remove(link->cancel_id);
  resume_paused({}, link->paused_server);
  clients_.take(id);
  client_count_.fetch_sub(1, std::memory_order_relaxed);
  context_.stats.clients.subtract();
}

void Worker::resume_later(session::ClientSession& session) {
  loop_->defer([this, id = session.id()] {
    ClientLink* link = clients_.find(id);
    if (link == nullptr || link->ended) return;
    link->session.resume();
    update_reading(*link);
    flush_outputs();
  });
}

session::CancelKey Worker::register_cancel_key(session::ClientSession& session) {
  session::CancelKey key = cancels_.add({index_, session.id()});
  if (ClientLink* link = clients_.find(session.id())) link->cancel_id = key.process_id;
  return key;
}

void Worker::cancel(uint32_t process_id, std::string secret) {
  const auto target = cancels_.find(process_id, secret);
  if (!target) return;
  Worker& owner = *peers_[target->worker];
  owner.post([&owner, id = target->session] {
    if (ClientLink* link = owner.clients_.find(id)) link->session.on_cancel();
  });
}

void Worker::tell_joiners(std::vector<cache::JoinerId> joiners, cache::CachedResultPtr result) {
  for (const cache::JoinerId& joiner : joiners) {
    Worker& owner = *peers_[joiner.worker];
    owner.post([&owner, joiner, result] {
      ClientLink* link = owner.clients_.find(joiner.session);
      if (link != nullptr && !link->ended) link->session.on_flight(joiner.query, result);
    });
  }
}

void Worker::drain(bool now) {
  post([this, now] {
    draining_ = true;
    clients_.for_each([&](SlotId, ClientLink& link) {
      if (!link.ended) link.session.shut_down(now);
    });
  });
}

void Worker::tick() {
  const TimePoint now = loop_->now();
  review_pinned();
  if (index_ == 0) expire_catalogs();
  if (tier_two_) tier_two_->note();
  memo_bytes_.store(context_.memo.bytes(), std::memory_order_relaxed);
  memo_entries_.store(context_.memo.entries(), std::memory_order_relaxed);
  vacate_databases(now);
  std::vector<SlotId> waiting;
  clients_.for_each([&](SlotId id, ClientLink& link) {
    if (!link.ended && (link.session.waiting_for_lease() || !link.session.logged_in())) {
      waiting.push_back(id);
    }
  });
  for (SlotId id : waiting) {
    if (ClientLink* link = clients_.find(id)) check_waiting(*link, now);
  }
  std::vector<SlotId> old;
  servers_.for_each([&](SlotId, ServerLink& link) { check_server(link, now, old); });
  for (SlotId id : old) {
    ServerLink* link = servers_.find(id);
    if (link != nullptr && !link->connected)
      connect_failed(*link, ETIMEDOUT);
    else if (link != nullptr && link->connection->user() != nullptr)
      link->connection->abandon();  // who waits for it is told, and it is closed
    else if (link != nullptr)
      close_server(id, true);
  }
  std::vector<SlotId> late;
  cancel_links_.for_each([&](SlotId id, CancelLink& link) {
    if (now >= link.deadline) late.push_back(id);
  });
  for (SlotId id : late) {
    if (CancelLink* link = cancel_links_.find(id)) cancel_ended(*link);
  }
}

void Worker::expire_catalogs() {
  // A hung server confirms nothing, and what was done past pgrecall would stay unseen.
  const Duration interval = shared_.config.feed.catalog_interval;
  const TimePoint oldest = steady_now() - std::max<Duration>(5 * interval, std::chrono::seconds(5));
  for (session::DatabaseState* database : shared_.databases.all()) database->expire(oldest);
}

void Worker::check_waiting(ClientLink& link, TimePoint now) {
  if (!link.session.logged_in() && now - link.connected_at > shared_.config.auth.login_timeout) {
    return link.session.on_login_timeout();
  }
  if (!link.session.waiting_for_lease()) return;
  if (now - link.waiting_since < shared_.config.pool.wait_timeout) return;
  upstream::Pool* pool = link.session.pool();
  if (pool != nullptr && pool->leave({index_, link.id, link.ticket, false})) {
    note_wait(link, *pool, true);
    link.session.on_no_lease(session::NoLease::kTimeout, {});
  }
}

void Worker::review_pinned() {
  std::vector<admin::PinnedClient> pinned;
  const TimePoint now = loop_->now();
  clients_.for_each([&](SlotId, ClientLink& link) {
    if (link.session.pins() != 0 && !link.ended) link.session.review_pins();
    if (link.session.pins() == 0 || link.ended) {
      link.pinned_since = {};
      return;
    }
    if (link.pinned_since == TimePoint{}) link.pinned_since = now;
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - link.pinned_since);
    pinned.push_back({link.session.database(), link.session.user(), link.session.pin_names(),
                      static_cast<uint64_t>(age.count()), link.session.server() != nullptr});
  });
  std::lock_guard lock(pinned_mutex_);
  pinned_ = std::move(pinned);
}

std::vector<admin::PinnedClient> Worker::pinned() const {
  std::lock_guard lock(pinned_mutex_);
  return pinned_;
}

void Worker::refuse_client(net::Accepted accepted) {
  client_count_.fetch_add(1, std::memory_order_relaxed);
  post([this, accepted = std::move(accepted)] {
    auto owned = std::make_unique<ClientLink>(*this, context_,
                                              session::PeerInfo{accepted.peer, accepted.is_local});
    ClientLink& link = *owned;
    link.id = clients_.insert(std::move(owned));
    link.session.set_id(link.id);
    link.connected_at = loop_->now();
    link.stream = net::Stream::adopt(*loop_, accepted.fd, link);
    context_.stats.clients.add();
    link.session.refuse("53300", "too many clients (limits.clients)");
  });
}

}  // namespace pgrecall::proxy
