#include "pgrecall/stats/counter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

namespace pgrecall::stats {
namespace {

template <typename Histogram>
HistogramSnapshot snapshot_of(const Histogram& histogram) {
  HistogramSnapshot snapshot;
  histogram.add_to(snapshot);
  return snapshot;
}

TEST(LogHistogram, BucketsAreContiguousAndOrdered) {
  size_t previous = 0;
  for (uint64_t value = 0; value < 100'000; ++value) {
    const size_t bucket = LatencyHistogram::bucket_of(value);
    EXPECT_TRUE(bucket == previous || bucket == previous + 1) << value;
    previous = bucket;
  }
}

TEST(LogHistogram, ValuesBeyondTheRangeCountInTheLastBucket) {
  EXPECT_EQ(LatencyHistogram::bucket_of(~uint64_t{0}), LatencyHistogram::kBuckets - 1);
  EXPECT_EQ(LatencyHistogram::bucket_of((uint64_t{1} << 42) - 1), LatencyHistogram::kBuckets - 1);
  EXPECT_EQ(SmallHistogram::bucket_of(uint64_t{1} << 60), SmallHistogram::kBuckets - 1);
}

TEST(LogHistogram, PercentilesAreWithinTwoSignificantDigitsOfTheSortedValues) {
  auto histogram = std::make_unique<LatencyHistogram>();
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(12.0, 2.0);
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(static_cast<uint64_t>(latency(random)) + 1);
    histogram->record(values.back());
  }
  std::sort(values.begin(), values.end());
  const HistogramSnapshot snapshot = snapshot_of(*histogram);
  EXPECT_EQ(snapshot.count, values.size());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<size_t>(std::ceil(share * 20'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    EXPECT_NEAR(static_cast<double>(snapshot.percentile(share)), exact, exact * 0.01 + 1) << share;
  }
}

TEST(LogHistogram, CountBelowAPowerOfTwoIsExact) {
  auto histogram = std::make_unique<LatencyHistogram>();
  for (uint64_t value = 1; value <= 5'000; ++value) histogram->record(value);
  const HistogramSnapshot snapshot = snapshot_of(*histogram);
  for (uint64_t border = 1; border <= 4'096; border *= 2)
    EXPECT_EQ(snapshot.count_below(border), border - 1);
  EXPECT_EQ(snapshot.count_below(uint64_t{1} << 41), 5'000U);
}

TEST(LogHistogram, OfNothingHasPercentileZero) {
  EXPECT_EQ(HistogramSnapshot{}.percentile(0.99), 0U);
  EXPECT_EQ(snapshot_of(*std::make_unique<LatencyHistogram>()).percentile(0.5), 0U);
}

TEST(HistogramSnapshot, MergeAddsCountsAndSums) {
  auto one = std::make_unique<SmallHistogram>();
  auto two = std::make_unique<SmallHistogram>();
  one->record(10);
  two->record(1'000);
  HistogramSnapshot merged;
  merged.merge(snapshot_of(*one));
  merged.merge(snapshot_of(*two));
  EXPECT_EQ(merged.count, 2U);
  EXPECT_EQ(merged.sum, 1'010U);
  EXPECT_EQ(merged.percentile(0.5), 10U);
}

}  // namespace
}  // namespace pgrecall::stats
