// AdminSource: what the proxy tells the admin port beyond the counters of `stats`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/result.h"
#include "pgrecall/stats/counter.h"

namespace pgrecall::admin {

/// One pool: the server connections of one user on one database.
struct PoolStatus {
  std::string database;
  std::string user;
  uint32_t size = 0;    ///< the bound
  uint32_t active = 0;  ///< leased to a client
  uint32_t idle = 0;
  uint32_t pinned = 0;       ///< the part of `active` held by pinned clients, as of the last tick
  uint32_t opening = 0;      ///< on their way: neither active nor idle
  uint32_t waiting = 0;      ///< clients in the queue
  uint64_t wait_ms_max = 0;  ///< the longest wait of a client so far, in the queue or for a new one
  uint64_t opened_total = 0;
  uint64_t closed_total = 0;
  uint64_t wait_timeouts_total = 0;
};

struct PinnedClient {
  std::string database;
  std::string user;
  std::string why;
  uint64_t seconds = 0;  ///< since when, to a tick
  bool holds_server = false;
};

/// The control role's connection of one database.
struct ControlStatus {
  std::string database;
  bool connected = false;
  std::string error;  ///< why not, empty if connected
  uint64_t catalog_version = 0;
  bool catalog_current = false;  ///< false while it is read again: nothing is cached
  uint64_t relations = 0;
};

struct CacheStatus {
  std::string mode;  ///< "on", "observe", "off"
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t bytes_max = 0;
  uint64_t insertions = 0;
  uint64_t evictions = 0;
  uint64_t memo_entries = 0;
  uint64_t memo_bytes = 0;
};

/// Tier two.
struct RedisStatus {
  bool configured = false;
  bool available = false;
  std::string why;  ///< why not available
  /// The breaker: "off" (not configured), "closed" (in use), "open" (bypassed until the next try),
  /// "half-open" (being tried).
  std::string state = "off";
  double state_seconds = 0;  ///< in use, or not in use, for so long
  std::string last_error;    ///< also while it is in use again
  uint64_t gets = 0;         ///< look-ups sent
  uint64_t hits = 0;         ///< look-ups that found a usable value
  uint64_t puts = 0;         ///< values that Redis stored
  uint64_t errors = 0;       ///< error replies, connections that failed or broke; time-outs apart
  uint64_t timeouts = 0;     ///< of look-ups and values, not of logins
  uint64_t unawaited = 0;    ///< look-ups that went on to PostgreSQL before Redis answered
  stats::HistogramSnapshot round_trip_ns;  ///< of everything that Redis answered
};

struct CountEstimate {
  std::string database;
  std::string table;
  double rows = 0;
  double stated_error = 0;
  uint64_t age_ms = 0;
};

/// How fresh answers are with respect to writes past pgrecall.
struct Freshness {
  std::string feed = "none";
  double max_age_without_feed_s = 0;
  std::string why;
};

struct ProxyStatus {
  double uptime_seconds = 0;
  std::vector<PoolStatus> pools;
  std::vector<PinnedClient> pinned;
  std::vector<ControlStatus> control;
  std::vector<CountEstimate> estimates;
  CacheStatus cache;
  RedisStatus redis;
  Freshness freshness;
};

struct Readiness {
  bool ready = false;
  std::string why;  ///< why not
};

/// Implemented by the proxy, which keeps it alive until the AdminServer is destroyed. Every call is
/// made on a thread of the admin server, several may run at once; it may block for a moment but
/// not for a server or for Redis.
class AdminSource {
 public:
  virtual ~AdminSource() = default;
  virtual ProxyStatus status() = 0;
  /// Ready: clients can log in and be served, if only by bypass.
  virtual Readiness readiness() = 0;
  /// `table` is "schema.name"; an empty `database` means every database that has it. An error says
  /// what is unknown.
  virtual Status invalidate_table(std::string_view database, std::string_view table) = 0;
  virtual Status invalidate_all() = 0;
};

}  // namespace pgrecall::admin
