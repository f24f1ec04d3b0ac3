// Snapshot: the sum over all workers at one moment; plain values for the admin thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pgrecall/stats/counter.h"

namespace pgrecall::stats {

using NamedCounts = std::vector<std::pair<std::string, uint64_t>>;  ///< zeroes are left out

struct FingerprintSnapshot {
  std::string hash;  ///< 16 hexadecimal digits of the shape, or "other"
  std::string database;
  std::string shape;  ///< without literals, cut to the configured length
  std::vector<std::string> tables;
  uint64_t calls = 0;  ///< hits, misses and bypasses
  uint64_t hits = 0;
  uint64_t misses = 0;
  NamedCounts bypasses;
  uint64_t bytes_served = 0;
  uint64_t time_saved_us = 0;
  uint64_t origin_p50_us = 0;
  uint64_t origin_p99_us = 0;
  /// The table whose write made a look-up miss last, "(whole database)" or "(shared catalogs)";
  /// empty: none.
  std::string last_invalidator;
};

struct TableSnapshot {
  std::string database;
  std::string name;
  uint64_t reads = 0;  ///< hits, misses and bypasses of the fingerprints that name it
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t writes = 0;
  /// Advances of its own epoch; what outdates the whole database is not among them.
  uint64_t invalidations = 0;
};

/// Numbers are each exact for some moment during the call, not all for the same one.
struct Snapshot {
  uint64_t hits = 0;  ///< all kinds
  uint64_t hits_tier1 = 0;
  uint64_t hits_tier2 = 0;
  uint64_t joins = 0;
  uint64_t misses = 0;
  uint64_t bypasses_total = 0;
  NamedCounts bypasses;
  uint64_t fills = 0;
  NamedCounts fill_refusals;
  uint64_t observed_hits = 0;
  uint64_t writes = 0;
  uint64_t opaque_writes = 0;
  uint64_t invalidations = 0;
  uint64_t server_queries = 0;
  uint64_t local_answers = 0;
  uint64_t count_estimates = 0;
  uint64_t clients = 0;
  uint64_t clients_total = 0;
  uint64_t client_errors = 0;
  uint64_t bytes_from_clients = 0;
  uint64_t bytes_to_clients = 0;
  uint64_t bytes_from_servers = 0;
  uint64_t bytes_to_servers = 0;
  HistogramSnapshot hit_latency_ns;
  HistogramSnapshot miss_latency_ns;
  HistogramSnapshot origin_latency_ns;
  std::vector<FingerprintSnapshot> fingerprints;  ///< most calls first
  std::vector<TableSnapshot> tables;              ///< most reads first

  uint64_t reads() const { return hits + misses + bypasses_total; }
  double hit_rate() const;       ///< hits of hits and misses; 0 before the first
  double read_hit_rate() const;  ///< hits of all reads; 0 before the first
};

}  // namespace pgrecall::stats
