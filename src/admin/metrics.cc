#include <fmt/format.h>

#include <initializer_list>
#include <iterator>
#include <utility>

#include "admin/render.h"
#include "admin/utf8.h"

namespace pgrecall::admin {
namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Writes one metric family after the other, each with HELP and TYPE before its first sample.
class Writer {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(out_), "# HELP pgrecall_{0} {1}\n# TYPE pgrecall_{0} {2}\n",
                   name, help, type);
  }

  template <typename Number>
  void sample(Number value, Labels labels = {}, std::string_view suffix = "") {
    fmt::format_to(std::back_inserter(out_), "pgrecall_{}{}", name_, suffix);
    char separator = '{';
    for (const auto& [key, text] : labels) {
      fmt::format_to(std::back_inserter(out_), "{}{}=\"", separator, key);
      append_label_value(text);
      out_ += '"';
      separator = ',';
    }
    if (labels.size() > 0) out_ += '}';
    fmt::format_to(std::back_inserter(out_), " {}\n", value);
  }

  template <typename Number>
  void one(std::string_view name, std::string_view type, std::string_view help, Number value) {
    family(name, type, help);
    sample(value);
  }

  std::string take() { return std::move(out_); }

 private:
  void append_label_value(std::string_view text) {
    for (const char c : valid_utf8(text)) {
      if (c == '\\' || c == '"')
        out_ += {'\\', c};
      else if (c == '\n')
        out_ += "\\n";
      else
        out_ += c;
    }
  }

  std::string out_;
  std::string_view name_;
};

void write_reads(Writer& out, const stats::Snapshot& s) {
  out.family("hits_total", "counter", "Reads answered without PostgreSQL, by where from.");
  out.sample(s.hits_tier1, {{"tier", "1"}});
  out.sample(s.hits_tier2, {{"tier", "2"}});
  out.sample(s.joins, {{"tier", "join"}});
  out.sample(s.count_estimates, {{"tier", "estimate"}});
  out.one("misses_total", "counter", "Cacheable reads that went to PostgreSQL.", s.misses);
  out.family("bypasses_total", "counter", "Reads that the cache did not look at, by reason.");
  for (const auto& [reason, count] : s.bypasses) out.sample(count, {{"reason", reason}});
  out.one("fills_total", "counter", "Results stored.", s.fills);
  out.family("fill_refusals_total", "counter", "Results of misses not stored, by reason.");
  for (const auto& [reason, count] : s.fill_refusals) out.sample(count, {{"reason", reason}});
  out.one("observed_hits_total", "counter", "Would-be hits of cache.mode observe.",
          s.observed_hits);
}

void write_traffic(Writer& out, const stats::Snapshot& s) {
  out.one("writes_total", "counter", "Statements that count as writes.", s.writes);
  out.one("opaque_writes_total", "counter", "Writes whose relations were not known.",
          s.opaque_writes);
  out.one("invalidations_total", "counter", "Epoch advances.", s.invalidations);
  out.one("server_queries_total", "counter", "Statements sent to servers for clients.",
          s.server_queries);
  out.one("local_answers_total", "counter",
          "Transaction commands and DEALLOCATE answered without a server.", s.local_answers);
  out.one("clients", "gauge", "Clients connected.", s.clients);
  out.one("clients_total", "counter", "Clients accepted.", s.clients_total);
  out.one("client_errors_total", "counter", "Errors made by pgrecall itself.", s.client_errors);
  out.family("bytes_total", "counter", "Bytes moved, by peer and direction.");
  out.sample(s.bytes_from_clients, {{"direction", "from_clients"}});
  out.sample(s.bytes_to_clients, {{"direction", "to_clients"}});
  out.sample(s.bytes_from_servers, {{"direction", "from_servers"}});
  out.sample(s.bytes_to_servers, {{"direction", "to_servers"}});
}

/// Borders are powers of two in nanoseconds, where the counts are exact: 1 us to 17 s.
void write_latency(Writer& out, std::string_view name, std::string_view help,
                   const stats::HistogramSnapshot& latency) {
  out.family(name, "histogram", help);
  for (unsigned power = 10; power <= 34; ++power) {
    const uint64_t border = uint64_t{1} << power;
    const std::string le = fmt::format("{}", static_cast<double>(border) / 1e9);
    out.sample(latency.count_below(border), {{"le", le}}, "_bucket");
  }
  out.sample(latency.count, {{"le", "+Inf"}}, "_bucket");
  out.sample(static_cast<double>(latency.sum) / 1e9, {}, "_sum");
  out.sample(latency.count, {}, "_count");
}

