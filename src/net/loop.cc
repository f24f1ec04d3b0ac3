#include "pgrecall/net/loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "net/loop_state.h"

namespace pgrecall::net {

Loop::Loop() : state_(std::make_unique<LoopState>(*this)) {}

Loop::~Loop() = default;

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop());
  Status status = loop->state_->init();
  if (!status.ok()) return status.error();
  return loop;
}

void Loop::run() {
  uv_run(&state_->uv, UV_RUN_DEFAULT);
}

void Loop::stop() {
  state_->stop_requested = true;
  state_->wake_up();
}

void Loop::post(std::function<void()> task) {
  state_->mailbox.post(std::move(task));
}

void Loop::defer(std::function<void()> task) {
  state_->deferred.push_back(std::move(task));
}

std::unique_ptr<Timer> Loop::make_timer(std::function<void()> callback) {
  return std::unique_ptr<Timer>(new Timer(*state_, std::move(callback)));
}

// Freed when libuv has closed it. It owns the callback, so that a Timer can be destroyed by it.
struct Timer::Handle {
  uv_timer_t uv{};
  LoopState* state = nullptr;
  Timer* owner = nullptr;
  std::function<void()> callback;
  bool calling = false;

  static void fire(uv_timer_t* timer) {
    auto& handle = *static_cast<Handle*>(timer->data);
    handle.state->begin_turn();
    handle.calling = true;
    handle.callback();
    handle.calling = false;
    if (handle.owner == nullptr) handle.callback = nullptr;
  }
};

Timer::Timer(LoopState& loop, std::function<void()> callback) : handle_(new Handle) {
  PGR_ASSERT(uv_timer_init(&loop.uv, &handle_->uv) == 0);
  handle_->uv.data = handle_;
  handle_->state = &loop;
  handle_->owner = this;
  handle_->callback = std::move(callback);
}

Timer::~Timer() {
  handle_->owner = nullptr;
  if (!handle_->calling) handle_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->uv),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void Timer::start(Duration delay, Duration repeat) {
  using std::chrono::ceil;
  using std::chrono::milliseconds;
  // libuv counts whole milliseconds from a rounded-down "now": one more keeps it from being early.
  uv_update_time(handle_->uv.loop);
  const auto delay_ms = std::max<int64_t>(0, ceil<milliseconds>(delay).count()) + 1;
  const auto repeat_ms = std::max<int64_t>(0, ceil<milliseconds>(repeat).count());
  PGR_ASSERT(uv_timer_start(&handle_->uv, Handle::fire, static_cast<uint64_t>(delay_ms),
                            static_cast<uint64_t>(repeat_ms)) == 0);
}

void Timer::stop() {
  uv_timer_stop(&handle_->uv);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&handle_->uv)) != 0;
}

}  // namespace pgrecall::net
