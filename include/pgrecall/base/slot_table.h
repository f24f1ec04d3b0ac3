// The owner of connections: objects in slots, found by {slot, generation}.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "pgrecall/base/ids.h"

namespace pgrecall {

/// Owns its objects; one thread. A SlotId of an erased object is never found again.
template <typename T>
class SlotTable {
 public:
  SlotId insert(std::unique_ptr<T> object) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].object = std::move(object);
    ++size_;
    return {slot, slots_[slot].generation};
  }

  /// Null if the object is gone.
  T* find(SlotId id) const {
    if (id.slot >= slots_.size() || slots_[id.slot].generation != id.generation) return nullptr;
    return slots_[id.slot].object.get();
  }

  /// Ends the id at once and returns the object to whoever ends it.
  std::unique_ptr<T> take(SlotId id) {
    if (find(id) == nullptr) return nullptr;
    Slot& slot = slots_[id.slot];
    if (++slot.generation == 0) slot.generation = 1;
    free_.push_back(id.slot);
    --size_;
    return std::move(slot.object);
  }

  size_t size() const { return size_; }

  /// Calls `visit(SlotId, T&)` for every object; `visit` must not insert or take.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].object) visit(SlotId{i, slots_[i].generation}, *slots_[i].object);
    }
  }

 private:
  struct Slot {
    std::unique_ptr<T> object;
    uint32_t generation = 1;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  size_t size_ = 0;
};

}  // namespace pgrecall
