#include "net/poll_handle.h"

#include "pgrecall/base/assert.h"

namespace pgrecall::net {

PollHandle* PollHandle::open(LoopState& state, int fd, void* owner, OnEvent on_event, int& error) {
  auto* handle = new PollHandle;
  error = -uv_poll_init(&state.uv, &handle->uv, fd);
  if (error != 0) {
    delete handle;
    return nullptr;
  }
  handle->uv.data = handle;
  handle->state = &state;
  handle->owner = owner;
  handle->on_event = on_event;
  return handle;
}

void PollHandle::watch(int events) {
  if (events == 0) {
    uv_poll_stop(&uv);
    return;
  }
  PGR_ASSERT(uv_poll_start(&uv, events, [](uv_poll_t* poll, int status, int seen) {
               auto& handle = *static_cast<PollHandle*>(poll->data);
               handle.state->begin_turn();
               handle.on_event(handle.owner, status, seen);
             }) == 0);
}

void PollHandle::release() {
  owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&uv),
           [](uv_handle_t* handle) { delete static_cast<PollHandle*>(handle->data); });
}

}  // namespace pgrecall::net
