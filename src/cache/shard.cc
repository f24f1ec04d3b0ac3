#include "cache/shard.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>

#include "pgrecall/base/assert.h"

namespace pgrecall::cache::detail {
namespace {

constexpr size_t kBucketBytes = sizeof(void*);
constexpr size_t kBucketsMin = 16;
constexpr size_t kGhostsMin = 16;
constexpr size_t kBudgetBytesPerGhost = 1024;
constexpr uint8_t kUsesMax = 3;

// What the allocator takes for a block of this size: a header and a multiple of 16.
size_t allocated(size_t bytes) {
  return std::max<size_t>(32, (bytes + 8 + 15) & ~size_t{15});
}

size_t string_bytes(const std::string& text) {
  return text.capacity() <= 15 ? 0 : allocated(text.capacity() + 1);
}

size_t result_bytes(const CachedResult& result) {
  constexpr size_t kControlBlockBytes = 16;
  return allocated(sizeof(CachedResult) + kControlBlockBytes) + string_bytes(result.bytes) +
         allocated(result.stamp.parts.capacity() * sizeof(invalidation::Stamp::Part));
}

uint32_t ghost_mark(uint64_t hash) {
  return static_cast<uint32_t>(hash >> 32) | 1;  // 0 marks an empty place
}

}  // namespace

/// One allocation: the fixed part, then the key's bytes.
struct Shard::Entry {
  Entry* chain = nullptr;  ///< next of the same bucket
  Entry* older = nullptr;
  Entry* newer = nullptr;
  uint64_t hash;
  size_t cost;
  CachedResultPtr result;
  uint32_t key_bytes;
  uint8_t uses = 0;
  bool in_main = false;

  Entry(const CacheKeyView& key, CachedResultPtr value, size_t total)
      : hash(key.hash),
        cost(total),
        result(std::move(value)),
        key_bytes(static_cast<uint32_t>(key.bytes.size())) {
    std::memcpy(key_data(), key.bytes.data(), key.bytes.size());
  }

  char* key_data() { return reinterpret_cast<char*>(this + 1); }
  bool is(const CacheKeyView& key) {
    return hash == key.hash && std::string_view(key_data(), key_bytes) == key.bytes;
  }

  static Entry* create(const CacheKeyView& key, CachedResultPtr value, size_t total) {
    void* memory = ::operator new(sizeof(Entry) + key.bytes.size());
    return new (memory) Entry(key, std::move(value), total);
  }
  static void destroy(Entry* entry) {
    entry->~Entry();
    ::operator delete(entry);
  }
  static size_t cost_of(const CacheKeyView& key, const CachedResult& value) {
    return allocated(sizeof(Entry) + key.bytes.size()) + result_bytes(value);
  }
};

class Shard::Removed {
 public:
  Removed() = default;
  Removed(const Removed&) = delete;
  Removed& operator=(const Removed&) = delete;
  ~Removed() {
    while (first_ != nullptr) {
      Entry* next = first_->chain;
      Entry::destroy(first_);
      first_ = next;
    }
  }
  void add(Entry* entry) {
    entry->chain = first_;
    first_ = entry;
  }

