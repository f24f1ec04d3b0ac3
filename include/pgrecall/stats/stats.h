// Stats: what happened, counted by the workers and read by the admin thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgrecall/stats/counter.h"
#include "pgrecall/stats/snapshot.h"

namespace pgrecall::stats {

constexpr size_t kReasonsMax = 64;

using Nanoseconds = std::chrono::nanoseconds;

/// Of one query shape in one worker. Owned by that WorkerStats, stable until it is destroyed;
/// written by the worker's thread only.
struct FingerprintStats {
  Counter hits;
  Counter misses;
  Counter bytes_served;   ///< bytes of the hits
  Counter time_saved_us;  ///< sum over the hits of what PostgreSQL took for the fill
  std::array<SmallCounter, kReasonsMax> bypasses;
  SmallHistogram origin_us;  ///< what PostgreSQL took
  /// The table whose write made the last look-up miss, as `intern_table` named it; 0: none yet.
  BasicCounter<uint32_t> last_invalidator;
  BasicCounter<uint64_t> invalidated_at;  ///< when that was; of several workers the last one counts
};

/// Of one table in one worker. Reads, hits and misses of tables are derived from the fingerprints
/// that name them, so a hit does not touch these.
struct TableStats {
  /// Statements that may have written it: by name, or through a trigger-free chain of foreign keys,
  /// partitions, children. Those whose relations are not known (`opaque_writes`) are not among
  /// them.
  Counter writes;
};

/// Where a hit came from: memory, Redis, another client's miss under way, an estimate of COUNT(*).
enum class HitKind : uint8_t { kTier1, kTier2, kJoin, kEstimate };
constexpr size_t kHitKinds = 4;

/// The counters of one worker. One thread writes; any reads, each number for itself.
///
/// A read is counted by exactly one of `hit`, `miss` and `bypass`, so their sum is the number of
/// reads that clients sent and that were answered, or sent on to PostgreSQL, well or with an error.
/// A read is:
/// - each SELECT, VALUES, TABLE or WITH ... SELECT of a Query, and each Execute of one, so also one
///   that locks, calls what writes or writes itself (that counts as a write beside it);
/// - each FETCH, and each Execute of a portal that SQL declared; DECLARE, MOVE and CLOSE are none;
/// - each SQL EXECUTE, unless what it runs is known to be something else;
/// - of a text that is not parsed (too long, too deep, refused by the parser) the whole, if it
///   begins as a SELECT.
/// SHOW, EXPLAIN, COPY, SET, SELECT set_config() of constants and all others are none. One that
/// waits is not counted yet; nor is one whose client goes while it waits.
class alignas(128) WorkerStats {
 public:
  WorkerStats(size_t fingerprints_max, size_t tables_max);
  ~WorkerStats();
  WorkerStats(const WorkerStats&) = delete;
  WorkerStats& operator=(const WorkerStats&) = delete;

  /// This worker's counters for what `Stats::intern_*` numbered. Allocates on first use; keep the
  /// pointer in the memo entry.
  FingerprintStats& fingerprint(uint32_t index);
  TableStats& table(uint32_t index);
  /// Any thread; null if this worker never touched it.
  const FingerprintStats* find_fingerprint(uint32_t index) const;
  const TableStats* find_table(uint32_t index) const;

  void hit(FingerprintStats& shape, HitKind kind, Nanoseconds latency, Nanoseconds origin_time,
           uint64_t bytes) {
    shape.hits.add();
    shape.bytes_served.add(bytes);
    shape.time_saved_us.add(static_cast<uint64_t>(origin_time.count()) / 1000);
    hits[static_cast<size_t>(kind)].add();
    hit_latency.record(static_cast<uint64_t>(latency.count()));
  }
  /// A cacheable read that went to PostgreSQL; call `origin` when its answer is complete.
  void miss(FingerprintStats& shape) {
    shape.misses.add();
    misses.add();
  }
  /// A read that the cache did not look at; `reason` is the caller's index below kReasonsMax.
  void bypass(FingerprintStats& shape, uint8_t reason) {
    shape.bypasses[reason].add();
    bypasses[reason].add();
  }
  /// The answer to a miss: what PostgreSQL took, and what the client waited.
  void origin(FingerprintStats& shape, Nanoseconds origin_time, Nanoseconds latency) {
    shape.origin_us.record(static_cast<uint64_t>(origin_time.count()) / 1000);
    origin_latency.record(static_cast<uint64_t>(origin_time.count()));
    miss_latency.record(static_cast<uint64_t>(latency.count()));
  }
  void fill() { fills.add(); }
  void refuse_fill(uint8_t reason) { fill_refusals[reason].add(); }

