// What the admin port shows and may do.
#include <string>
#include <utility>

#include "proxy/names.h"
#include "proxy/process.h"

namespace pgrecall::proxy {
namespace {

constexpr std::string_view kNoFeed =
    "this version has no change feed: writes past pgrecall are seen when an entry's age ends "
    "(cache.max_age_without_feed), catalog changes within feed.catalog_interval";

admin::PoolStatus pool_status(const upstream::Pool& pool) {
  const upstream::PoolNumbers numbers = pool.numbers();
  admin::PoolStatus status;
  status.database = numbers.database;
  status.user = numbers.user;
  status.size = numbers.size_max;
  status.idle = numbers.idle;
  status.opening = numbers.opening;
  status.active = numbers.connections - numbers.idle - numbers.opening;
  status.waiting = numbers.waiting;
  status.wait_ms_max = static_cast<uint64_t>(numbers.wait_max.count());
  status.opened_total = numbers.opened;
  status.closed_total = numbers.closed;
  status.wait_timeouts_total = numbers.wait_timeouts;
  return status;
}

/// The worst of two states of the breaker.
int badness(std::string_view state) {
  if (state == "open") return 3;
  if (state == "half-open") return 2;
  return state == "closed" ? 1 : 0;
}

void count_pinned(const admin::PinnedClient& client, std::vector<admin::PoolStatus>& pools) {
  for (admin::PoolStatus& pool : pools) {
    if (client.holds_server && pool.database == client.database && pool.user == client.user)
      ++pool.pinned;
  }
}

/// What all workers did together. Available: for every one of them.
void add_redis(admin::RedisStatus& sum, const admin::RedisStatus& worker) {
  const int worse = badness(worker.state) - badness(sum.state);
  if (worse > 0) sum.state = worker.state;
  if (worse > 0 || (worse == 0 && worker.state_seconds < sum.state_seconds))
    sum.state_seconds = worker.state_seconds;
  if (sum.last_error.empty()) sum.last_error = worker.last_error;
  sum.available = worker.available && (sum.available || !sum.configured);
  sum.configured = true;
  if (sum.why.empty()) sum.why = worker.why;
  sum.gets += worker.gets;
  sum.puts += worker.puts;
  sum.errors += worker.errors;
  sum.timeouts += worker.timeouts;
  sum.unawaited += worker.unawaited;
  sum.round_trip_ns.merge(worker.round_trip_ns);
}

}  // namespace

admin::ProxyStatus Process::status() {
  admin::ProxyStatus status;
  const auto now = std::chrono::steady_clock::now();
  status.uptime_seconds = std::chrono::duration<double>(now - started_at_).count();
  for (const upstream::Pool* pool : pools_.all()) status.pools.push_back(pool_status(*pool));
  status.control = control_.status();
  const cache::ResultCacheStats results = results_.stats();
  status.cache.mode = mode_name(shared_->mode.load());
  status.cache.entries = results.entries;
  status.cache.bytes = results.bytes;
  status.cache.bytes_max = config_.cache.size_bytes;
  status.cache.insertions = results.insertions;
  status.cache.evictions = results.evictions;
  for (const auto& worker : workers_) {
    if (worker->tier_two() != nullptr) add_redis(status.redis, worker->tier_two()->status());
    status.redis.hits +=
        worker->context().stats.hits[static_cast<size_t>(stats::HitKind::kTier2)].get();
    status.cache.memo_bytes += worker->memo_bytes();
    status.cache.memo_entries += worker->memo_entries();
    for (admin::PinnedClient& client : worker->pinned()) {
      count_pinned(client, status.pools);
      status.pinned.push_back(std::move(client));
    }
  }
  status.estimates = counts_.status();
  status.freshness.feed = feed_name(config_.feed.mode);
  status.freshness.max_age_without_feed_s =
      std::chrono::duration<double>(config_.cache.max_age_without_feed).count();
  status.freshness.why = kNoFeed;
  return status;
}

admin::Readiness Process::readiness() {
  if (draining_.load()) return {false, "draining"};
  return {true, {}};
}

Status Process::invalidate_all() {
  epochs_.advance_all();
  return Ok{};
}

uint64_t Process::invalidations_of(const std::string& database, const std::string& table) const {
  const size_t dot = table.find('.');
  for (const session::DatabaseState* state : databases_.all()) {
    const auto catalog = state->name() == database ? state->catalog() : nullptr;
    if (catalog == nullptr || dot == std::string::npos) continue;
    const sql::Relation* relation =
        catalog->relation(catalog->schema(table.substr(0, dot)), table.substr(dot + 1));
    if (relation != nullptr) return epochs_.advances_of(state->relation_dependency(relation->oid));
  }
  return 0;
}

Status Process::invalidate_in(session::DatabaseState& database, std::string_view table,
                              bool* found) {
  const auto catalog = database.catalog();
  const size_t dot = table.find('.');
  if (!catalog || dot == std::string_view::npos) return Ok{};
  const sql::Relation* relation =
      catalog->relation(catalog->schema(table.substr(0, dot)), table.substr(dot + 1));
  if (relation == nullptr) return Ok{};
  *found = true;
  const invalidation::DependencyId ids[] = {database.relation_dependency(relation->oid)};
  epochs_.advance(ids);
  return Ok{};
}

Status Process::invalidate_table(std::string_view database, std::string_view table) {
  if (table.find('.') == std::string_view::npos) {
    return Error{"\"" + std::string(table) + "\" is not of the form schema.table", ""};
  }
  bool found = false;
  for (session::DatabaseState* state : databases_.all()) {
    if (!database.empty() && state->name() != database) continue;
    if (Status status = invalidate_in(*state, table, &found); !status.ok()) return status;
  }
  if (!found) return Error{"no known database has a table \"" + std::string(table) + "\"", ""};
  return Ok{};
}

}  // namespace pgrecall::proxy
