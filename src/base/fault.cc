#include "pgrecall/base/fault.h"

#include <array>

namespace pgrecall {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Fault::kCount)> kNames = {
    "stamp-after-reply",
    "fill-ignores-epoch",
    "fill-ignores-fence",
    "hit-ignores-fence",
    "hit-ignores-epoch",
    "no-raise",
    "settle-at-complete",
    "no-advance",
    "ack-before-advance",
    "unknown-falls-at-once",
    "hit-in-own-transaction",
    "opaque-is-read",
    "ddl-is-read",
    "constraint-forgotten",
    "generation-kept",
    "snapshot-isolation",
    "join-without-check"};

}  // namespace

#ifdef PGRECALL_FAULTS
std::atomic<uint32_t> fault_mask{0};
#endif

std::string_view fault_name(Fault fault) {
  return kNames.at(static_cast<size_t>(fault));
}

Status enable_fault(std::string_view name) {
#ifdef PGRECALL_FAULTS
  std::string allowed;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      fault_mask.fetch_or(1U << i);
      return Ok{};
    }
    allowed += (i == 0 ? "" : ", ") + std::string(kNames[i]);
  }
  return Error{"unknown fault \"" + std::string(name) + "\"; allowed: " + allowed, ""};
#else
  return Error{"fault \"" + std::string(name) + "\": this build has no fault points", ""};
#endif
}

}  // namespace pgrecall
