#include "pgrecall/cache/single_flight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "pgrecall/base/fault.h"

namespace pgrecall::cache {
namespace {

using invalidation::DependencyId;
using invalidation::EpochSlot;
using invalidation::EpochTable;
using invalidation::Stamp;

constexpr std::array<DependencyId, 1> kTable = {1};

class SingleFlightTest : public ::testing::Test {
 protected:
  Stamp fresh() {
    const std::array<const EpochSlot*, 1> slots = {table_.slot(kTable[0])};
    Stamp stamp;
    EXPECT_TRUE(EpochTable::stamp(slots, &stamp));
    return stamp;
  }
  static CacheKeyView key(std::string_view text = "key") { return {hash_key(text), text}; }
  static JoinerId client(uint32_t number) { return {0, {number, 1}, 1}; }
  Join join(uint32_t number, Holds holds = Holds::kNothing) {
    return flights_.join(key(), fresh(), client(number), holds);
  }
  void TearDown() override {
#ifdef PGRECALL_FAULTS
    fault_mask = 0;
#endif
  }

  EpochTable table_{1000};
  SingleFlight flights_{{.flights_max = 64, .joiners_per_flight_max = 2}, 1};
};

TEST_F(SingleFlightTest, TheFirstLeadsTheNextWaitAndAllAreToldTheResult) {
  const Join leader = join(1);
  EXPECT_EQ(leader.kind, JoinKind::kLead);
  EXPECT_EQ(join(2).kind, JoinKind::kWait);
  EXPECT_EQ(join(3).flight, leader.flight);
  auto result = std::make_shared<CachedResult>();
  SingleFlight::Finished finished = flights_.finish(leader.flight, result);
  EXPECT_EQ(finished.result, result);
  EXPECT_EQ(finished.joiners, (std::vector<JoinerId>{client(2), client(3)}));
  EXPECT_TRUE(flights_.finish(leader.flight, result).joiners.empty());
  EXPECT_EQ(join(4).kind, JoinKind::kLead);
}

TEST_F(SingleFlightTest, AFailedLeaderTellsItsJoinersToGoOnByThemselves) {
  const Join leader = join(1);
  join(2);
  SingleFlight::Finished finished = flights_.finish(leader.flight, nullptr);
  EXPECT_EQ(finished.result, nullptr);
  EXPECT_EQ(finished.joiners.size(), 1U);
}

TEST_F(SingleFlightTest, DifferentKeysOfEqualHashFlyApart) {
  EXPECT_EQ(flights_.join({7, "one"}, fresh(), client(1), Holds::kNothing).kind, JoinKind::kLead);
  EXPECT_EQ(flights_.join({7, "two"}, fresh(), client(2), Holds::kNothing).kind, JoinKind::kLead);
  EXPECT_EQ(flights_.join({7, "two"}, fresh(), client(3), Holds::kNothing).kind, JoinKind::kWait);
}

TEST_F(SingleFlightTest, Trap51_AfterAnAcknowledgedWriteNobodyJoinsTheOldFlight) {
  const Join leader = join(1);
  EXPECT_EQ(join(2).kind, JoinKind::kWait);
  table_.settle_committed(table_.raise(kTable));
  const Join second = join(3);
  EXPECT_EQ(second.kind, JoinKind::kLead) << "the outdated flight is superseded";
  EXPECT_EQ(join(4).flight, second.flight);
  EXPECT_EQ(flights_.finish(leader.flight, nullptr).joiners, std::vector<JoinerId>{client(2)});
  EXPECT_EQ(join(5).flight, second.flight) << "the end of the old flight leaves the new one alone";
  EXPECT_EQ(flights_.stats().superseded, 1U);
}

TEST_F(SingleFlightTest, UnderAFenceNobodyJoinsOrLeads) {
  const Stamp stamp = fresh();
  join(1);
  table_.raise(kTable);
  EXPECT_EQ(flights_.join(key(), stamp, client(2), Holds::kNothing).kind, JoinKind::kAlone);
  EXPECT_EQ(flights_.join(key("other"), stamp, client(3), Holds::kNothing).kind, JoinKind::kAlone);
}

TEST_F(SingleFlightTest, ARestampedFlightCanBeJoinedAgain) {
  const Join leader = join(1);
  table_.settle_committed(table_.raise(kTable));
  flights_.restamp(leader.flight, fresh());
  EXPECT_EQ(join(2).flight, leader.flight);
}

TEST_F(SingleFlightTest, Trap51_WhoHoldsALeaseWaitsOnlyForALeaderThatHasOne) {
  const Join leader = join(1);
  EXPECT_EQ(join(2, Holds::kLease).kind, JoinKind::kAlone);
  flights_.set_leader_has_lease(leader.flight);
  EXPECT_EQ(join(3, Holds::kLease).kind, JoinKind::kWait);
  EXPECT_EQ(join(4, Holds::kTransaction).kind, JoinKind::kAlone) << "it may hold locks";
}

TEST_F(SingleFlightTest, ALeaderInsideATransactionMayBeJoined) {
  EXPECT_EQ(join(1, Holds::kTransaction).kind, JoinKind::kLead);
  EXPECT_EQ(join(2, Holds::kLease).kind, JoinKind::kWait);
}

TEST_F(SingleFlightTest, AJoinerThatLeftIsNotTold) {
  const Join leader = join(1);
  join(2);
  EXPECT_TRUE(flights_.leave(leader.flight, client(2)));
  EXPECT_FALSE(flights_.leave(leader.flight, client(2)));
  EXPECT_TRUE(flights_.finish(leader.flight, nullptr).joiners.empty());
  EXPECT_FALSE(flights_.leave(leader.flight, client(2)));
  EXPECT_FALSE(flights_.leave(0, client(2)));
  EXPECT_FALSE(flights_.leave(255, client(2)));
}

TEST_F(SingleFlightTest, FlightsAndJoinersAreBounded) {
  const Join leader = join(1);
  join(2);
  join(3);
  EXPECT_EQ(join(4).kind, JoinKind::kAlone);
  flights_.leave(leader.flight, client(2));
  EXPECT_EQ(join(5).kind, JoinKind::kWait);
  for (int i = 1; i < 64; ++i) {
    const std::string text = std::to_string(i);
    EXPECT_EQ(flights_.join(key(text), fresh(), client(9), Holds::kNothing).kind, JoinKind::kLead);
  }
  EXPECT_EQ(flights_.join(key("one more"), fresh(), client(9), Holds::kNothing).kind,
            JoinKind::kAlone);
  EXPECT_EQ(flights_.stats().flights, 64U);
}

/// Random interleavings: readers join, leaders take their snapshot some time after their stamp,
/// writers raise, commit and settle. Returns how many joiners were told something older than what
/// had been acknowledged or seen when they asked.
class FlightWorld {
 public:
  explicit FlightWorld(uint32_t seed) : random_(seed) {}

