#include "pgrecall/cache/result_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "cache/shard.h"
#include "pgrecall/base/assert.h"

namespace pgrecall::cache {
namespace {

// A shard must hold several of the largest entries, or small budgets would refuse large results.
size_t shard_count(size_t budget_bytes, size_t entry_bytes_max, size_t wanted) {
  const size_t useful = budget_bytes / (4 * std::max<size_t>(entry_bytes_max, 1));
  return std::bit_floor(std::clamp<size_t>(useful, 1, std::max<size_t>(wanted, 1)));
}

}  // namespace

uint64_t hash_key(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct ResultCache::Shard : detail::Shard {
  using detail::Shard::Shard;
};

ResultCache::ResultCache(size_t budget_bytes, size_t entry_bytes_max, size_t shards)
    : entry_bytes_max_(entry_bytes_max) {
  const size_t count = shard_count(budget_bytes, entry_bytes_max, shards);
  for (size_t i = 0; i < count; ++i)
    shards_.push_back(std::make_unique<Shard>(budget_bytes / count, entry_bytes_max));
}

ResultCache::~ResultCache() = default;

ResultCache::Shard& ResultCache::shard_of(uint64_t hash) const {
  // The high bits choose the shard, the low ones the bucket inside it.
  return *shards_[(hash >> 48) & (shards_.size() - 1)];
}

CachedResultPtr ResultCache::find(const CacheKeyView& key) const {
  return shard_of(key.hash).find(key);
}

bool ResultCache::insert(const CacheKeyView& key, CachedResultPtr result) {
  PGR_ASSERT(result != nullptr);
  return shard_of(key.hash).insert(key, std::move(result));
}

void ResultCache::erase(const CacheKeyView& key) {
  shard_of(key.hash).erase(key);
}

void ResultCache::clear() {
  for (auto& shard : shards_) shard->clear();
}

ResultCacheStats ResultCache::stats() const {
  ResultCacheStats total;
  for (const auto& shard : shards_) {
    const ResultCacheStats one = shard->stats();
    total.entries += one.entries;
    total.bytes += one.bytes;
    total.insertions += one.insertions;
    total.evictions += one.evictions;
  }
  return total;
}

}  // namespace pgrecall::cache
