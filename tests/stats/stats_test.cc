#include "pgrecall/stats/stats.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace pgrecall::stats {
namespace {

using namespace std::chrono_literals;

StatsOptions options(size_t workers = 2) {
  StatsOptions options;
  options.workers = workers;
  options.bypass_names = {"none", "volatile_function", "fence"};
  options.fill_refusal_names = {"epoch_moved", "too_large"};
  return options;
}

const FingerprintSnapshot* find(const Snapshot& snapshot, std::string_view shape) {
  for (const auto& row : snapshot.fingerprints)
    if (row.shape == shape) return &row;
  return nullptr;
}

TEST(Stats, HitRateCountsMissesAndReadHitRateCountsBypassesToo) {
  Stats stats(options());
  const uint32_t shape = stats.intern_fingerprint("app", "select ? from t", {});
  WorkerStats& worker = stats.worker(0);
  FingerprintStats& counters = worker.fingerprint(shape);
  for (int i = 0; i < 6; ++i) worker.hit(counters, HitKind::kTier1, 2us, 3ms, 100);
  for (int i = 0; i < 2; ++i) worker.miss(counters);
  for (int i = 0; i < 4; ++i) worker.bypass(counters, 1);
  const Snapshot snapshot = stats.snapshot();
  EXPECT_DOUBLE_EQ(snapshot.hit_rate(), 0.75);
  EXPECT_DOUBLE_EQ(snapshot.read_hit_rate(), 0.5);
  EXPECT_EQ(snapshot.reads(), 12U);
  EXPECT_EQ(snapshot.bypasses, (NamedCounts{{"volatile_function", 4}}));
}

TEST(Stats, RatesAreZeroBeforeTheFirstRead) {
  const Stats stats(options());
  EXPECT_EQ(stats.snapshot().hit_rate(), 0.0);
  EXPECT_EQ(stats.snapshot().read_hit_rate(), 0.0);
}

TEST(Stats, HitsAreToldApartByTierAndSummedOverWorkers) {
  Stats stats(options());
  const uint32_t shape = stats.intern_fingerprint("app", "s", {});
  stats.worker(0).hit(stats.worker(0).fingerprint(shape), HitKind::kTier1, 1us, 1ms, 10);
  stats.worker(1).hit(stats.worker(1).fingerprint(shape), HitKind::kTier2, 1us, 1ms, 10);
  stats.worker(1).hit(stats.worker(1).fingerprint(shape), HitKind::kJoin, 1us, 1ms, 10);
  const Snapshot snapshot = stats.snapshot();
  EXPECT_EQ(snapshot.hits, 3U);
  EXPECT_EQ(snapshot.hits_tier1, 1U);
  EXPECT_EQ(snapshot.hits_tier2, 1U);
  EXPECT_EQ(snapshot.joins, 1U);
  ASSERT_NE(find(snapshot, "s"), nullptr);
  EXPECT_EQ(find(snapshot, "s")->hits, 3U);
  EXPECT_EQ(find(snapshot, "s")->time_saved_us, 3'000U);
  EXPECT_EQ(find(snapshot, "s")->bytes_served, 30U);
}

TEST(Stats, FingerprintShowsOriginTimesReasonsAndLastInvalidator) {
  Stats stats(options());
  const uint32_t table = stats.intern_table("app", "public.orders");
  const uint32_t tables[] = {table};
  const uint32_t shape = stats.intern_fingerprint("app", "select ? from orders", tables);
  WorkerStats& worker = stats.worker(1);
  FingerprintStats& counters = worker.fingerprint(shape);
  worker.miss(counters);
  worker.origin(counters, 8ms, 9ms);
  worker.bypass(counters, 2);
  counters.last_invalidator.set(table);
  counters.invalidated_at.set(7);
  FingerprintStats& earlier = stats.worker(0).fingerprint(shape);
  earlier.last_invalidator.set(stats.intern_table("app", "public.items"));
  earlier.invalidated_at.set(6);
  const Snapshot snapshot = stats.snapshot();
  const FingerprintSnapshot* row = find(snapshot, "select ? from orders");
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->calls, 2U);
  EXPECT_NEAR(static_cast<double>(row->origin_p50_us), 8'000, 1'000);
  EXPECT_EQ(row->bypasses, (NamedCounts{{"fence", 1}}));
  EXPECT_EQ(row->last_invalidator, "public.orders");
  EXPECT_EQ(row->tables, std::vector<std::string>{"public.orders"});
  EXPECT_EQ(row->hash.size(), 16U);
}

TEST(Stats, TableReadsComeFromTheFingerprintsThatNameIt) {
  Stats stats(options());
  const uint32_t orders = stats.intern_table("app", "public.orders");
  const uint32_t items = stats.intern_table("app", "public.items");
  const uint32_t both[] = {orders, items};
  const uint32_t one[] = {orders};
  WorkerStats& worker = stats.worker(0);
  worker.miss(worker.fingerprint(stats.intern_fingerprint("app", "join", both)));
  worker.hit(worker.fingerprint(stats.intern_fingerprint("app", "plain", one)), HitKind::kTier1,
             1us, 1us, 1);
  worker.table(items).writes.add();
  stats.count_invalidations([] { return 5; },
                            [](const std::string& database, const std::string& name) {
                              return database == "app" && name == "public.items" ? 2 : 0;
                            });
  const Snapshot snapshot = stats.snapshot();
  ASSERT_EQ(snapshot.tables.size(), 2U);
  EXPECT_EQ(snapshot.tables[0].name, "public.orders");
  EXPECT_EQ(snapshot.tables[0].reads, 2U);
  EXPECT_EQ(snapshot.tables[0].hits, 1U);
  EXPECT_EQ(snapshot.tables[1].reads, 1U);
  EXPECT_EQ(snapshot.tables[1].writes, 1U);
  EXPECT_EQ(snapshot.tables[1].invalidations, 2U);
  EXPECT_EQ(snapshot.invalidations, 5U);
}

TEST(Stats, SameTextOfAnotherDatabaseOrOverOtherTablesIsAnotherFingerprint) {
  Stats stats(options());
  const uint32_t a[] = {stats.intern_table("app", "tenant_a.t")};
  const uint32_t b[] = {stats.intern_table("app", "tenant_b.t")};
  const uint32_t first = stats.intern_fingerprint("app", "select ? from t", a);
  EXPECT_EQ(stats.intern_fingerprint("app", "select ? from t", a), first);
  EXPECT_NE(stats.intern_fingerprint("app", "select ? from t", b), first);
  EXPECT_NE(stats.intern_fingerprint("other", "select ? from t", a), first);
}

TEST(Stats, AFullTableCountsTheRestAsOther) {
  StatsOptions small = options(1);
  small.fingerprints_max = 3;
  small.tables_max = 1;
  Stats stats(small);
  for (int i = 0; i < 100; ++i) {
    WorkerStats& worker = stats.worker(0);
    const uint32_t tables[] = {stats.intern_table("app", "t" + std::to_string(i))};
    worker.miss(
        worker.fingerprint(stats.intern_fingerprint("app", "shape " + std::to_string(i), tables)));
  }
  const Snapshot snapshot = stats.snapshot();
  EXPECT_EQ(snapshot.misses, 100U);
  ASSERT_EQ(snapshot.fingerprints.size(), 4U);
  EXPECT_EQ(snapshot.fingerprints[0].hash, "other");
  EXPECT_EQ(snapshot.fingerprints[0].calls, 97U);
}

TEST(Stats, ALongShapeIsCutForShowButNotForIdentity) {
  StatsOptions small = options(1);
  small.sample_bytes_max = 8;
  Stats stats(small);
  const std::string text = "select \xC3\xA4\xC3\xA4 from one";  // the cut falls inside a character
  const uint32_t one = stats.intern_fingerprint("app", text, {});
  const uint32_t two = stats.intern_fingerprint("app", text + " two", {});
  EXPECT_NE(one, two);
  stats.worker(0).miss(stats.worker(0).fingerprint(one));
  EXPECT_EQ(stats.snapshot().fingerprints.at(0).shape, "select ");
}

TEST(Stats, GaugesGoDown) {
  Stats stats(options());
  stats.worker(0).clients.add(3);
  stats.worker(1).clients.add();
  stats.worker(0).clients.subtract(2);
  EXPECT_EQ(stats.snapshot().clients, 2U);
}

TEST(Stats, ReadingWhileWorkersCountSeesNumbersThatOnlyGrow) {
  Stats stats(options());
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (size_t w = 0; w < 2; ++w) {
    workers.emplace_back([&stats, w] {
      for (uint32_t i = 0; i < 20'000; ++i) {
        WorkerStats& worker = stats.worker(w);
        FingerprintStats& shape = worker.fingerprint(
            stats.intern_fingerprint("app", "shape " + std::to_string(i % 50), {}));
        worker.hit(shape, HitKind::kTier1, 1us, 1us, 1);
      }
    });
  }
  std::thread reader([&] {
    uint64_t previous = 0;
    while (!stop.load()) {
      const uint64_t hits = stats.snapshot().hits;
      EXPECT_GE(hits, previous);
      previous = hits;
    }
  });
  for (std::thread& worker : workers) worker.join();
  stop.store(true);
  reader.join();
  uint64_t by_shape = 0;
  for (const auto& row : stats.snapshot().fingerprints) by_shape += row.hits;
  EXPECT_EQ(stats.snapshot().hits, 40'000U);
  EXPECT_EQ(by_shape, 40'000U);
}

}  // namespace
}  // namespace pgrecall::stats
