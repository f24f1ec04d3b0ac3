#include "pgrecall/invalidation/epoch_table.h"

#include "pgrecall/base/assert.h"
#include "pgrecall/base/fault.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

namespace pgrecall::invalidation {
namespace {

constexpr uint64_t kFenceBit = 1;
constexpr uint64_t kOneEpoch = 2;

// One comparison proves both: a stamped word never has the fence bit, so an equal word has none.
bool unchanged(const Stamp& stamp) {
  for (const Stamp::Part& part : stamp.parts) {
    if (part.slot->word() != part.word) return false;
  }
  return !stamp.parts.empty();
}

bool unchanged_with_faults(const Stamp& stamp, bool ignore_fence, bool ignore_epoch) {
  for (const Stamp::Part& part : stamp.parts) {
    const uint64_t word = part.slot->word();
    if (!ignore_fence && !ignore_epoch && word != part.word) return false;
    if (!ignore_fence && EpochSlot::fenced(word)) return false;
    if (!ignore_epoch && (word | kFenceBit) != (part.word | kFenceBit)) return false;
  }
  return !stamp.parts.empty();
}

}  // namespace

DependencyId dependency_id(uint64_t system_identifier, uint32_t database, DependencyKind kind,
                           uint32_t oid) {
  std::array<unsigned char, 17> bytes;
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(system_identifier >> 8 * i);
  for (size_t i = 0; i < 4; ++i) bytes[8 + i] = static_cast<unsigned char>(database >> 8 * i);
  for (size_t i = 0; i < 4; ++i) bytes[12 + i] = static_cast<unsigned char>(oid >> 8 * i);
  bytes[16] = static_cast<unsigned char>(kind);
  return XXH3_64bits(bytes.data(), bytes.size());
}

EpochSlot* EpochTable::slot(DependencyId id) {
  std::lock_guard lock(mutex_);
  return slot_locked(id);
}

const EpochSlot* EpochTable::find(DependencyId id) const {
  std::lock_guard lock(mutex_);
  auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : found->second.get();
}

EpochSlot* EpochTable::slot_locked(DependencyId id) {
  std::unique_ptr<EpochSlot>& slot = slots_[id];
  if (!slot) slot = std::make_unique<EpochSlot>(id, first_epoch_);
  return slot.get();
}

bool EpochTable::stamp(std::span<const EpochSlot* const> slots, Stamp* stamp) {
  stamp->parts.clear();
  stamp->parts.reserve(slots.size());
  for (const EpochSlot* slot : slots) {
    const uint64_t word = slot->word();
    // The broken rule keeps the fenced word, so that a hit finds it unchanged under the same fence.
    if (EpochSlot::fenced(word) && !fault(Fault::kFillIgnoresFence)) return false;
    stamp->parts.push_back({slot, word});
  }
  return true;
}

bool EpochTable::holds(const Stamp& stamp) {
  if (fault(Fault::kHitIgnoresFence) || fault(Fault::kHitIgnoresEpoch)) [[unlikely]]
    return unchanged_with_faults(stamp, fault(Fault::kHitIgnoresFence),
                                 fault(Fault::kHitIgnoresEpoch));
  return unchanged(stamp);
}

bool EpochTable::may_fill(Stamp& stamp) {
  const bool ignore_fence = fault(Fault::kFillIgnoresFence);
  const bool ignore_epoch = fault(Fault::kFillIgnoresEpoch);
  if (!ignore_fence && !ignore_epoch) return unchanged(stamp);
  if (!unchanged_with_faults(stamp, ignore_fence, ignore_epoch)) return false;
  // Without this the stale stamp would travel with the entry and rule 3 refuse it: no harm done.
  for (Stamp::Part& part : stamp.parts) {
    if (ignore_epoch) part.word = part.slot->word();
  }
  return true;
}

void EpochTable::add_fence_locked(FenceToken token, std::vector<EpochSlot*>& raised,
                                  std::span<const DependencyId> ids) {
  for (DependencyId id : ids) {
    EpochSlot* slot = slot_locked(id);
    if (!slot->fences_.insert(token).second) continue;
    raised.push_back(slot);
    if (!fault(Fault::kNoRaise)) slot->word_.fetch_or(kFenceBit);
  }
}

FenceToken EpochTable::raise(std::span<const DependencyId> ids) {
  std::lock_guard lock(mutex_);
  const FenceToken token = next_token_++;
  add_fence_locked(token, fences_[token], ids);
  return token;
}

void EpochTable::extend(FenceToken token, std::span<const DependencyId> ids) {
  std::lock_guard lock(mutex_);
  auto found = fences_.find(token);
  PGR_ASSERT(found != fences_.end());
  add_fence_locked(token, found->second, ids);
}

void EpochTable::fall_locked(FenceToken token) {
  auto found = fences_.find(token);
  if (found == fences_.end()) return;
  for (EpochSlot* slot : found->second) {
    slot->fences_.erase(token);
    if (slot->fences_.empty()) slot->word_.fetch_and(~kFenceBit);
  }
  fences_.erase(found);
}

void EpochTable::settle(std::span<const FenceToken> fall, std::span<const DependencyId> advance) {
  std::lock_guard lock(mutex_);
  if (!fault(Fault::kNoAdvance)) {
    for (DependencyId id : advance) slot_locked(id)->word_.fetch_add(kOneEpoch);
    advances_ += advance.size();
  }
  for (FenceToken token : fall) fall_locked(token);
}

void EpochTable::settle_committed(FenceToken token) {
  std::lock_guard lock(mutex_);
  auto found = fences_.find(token);
  if (found == fences_.end()) return;
  if (!fault(Fault::kNoAdvance)) {
    for (EpochSlot* slot : found->second) slot->word_.fetch_add(kOneEpoch);
    advances_ += found->second.size();
  }
  fall_locked(token);
}

void EpochTable::settle_rolled_back(FenceToken token) {
  std::lock_guard lock(mutex_);
  fall_locked(token);
}

void EpochTable::advance(std::span<const DependencyId> ids) {
  std::lock_guard lock(mutex_);
  for (DependencyId id : ids) slot_locked(id)->word_.fetch_add(kOneEpoch);
  advances_ += ids.size();
}

void EpochTable::advance_all() {
  if (fault(Fault::kGenerationKept)) return;
  std::lock_guard lock(mutex_);
  for (auto& [id, slot] : slots_) slot->word_.fetch_add(kOneEpoch);
  advances_ += slots_.size();
}

size_t EpochTable::slots() const {
  std::lock_guard lock(mutex_);
  return slots_.size();
}

uint64_t EpochTable::advances() const {
  std::lock_guard lock(mutex_);
  return advances_;
}

uint64_t EpochTable::advances_of(DependencyId id) const {
  const EpochSlot* slot = find(id);
  return slot == nullptr ? 0 : slot->word() / kOneEpoch - first_epoch_;
}

size_t EpochTable::open_fences() const {
  std::lock_guard lock(mutex_);
  return fences_.size();
}

}  // namespace pgrecall::invalidation
