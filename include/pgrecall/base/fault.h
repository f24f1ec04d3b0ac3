// Fault points: each freshness rule can be broken on purpose, so that the checkers can be shown to
// see it. Compiled in only with PGRECALL_FAULTS (presets dev, asan, tsan); elsewhere they are
// constant false and cost nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"

namespace pgrecall {

/// One per rule of the freshness protocol that can be broken (docs/FRESHNESS.md).
enum class Fault : uint8_t {
  kStampAfterReply,      ///< rule 1: epochs are recorded when the result arrives
  kFillIgnoresEpoch,     ///< rule 2: a result is stored although an epoch moved
  kFillIgnoresFence,     ///< rule 1: a result is stored although a fence was up
  kHitIgnoresFence,      ///< rule 3: a hit is served under a fence
  kHitIgnoresEpoch,      ///< rule 3: a hit is served with an outdated stamp
  kNoRaise,              ///< rule 4: no fence before a commit leaves
  kSettleAtComplete,     ///< rule 5: settles on CommandComplete and without advancing on 'I'
  kNoAdvance,            ///< rule 5: fences fall, epochs stay
  kAckBeforeAdvance,     ///< rule 5: the answer goes out before the epochs advance
  kUnknownFallsAtOnce,   ///< rule 5: a lost connection drops its fences at once
  kHitInOwnTransaction,  ///< rule 6: hits after the transaction's own write
  kOpaqueIsRead,         ///< rule 8: opaque statements advance nothing
  kDdlIsRead,            ///< rule 9: DDL advances nothing
  kConstraintForgotten,  ///< rule 10: constraint errors are forgotten
  kGenerationKept,       ///< rule 11: older generations still count
  kSnapshotIsolation,    ///< F4: REPEATABLE READ and SERIALIZABLE use the cache
  kJoinWithoutCheck,     ///< rule 3: a flight is joined without checking the leader's stamp
  kCount
};

/// The name used by `--fault NAME`, for example "no-raise".
std::string_view fault_name(Fault fault);
/// Turns a fault on by name. An unknown name, or a build without fault points, is an error that
/// lists what is allowed.
Status enable_fault(std::string_view name);

#ifdef PGRECALL_FAULTS
extern std::atomic<uint32_t> fault_mask;
inline bool fault(Fault which) {
  return (fault_mask.load(std::memory_order_relaxed) >> static_cast<unsigned>(which)) & 1U;
}
#else
constexpr bool fault(Fault) {
  return false;
}
#endif

}  // namespace pgrecall
