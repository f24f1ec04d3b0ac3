#include "net/loop_state.h"

#include <fmt/format.h>

#include <utility>

namespace pgrecall::net {

std::string error_text(int error) {
  return fmt::format("{} ({})", uv_strerror(-error), uv_err_name(-error));
}

LoopState::LoopState(Loop& owner) : loop(owner), read_buffer(new char[Stream::kReadBufferBytes]) {}

Status LoopState::init() {
  int result = uv_loop_init(&uv);
  if (result == 0) {
    initialized = 1;
    result = uv_async_init(&uv, &wake, [](uv_async_t* handle) {
      auto& state = *static_cast<LoopState*>(handle->data);
      state.begin_turn();
      state.mailbox.drain();
      if (state.stop_requested.exchange(false)) uv_stop(&state.uv);
    });
  }
  if (result != 0) return Error{"cannot create an event loop: " + error_text(-result), ""};
  initialized = 3;
  wake.data = this;
  mailbox.set_wake([this] { wake_up(); });
  PGR_ASSERT(uv_prepare_init(&uv, &prepare) == 0);  // cannot fail, nor can its start
  prepare.data = this;
  uv_prepare_start(&prepare, [](uv_prepare_t* handle) {
    auto& state = *static_cast<LoopState*>(handle->data);
    state.end_turn();
    state.turn_begun = false;
  });
  loop.clock_.set(std::chrono::steady_clock::now());
  return Ok{};
}

LoopState::~LoopState() {
  if (initialized == 0) return;
  if (initialized == 3) {
    uv_close(reinterpret_cast<uv_handle_t*>(&wake), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&prepare), nullptr);
  }
  // Whatever is still open belongs to an object that outlives its loop.
  const auto check = [](uv_handle_t* handle, void*) { PGR_ASSERT(uv_is_closing(handle) != 0); };
  uv_walk(&uv, check, nullptr);
  PGR_ASSERT(ends.empty());
  while (uv_loop_close(&uv) == UV_EBUSY) uv_run(&uv, UV_RUN_DEFAULT);
}

void LoopState::end_turn() {
  for (int round = 0; round < kDeferRoundsMax; ++round) {
    if (deferred.empty() && ends.empty()) return;
    begin_turn();
    run_deferred();
    deliver_ends();
  }
  if (!deferred.empty() || !ends.empty()) wake_up();
}

void LoopState::run_deferred() {
  std::vector<std::function<void()>> tasks;
  tasks.swap(deferred);
  for (auto& task : tasks) task();
  // Keep the capacity: a busy loop defers in every turn.
  tasks.clear();
  if (deferred.empty()) deferred.swap(tasks);
}

// Handlers may end other streams and open new ones that fail at once: only those due now.
void LoopState::deliver_ends() {
  for (size_t count = ends.size(); count > 0 && !ends.empty(); --count) {
    Stream* stream = ends.back();
    remove_end(*stream);
    stream->deliver_end();
  }
}

void LoopState::add_end(Stream& stream) {
  stream.end_index_ = static_cast<int32_t>(ends.size());
  ends.push_back(&stream);
}

void LoopState::remove_end(Stream& stream) {
  const auto index = static_cast<size_t>(stream.end_index_);
  PGR_ASSERT(index < ends.size() && ends[index] == &stream);
  ends[index] = ends.back();
  ends[index]->end_index_ = stream.end_index_;
  ends.pop_back();
  stream.end_index_ = -1;
}

}  // namespace pgrecall::net
