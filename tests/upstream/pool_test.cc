#include "pgrecall/upstream/pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace pgrecall::upstream {
namespace {

using Kind = Grant::Kind;

Waiter waiter(uint32_t number, bool login = false, uint32_t worker = 0) {
  return {worker, {number, 1}, number, login};
}
ServerRef server(uint32_t number, uint32_t worker = 0) {
  return {worker, {number, 1}, 1};
}
std::shared_ptr<const Baseline> baseline(uint64_t hash) {
  auto made = std::make_shared<Baseline>();
  made->hash = hash;
  return made;
}

TEST(Pool, OpensUpToItsSizeThenPutsInLine) {
  Pool pool("site", "alice", 2, 10);
  EXPECT_EQ(pool.acquire(waiter(1), true).kind, Kind::kConnect);
  EXPECT_EQ(pool.acquire(waiter(2), true).kind, Kind::kConnect);
  EXPECT_EQ(pool.acquire(waiter(3), true).kind, Kind::kWait);
  EXPECT_EQ(pool.numbers().connections, 2u);
  EXPECT_EQ(pool.numbers().waiting, 1u);
}

TEST(Pool, FirstComeFirstServed) {
  Pool pool("site", "alice", 1, 10);
  pool.acquire(waiter(1), true);
  for (uint32_t i = 2; i < 6; ++i) pool.acquire(waiter(i), true);
  Waiter next;
  for (uint32_t i = 2; i < 6; ++i) {
    EXPECT_EQ(pool.release(server(9), &next).kind, Kind::kUse);
    EXPECT_EQ(next.ticket, i);
  }
  EXPECT_EQ(pool.release(server(9), &next).kind, Kind::kWait);
  EXPECT_EQ(pool.numbers().idle, 1u);
}

TEST(Pool, AReplacedConnectionThatEndsByItselfGivesNoPlaceAway) {
  for (const bool ended_first : {true, false}) {
    Pool pool("site", "alice", 1, 10);
    pool.acquire(waiter(1), true);
    Waiter next;
    pool.release(server(1), &next);
    EXPECT_EQ(pool.acquire(waiter(2, true), true).kind, Kind::kReplace);  // a login, in its place
    EXPECT_EQ(pool.acquire(waiter(3), true).kind, Kind::kWait);
    if (ended_first) {
      EXPECT_EQ(pool.closed(server(1), &next).kind, Kind::kWait);
    }
    pool.replaced(server(1));
    EXPECT_EQ(pool.numbers().connections, 1u);
    EXPECT_EQ(pool.closed(server(2), &next).kind, Kind::kConnect);  // the new one's own end counts
    EXPECT_EQ(next.ticket, 3u);
  }
}

TEST(Pool, Case13_CountsWhatIsOnItsWayOpenedClosedAndWaitedFor) {
  Pool pool("site", "alice", 2, 10);
  Waiter next;
  pool.acquire(waiter(1), true);
  pool.acquire(waiter(2), true);
  EXPECT_EQ(pool.numbers().opening, 2u);
  pool.opened();
  EXPECT_EQ(pool.numbers().opening, 1u);
  pool.closed(server(2), &next, false);  // refused: it never was one
  EXPECT_EQ(pool.numbers().opening, 0u);
  EXPECT_EQ(pool.numbers().opened, 1u);
  EXPECT_EQ(pool.numbers().closed, 0u);
  pool.acquire(waiter(3), true);
  pool.opened();
  pool.release(server(1), &next);
  EXPECT_EQ(pool.acquire(waiter(4, true), true).kind, Kind::kReplace);
  EXPECT_EQ(pool.numbers().opening, 1u);
  EXPECT_EQ(pool.numbers().closed, 0u);  // not yet
  pool.replaced(server(1));
  pool.opened();
  pool.closed(server(3), &next);
  EXPECT_EQ(pool.numbers().opened, 3u);
  EXPECT_EQ(pool.numbers().closed, 2u);
  EXPECT_EQ(pool.numbers().connections, 1u);
  pool.waited(std::chrono::milliseconds(70), false);
  pool.waited(std::chrono::milliseconds(50), true);
  EXPECT_EQ(pool.numbers().wait_max.count(), 70);
  EXPECT_EQ(pool.numbers().wait_timeouts, 1u);
}

TEST(Pool, LastUsedFirstAndTheOwnWorkersBeforeOthers) {
  Pool pool("site", "alice", 3, 10);
  pool.set_baseline(baseline(1));
  for (uint32_t i = 1; i <= 3; ++i) pool.acquire(waiter(i), true);
  Waiter next;
  pool.release(server(1, 0), &next);
  pool.release(server(2, 1), &next);
  pool.release(server(3, 0), &next);
  EXPECT_EQ(pool.acquire(waiter(7, false, 1), true).server, server(2, 1));
  EXPECT_EQ(pool.acquire(waiter(8, false, 1), true).server, server(3, 0));
  EXPECT_EQ(pool.acquire(waiter(9, false, 0), true).server, server(1, 0));
}

TEST(Pool, ALoginWantsANewConnectionAndReplacesAnIdleOne) {
  Pool pool("site", "alice", 1, 10);
  EXPECT_EQ(pool.acquire(waiter(1, true), false).kind, Kind::kConnect);
  Waiter next;
  pool.release(server(1), &next);
  const Grant grant = pool.acquire(waiter(2, true), false);
  EXPECT_EQ(grant.kind, Kind::kReplace);
  EXPECT_EQ(grant.server, server(1));
  EXPECT_EQ(pool.numbers().connections, 1u) << "its place is kept";
  EXPECT_EQ(pool.acquire(waiter(3, true), false).kind, Kind::kWait);
  EXPECT_EQ(pool.release(server(2), &next).kind, Kind::kReplace);
  EXPECT_EQ(next.ticket, 3u);
}

TEST(Pool, WhoCannotConnectWaitsForOthersOrIsLost) {
  Pool pool("site", "alice", 2, 10);
  EXPECT_EQ(pool.acquire(waiter(1), false).kind, Kind::kLost);
  pool.acquire(waiter(2, true), false);
  EXPECT_EQ(pool.acquire(waiter(3), false).kind, Kind::kWait);
  Waiter next;
  EXPECT_EQ(pool.closed(server(1), &next).kind, Kind::kLost);
  EXPECT_EQ(next.ticket, 3u);
  EXPECT_EQ(pool.numbers().connections, 0u);
}

TEST(Pool, AllThatWaitAreToldThatItIsLost) {
  Pool pool("site", "alice", 1, 10);
  pool.acquire(waiter(1, true), false);
  for (uint32_t i = 2; i <= 4; ++i) pool.acquire(waiter(i), false);
  Waiter next;
  EXPECT_EQ(pool.closed(server(1), &next).kind, Kind::kLost);
  EXPECT_EQ(next.ticket, 2u);
  EXPECT_EQ(pool.next_lost(&next).kind, Kind::kLost);
  EXPECT_EQ(next.ticket, 3u);
  EXPECT_EQ(pool.acquire(waiter(5, true), false).kind, Kind::kConnect);
  EXPECT_EQ(pool.next_lost(&next).kind, Kind::kWait) << "the login's connection may serve it";
  EXPECT_EQ(pool.numbers().waiting, 1u);
}

TEST(Pool, AClosedConnectionMakesRoomForTheNext) {
  Pool pool("site", "alice", 1, 10);
  pool.acquire(waiter(1), true);
  pool.acquire(waiter(2), true);
  Waiter next;
  EXPECT_EQ(pool.closed(server(1), &next).kind, Kind::kConnect);
  EXPECT_EQ(next.ticket, 2u);
  EXPECT_EQ(pool.numbers().connections, 1u);
}

TEST(Pool, AnIdleConnectionThatClosesIsForgotten) {
  Pool pool("site", "alice", 2, 10);
  pool.acquire(waiter(1), true);
  Waiter next;
  pool.release(server(1), &next);
  pool.closed(server(1), &next);
  EXPECT_EQ(pool.numbers().idle, 0u);
  EXPECT_EQ(pool.acquire(waiter(2), true).kind, Kind::kConnect);
}

TEST(Pool, TheLineIsBounded) {
  Pool pool("site", "alice", 1, 2);
  pool.acquire(waiter(1), true);
  EXPECT_EQ(pool.acquire(waiter(2), true).kind, Kind::kWait);
  EXPECT_EQ(pool.acquire(waiter(3), true).kind, Kind::kWait);
  EXPECT_EQ(pool.acquire(waiter(4), true).kind, Kind::kFull);
}

TEST(Pool, WhoLeavesTheLineIsSkipped) {
  Pool pool("site", "alice", 1, 10);
  pool.acquire(waiter(1), true);
  pool.acquire(waiter(2), true);
  pool.acquire(waiter(3), true);
  EXPECT_TRUE(pool.leave(waiter(2)));
  EXPECT_FALSE(pool.leave(waiter(2))) << "a grant is on its way, or it never waited";
  Waiter next;
  pool.release(server(1), &next);
  EXPECT_EQ(next.ticket, 3u);
}

TEST(Pool, IdleConnectionsAreTakenOldestFirst) {
  Pool pool("site", "alice", 3, 10);
  Waiter next;
  for (uint32_t i = 1; i <= 3; ++i) pool.acquire(waiter(i), true);
  for (uint32_t i = 1; i <= 3; ++i) pool.release(server(i), &next);
  EXPECT_EQ(pool.take_idle(1), (std::vector<ServerRef>{server(1), server(2)}));
  EXPECT_FALSE(pool.take_idle(server(1)));
  EXPECT_TRUE(pool.take_idle(server(3)));
  EXPECT_EQ(pool.numbers().idle, 0u);
  EXPECT_EQ(pool.numbers().connections, 3u) << "they count until they are closed";
}

TEST(Pool, ANewLookStartsAGeneration) {
  Pool pool("site", "alice", 2, 10);
  const uint64_t first = pool.set_baseline(baseline(1));
  EXPECT_EQ(pool.set_baseline(baseline(1)), first);
  EXPECT_GT(pool.set_baseline(baseline(2)), first);
  EXPECT_EQ(pool.baseline()->hash, 2u);
}

TEST(Pool, AConnectionOfAnOlderLookIsUsedOnlyWhereNothingElseCanBeHad) {
  Pool pool("site", "alice", 2, 10);
  const uint64_t first = pool.set_baseline(baseline(1));
  Waiter next;
  pool.acquire(waiter(1, true), false);
  pool.release({0, {1, 1}, first}, &next);
  pool.set_baseline(baseline(2));
  EXPECT_EQ(pool.acquire(waiter(2), false).kind, Kind::kUse) << "passthrough";
  pool.release({0, {1, 1}, first}, &next);
  const Grant grant = pool.acquire(waiter(3), true);
  EXPECT_EQ(grant.kind, Kind::kReplace);
  EXPECT_EQ(grant.server, server(1));
}

TEST(PoolDirectory, OnePoolPerDatabaseAndUser) {
  PoolDirectory pools(2, 10);
  Pool& one = pools.pool("site", "alice");
  EXPECT_EQ(&one, &pools.pool("site", "alice"));
  EXPECT_NE(&one, &pools.pool("site", "bob"));
  EXPECT_NE(&one, &pools.pool("sitea", "lice"));
  EXPECT_EQ(pools.size(), 3u);
}

/// Random clients and servers of several workers around one pool.
class Crowd {
 public:
  Crowd(unsigned seed, uint32_t size)
      : random_(seed), pool_("site", "alice", size, 8), size_(size) {}

