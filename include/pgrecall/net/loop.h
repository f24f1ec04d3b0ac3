// Loop: one event loop, one thread. Everything of this module lives on one.
#pragma once

#include <functional>
#include <memory>

#include "pgrecall/base/clock.h"
#include "pgrecall/base/result.h"

namespace pgrecall::net {

struct LoopState;  // src/net: what libuv needs

/// A one-shot or repeating timer. Owned by its user, used on the loop's thread only, destroyed
/// before the Loop. Destroying or stopping it, also from within its own callback, means that the
/// callback is not called again. It never fires early; it may fire late.
class Timer {
 public:
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Calls back after `delay` and then, if `repeat` is not zero, each `repeat` (at least 1 ms).
  /// A running timer starts again. Resolution: 1 ms.
  void start(Duration delay, Duration repeat = Duration::zero());
  void stop();
  bool active() const;

 private:
  friend class Loop;
  struct Handle;
  Timer(LoopState& loop, std::function<void()> callback);
  Handle* handle_;  ///< outlives this until libuv has closed it
};

/// Owned by whoever starts the thread. All members belong to the thread that calls `run`, except
/// `post` and `stop`, which any thread may call while the Loop lives. Every Timer, Stream,
/// Listener, Signals and Resolution of a loop is destroyed before it.
///
/// One *turn*: timers, then the functions given to `defer`, then waiting for events, then their
/// callbacks and posted functions.
class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs until `stop`. May be called again afterwards; a `stop` before it ends it at once.
  void run();
  void stop();

  /// Monotonic time, taken when the first callback of a turn starts and constant until the next.
  TimePoint now() const { return clock_.now(); }
  const Clock& clock() const { return clock_; }

  /// Runs `task` on the loop's thread, in the order of posting. Tasks that are still waiting when
  /// the Loop is destroyed are destroyed unrun.
  void post(std::function<void()> task);

  /// Runs `task` at the end of this turn, before the loop waits for events again. A task deferred
  /// by a deferred task runs in the same turn up to a bound of rounds, then in the next one.
  void defer(std::function<void()> task);

  std::unique_ptr<Timer> make_timer(std::function<void()> callback);

  LoopState& state() { return *state_; }  ///< for this module's own use

 private:
  friend struct LoopState;
  Loop();
  Clock clock_;
  std::unique_ptr<LoopState> state_;
};

}  // namespace pgrecall::net
