#include "pgrecall/net/thread.h"

#include <uv.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include "net/loop_state.h"

namespace pgrecall::net {
namespace {

static_assert(std::is_same_v<uv_thread_t, pthread_t>);
constexpr size_t kNameBytesMax = 15;  // pthread_setname_np

struct Start {
  std::string name;
  std::function<void()> function;
};

void run_thread(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  pthread_setname_np(pthread_self(), start->name.c_str());
  start->function();
}

}  // namespace

Thread::Thread(Thread&& other) noexcept
    : id_(other.id_), running_(std::exchange(other.running_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  join();
  id_ = other.id_;
  running_ = std::exchange(other.running_, false);
  return *this;
}

void Thread::join() {
  if (std::exchange(running_, false)) uv_thread_join(&id_);
}

Result<Thread> start_thread(std::string name, size_t stack_bytes, std::function<void()> function) {
  name.resize(std::min(name.size(), kNameBytesMax));
  auto start = std::make_unique<Start>(Start{std::move(name), std::move(function)});
  uv_thread_options_t options{};
  options.flags = UV_THREAD_HAS_STACK_SIZE;
  options.stack_size = stack_bytes;
  Thread thread;
  const int result = uv_thread_create_ex(&thread.id_, &options, &run_thread, start.get());
  if (result != 0) return Error{"cannot start a thread: " + error_text(-result), ""};
  static_cast<void>(start.release());  // run_thread's now
  thread.running_ = true;
  return thread;
}

}  // namespace pgrecall::net
