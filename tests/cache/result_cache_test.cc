#include "pgrecall/cache/result_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>

namespace pgrecall::cache {
namespace {

CacheKeyView view(const std::string& key) {
  return {hash_key(key), key};
}

CachedResultPtr result(size_t body_bytes, uint64_t tag = 0) {
  auto value = std::make_shared<CachedResult>();
  value->bytes.assign(body_bytes, 'x');
  value->rows = tag;
  return value;
}

TEST(ResultCache, FindsWhatWasInsertedUntilItIsErased) {
  ResultCache cache(1 << 20, 1 << 16);
  const std::string key = "select 1";
  EXPECT_EQ(cache.find(view(key)), nullptr);
  EXPECT_TRUE(cache.insert(view(key), result(10, 7)));
  ASSERT_NE(cache.find(view(key)), nullptr);
  EXPECT_EQ(cache.find(view(key))->rows, 7U);
  EXPECT_TRUE(cache.insert(view(key), result(10, 8)));
  EXPECT_EQ(cache.find(view(key))->rows, 8U);
  EXPECT_EQ(cache.stats().entries, 1U);
  cache.erase(view(key));
  EXPECT_EQ(cache.find(view(key)), nullptr);
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST(ResultCache, Trap15_KeysOfEqualHashAreComparedInFull) {
  ResultCache cache(1 << 20, 1 << 16);
  const CacheKeyView one{42, "one"};
  const CacheKeyView two{42, "two"};
  cache.insert(one, result(1, 1));
  EXPECT_EQ(cache.find(two), nullptr);
  cache.insert(two, result(1, 2));
  EXPECT_EQ(cache.find(one)->rows, 1U);
  EXPECT_EQ(cache.find(two)->rows, 2U);
  cache.erase(one);
  EXPECT_EQ(cache.find(two)->rows, 2U);
}

TEST(ResultCache, AResultLivesOnForWhoeverStillHoldsIt) {
  ResultCache cache(1 << 20, 1 << 16);
  cache.insert(view("key"), result(1000, 5));
  CachedResultPtr held = cache.find(view("key"));
  cache.clear();
  EXPECT_EQ(cache.find(view("key")), nullptr);
  EXPECT_EQ(held->bytes.size(), 1000U);
}

TEST(ResultCache, Trap35_AnEntryAboveItsLimitIsRefusedAndItsOutdatedPredecessorGoes) {
  ResultCache cache(10 << 20, 4096);
  EXPECT_TRUE(cache.insert(view("key"), result(1000)));
  EXPECT_FALSE(cache.insert(view("key"), result(5000)));
  EXPECT_EQ(cache.find(view("key")), nullptr);
  EXPECT_FALSE(cache.insert(view(std::string(5000, 'k')), result(1)));
  EXPECT_EQ(cache.stats().entries, 0U);
}

TEST(ResultCache, AnEntryOfTheLargestAllowedSizeFitsAlsoIntoASmallBudget) {
  ResultCache cache(6 << 20, 4 << 20);
  EXPECT_TRUE(cache.insert(view("big"), result((4 << 20) - 4096)));
  EXPECT_NE(cache.find(view("big")), nullptr);
}

TEST(ResultCache, ABudgetSmallerThanOneEntryKeepsNothing) {
  for (size_t budget : {0, 1, 100, 1000}) {
    ResultCache cache(budget, 1 << 20);
    for (int i = 0; i < 100; ++i)
      EXPECT_FALSE(cache.insert(view("key" + std::to_string(i)), result(1000)));
    EXPECT_EQ(cache.stats().entries, 0U);
    EXPECT_EQ(cache.find(view("key1")), nullptr);
  }
}

// Against a plain map: what is found is always the newest value of its key, and the budget holds.
TEST(ResultCache, NeverReturnsAnotherKeysOrAnOlderValueAndKeepsItsBudget) {
  constexpr size_t kBudget = 256 << 10;
  ResultCache cache(kBudget, 16 << 10, 4);
  std::unordered_map<std::string, uint64_t> newest;
  std::mt19937 random(1);
  size_t found = 0;
  for (uint64_t step = 1; step <= 200000; ++step) {
    const std::string key = "key" + std::to_string(random() % 600);
    const uint32_t what = random() % 100;
    if (what < 60) {
      if (CachedResultPtr hit = cache.find(view(key))) {
        ++found;
        ASSERT_EQ(hit->rows, newest[key]);
      }
    } else if (what < 97) {
      cache.insert(view(key), result(random() % 2000, step));
      newest[key] = step;
    } else {
      cache.erase(view(key));
      ASSERT_EQ(cache.find(view(key)), nullptr);
    }
    ASSERT_LE(step % 100 == 0 ? cache.stats().bytes : 0, kBudget);
  }
  EXPECT_GT(found, 1000U);
  EXPECT_GT(cache.stats().evictions, 1000U);
  const uint64_t empty_bytes = ResultCache(kBudget, 16 << 10, 4).stats().bytes;
  cache.clear();
  EXPECT_EQ(cache.stats().entries, 0U);
  EXPECT_LE(cache.stats().bytes, empty_bytes + kBudget / 16) << "only buckets may have grown";
}

TEST(ResultCache, Trap18_KeysThatNeverComeBackDoNotFlushTheOthers) {
  ResultCache cache(1 << 20, 64 << 10, 1);
  constexpr int kHot = 300;
  auto hot = [](int i) { return "hot" + std::to_string(i); };
  for (int i = 0; i < kHot; ++i) cache.insert(view(hot(i)), result(1000));
  uint64_t peak = 0;
  int lost = 0;
  for (int i = 0; i < 100000; ++i) {
    cache.insert(view("expire_date > " + std::to_string(i)), result(1000));
    const std::string key = hot(i % kHot);
    if (!cache.find(view(key))) {
      ++lost;
      cache.insert(view(key), result(1000));
    }
    if (i > 10000) peak = std::max(peak, cache.stats().bytes);
  }
  EXPECT_LT(lost, kHot) << "of 100000 look-ups";
  EXPECT_LE(peak, size_t{1} << 20) << "memory stays flat";
}

TEST(ResultCache, AKeyThatComesBackSoonAfterItsEvictionIsKeptLonger) {
  ResultCache cache(1 << 20, 64 << 10, 1);
  int next = 0;
  auto flood = [&](int count) {
    for (int i = 0; i < count; ++i)
      cache.insert(view("once" + std::to_string(next++)), result(1000));
  };
  for (int i = 0; i < 500; ++i) {  // fills the main queue
    cache.insert(view("hot" + std::to_string(i)), result(1000));
    cache.find(view("hot" + std::to_string(i)));
  }
  flood(1000);
  auto insert_20 = [&](const std::string& name) {
    for (int i = 0; i < 20; ++i) cache.insert(view(name + std::to_string(i)), result(1000));
  };
  auto kept = [&](const std::string& name) {
    int count = 0;
    for (int i = 0; i < 20; ++i) count += cache.find(view(name + std::to_string(i))) ? 1 : 0;
    return count;
  };
  insert_20("returning");
  flood(420);
  insert_20("returning");  // were evicted unused, most are still remembered
  insert_20("new");
  flood(420);
  EXPECT_GT(kept("returning"), 10);
  EXPECT_EQ(kept("new"), 0);
}

TEST(ResultCacheThreads, ConcurrentUseKeepsValuesAndBudget) {
  constexpr size_t kBudget = 128 << 10;
  ResultCache cache(kBudget, 8 << 10, 4);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 30000; ++i) {
        const uint64_t number = random() % 500;
        const std::string key = "key" + std::to_string(number);
        if (random() % 3 == 0) {
          cache.insert(view(key), result(random() % 1000, number));
        } else if (CachedResultPtr hit = cache.find(view(key))) {
          if (hit->rows != number) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(cache.stats().bytes, kBudget);
}

}  // namespace
}  // namespace pgrecall::cache