  int run() {
    for (int step = 0; step < 400; ++step) one_step();
    for (auto& [id, leader] : leaders_) finish(id, leader);
    EXPECT_EQ(flights_.stats().flights, 0U);
    EXPECT_TRUE(waiting_.empty()) << "a joiner was never told";
    return stale_;
  }
  int told() const { return told_; }

 private:
  struct Leader {
    Stamp stamp;
    std::optional<int> snapshot;
  };

  void one_step() {
    const uint32_t what = random_() % 100;
    if (what < 15) {
      write();
    } else if (what < 50) {
      read();
    } else if (what < 55) {
      leave();
    } else {
      progress();
    }
  }

  void write() {
    if (fence_ == 0) {
      fence_ = table_.raise(kTable);
    } else if (!published_) {
      ++server_;
      published_ = true;
    } else {
      table_.settle_committed(std::exchange(fence_, 0));
      published_ = false;
      floor_ = server_;
    }
  }

  void read() {
    Stamp stamp;
    if (!EpochTable::stamp(slots_, &stamp)) {
      if (random_() % 2 == 0) floor_ = std::max(floor_, server_);  // read at the server, seen
      return;
    }
    const JoinerId me{0, {1, 1}, ++queries_};
    const Join join = flights_.join({1, "key"}, stamp, me, Holds::kNothing);
    if (join.kind == JoinKind::kLead) leaders_[join.flight].stamp = stamp;
    if (join.kind == JoinKind::kWait) waiting_[me.query] = {join.flight, floor_};
  }

  void leave() {
    if (waiting_.empty()) return;
    const auto [query, waiter] = *waiting_.begin();
    EXPECT_TRUE(flights_.leave(waiter.flight, {0, {1, 1}, query}));
    waiting_.erase(query);
  }

