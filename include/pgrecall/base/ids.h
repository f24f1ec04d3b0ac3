// Generation ids: others hold {slot, generation} instead of pointers, so late events fall through.
#pragma once

#include <cstdint>
#include <functional>

namespace pgrecall {

/// Names one object in one slot of one table. Generation 0 names nothing.
struct SlotId {
  uint32_t slot = 0;
  uint32_t generation = 0;

  bool valid() const { return generation != 0; }
  friend bool operator==(const SlotId&, const SlotId&) = default;
};

}  // namespace pgrecall

template <>
struct std::hash<pgrecall::SlotId> {
  size_t operator()(const pgrecall::SlotId& id) const noexcept {
    return std::hash<uint64_t>()((uint64_t{id.slot} << 32) | id.generation);
  }
};
