#include "pgrecall/net/signals.h"

#include <csignal>
#include <utility>

#include "net/loop_state.h"

namespace pgrecall::net {

struct Signals::Handle {
  uv_signal_t uv{};
  LoopState* state = nullptr;
  Signals* owner = nullptr;

  static void fire(uv_signal_t* signal, int number) {
    auto& handle = *static_cast<Handle*>(signal->data);
    handle.state->begin_turn();
    if (handle.owner != nullptr) handle.owner->callback_(number);
  }
};

Signals::Signals(Callback callback) : callback_(std::move(callback)) {}

Result<std::unique_ptr<Signals>> Signals::watch(Loop& loop, std::initializer_list<int> numbers,
                                                Callback callback) {
  std::unique_ptr<Signals> signals(new Signals(std::move(callback)));
  std::signal(SIGPIPE, SIG_IGN);
  for (const int number : numbers) {
    auto* handle = new Handle;
    int result = uv_signal_init(&loop.state().uv, &handle->uv);
    if (result != 0) {
      delete handle;
      return Error{"cannot watch for signals: " + error_text(-result), ""};
    }
    handle->uv.data = handle;
    handle->state = &loop.state();
    handle->owner = signals.get();
    signals->handles_.push_back(handle);
    result = uv_signal_start(&handle->uv, &Handle::fire, number);
    if (result != 0) return Error{"cannot watch for signals: " + error_text(-result), ""};
  }
  return signals;
}

Signals::~Signals() {
  for (Handle* handle : handles_) {
    handle->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle->uv),
             [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
  }
}

}  // namespace pgrecall::net
