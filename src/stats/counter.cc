#include "pgrecall/stats/counter.h"

#include <algorithm>
#include <cmath>

#include "pgrecall/base/assert.h"

namespace pgrecall::stats {
namespace {

/// The smallest value that counts in a bucket; the inverse of LogHistogram::bucket_of.
uint64_t lower_bound_of(size_t bucket, unsigned sub_bits) {
  const uint64_t width = uint64_t{1} << sub_bits;
  if (bucket < width) return bucket;
  const unsigned shift = static_cast<unsigned>(bucket >> sub_bits) - 1;
  return ((bucket & (width - 1)) + width) << shift;
}

}  // namespace

uint64_t HistogramSnapshot::percentile(double share) const {
  if (count == 0) return 0;
  const auto rank = static_cast<uint64_t>(
      std::clamp(std::ceil(share * static_cast<double>(count)), 1.0, static_cast<double>(count)));
  uint64_t seen = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i];
    if (seen < rank) continue;
    const uint64_t low = lower_bound_of(i, sub_bits);
    return low + (lower_bound_of(i + 1, sub_bits) - low) / 2;
  }
  return lower_bound_of(counts.size() - 1, sub_bits);
}

uint64_t HistogramSnapshot::count_below(uint64_t value) const {
  uint64_t below = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (lower_bound_of(i + 1, sub_bits) > value) break;
    below += counts[i];
  }
  return below;
}

void HistogramSnapshot::merge(const HistogramSnapshot& other) {
  if (other.counts.empty()) return;
  PGR_ASSERT(counts.empty() ||
             (sub_bits == other.sub_bits && counts.size() == other.counts.size()));
  sub_bits = other.sub_bits;
  counts.resize(other.counts.size());
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  count += other.count;
  sum += other.sum;
}

}  // namespace pgrecall::stats