  void step() {
    switch (random_() % 6) {
      case 0:
      case 1:
        return ask();
      case 2:
        return finish();
      case 3:
        return lose();
      case 4:
        return give_up();
      default:
        for (const ServerRef& taken : pool_.take_idle(static_cast<uint32_t>(random_() % 3))) {
          ASSERT_EQ(idle_.erase(taken.server.slot), 1u);
          closed(taken);
        }
    }
  }

  void check() {
    const PoolNumbers numbers = pool_.numbers();
    ASSERT_LE(numbers.connections, size_);
    ASSERT_EQ(numbers.connections, idle_.size() + used_.size());
    ASSERT_EQ(numbers.idle, idle_.size());
    ASSERT_EQ(numbers.waiting, line_.size());
    if (!idle_.empty()) {
      for (const Waiter& one : line_) ASSERT_TRUE(one.login) << "a server idles, a client waits";
    }
  }

 private:
  void ask() {
    const Waiter one{static_cast<uint32_t>(random_() % 3), {next_, 1}, next_, random_() % 4 == 0};
    ++next_;
    act(pool_.acquire(one, true), one);
  }

  void act(const Grant& grant, const Waiter& to) {
    switch (grant.kind) {
      case Kind::kUse:
        ASSERT_FALSE(to.login);
        idle_.erase(grant.server.server.slot);
        ASSERT_TRUE(used_.insert(grant.server.server.slot).second);
        return;
      case Kind::kReplace:
        idle_.erase(grant.server.server.slot);
        [[fallthrough]];
      case Kind::kConnect:
        used_.insert(next_server_++);
        return;
      case Kind::kWait:
        line_.push_back(to);
        return;
      case Kind::kFull:
        ASSERT_EQ(line_.size(), 8u);
        return;
      case Kind::kLost:
        FAIL() << "everybody may connect";
    }
  }

