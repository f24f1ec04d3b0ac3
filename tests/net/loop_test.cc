#include "pgrecall/net/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <vector>

#include "net/support.h"
#include "pgrecall/net/random.h"
#include "pgrecall/net/signals.h"
#include "pgrecall/net/thread.h"

namespace pgrecall::net::testing {
namespace {

class LoopBehaviour : public LoopTest {};

TEST_F(LoopBehaviour, AStopBeforeRunEndsItAtOnceAndItCanRunAgain) {
  loop->stop();
  loop->run();
  bool ran = false;
  loop->post([&] {
    ran = true;
    loop->stop();
  });
  run();
  EXPECT_TRUE(ran);
}

TEST_F(LoopBehaviour, PostsFromManyThreadsAllRunInTheOrderOfEachThread) {
  constexpr int kThreads = 4, kTasks = 10'000;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.push_back(start_thread("poster", 1024 * 1024, [&, t] {
                        for (int i = 0; i < kTasks; ++i) {
                          loop->post([&, t, i] {
                            seen[static_cast<size_t>(t)].push_back(i);
                            if (++total == kThreads * kTasks) loop->stop();
                          });
                        }
                      }).value());
  }
  run();
  threads.clear();  // joins
  for (const auto& of_thread : seen) {
    ASSERT_EQ(of_thread.size(), static_cast<size_t>(kTasks));
    EXPECT_TRUE(std::is_sorted(of_thread.begin(), of_thread.end()));
  }
}

TEST_F(LoopBehaviour, DeferredTasksRunAfterTheCallbacksOfTheirTurn) {
  std::vector<std::string> order;
  loop->post([&] {
    loop->defer([&] {
      order.push_back("deferred");
      loop->defer([&] {
        order.push_back("deferred by it");
        loop->stop();
      });
    });
    order.push_back("first");
  });
  loop->post([&] { order.push_back("second"); });
  run();
  EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "deferred", "deferred by it"}));
}

TEST_F(LoopBehaviour, EndlesslyDeferringDoesNotStarveTimers) {
  std::function<void()> again = [&] { loop->defer(again); };
  loop->defer(again);
  auto timer = loop->make_timer([&] { loop->stop(); });
  timer->start(1ms);
  run();
}

TEST_F(LoopBehaviour, TimeStandsStillWithinATurnAndMovesBetweenTurns) {
  TimePoint first, later;
  loop->post([&] {
    first = loop->now();
    const TimePoint begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < 2ms) {
    }
    EXPECT_EQ(loop->now(), first);
    EXPECT_EQ(loop->clock().now(), first);
    loop->post([&] {
      later = loop->now();
      loop->stop();
    });
  });
  run();
  EXPECT_GE(later - first, 2ms);
}

TEST_F(LoopBehaviour, TimersFireInOrderAndNeverEarly) {
  std::vector<int> order;
  const TimePoint begin = std::chrono::steady_clock::now();
  TimePoint short_fired;
  auto long_timer = loop->make_timer([&] {
    order.push_back(2);
    loop->stop();
  });
  auto short_timer = loop->make_timer([&] {
    order.push_back(1);
    short_fired = std::chrono::steady_clock::now();
  });
  long_timer->start(40ms);
  short_timer->start(10ms);
  EXPECT_TRUE(short_timer->active());
  run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(short_fired - begin, 10ms);
  EXPECT_FALSE(short_timer->active());
}

TEST_F(LoopBehaviour, TimersRepeatStopAndDieInTheirOwnCallback) {
  int repeats = 0;
  std::unique_ptr<Timer> repeating;
  repeating = loop->make_timer([&, payload = std::string(100, 'p')] {
    if (++repeats == 3) {
      repeating.reset();
      EXPECT_EQ(payload.size(), 100u) << "the callback outlives the timer it destroys";
      loop->stop();
    }
  });
  repeating->start(1ms, 1ms);
  auto stopped = loop->make_timer([&] { ADD_FAILURE() << "a stopped timer fired"; });
  stopped->start(1ms);
  stopped->stop();
  auto destroyed = loop->make_timer([&] { ADD_FAILURE() << "a destroyed timer fired"; });
  destroyed->start(1ms);
  destroyed.reset();
  run();
  EXPECT_EQ(repeats, 3);
}

TEST_F(LoopBehaviour, TasksNeverRunAreDestroyedWithTheLoop) {
  auto token = std::make_shared<int>(0);
  loop->post([token] {});
  loop->defer([token] {});
  EXPECT_EQ(token.use_count(), 3);
  loop.reset();
  EXPECT_EQ(token.use_count(), 1);
}

TEST_F(LoopBehaviour, SignalsBecomeCallbacks) {
  std::vector<int> seen;
  auto signals = Signals::watch(*loop, {SIGHUP, SIGTERM}, [&](int number) {
    seen.push_back(number);
    if (seen.size() == 2) loop->stop();
    if (seen.size() == 1) ::raise(SIGTERM);
  });
  ASSERT_TRUE(signals.ok());
  loop->post([] { ::raise(SIGHUP); });
  run();
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGTERM}));
}

size_t use_stack(size_t bytes) {
  volatile char block[4096];
  block[0] = 1;
  if (bytes <= sizeof block) return static_cast<size_t>(block[0]);
  const size_t below = use_stack(bytes - sizeof block);
  return below + static_cast<size_t>(block[0]);
}

TEST(ThreadTest, HasTheStackAndTheNameItWasGiven) {
  size_t levels = 0;
  char name[16] = "";
  {
    Result<Thread> thread = start_thread("a-name-of-more-than-15", kParserStackBytes, [&] {
      pthread_getname_np(pthread_self(), name, sizeof name);
      levels = use_stack(40 * 1024 * 1024);
    });
    ASSERT_TRUE(thread.ok());
    EXPECT_TRUE(thread.value().joinable());
  }  // joined here
  EXPECT_STREQ(name, "a-name-of-more-");
  EXPECT_EQ(levels, 40u * 1024 * 1024 / 4096);
}

TEST(RandomTest, DoesNotRepeat) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(secure_random_u64());
  EXPECT_EQ(seen.size(), 1'000u);
  std::vector<uint8_t> bytes(1'000, 0);
  secure_random(bytes);
  EXPECT_GT(std::set<uint8_t>(bytes.begin(), bytes.end()).size(), 150u);
  uint32_t bits = 0;
  for (int i = 0; i < 100; ++i) bits |= secure_random_u32();
  EXPECT_EQ(bits, 0xffffffffU);
}

}  // namespace
}  // namespace pgrecall::net::testing
