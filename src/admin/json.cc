#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "admin/render.h"

namespace pgrecall::admin {
namespace {

using Json = nlohmann::ordered_json;

/// Shapes and names come from clients and may not be UTF-8.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json object_of(const stats::NamedCounts& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

Json json_of(const stats::FingerprintSnapshot& row) {
  return {{"fingerprint", row.hash},
          {"database", row.database},
          {"sql", row.shape},
          {"tables", row.tables},
          {"calls", row.calls},
          {"hits", row.hits},
          {"misses", row.misses},
          {"bypasses", object_of(row.bypasses)},
          {"bytes_served", row.bytes_served},
          {"time_saved_seconds", static_cast<double>(row.time_saved_us) / 1e6},
          {"origin_p50_ms", static_cast<double>(row.origin_p50_us) / 1e3},
          {"origin_p99_ms", static_cast<double>(row.origin_p99_us) / 1e3},
          {"last_invalidator", row.last_invalidator}};
}

Json json_of(const stats::TableSnapshot& row) {
  return {{"database", row.database},
          {"table", row.name},
          {"reads", row.reads},
          {"hits", row.hits},
          {"misses", row.misses},
          {"writes", row.writes},
          {"invalidations", row.invalidations}};
}

Json json_of(const PoolStatus& row) {
  return {{"database", row.database},
          {"user", row.user},
          {"size", row.size},
          {"active", row.active},
          {"idle", row.idle},
          {"pinned", row.pinned},
          {"opening", row.opening},
          {"waiting", row.waiting},
          {"wait_ms_max", row.wait_ms_max},
          {"opened_total", row.opened_total},
          {"closed_total", row.closed_total},
          {"wait_timeouts_total", row.wait_timeouts_total}};
}

Json json_of(const PinnedClient& row) {
  return {
      {"database", row.database}, {"user", row.user}, {"why", row.why}, {"seconds", row.seconds}};
}

Json json_of(const ControlStatus& row) {
  return {{"database", row.database},
          {"connected", row.connected},
          {"error", row.error},
          {"catalog_version", row.catalog_version},
          {"catalog_current", row.catalog_current},
          {"relations", row.relations}};
}

Json json_of(const CountEstimate& row) {
  return {{"database", row.database},
          {"table", row.table},
          {"rows", row.rows},
          {"stated_error", row.stated_error},
          {"age_seconds", static_cast<double>(row.age_ms) / 1e3}};
}

Json json_of(const CacheStatus& cache) {
  return {{"mode", cache.mode},
          {"entries", cache.entries},
          {"bytes", cache.bytes},
          {"bytes_max", cache.bytes_max},
          {"insertions", cache.insertions},
          {"evictions", cache.evictions},
          {"memo_entries", cache.memo_entries},
          {"memo_bytes", cache.memo_bytes}};
}

Json json_of(const stats::HistogramSnapshot& latency) {
  const auto us = [&](double share) {
    return static_cast<double>(latency.percentile(share)) / 1e3;
  };
  return {{"count", latency.count},
          {"p50_us", us(0.50)},
          {"p90_us", us(0.90)},
          {"p99_us", us(0.99)},
          {"p999_us", us(0.999)}};
}

Json json_of(const RedisStatus& redis) {
  return {{"configured", redis.configured},
          {"available", redis.available},
          {"why", redis.why},
          {"state", redis.state},
          {"state_seconds", redis.state_seconds},
          {"last_error", redis.last_error},
          {"gets", redis.gets},
          {"hits", redis.hits},
          {"puts", redis.puts},
          {"errors", redis.errors},
          {"timeouts", redis.timeouts},
          {"unawaited", redis.unawaited},
          {"round_trip", json_of(redis.round_trip_ns)}};
}

/// The lists of /api/stats, each cut to `top` rows, and how many rows each has without that.
class Lists {
 public:
  Lists(Json& json, size_t top) : json_(json), top_(top) { json_["rows"] = Json::object(); }

