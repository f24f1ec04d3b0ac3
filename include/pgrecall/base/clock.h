// Time as the core sees it: a value handed in by the shell, never read from the system.
#pragma once

#include <chrono>
#include <cstdint>

namespace pgrecall {

/// Monotonic time of the process. The core takes it as an argument or from a `Clock`.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// The shell updates it once per event-loop turn; the core only reads it. One per worker.
class Clock {
 public:
  TimePoint now() const { return now_; }
  void set(TimePoint now) { now_ = now; }

 private:
  TimePoint now_{};
};

}  // namespace pgrecall
