// The libuv side of one descriptor.
#pragma once

#include <uv.h>

#include "net/loop_state.h"

namespace pgrecall::net {

/// Made by `open`, given up by `release`, freed when libuv has closed it. Between `release` and
/// then nobody is called; within a callback, `owner == nullptr` tells that it was released.
struct PollHandle {
  using OnEvent = void (*)(void* owner, int status, int events);

  /// Null and an errno in `error` if libuv refuses the descriptor.
  static PollHandle* open(LoopState& state, int fd, void* owner, OnEvent on_event, int& error);
  /// Watches for UV_READABLE and UV_WRITABLE as given; 0: for nothing.
  void watch(int events);
  /// The descriptor may be closed, or watched by another loop, as soon as this returns.
  void release();

  uv_poll_t uv{};
  LoopState* state = nullptr;
  void* owner = nullptr;
  OnEvent on_event = nullptr;
};

}  // namespace pgrecall::net
