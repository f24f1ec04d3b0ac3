// ResultCache: tier one. Byte-budgeted, sharded, in the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/cache/cached_result.h"

namespace pgrecall::cache {

/// Names one answer: who asks, under which settings, what, with which parameters and formats.
/// `bytes` is the structured encoding of all of it and is compared in full; `hash` is over `bytes`.
struct CacheKeyView {
  uint64_t hash = 0;
  std::string_view bytes;
};

uint64_t hash_key(std::string_view bytes);  ///< XXH3, inlined (libpg_query exports XXH symbols)

struct ResultCacheStats {
  uint64_t entries = 0;
  uint64_t bytes = 0;  ///< keys, bodies and bookkeeping
  uint64_t insertions = 0;
  uint64_t evictions = 0;
};

/// Any thread. A flood of keys that are asked for once does not flush the others (S3-FIFO, see
/// src/cache/shard.h). `find` locks one shard for the time of a look-up and one reference count;
/// nothing is allocated. Whether a found result may be *shown* is rule 3 and the caller's business.
/// Outdated entries are replaced on the next fill or evicted; invalidation never searches here.
class ResultCache {
 public:
  /// `budget_bytes` covers everything an entry costs; `entry_bytes_max` bounds one entry.
  ResultCache(size_t budget_bytes, size_t entry_bytes_max, size_t shards = 16);
  ~ResultCache();
  ResultCache(const ResultCache&) = delete;
  ResultCache& operator=(const ResultCache&) = delete;

  CachedResultPtr find(const CacheKeyView& key) const;
  /// Replaces an older entry of the same key. False if the entry is too large to be kept.
  bool insert(const CacheKeyView& key, CachedResultPtr result);
  void erase(const CacheKeyView& key);
  void clear();

  size_t entry_bytes_max() const { return entry_bytes_max_; }
  ResultCacheStats stats() const;

 private:
  struct Shard;
  Shard& shard_of(uint64_t hash) const;
  std::vector<std::unique_ptr<Shard>> shards_;
  size_t entry_bytes_max_;
};

}  // namespace pgrecall::cache
