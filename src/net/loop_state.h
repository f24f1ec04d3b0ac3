// What a Loop hides: the libuv loop, the tasks of the turn and the shared read buffer.
#pragma once

#include <uv.h>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "pgrecall/base/mailbox.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/net/stream.h"

namespace pgrecall::net {

/// "ECONNREFUSED: connection refused" and the like, for an errno.
std::string error_text(int error);

/// Owned by the Loop and of the same thread and lifetime.
struct LoopState {
  /// Deferred tasks may defer others; so many rounds are run before the loop polls again.
  static constexpr int kDeferRoundsMax = 8;

  explicit LoopState(Loop& owner);
  ~LoopState();
  LoopState(const LoopState&) = delete;
  LoopState& operator=(const LoopState&) = delete;

  Status init();
  /// First thing in every callback from libuv: takes the time once per turn.
  void begin_turn() {
    if (turn_begun) return;
    turn_begun = true;
    loop.clock_.set(std::chrono::steady_clock::now());
  }
  void end_turn();
  void wake_up() { uv_async_send(&wake); }

  void add_end(Stream& stream);
  void remove_end(Stream& stream);

  Loop& loop;
  uv_loop_t uv{};
  uv_async_t wake{};
  uv_prepare_t prepare{};
  int initialized = 0;  ///< how many of the three above are
  Mailbox mailbox;
  std::atomic<bool> stop_requested{false};
  bool turn_begun = false;
  std::vector<std::function<void()>> deferred;
  std::vector<Stream*> ends;  ///< streams whose on_end is due
  std::unique_ptr<char[]> read_buffer;

 private:
  void run_deferred();
  void deliver_ends();
};

}  // namespace pgrecall::net
