#include "pgrecall/upstream/pool.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/assert.h"

namespace pgrecall::upstream {

Pool::Pool(std::string database, std::string user, uint32_t size_max, uint32_t waiters_max)
    : database_(std::move(database)),
      user_(std::move(user)),
      size_max_(size_max),
      waiters_max_(waiters_max) {}

Grant Pool::acquire(const Waiter& waiter, bool may_connect) {
  std::lock_guard lock(mutex_);
  may_connect_ = may_connect_ || may_connect;
  if (!waiter.login && !idle_.empty()) {
    // The last one used by the same worker needs no hand-over.
    auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const ServerRef& server) {
      return server.worker == waiter.worker;
    });
    auto at = found == idle_.rend() ? std::prev(idle_.end()) : std::prev(found.base());
    // One of an older generation shows defaults that are not those of today: it is used only where
    // nothing else can be had.
    if (at->generation != generation_) {
      auto current = std::find_if(idle_.begin(), idle_.end(), [&](const ServerRef& server) {
        return server.generation == generation_;
      });
      if (current != idle_.end())
        at = current;
      else if (may_connect_) {
        const ServerRef old = *at;
        idle_.erase(at);
        return replace(old);
      }
    }
    const Grant grant{Grant::Kind::kUse, *at};
    idle_.erase(at);
    return grant;
  }
  if (waiter.login || may_connect_) {
    if (connections_ < size_max_) return connect();
    if (!idle_.empty()) {
      const ServerRef oldest = idle_.front();
      idle_.pop_front();
      return replace(oldest);
    }
  } else if (connections_ == 0) {
    return {Grant::Kind::kLost, {}};
  }
  if (waiters_.size() >= waiters_max_) return {Grant::Kind::kFull, {}};
  waiters_.push_back(waiter);
  return {Grant::Kind::kWait, {}};
}

Grant Pool::release(ServerRef server, Waiter* next) {
  std::lock_guard lock(mutex_);
  if (waiters_.empty()) {
    idle_.push_back(server);
    return {Grant::Kind::kWait, {}};
  }
  *next = waiters_.front();
  waiters_.pop_front();
  if (next->login) return replace(server);
  return {Grant::Kind::kUse, server};
}

Grant Pool::connect() {
  ++connections_;
  ++opening_;
  return {Grant::Kind::kConnect, {}};
}

void Pool::opened() {
  std::lock_guard lock(mutex_);
  PGR_ASSERT(opening_ > 0);
  --opening_;
  ++opened_;
}

void Pool::waited(std::chrono::milliseconds time, bool in_vain) {
  std::lock_guard lock(mutex_);
  wait_max_ = std::max(wait_max_, time);
  wait_timeouts_ += in_vain ? 1 : 0;
}

Grant Pool::replace(ServerRef server) {
  ++opening_;
  being_replaced_.push_back(server);
  return {Grant::Kind::kReplace, server};
}

Grant Pool::closed(ServerRef server, Waiter* next, bool was_open) {
  std::lock_guard lock(mutex_);
  closed_ += was_open ? 1 : 0;
  if (std::erase(being_replaced_, server) > 0) return {Grant::Kind::kWait, {}};
  PGR_ASSERT(connections_ > 0);
  --connections_;
  opening_ -= was_open ? 0 : 1;
  std::erase(idle_, server);
  return next_in_line(next);
}

Grant Pool::next_in_line(Waiter* next) {
  for (auto at = waiters_.begin(); at != waiters_.end(); ++at) {
    if (!at->login && !may_connect_) continue;
    *next = *at;
    waiters_.erase(at);
    return connect();
  }
  if (connections_ == 0 && !waiters_.empty()) {
    *next = waiters_.front();
    waiters_.pop_front();
    return {Grant::Kind::kLost, {}};
  }
  return {Grant::Kind::kWait, {}};
}

void Pool::replaced(ServerRef server) {
  std::lock_guard lock(mutex_);
  closed_ += std::erase(being_replaced_, server);
}

bool Pool::leave(const Waiter& waiter) {
  std::lock_guard lock(mutex_);
  return std::erase_if(waiters_, [&](const Waiter& other) {
           return other.worker == waiter.worker && other.session == waiter.session;
         }) > 0;
}

std::vector<ServerRef> Pool::take_idle(uint32_t keep) {
  std::lock_guard lock(mutex_);
  std::vector<ServerRef> taken;
  while (idle_.size() > keep) {
    taken.push_back(idle_.front());
    idle_.pop_front();
  }
  return taken;
}

bool Pool::take_idle(ServerRef server) {
  std::lock_guard lock(mutex_);
  return std::erase(idle_, server) > 0;
}

