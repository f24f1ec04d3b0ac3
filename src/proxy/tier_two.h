// TierTwo: Redis as the sessions of one worker see it.
#pragma once

#include <mutex>
#include <string_view>

#include "pgrecall/adapters/redis_store.h"
#include "pgrecall/admin/source.h"
#include "pgrecall/cache/entry_store.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/stats/counter.h"
#include "proxy/redis_report.h"

namespace pgrecall::proxy {

/// Owned by its worker, used on its loop, destroyed before the loop; `status` alone is for any
/// thread.
///
/// Entries speak of epochs that only this process knows, so the run id names the process as well:
/// what another one wrote, or this one before a restart, is never served.
class TierTwo final : public cache::EntryStore {
 public:
  /// `generation`: random, the same for all workers of the process. `report` hears of changes under
  /// the name `worker`.
  TierTwo(net::Loop& loop, adapters::RedisOptions options, uint64_t generation, RedisReport& report,
          size_t worker);

  void get(const cache::CacheKeyView& key, Duration patience, GetCallback done) override;
  void put(const cache::CacheKeyView& key, std::string_view value, Duration time_to_live) override;
  bool available() const override { return redis_.available(); }
  uint64_t run_id() const override { return redis_.run_id() ^ generation_; }

  /// Once a tick: errors, time-outs and availability as `status` shows them.
  void note();
  /// `hits` is left out: which values were usable is for the sessions to say.
  admin::RedisStatus status() const;

 private:
  void on_change(adapters::RedisStore::State state);

  adapters::RedisStore redis_;
  const uint64_t generation_;
  RedisReport& report_;
  const size_t worker_;
  stats::Counter gets_;  ///< as the store counts them, for any thread
  stats::Counter puts_;  ///< likewise
  stats::LatencyHistogram round_trip_ns_;
  mutable std::mutex mutex_;
  admin::RedisStatus status_;
  TimePoint since_;  ///< in use, or not in use
};

}  // namespace pgrecall::proxy
