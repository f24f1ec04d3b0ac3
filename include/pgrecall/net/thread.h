// Threads with a stack of a chosen size.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <functional>
#include <string>

#include "pgrecall/base/result.h"

namespace pgrecall::net {

/// Stack of every thread that may parse SQL: unpacking a parse tree takes about 2 kB per level.
constexpr size_t kParserStackBytes = 64 * 1024 * 1024;

/// Owned by whoever started it; joins when destroyed.
class Thread {
 public:
  Thread() = default;
  ~Thread() { join(); }
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;

  void join();  ///< waits for the function to return; nothing if there is no thread
  bool joinable() const { return running_; }

 private:
  friend Result<Thread> start_thread(std::string name, size_t stack_bytes,
                                     std::function<void()> function);
  pthread_t id_{};
  bool running_ = false;
};

/// Runs `function` on a new thread. `name` is what top and gdb show, at most 15 characters of it.
/// The stack is address space: only what is used takes memory.
Result<Thread> start_thread(std::string name, size_t stack_bytes, std::function<void()> function);

}  // namespace pgrecall::net
