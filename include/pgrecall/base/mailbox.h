// The only way from one thread to another on the data path: closures posted to the owner's loop.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace pgrecall {

/// Any thread may post; the owning thread drains. `wake` (set once, before use) must be callable
/// from any thread and makes the owner drain soon.
class Mailbox {
 public:
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  void post(std::function<void()> task) {
    bool was_empty;
    {
      std::lock_guard lock(mutex_);
      was_empty = tasks_.empty();
      tasks_.push_back(std::move(task));
    }
    if (was_empty && wake_) wake_();
  }

  /// Runs what was posted so far, in order. Called by the owner.
  void drain() {
    std::vector<std::function<void()>> tasks;
    {
      std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    for (auto& task : tasks) task();
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  std::function<void()> wake_;
};

}  // namespace pgrecall