  std::array<Counter, kHitKinds> hits;  ///< by HitKind
  Counter misses;
  std::array<Counter, kReasonsMax> bypasses;
  LatencyHistogram hit_latency;
  LatencyHistogram miss_latency;
  LatencyHistogram origin_latency;
  Counter fills;
  std::array<Counter, kReasonsMax> fill_refusals;
  Counter observed_hits;   ///< `cache.mode = "observe"`: would have been hits
  Counter writes;          ///< statements that count as writes, opaque ones included
  Counter opaque_writes;   ///< the part of `writes` whose relations were unknown
  Counter server_queries;  ///< statements sent to servers for clients
  Counter local_answers;   ///< BEGIN, SAVEPOINT, COMMIT, DEALLOCATE ... answered without a server
  Counter clients;         ///< gauge: connected now
  Counter clients_total;
  Counter client_errors;  ///< ErrorResponses made by pgrecall itself
  Counter bytes_from_clients;
  Counter bytes_to_clients;
  Counter bytes_from_servers;
  Counter bytes_to_servers;

 private:
  template <typename T>
  class Slots;
  std::unique_ptr<Slots<FingerprintStats>> fingerprints_;
  std::unique_ptr<Slots<TableStats>> tables_;
};

/// Where to find names and how much to keep. Names are indexed as the callers index reasons.
struct StatsOptions {
  size_t workers = 1;
  size_t fingerprints_max = 2'000;
  size_t tables_max = 5'000;
  size_t sample_bytes_max = 1'024;  ///< longer shapes are cut in the table, not in their identity
  std::vector<std::string> bypass_names;
  std::vector<std::string> fill_refusal_names;
};

/// Process-wide, made once; outlives the workers. `intern_*` and `snapshot` lock a mutex and are
/// for any thread; they are called when an analysis is made, never for a hit.
class Stats {
 public:
  /// How often the epoch of a table, named as for `intern_table`, has advanced.
  using TableInvalidations =
      std::function<uint64_t(const std::string& database, const std::string& name)>;

  explicit Stats(StatsOptions options);
  ~Stats();

  WorkerStats& worker(size_t index) { return *workers_[index]; }

  /// Numbers one shape of one database that reads `tables`. When the table is full, everything new
  /// is 0, the shape called "other". `shape` holds no literal.
  uint32_t intern_fingerprint(std::string_view database, std::string_view shape,
                              std::span<const uint32_t> tables);
  /// Numbers one table, `name` being schema.name; 0 ("other") when full.
  uint32_t intern_table(std::string_view database, std::string_view name);

  Snapshot snapshot() const;
  /// Where the numbers of invalidations come from; any thread. Before the first snapshot.
  void count_invalidations(std::function<uint64_t()> all, TableInvalidations of_table) {
    invalidations_ = std::move(all);
    table_invalidations_ = std::move(of_table);
  }

 private:
  struct Fingerprint {
    std::string hash;
    std::string database;
    std::string sample;
    std::vector<uint32_t> tables;
  };
  struct Table {
    std::string database;
    std::string name;
  };
  /// Names are immutable once numbered, so a snapshot copies pointers under the lock and reads
  /// the names without it.
  struct Names {
    std::vector<std::shared_ptr<const Fingerprint>> fingerprints;
    std::vector<std::shared_ptr<const Table>> tables;
  };
  void add_worker(const WorkerStats& worker, Snapshot& into) const;
  void add_fingerprints(const Names& names, Snapshot& into) const;
  void add_tables(const Names& names, Snapshot& into) const;

  const StatsOptions options_;
  std::vector<std::unique_ptr<WorkerStats>> workers_;
  std::function<uint64_t()> invalidations_;
  TableInvalidations table_invalidations_;
  mutable std::mutex mutex_;
  Names names_;
  std::unordered_map<std::string, uint32_t> fingerprint_by_key_;
  std::unordered_map<std::string, uint32_t> table_by_key_;
};

}  // namespace pgrecall::stats