void write_cache(Writer& out, const CacheStatus& cache, const RedisStatus& redis) {
  out.one("cache_entries", "gauge", "Results kept in the process.", cache.entries);
  out.one("cache_bytes", "gauge", "Memory of these, bookkeeping included.", cache.bytes);
  out.one("cache_bytes_max", "gauge", "The bound of cache_bytes.", cache.bytes_max);
  out.one("cache_evictions_total", "counter", "Results dropped for want of memory.",
          cache.evictions);
  out.one("memo_bytes", "gauge", "Memory of what is known about statement texts.",
          cache.memo_bytes);
  out.family("redis_breaker", "gauge",
             "1 for the state that the breaker of Redis is in; closed means in use.");
  for (const char* state : {"off", "closed", "open", "half-open"})
    out.sample(redis.state == state ? 1 : 0, {{"state", state}});
  if (!redis.configured) return;
  out.one("redis_available", "gauge", "1 if Redis answers.", redis.available ? 1 : 0);
  out.one("redis_gets_total", "counter", "Look-ups sent to Redis.", redis.gets);
  out.one("redis_hits_total", "counter", "Look-ups that found a usable value.", redis.hits);
  out.one("redis_puts_total", "counter", "Values that Redis stored.", redis.puts);
  out.one("redis_errors_total", "counter",
          "Error replies of Redis, and connections to it that failed or broke; time-outs apart.",
          redis.errors);
  out.one("redis_timeouts_total", "counter",
          "Times a look-up or value was unanswered for redis.timeout.", redis.timeouts);
  out.one("redis_unawaited_total", "counter",
          "Look-ups that went on to PostgreSQL before Redis answered.", redis.unawaited);
}

template <typename Get>
void write_per_pool(Writer& out, const std::vector<PoolStatus>& pools, std::string_view name,
                    std::string_view type, std::string_view help, Get get) {
  out.family(name, type, help);
  for (const PoolStatus& pool : pools)
    out.sample(get(pool), {{"database", pool.database}, {"user", pool.user}});
}

void write_pools(Writer& out, const std::vector<PoolStatus>& pools) {
  out.family("pool_connections", "gauge", "Server connections, by state.");
  for (const PoolStatus& pool : pools) {
    const auto sample = [&](std::string_view state, uint32_t count) {
      out.sample(count, {{"database", pool.database}, {"user", pool.user}, {"state", state}});
    };
    sample("active", pool.active);
    sample("idle", pool.idle);
    sample("opening", pool.opening);
  }
  write_per_pool(out, pools, "pool_size", "gauge", "The bound of a pool's connections.",
                 [](const PoolStatus& pool) { return pool.size; });
  write_per_pool(out, pools, "pool_pinned", "gauge", "Server connections of pinned clients.",
                 [](const PoolStatus& pool) { return pool.pinned; });
  write_per_pool(out, pools, "pool_waiting", "gauge", "Clients that wait for a connection.",
                 [](const PoolStatus& pool) { return pool.waiting; });
  write_per_pool(out, pools, "pool_opened_total", "counter", "Server connections opened.",
                 [](const PoolStatus& pool) { return pool.opened_total; });
  write_per_pool(out, pools, "pool_closed_total", "counter", "Server connections closed.",
                 [](const PoolStatus& pool) { return pool.closed_total; });
  write_per_pool(out, pools, "pool_wait_timeouts_total", "counter",
                 "Clients that waited in vain for a connection.",
                 [](const PoolStatus& pool) { return pool.wait_timeouts_total; });
}

void write_control(Writer& out, const ProxyStatus& status) {
  out.family("control_connected", "gauge", "1 if the control role is connected to the database.");
  for (const ControlStatus& row : status.control)
    out.sample(row.connected ? 1 : 0, {{"database", row.database}});
}

template <typename Get>
void write_per_table(Writer& out, const std::vector<stats::TableSnapshot>& tables,
                     std::string_view name, std::string_view help, Get get) {
  out.family(name, "counter", help);
  for (const stats::TableSnapshot& table : tables)
    out.sample(get(table), {{"database", table.database}, {"table", table.name}});
}

void write_tables(Writer& out, const std::vector<stats::TableSnapshot>& tables) {
  using Row = stats::TableSnapshot;
  write_per_table(out, tables, "table_reads_total", "Reads that name the table.",
                  [](const Row& row) { return row.reads; });
  write_per_table(out, tables, "table_hits_total", "The part of these that were hits.",
                  [](const Row& row) { return row.hits; });
  write_per_table(out, tables, "table_writes_total", "Statements that may have written the table.",
                  [](const Row& row) { return row.writes; });
  write_per_table(out, tables, "table_invalidations_total", "Epoch advances of the table alone.",
                  [](const Row& row) { return row.invalidations; });
}

}  // namespace

std::string metrics_text(const stats::Snapshot& snapshot, const ProxyStatus& status) {
  Writer out;
  out.family("info", "gauge", "Always 1; the label says which version runs.");
  out.sample(1, {{"version", PGRECALL_VERSION}});
  out.one("uptime_seconds", "gauge", "Seconds since the start.", status.uptime_seconds);
  write_reads(out, snapshot);
  write_traffic(out, snapshot);
  write_latency(out, "hit_latency_seconds", "From query read to hit answered.",
                snapshot.hit_latency_ns);
  write_latency(out, "miss_latency_seconds", "From query read to miss answered.",
                snapshot.miss_latency_ns);
  write_latency(out, "origin_latency_seconds", "What PostgreSQL took for misses.",
                snapshot.origin_latency_ns);
  write_cache(out, status.cache, status.redis);
  write_pools(out, status.pools);
  write_control(out, status);
  write_tables(out, snapshot.tables);
  return out.take();
}

}  // namespace pgrecall::admin
