// SingleFlight: when many clients miss the same key at once, one asks PostgreSQL and all get its
// answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/base/ids.h"
#include "pgrecall/cache/cached_result.h"
#include "pgrecall/cache/result_cache.h"

namespace pgrecall::cache {

/// Names one flight; 0 names nothing. Never used twice.
using FlightId = uint64_t;

/// A client that waits for another one's answer. The query number lets its session tell a late
/// answer from the one it waits for.
struct JoinerId {
  uint32_t worker = 0;
  SlotId session;
  uint64_t query = 0;
  friend bool operator==(const JoinerId&, const JoinerId&) = default;
};

/// What the caller holds on the server while it would wait. Only kNothing and kLease may wait.
enum class Holds : uint8_t {
  kNothing,
  kLease,       ///< a server connection outside a transaction (session pooling, pinned)
  kTransaction  ///< an open transaction on the server: locks
};

enum class JoinKind : uint8_t {
  kLead,   ///< the caller asks PostgreSQL, and must call `finish` whatever happens
  kWait,   ///< the caller is told through the leader's `finish`, or leaves
  kAlone,  ///< the caller asks PostgreSQL for itself and tells nobody
};

struct Join {
  JoinKind kind = JoinKind::kAlone;
  FlightId flight = 0;  ///< 0 for kAlone
};

/// One per process; any thread; one lock per shard, never held while anything else is called.
/// Whoever calls `finish` tells the joiners it returns (by posting to their workers); each of them
/// then serves the result or, if there is none, goes on by itself without joining again.
///
/// A joiner's rows are fresh because joining is a hit: at that moment the leader's stamp must hold
/// (rule 3), and the leader's snapshot is never older than its stamp. Nothing is asked again when
/// the answer comes: a write acknowledged in between was acknowledged after the joiner's read
/// began.
///
/// No deadlock: a client that holds a lease never waits for a leader that has none, and leaders
/// never wait for joiners. A client inside a server transaction never waits at all: it holds locks,
/// the leader may queue behind a third client that waits for those (VACUUM FULL, DDL done past the
/// proxy), and PostgreSQL's deadlock detection does not know that one client waits for the other.
///
/// A flight whose stamp no longer holds is superseded: it keeps its joiners, the next client that
/// misses leads anew. Bounded in flights and in joiners per flight; beyond, kAlone.
class SingleFlight {
 public:
  struct Limits {
    size_t flights_max = 4096;
    size_t joiners_per_flight_max = 1024;
  };
  struct Stats {
    uint64_t led = 0;
    uint64_t joined = 0;
    uint64_t alone_outdated = 0;  ///< the leader's stamp did not hold any more
    uint64_t alone_holding = 0;   ///< holds a transaction, or a lease that the leader lacks
    uint64_t superseded = 0;
    uint64_t alone_full = 0;
    uint64_t flights = 0;  ///< now
  };

  explicit SingleFlight(Limits limits, size_t shards = 16);
  ~SingleFlight();
  SingleFlight(const SingleFlight&) = delete;
  SingleFlight& operator=(const SingleFlight&) = delete;

  /// `fresh` is the stamp the caller has just taken; it becomes the flight's if the caller leads.
  /// A caller that must not lead or join (rule 6, isolation, fences up) does not call this at all.
  Join join(const CacheKeyView& key, const invalidation::Stamp& fresh, const JoinerId& joiner,
            Holds holds);

  /// The leader got its server connection: from now on clients that hold leases may wait for it.
  void set_leader_has_lease(FlightId flight);
  /// The leader took a fresh stamp just before its bytes left (it had to wait for a lease, or the
  /// old one no longer held). Joiners so far were checked against an older stamp, which stays
  /// sound: the rows are only newer.
  void restamp(FlightId flight, const invalidation::Stamp& fresh);

  struct Finished {
    CachedResultPtr result;  ///< null: every joiner goes on by itself
    std::vector<JoinerId> joiners;
  };
  /// Ends the flight; later joiners start a new one. A null result: the leader failed, vanished, or
  /// its fill was refused. A finished or unknown flight has no joiners. (A refused fill hides the
  /// broken rule of Fault::kJoinWithoutCheck: under it, the caller hands the result over anyway.)
  Finished finish(FlightId flight, CachedResultPtr result);

  /// The joiner was cancelled or disconnected. False if it is not waiting any more (then it is
  /// about to be told, and must drop that).
  bool leave(FlightId flight, const JoinerId& joiner);

  Stats stats() const;

 private:
  struct Shard;
  Shard* shard_of_flight(FlightId flight) const;

  std::vector<std::unique_ptr<Shard>> shards_;
  size_t flights_per_shard_max_;
  size_t joiners_max_;
};

}  // namespace pgrecall::cache
