// A growable byte queue: bytes are appended at the end and consumed from the front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "pgrecall/base/assert.h"

namespace pgrecall {

/// Owned by one connection and used by one thread. A view returned by `view()` is valid until the
/// next non-const call. Consuming everything keeps a small capacity and gives a large one back, so
/// an idle connection holds no more than `kKeepBytes`.
class ByteBuffer {
 public:
  static constexpr size_t kKeepBytes = 16 * 1024;

  bool empty() const { return begin_ == bytes_.size(); }
  size_t size() const { return bytes_.size() - begin_; }
  size_t capacity() const { return bytes_.capacity(); }
  std::string_view view() const { return {bytes_.data() + begin_, size()}; }

  void append(std::string_view bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void append_u8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }

  void consume(size_t count) {
    PGR_ASSERT(count <= size());
    begin_ += count;
    if (begin_ == bytes_.size())
      clear();
    else if (begin_ > kKeepBytes && begin_ * 2 > bytes_.size())
      compact();
  }

  void clear() {
    begin_ = 0;
    if (bytes_.capacity() > kKeepBytes)
      std::vector<char>().swap(bytes_);
    else
      bytes_.clear();
  }

  /// Gives all memory back; for a connection that goes idle.
  void release() {
    begin_ = 0;
    std::vector<char>().swap(bytes_);
  }

 private:
  void compact() {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }

  std::vector<char> bytes_;
  size_t begin_ = 0;
};

}  // namespace pgrecall
