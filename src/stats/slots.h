// Slots: numbered objects that appear on first use and stay where they are.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "pgrecall/base/assert.h"
#include "pgrecall/stats/stats.h"

namespace pgrecall::stats {

/// One thread calls `at`, any thread calls `find`. Objects are made in chunks, so that a table of
/// thousands costs nothing until it is used, and never move.
template <typename T>
class WorkerStats::Slots {
 public:
  explicit Slots(size_t max) : chunks_(max / kChunk + 1) {}
  ~Slots() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  T& at(uint32_t index) {
    PGR_ASSERT(index / kChunk < chunks_.size());
    std::atomic<Chunk*>& slot = chunks_[index / kChunk];
    Chunk* chunk = slot.load(std::memory_order_relaxed);
    if (chunk == nullptr) {
      chunk = new Chunk();
      slot.store(chunk, std::memory_order_release);  // publishes the zeroed objects
    }
    return (*chunk)[index % kChunk];
  }

  const T* find(uint32_t index) const {
    if (index / kChunk >= chunks_.size()) return nullptr;
    const Chunk* chunk = chunks_[index / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &(*chunk)[index % kChunk];
  }

 private:
  static constexpr uint32_t kChunk = 16;
  using Chunk = std::array<T, kChunk>;
  std::vector<std::atomic<Chunk*>> chunks_;
};

}  // namespace pgrecall::stats
