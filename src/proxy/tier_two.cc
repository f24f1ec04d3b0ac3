#include "proxy/tier_two.h"

#include <utility>

namespace pgrecall::proxy {

TierTwo::TierTwo(net::Loop& loop, adapters::RedisOptions options, uint64_t generation)
    : redis_(loop, std::move(options)), generation_(generation) {
  redis_.when_state_changes([this](adapters::RedisStore::State) { note(); });
  note();
}

void TierTwo::get(const cache::CacheKeyView& key, GetCallback done) {
  gets_.add();
  redis_.get(key, std::move(done));
}

void TierTwo::put(const cache::CacheKeyView& key, std::string_view value, Duration time_to_live) {
  puts_.add();
  redis_.put(key, value, time_to_live);
}

void TierTwo::note() {
  const adapters::RedisStoreStats stats = redis_.stats();
  admin::RedisStatus status;
  status.configured = true;
  status.available = redis_.available();
  if (!status.available) {
    status.why = redis_.last_error().empty() ? "not connected yet" : redis_.last_error();
  }
  status.errors = stats.errors + stats.losses;
  status.timeouts = stats.timeouts;
  std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

admin::RedisStatus TierTwo::status() const {
  std::lock_guard lock(mutex_);
  admin::RedisStatus status = status_;
  status.gets = gets_.get();
  status.puts = puts_.get();
  return status;
}

}  // namespace pgrecall::proxy