 private:
  Entry* first_ = nullptr;
};

void Shard::Queue::push(Entry* entry) {
  entry->older = newest;
  entry->newer = nullptr;
  (newest != nullptr ? newest->newer : oldest) = entry;
  newest = entry;
  bytes += entry->cost;
}

void Shard::Queue::remove(Entry* entry) {
  (entry->older != nullptr ? entry->older->newer : oldest) = entry->newer;
  (entry->newer != nullptr ? entry->newer->older : newest) = entry->older;
  bytes -= entry->cost;
}

Shard::Shard(size_t budget_bytes, size_t entry_bytes_max)
    : budget_bytes_(budget_bytes), entry_bytes_max_(entry_bytes_max) {
  buckets_.resize(kBucketsMin);
  ghosts_.resize(std::bit_ceil(std::max(kGhostsMin, budget_bytes / kBudgetBytesPerGhost)));
  used_ = fixed_bytes();
}

Shard::~Shard() {
  clear();
}

size_t Shard::fixed_bytes() const {
  return buckets_.size() * kBucketBytes + ghosts_.size() * sizeof(uint32_t);
}

Shard::Queue& Shard::queue_of(const Entry* entry) {
  return entry->in_main ? main_ : probation_;
}

/// The link that points to the entry, or to null where it would be appended.
Shard::Entry** Shard::locate(const CacheKeyView& key) {
  Entry** link = &buckets_[key.hash & (buckets_.size() - 1)];
  while (*link != nullptr && !(*link)->is(key)) link = &(*link)->chain;
  return link;
}

CachedResultPtr Shard::find(const CacheKeyView& key) {
  std::lock_guard lock(mutex_);
  Entry* entry = *locate(key);
  if (entry == nullptr) return nullptr;
  if (entry->uses < kUsesMax) ++entry->uses;
  return entry->result;
}

bool Shard::insert(const CacheKeyView& key, CachedResultPtr result) {
  const size_t cost = Entry::cost_of(key, *result);
  Removed removed;  // destroyed after the lock
  std::lock_guard lock(mutex_);
  Entry* old = *locate(key);
  if (cost > entry_bytes_max_ || fixed_bytes() + cost > budget_bytes_) {
    // The key was filled anew, so what is kept under it is outdated.
    if (old != nullptr) unlink(old, removed);
    return false;
  }
  ++counts_.insertions;
  if (old != nullptr) {
    replace(old, &result, cost);
    make_room(0, removed);
    return true;
  }
  if (counts_.entries >= buckets_.size()) grow_buckets(removed);
  make_room(cost, removed);
  add(key, std::move(result), cost);
  return true;
}

void Shard::add(const CacheKeyView& key, CachedResultPtr result, size_t cost) {
  Entry* entry = Entry::create(key, std::move(result), cost);
  entry->in_main = take_ghost(key.hash);
  queue_of(entry).push(entry);
  Entry*& bucket = buckets_[key.hash & (buckets_.size() - 1)];
  entry->chain = bucket;
  bucket = entry;
  used_ += cost;
  ++counts_.entries;
}

/// Swaps the new result in; the old one dies with the caller's pointer.
void Shard::replace(Entry* entry, CachedResultPtr* result, size_t cost) {
  entry->result.swap(*result);
  queue_of(entry).bytes += cost - entry->cost;
  used_ += cost - entry->cost;
  entry->cost = cost;
}

void Shard::unlink(Entry* entry, Removed& removed) {
  Entry** link = &buckets_[entry->hash & (buckets_.size() - 1)];
  while (*link != entry) link = &(*link)->chain;
  *link = entry->chain;
  queue_of(entry).remove(entry);
  used_ -= entry->cost;
  --counts_.entries;
  removed.add(entry);
}

void Shard::make_room(size_t bytes, Removed& removed) {
  while (used_ + bytes > budget_bytes_ && counts_.entries > 0) evict_one(removed);
}

/// Removes one entry, or moves one a step towards it; always makes progress because every step
/// lowers a use count or shortens the probation queue.
void Shard::evict_one(Removed& removed) {
  const bool from_probation =
      main_.oldest == nullptr || probation_.bytes > (budget_bytes_ - fixed_bytes()) / 10;
  if (from_probation && probation_.oldest != nullptr) {
    Entry* entry = probation_.oldest;
    if (entry->uses > 0) {
      probation_.remove(entry);
      entry->uses = 0;
      entry->in_main = true;
      main_.push(entry);
      return;
    }
    remember_ghost(entry->hash);
    ++counts_.evictions;
    unlink(entry, removed);
    return;
  }
  Entry* entry = main_.oldest;
  if (entry->uses > 0) {
    --entry->uses;
    main_.remove(entry);
    main_.push(entry);
    return;
  }
  ++counts_.evictions;
  unlink(entry, removed);
}

void Shard::grow_buckets(Removed& removed) {
  const size_t more = buckets_.size() * kBucketBytes;
  if (fixed_bytes() + more > budget_bytes_ / 4) return;  // chains grow instead
  make_room(more, removed);
  std::vector<Entry*> old(buckets_.size() * 2);
  old.swap(buckets_);
  for (Entry* entry : old) {
    while (entry != nullptr) {
      Entry* next = entry->chain;
      Entry*& bucket = buckets_[entry->hash & (buckets_.size() - 1)];
      entry->chain = bucket;
      bucket = entry;
      entry = next;
    }
  }
  used_ += more;
}

bool Shard::take_ghost(uint64_t hash) {
  uint32_t& place = ghosts_[hash & (ghosts_.size() - 1)];
  if (place != ghost_mark(hash)) return false;
  place = 0;
  return true;
}

void Shard::remember_ghost(uint64_t hash) {
  ghosts_[hash & (ghosts_.size() - 1)] = ghost_mark(hash);
}

void Shard::erase(const CacheKeyView& key) {
  Removed removed;
  std::lock_guard lock(mutex_);
  if (Entry* entry = *locate(key)) unlink(entry, removed);
}

void Shard::clear() {
  Removed removed;
  std::lock_guard lock(mutex_);
  for (Queue* queue : {&probation_, &main_}) {
    while (queue->oldest != nullptr) unlink(queue->oldest, removed);
  }
}

ResultCacheStats Shard::stats() const {
  std::lock_guard lock(mutex_);
  ResultCacheStats stats = counts_;
  stats.bytes = used_;
  return stats;
}

}  // namespace pgrecall::cache::detail