  void granted(const Grant& grant, const Waiter& next) {
    ASSERT_FALSE(line_.empty());
    ASSERT_EQ(next.ticket, line_.front().ticket);
    line_.erase(line_.begin());
    act(grant, next);
  }

  void finish() {
    if (used_.empty()) return;
    const uint32_t slot = *used_.begin();
    used_.erase(slot);
    Waiter next;
    const Grant grant = pool_.release(server(slot), &next);
    if (grant.kind == Kind::kWait) {
      idle_.insert(slot);
      return;
    }
    granted(grant, next);
  }

  void lose() {
    if (used_.empty()) return;
    const uint32_t slot = *used_.rbegin();
    used_.erase(slot);
    closed(server(slot));
  }

  void closed(const ServerRef& gone) {
    Waiter next;
    const Grant grant = pool_.closed(gone, &next);
    if (grant.kind != Kind::kWait) granted(grant, next);
  }

  void give_up() {
    if (line_.empty()) return;
    const size_t at = random_() % line_.size();
    ASSERT_TRUE(pool_.leave(line_[at]));
    line_.erase(line_.begin() + static_cast<long>(at));
  }

  std::mt19937 random_;
  Pool pool_;
  const uint32_t size_;
  std::set<uint32_t> idle_;
  std::set<uint32_t> used_;
  std::vector<Waiter> line_;
  uint32_t next_ = 1;
  uint32_t next_server_ = 1;
};

TEST(Pool, IsExactUnderRandomOperations) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Crowd crowd(seed, 1 + seed % 5);
    for (int i = 0; i < 300; ++i) {
      crowd.step();
      crowd.check();
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << " step " << i;
    }
  }
}

