// Shard: one lock's worth of the result cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "pgrecall/cache/result_cache.h"

namespace pgrecall::cache::detail {

/// Eviction is S3-FIFO: a new key enters a small queue (a tenth of the budget); there it must be
/// asked for again to reach the main queue, which is a CLOCK. Keys that left the small queue unused
/// are remembered by a few hash bits, and enter the main queue at once if they come back. So a
/// flood of keys that are never asked for twice passes through a tenth of the memory.
///
/// Any thread; one mutex. Invariants: `used_` is the sum of all entry costs, the buckets and the
/// ghosts; it never exceeds the budget while there is an entry.
class Shard {
 public:
  Shard(size_t budget_bytes, size_t entry_bytes_max);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  CachedResultPtr find(const CacheKeyView& key);
  bool insert(const CacheKeyView& key, CachedResultPtr result);
  void erase(const CacheKeyView& key);
  void clear();
  ResultCacheStats stats() const;

 private:
  struct Entry;

  /// Oldest first; intrusive, owns nothing.
  struct Queue {
    Entry* oldest = nullptr;
    Entry* newest = nullptr;
    size_t bytes = 0;
    void push(Entry* entry);
    void remove(Entry* entry);
  };

  /// Entries unlinked under the lock and destroyed after it was released.
  class Removed;

  Entry** locate(const CacheKeyView& key);
  void add(const CacheKeyView& key, CachedResultPtr result, size_t cost);
  void replace(Entry* entry, CachedResultPtr* result, size_t cost);
  void unlink(Entry* entry, Removed& removed);
  void make_room(size_t bytes, Removed& removed);
  void evict_one(Removed& removed);
  void grow_buckets(Removed& removed);
  bool take_ghost(uint64_t hash);
  void remember_ghost(uint64_t hash);
  Queue& queue_of(const Entry* entry);
  size_t fixed_bytes() const;

  mutable std::mutex mutex_;
  const size_t budget_bytes_;
  const size_t entry_bytes_max_;
  std::vector<Entry*> buckets_;
  std::vector<uint32_t> ghosts_;
  Queue probation_;
  Queue main_;
  size_t used_ = 0;
  ResultCacheStats counts_;
};

}  // namespace pgrecall::cache::detail
