#include "pgrecall/cache/single_flight.h"

#include <algorithm>
#include <bit>

#include "pgrecall/base/assert.h"
#include "pgrecall/base/fault.h"

namespace pgrecall::cache {
namespace {

constexpr FlightId kShardBits = 8;
constexpr size_t kShardsMax = size_t{1} << kShardBits;

struct OwnedKey {
  uint64_t hash;
  std::string bytes;
};

struct KeyHash {
  using is_transparent = void;
  size_t operator()(const OwnedKey& key) const { return key.hash; }
  size_t operator()(const CacheKeyView& key) const { return key.hash; }
};

struct KeyEqual {
  using is_transparent = void;
  bool operator()(const OwnedKey& a, const OwnedKey& b) const { return a.bytes == b.bytes; }
  bool operator()(const CacheKeyView& a, const OwnedKey& b) const { return a.bytes == b.bytes; }
  bool operator()(const OwnedKey& a, const CacheKeyView& b) const { return a.bytes == b.bytes; }
};

}  // namespace

/// Flights are owned by id; the key index names the one flight that may still be joined.
struct SingleFlight::Shard {
  struct Flight {
    CacheKeyView key;  ///< into the key index's node; stale once `joinable` is false
    invalidation::Stamp stamp;
    bool leader_has_lease = false;
    bool joinable = true;
    std::vector<JoinerId> joiners;
  };

  mutable std::mutex mutex;
  std::unordered_map<OwnedKey, FlightId, KeyHash, KeyEqual> by_key;
  std::unordered_map<FlightId, Flight> flights;
  FlightId next = 1;
  Stats stats;

  Flight* find(FlightId flight) {
    auto found = flights.find(flight);
    return found == flights.end() ? nullptr : &found->second;
  }
  void hide(Flight& flight) {
    if (!flight.joinable) return;
    flight.joinable = false;
    by_key.erase(by_key.find(flight.key));
  }
  Join lead(const CacheKeyView& key, const invalidation::Stamp& fresh, Holds holds, FlightId shard,
            size_t flights_max);
  Join wait(FlightId id, Flight& flight, const JoinerId& joiner, Holds holds, size_t joiners_max);
};

Join SingleFlight::Shard::lead(const CacheKeyView& key, const invalidation::Stamp& fresh,
                               Holds holds, FlightId shard, size_t flights_max) {
  if (flights.size() >= flights_max) {
    ++stats.alone_full;
    return {};
  }
  const FlightId id = next++ << kShardBits | shard;
  auto index = by_key.emplace(OwnedKey{key.hash, std::string(key.bytes)}, id).first;
  Flight flight;
  flight.key = {index->first.hash, index->first.bytes};
  flight.stamp = fresh;
  flight.leader_has_lease = holds != Holds::kNothing;
  flights.emplace(id, std::move(flight));
  ++stats.led;
  return {JoinKind::kLead, id};
}

Join SingleFlight::Shard::wait(FlightId id, Flight& flight, const JoinerId& joiner, Holds holds,
                               size_t joiners_max) {
  if (holds == Holds::kTransaction || (holds == Holds::kLease && !flight.leader_has_lease)) {
    ++stats.alone_holding;
    return {};
  }
  if (flight.joiners.size() >= joiners_max) {
    ++stats.alone_full;
    return {};
  }
  flight.joiners.push_back(joiner);
  ++stats.joined;
  return {JoinKind::kWait, id};
}

SingleFlight::SingleFlight(Limits limits, size_t shards)
    : joiners_max_(limits.joiners_per_flight_max) {
  const size_t count = std::bit_floor(std::clamp<size_t>(shards, 1, kShardsMax));
  flights_per_shard_max_ = std::max<size_t>(1, limits.flights_max / count);
  for (size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>());
}

SingleFlight::~SingleFlight() = default;

SingleFlight::Shard* SingleFlight::shard_of_flight(FlightId flight) const {
  const size_t shard = flight & (kShardsMax - 1);
  return flight == 0 || shard >= shards_.size() ? nullptr : shards_[shard].get();
}

Join SingleFlight::join(const CacheKeyView& key, const invalidation::Stamp& fresh,
                        const JoinerId& joiner, Holds holds) {
  const FlightId index = (key.hash >> 48) & (shards_.size() - 1);
  Shard& shard = *shards_[index];
  std::lock_guard lock(shard.mutex);
  if (auto found = shard.by_key.find(key); found != shard.by_key.end()) {
    Shard::Flight& flight = *shard.find(found->second);
    // Rule 3 under the flight's lock: the moment of joining is the moment of the check.
    if (fault(Fault::kJoinWithoutCheck) || invalidation::EpochTable::holds(flight.stamp))
      return shard.wait(found->second, flight, joiner, holds, joiners_max_);
    shard.hide(flight);
    ++shard.stats.superseded;
  }
  if (!invalidation::EpochTable::holds(fresh)) {
    ++shard.stats.alone_outdated;
    return {};
  }
  return shard.lead(key, fresh, holds, index, flights_per_shard_max_);
}

void SingleFlight::set_leader_has_lease(FlightId flight) {
  Shard* shard = shard_of_flight(flight);
  if (shard == nullptr) return;
  std::lock_guard lock(shard->mutex);
  if (Shard::Flight* found = shard->find(flight)) found->leader_has_lease = true;
}

void SingleFlight::restamp(FlightId flight, const invalidation::Stamp& fresh) {
  Shard* shard = shard_of_flight(flight);
  if (shard == nullptr) return;
  std::lock_guard lock(shard->mutex);
  if (Shard::Flight* found = shard->find(flight)) found->stamp = fresh;
}

SingleFlight::Finished SingleFlight::finish(FlightId flight, CachedResultPtr result) {
  Finished finished{std::move(result), {}};
  Shard* shard = shard_of_flight(flight);
  if (shard == nullptr) return finished;
  std::lock_guard lock(shard->mutex);
  Shard::Flight* found = shard->find(flight);
  if (found == nullptr) return finished;
  finished.joiners = std::move(found->joiners);
  shard->hide(*found);
  shard->flights.erase(flight);
  return finished;
}

bool SingleFlight::leave(FlightId flight, const JoinerId& joiner) {
  Shard* shard = shard_of_flight(flight);
  if (shard == nullptr) return false;
  std::lock_guard lock(shard->mutex);
  Shard::Flight* found = shard->find(flight);
  if (found == nullptr) return false;
  auto place = std::find(found->joiners.begin(), found->joiners.end(), joiner);
  if (place == found->joiners.end()) return false;
  found->joiners.erase(place);
  return true;
}

SingleFlight::Stats SingleFlight::stats() const {
  Stats total;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    total.led += shard->stats.led;
    total.joined += shard->stats.joined;
    total.alone_outdated += shard->stats.alone_outdated;
    total.alone_holding += shard->stats.alone_holding;
    total.alone_full += shard->stats.alone_full;
    total.superseded += shard->stats.superseded;
    total.flights += shard->flights.size();
  }
  return total;
}

}  // namespace pgrecall::cache