TEST(Pool, IsExactUnderThreads) {
  constexpr uint32_t kSize = 3;
  Pool pool("site", "alice", kSize, 1000);
  std::atomic<int> connections{0};
  std::atomic<int> most{0};
  std::mutex mutex;
  std::map<uint64_t, Grant> granted;
  std::atomic<uint32_t> next_server{1};
  const auto pass_on = [&](const Grant& grant, const Waiter& next) {
    if (grant.kind == Kind::kWait) return;
    std::lock_guard lock(mutex);
    granted[next.ticket] = grant;
  };
  const auto work = [&](uint32_t worker) {
    for (uint64_t i = 0; i < 2000; ++i) {
      const Waiter me{worker, {worker + 1, 1}, worker * 1'000'000 + i, false};
      Grant grant = pool.acquire(me, true);
      while (grant.kind == Kind::kWait) {
        std::this_thread::yield();
        std::lock_guard lock(mutex);
        if (auto found = granted.extract(me.ticket)) grant = found.mapped();
      }
      if (grant.kind == Kind::kConnect) {
        const int now = connections.fetch_add(1) + 1;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        grant.server = server(next_server.fetch_add(1), worker);
      }
      Waiter next;
      if (i % 7 == 0) {
        connections.fetch_sub(1);
        const Grant onward = pool.closed(grant.server, &next);
        pass_on(onward, next);
      } else {
        const Grant onward = pool.release(grant.server, &next);
        pass_on(onward, next);
      }
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < 4; ++worker) threads.emplace_back(work, worker);
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), static_cast<int>(kSize));
  EXPECT_EQ(pool.numbers().waiting, 0u);
  EXPECT_EQ(pool.numbers().connections, pool.numbers().idle);
}

TEST(PoolDirectory, AnUnprovenPoolGoesWithItsLastSessionAndConnection) {
  PoolDirectory pools(2, 10);
  Pool& pool = pools.enter("site", "nobody");
  EXPECT_EQ(&pools.enter("site", "nobody"), &pool);
  EXPECT_EQ(pool.acquire(waiter(1, true), false).kind, Kind::kConnect);
  pools.leave(pool);
  pools.leave(pool);
  EXPECT_EQ(pools.size(), 1u) << "a connection is on its way";
  EXPECT_TRUE(pools.all().empty());
  Waiter next;
  pool.closed(server(1), &next);
  pools.forget_unproven("site", "nobody");
  EXPECT_EQ(pools.size(), 0u);
  pools.forget_unproven("site", "nobody");
}

TEST(PoolDirectory, AProvenPoolStays) {
  PoolDirectory pools(2, 10);
  Pool& pool = pools.enter("site", "alice");
  pool.set_baseline(baseline(1));
  pools.leave(pool);
  pools.forget_unproven("site", "alice");
  EXPECT_EQ(pools.all(), std::vector<Pool*>{&pool});
}

}  // namespace
}  // namespace pgrecall::upstream