  template <typename Row>
  void add(const char* name, const std::vector<Row>& rows) {
    json_["rows"][name] = rows.size();
    Json array = Json::array();
    for (size_t i = 0; i < rows.size() && i < top_; ++i) array.push_back(json_of(rows[i]));
    json_[name] = std::move(array);
  }

  /// If it is cut the rows of the greatest `rank` come first.
  template <typename Row, typename Rank>
  void add(const char* name, std::vector<Row> rows, Rank rank) {
    if (rows.size() > top_)
      std::stable_sort(rows.begin(), rows.end(),
                       [&](const Row& a, const Row& b) { return rank(a) > rank(b); });
    add(name, rows);
  }

 private:
  Json& json_;
  const size_t top_;
};

Json counters_of(const stats::Snapshot& snapshot) {
  return {{"hits", snapshot.hits},
          {"misses", snapshot.misses},
          {"hit_rate", snapshot.hit_rate()},
          {"read_hit_rate", snapshot.read_hit_rate()},
          {"reads", snapshot.reads()},
          {"bypasses", object_of(snapshot.bypasses)},
          {"bypasses_total", snapshot.bypasses_total},
          {"hits_tier1", snapshot.hits_tier1},
          {"hits_tier2", snapshot.hits_tier2},
          {"joins", snapshot.joins},
          {"observed_hits", snapshot.observed_hits},
          {"fills", snapshot.fills},
          {"fill_refusals", object_of(snapshot.fill_refusals)},
          {"writes", snapshot.writes},
          {"opaque_writes", snapshot.opaque_writes},
          {"invalidations", snapshot.invalidations},
          {"server_queries", snapshot.server_queries},
          {"local_answers", snapshot.local_answers},
          {"count_estimates", snapshot.count_estimates},
          {"clients", snapshot.clients},
          {"clients_total", snapshot.clients_total},
          {"client_errors", snapshot.client_errors},
          {"bytes_from_clients", snapshot.bytes_from_clients},
          {"bytes_to_clients", snapshot.bytes_to_clients},
          {"bytes_from_servers", snapshot.bytes_from_servers},
          {"bytes_to_servers", snapshot.bytes_to_servers}};
}

}  // namespace

std::string stats_json(const stats::Snapshot& snapshot, const ProxyStatus& status, size_t top) {
  Json json = {{"version", PGRECALL_VERSION}, {"uptime_seconds", status.uptime_seconds}};
  json.update(counters_of(snapshot));
  json["latency"] = {{"hit", json_of(snapshot.hit_latency_ns)},
                     {"miss", json_of(snapshot.miss_latency_ns)},
                     {"origin", json_of(snapshot.origin_latency_ns)}};
  json["freshness"] = {{"feed", status.freshness.feed},
                       {"max_age_without_feed_s", status.freshness.max_age_without_feed_s},
                       {"why", status.freshness.why}};
  json["cache"] = json_of(status.cache);
  json["redis"] = json_of(status.redis);
  Lists lists(json, top);
  lists.add("pools", status.pools,
            [](const PoolStatus& row) { return std::pair(row.waiting, row.active); });
  lists.add("pinned", status.pinned, [](const PinnedClient& row) { return row.seconds; });
  lists.add("control", status.control, [](const ControlStatus& row) { return !row.connected; });
  lists.add("count_estimate_tables", status.estimates);
  lists.add("fingerprints", snapshot.fingerprints);
  lists.add("tables", snapshot.tables);
  return dump(json);
}

std::string fingerprints_json(const stats::Snapshot& snapshot) {
  Json rows = Json::array();
  for (const auto& row : snapshot.fingerprints) rows.push_back(json_of(row));
  return dump({{"fingerprints", rows}});
}

std::string error_json(std::string_view message) {
  return dump({{"error", message}});
}

std::string readiness_json(const Readiness& readiness) {
  return dump({{"ready", readiness.ready}, {"why", readiness.why}});
}

}  // namespace pgrecall::admin