  void progress() {
    if (leaders_.empty()) return;
    auto place = std::next(leaders_.begin(), static_cast<long>(random_() % leaders_.size()));
    auto& [id, leader] = *place;
    if (!leader.snapshot) {
      // Its lease came late: a fresh stamp just before the bytes leave, if there can be one.
      if (random_() % 3 == 0 && EpochTable::stamp(slots_, &leader.stamp))
        flights_.restamp(id, leader.stamp);
      leader.snapshot = server_;
      return;
    }
    finish(id, leader);
    leaders_.erase(place);
  }

  void finish(FlightId id, Leader& leader) {
    auto result = std::make_shared<CachedResult>();
    result->rows = static_cast<uint64_t>(leader.snapshot.value_or(server_));
    const bool refused = !EpochTable::may_fill(leader.stamp) && !fault(Fault::kJoinWithoutCheck);
    const bool failed = random_() % 10 == 0 || refused;
    for (const JoinerId& joiner : flights_.finish(id, failed ? nullptr : result).joiners) {
      auto waiter = waiting_.find(joiner.query);
      ASSERT_NE(waiter, waiting_.end()) << "told twice, or after it left";
      if (!failed) {
        ++told_;
        if (static_cast<int>(result->rows) < waiter->second.floor) ++stale_;
      }
      waiting_.erase(waiter);
    }
    if (!failed) floor_ = std::max(floor_, static_cast<int>(result->rows));
  }

  struct Waiter {
    FlightId flight;
    int floor;
  };
  std::mt19937 random_;
  EpochTable table_{1000};
  std::array<const EpochSlot*, 1> slots_ = {table_.slot(kTable[0])};
  SingleFlight flights_{{.flights_max = 64, .joiners_per_flight_max = 8}, 1};
  std::map<FlightId, Leader> leaders_;
  std::map<uint64_t, Waiter> waiting_;
  invalidation::FenceToken fence_ = 0;
  bool published_ = false;
  int server_ = 0;
  int floor_ = 0;
  uint64_t queries_ = 0;
  int stale_ = 0;
  int told_ = 0;
};

constexpr uint32_t kSeeds = 3000;

TEST_F(SingleFlightTest, NoJoinerIsToldSomethingOlderThanItsQuestion) {
  int told = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    FlightWorld world(seed);
    ASSERT_EQ(world.run(), 0) << "seed " << seed;
    told += world.told();
  }
  EXPECT_GT(told, static_cast<int>(kSeeds));
}

#ifdef PGRECALL_FAULTS
TEST_F(SingleFlightTest, JoiningWithoutTheCheckIsSeenByTheChecker) {
  fault_mask = 1U << static_cast<unsigned>(Fault::kJoinWithoutCheck);
  int stale = 0;
  for (uint32_t seed = 1; seed <= kSeeds && stale == 0; ++seed) stale += FlightWorld(seed).run();
  EXPECT_GT(stale, 0);
}
#endif

TEST(SingleFlightThreads, EveryJoinerIsToldOnceOrLeft) {
  EpochTable table(1000);
  const std::array<const EpochSlot*, 1> slots = {table.slot(1)};
  SingleFlight flights({}, 4);
  std::atomic<int> joined{0};
  std::atomic<int> told{0};
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&, worker] {
      std::mt19937 random(worker);
      for (uint64_t query = 1; query <= 20000; ++query) {
        const std::string text = std::to_string(random() % 8);
        const JoinerId me{worker, {1, 1}, query};
        Stamp stamp;
        if (!EpochTable::stamp(slots, &stamp)) continue;
        const Join join = flights.join({hash_key(text), text}, stamp, me, Holds::kNothing);
        if (join.kind == JoinKind::kLead) {
          if (random() % 2 == 0) std::this_thread::yield();
          told += static_cast<int>(flights.finish(join.flight, nullptr).joiners.size());
        } else if (join.kind == JoinKind::kWait) {
          ++joined;
          if (random() % 4 == 0 && flights.leave(join.flight, me)) --joined;
        }
        if (random() % 64 == 0) table.advance(kTable);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(joined, told);
  EXPECT_EQ(flights.stats().flights, 0U);
}

}  // namespace
}  // namespace pgrecall::cache
