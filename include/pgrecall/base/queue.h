// Queue: first in, first out, and nothing allocated while it is empty and small.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "pgrecall/base/assert.h"

namespace pgrecall {

/// For queues that thousands of idle sessions have: a std::deque takes half a KiB before the first
/// element. Elements are destroyed when they are popped. Push and pop take constant time,
/// amortised.
template <class T>
class Queue {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T& front() {
    PGR_ASSERT(!empty());
    return items_[head_];
  }
  const T& front() const {
    PGR_ASSERT(!empty());
    return items_[head_];
  }
  void push_back(T item) { items_.push_back(std::move(item)); }
  void pop_front() {
    front() = T{};
    if (++head_ == items_.size()) return clear();
    if (head_ < kKept || head_ * 2 < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  void clear() {
    if (items_.capacity() > kKept)
      std::vector<T>().swap(items_);
    else
      items_.clear();
    head_ = 0;
  }
  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return items_.end(); }

 private:
  static constexpr size_t kKept = 16;  ///< places that an empty queue may keep
  std::vector<T> items_;
  size_t head_ = 0;
};

}  // namespace pgrecall
