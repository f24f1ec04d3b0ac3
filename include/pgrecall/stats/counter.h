// Counter and LogHistogram: written by one thread, read by any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgrecall::stats {

/// One writer thread, any reader. A plain load and store, not a locked instruction.
template <typename Value>
class BasicCounter {
 public:
  void add(Value count = 1) {
    value_.store(static_cast<Value>(value_.load(std::memory_order_relaxed) + count),
                 std::memory_order_relaxed);
  }
  void subtract(Value count = 1) { add(static_cast<Value>(0 - count)); }
  void set(Value value) { value_.store(value, std::memory_order_relaxed); }
  Value get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Value> value_{0};
};
using Counter = BasicCounter<uint64_t>;
using SmallCounter = BasicCounter<uint32_t>;

/// Counts per bucket of one or several LogHistograms of one layout; a value, for the reader.
struct HistogramSnapshot {
  unsigned sub_bits = 0;
  std::vector<uint64_t> counts;
  uint64_t count = 0;
  uint64_t sum = 0;

  /// The value below which `share` (0 to 1) of the records lie, as the middle of its bucket; 0 if
  /// there are no records.
  uint64_t percentile(double share) const;
  /// How many records were certainly below `value`, exact where `value` is a power of two.
  uint64_t count_below(uint64_t value) const;
  void merge(const HistogramSnapshot& other);  ///< of the same layout, or either is empty
};

/// Bucket borders: `2^SubBits` buckets of equal width in each power of two, so every value is known
/// to one part in `2^SubBits`. Values beyond `Powers` powers of two count in the last bucket.
template <unsigned SubBits, unsigned Powers, typename Value>
class LogHistogram {
 public:
  static constexpr unsigned kSubBits = SubBits;
  static constexpr size_t kBuckets = (Powers - SubBits + 1) << SubBits;

  static size_t bucket_of(uint64_t value) {
    if (value < (uint64_t{1} << SubBits)) return static_cast<size_t>(value);
    const unsigned power = static_cast<unsigned>(std::bit_width(value)) - 1;
    if (power >= Powers) return kBuckets - 1;
    const unsigned shift = power - SubBits;
    return (size_t{shift} << SubBits) + static_cast<size_t>(value >> shift);
  }

  void record(uint64_t value) {
    counts_[bucket_of(value)].add();
    sum_.add(value);
  }

  void add_to(HistogramSnapshot& into) const {
    into.sub_bits = SubBits;
    if (into.counts.size() < kBuckets) into.counts.resize(kBuckets);
    for (size_t i = 0; i < kBuckets; ++i) {
      const uint64_t count = counts_[i].get();
      into.counts[i] += count;
      into.count += count;
    }
    into.sum += sum_.get();
  }

 private:
  std::array<BasicCounter<Value>, kBuckets> counts_;
  Counter sum_;
};

/// Nanoseconds to a little over an hour, to 1.6 % (two significant digits).
using LatencyHistogram = LogHistogram<6, 42, uint64_t>;
/// Microseconds to a little over an hour, to 12.5 %; small, for one query shape.
using SmallHistogram = LogHistogram<3, 32, uint32_t>;

}  // namespace pgrecall::stats
