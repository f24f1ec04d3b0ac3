// Outage: which changes of a peer are worth a line in the log.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgrecall::proxy {

/// Of one peer; guarded by its owner. However often a lost peer is tried again, it is one line when
/// it is lost, one for each new reason, and one when it is back.
class Outage {
 public:
  static constexpr size_t kReasonsMax = 8;  ///< of one outage

  /// True: say so.
  bool lost(std::string_view reason) {
    if (state_ != State::kLost) reasons_.clear();
    state_ = State::kLost;
    const bool known = std::find(reasons_.begin(), reasons_.end(), reason) != reasons_.end();
    if (known || reasons_.size() == kReasonsMax) return false;
    reasons_.emplace_back(reason);
    return true;
  }

  /// True: say so. Also at the first time.
  bool back() {
    const bool changed = state_ != State::kThere;
    state_ = State::kThere;
    return changed;
  }

 private:
  enum class State : uint8_t { kUnknown, kThere, kLost };
  State state_ = State::kUnknown;
  std::vector<std::string> reasons_;
};

}  // namespace pgrecall::proxy