Grant Pool::next_lost(Waiter* next) {
  std::lock_guard lock(mutex_);
  // A login that came meanwhile makes a connection, for them as well.
  return connections_ > 0 ? Grant{} : next_in_line(next);
}

uint64_t Pool::set_baseline(std::shared_ptr<const Baseline> baseline) {
  std::lock_guard lock(mutex_);
  // A new look means that defaults changed behind us: what still has the old one retires.
  if (baseline_ && baseline_->hash != baseline->hash) ++generation_;
  baseline_ = std::move(baseline);
  return generation_;
}

std::shared_ptr<const Baseline> Pool::baseline_like(uint64_t hash, uint64_t configuration) const {
  std::lock_guard lock(mutex_);
  const bool same =
      baseline_ && baseline_->hash == hash && baseline_->configuration == configuration;
  return same ? baseline_ : nullptr;
}

void Pool::share(ParameterStatuses& parameters) {
  std::lock_guard lock(mutex_);
  if (parameters_.all() == parameters.all())
    parameters = parameters_;
  else
    parameters_ = parameters;
}

std::shared_ptr<const Baseline> Pool::baseline() const {
  std::lock_guard lock(mutex_);
  return baseline_;
}

void Pool::set_unchallenged(bool unchallenged) {
  std::lock_guard lock(mutex_);
  unchallenged_ = unchallenged;
  if (!unchallenged) may_connect_ = false;
}

bool Pool::unchallenged() const {
  std::lock_guard lock(mutex_);
  return unchallenged_;
}

uint64_t Pool::generation() const {
  std::lock_guard lock(mutex_);
  return generation_;
}

void Pool::retire_if_replaceable() {
  std::lock_guard lock(mutex_);
  if (may_connect_ || unchallenged_) ++generation_;
}

PoolNumbers Pool::numbers() const {
  std::lock_guard lock(mutex_);
  PoolNumbers numbers;
  numbers.database = database_;
  numbers.user = user_;
  numbers.connections = connections_;
  numbers.opening = opening_;
  numbers.idle = static_cast<uint32_t>(idle_.size());
  numbers.waiting = static_cast<uint32_t>(waiters_.size());
  numbers.size_max = size_max_;
  numbers.opened = opened_;
  numbers.closed = closed_;
  numbers.wait_timeouts = wait_timeouts_;
  numbers.wait_max = wait_max_;
  return numbers;
}

bool Pool::proven() const {
  std::lock_guard lock(mutex_);
  return baseline_ != nullptr;
}

namespace {

std::string key_of(std::string_view database, std::string_view user) {
  std::string key(database);
  key += '\0';
  key += user;
  return key;
}

}  // namespace

PoolDirectory::Place& PoolDirectory::place(std::string_view database, std::string_view user) {
  Place& place = pools_[key_of(database, user)];
  if (!place.pool) {
    place.pool =
        std::make_unique<Pool>(std::string(database), std::string(user), size_max_, waiters_max_);
  }
  return place;
}

Pool& PoolDirectory::pool(std::string_view database, std::string_view user) {
  std::lock_guard lock(mutex_);
  return *place(database, user).pool;
}

Pool& PoolDirectory::enter(std::string_view database, std::string_view user) {
  std::lock_guard lock(mutex_);
  Place& entered = place(database, user);
  ++entered.sessions;
  return *entered.pool;
}

void PoolDirectory::leave(const Pool& pool) {
  std::lock_guard lock(mutex_);
  const std::string key = key_of(pool.database(), pool.user());
  const auto at = pools_.find(key);
  PGR_ASSERT(at != pools_.end() && at->second.sessions > 0);
  --at->second.sessions;
  forget(key);
}

void PoolDirectory::forget_unproven(const std::string& database, const std::string& user) {
  std::lock_guard lock(mutex_);
  forget(key_of(database, user));
}

void PoolDirectory::forget(const std::string& key) {
  const auto at = pools_.find(key);
  if (at == pools_.end() || at->second.sessions > 0 || at->second.pool->proven()) return;
  const PoolNumbers numbers = at->second.pool->numbers();
  // Who waits has a session, and a connection on its way a place: nobody else knows the pool.
  if (numbers.connections == 0 && numbers.waiting == 0) pools_.erase(at);
}

std::vector<Pool*> PoolDirectory::all() const {
  std::lock_guard lock(mutex_);
  std::vector<Pool*> pools;
  for (const auto& [key, place] : pools_) {
    if (place.pool->proven()) pools.push_back(place.pool.get());
  }
  return pools;
}

size_t PoolDirectory::size() const {
  std::lock_guard lock(mutex_);
  return pools_.size();
}

}  // namespace pgrecall::upstream
