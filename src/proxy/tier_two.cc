#include "proxy/tier_two.h"

#include <chrono>
#include <utility>

namespace pgrecall::proxy {

namespace {

using State = adapters::RedisStore::State;

std::string_view breaker_name(State state) {
  switch (state) {
    case State::kWaiting:
      return "open";
    case State::kConnecting:
      return "half-open";
    case State::kReady:
      return "closed";
  }
  return "";
}

}  // namespace

TierTwo::TierTwo(net::Loop& loop, adapters::RedisOptions options, uint64_t generation,
                 RedisReport& report, size_t worker)
    : redis_(loop, std::move(options)),
      generation_(generation),
      report_(report),
      worker_(worker),
      since_(std::chrono::steady_clock::now()) {
  redis_.when_state_changes([this](State state) { on_change(state); });
  redis_.when_answered([this](Duration took) {
    round_trip_ns_.record(static_cast<uint64_t>(took.count()));
    puts_.set(redis_.stats().puts);
  });
  on_change(redis_.state());
}

void TierTwo::on_change(State state) {
  note();
  if (state == State::kReady) report_.in_use(worker_);
  if (state == State::kWaiting) report_.lost(worker_, redis_.last_error());
}

void TierTwo::get(const cache::CacheKeyView& key, Duration patience, GetCallback done) {
  redis_.get(key, patience, std::move(done));
  gets_.set(redis_.stats().gets);
}

void TierTwo::put(const cache::CacheKeyView& key, std::string_view value, Duration time_to_live) {
  redis_.put(key, value, time_to_live);
}

void TierTwo::note() {
  const adapters::RedisStoreStats stats = redis_.stats();
  admin::RedisStatus status;
  status.configured = true;
  status.available = redis_.available();
  status.state = breaker_name(redis_.state());
  status.last_error = redis_.last_error();
  if (!status.available) {
    status.why = redis_.last_error().empty() ? "not connected yet" : redis_.last_error();
  }
  status.errors = stats.errors;
  status.timeouts = stats.timeouts;
  status.unawaited = stats.unawaited;
  std::lock_guard lock(mutex_);
  if (status.available != status_.available) since_ = std::chrono::steady_clock::now();
  status_ = std::move(status);
}

admin::RedisStatus TierTwo::status() const {
  std::lock_guard lock(mutex_);
  admin::RedisStatus status = status_;
  status.state_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
  status.gets = gets_.get();
  status.puts = puts_.get();
  round_trip_ns_.add_to(status.round_trip_ns);
  return status;
}

}  // namespace pgrecall::proxy
