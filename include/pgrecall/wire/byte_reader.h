// ByteReader: bounds-checked reading of one payload from front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "pgrecall/wire/big_endian.h"

namespace pgrecall::wire {

/// A failure sticks: from then on everything reads as zero or empty and `ok()` is false, so a
/// decoder reads all its fields and looks once. Views point into the input and live as long as it.
class ByteReader {
 public:
  explicit ByteReader(std::string_view input) : input_(input) {}

  bool ok() const { return ok_; }
  /// Everything was read, and nothing failed.
  bool complete() const { return ok_ && position_ == input_.size(); }
  size_t remaining() const { return input_.size() - position_; }
  size_t position() const { return position_; }
  /// What was read since `position()` returned `start`.
  std::string_view since(size_t start) const { return input_.substr(start, position_ - start); }

  char character() { return require(1) ? input_[position_++] : '\0'; }

  uint16_t u16() {
    if (!require(2)) return 0;
    position_ += 2;
    return load_u16(input_.data() + position_ - 2);
  }

  uint32_t u32() {
    if (!require(4)) return 0;
    position_ += 4;
    return load_u32(input_.data() + position_ - 4);
  }

  int32_t i32() { return static_cast<int32_t>(u32()); }

  std::string_view bytes(size_t count) {
    if (!require(count)) return {};
    position_ += count;
    return input_.substr(position_ - count, count);
  }

  std::string_view rest() { return bytes(remaining()); }

  /// A string up to its terminating zero, which is consumed and not returned.
  std::string_view text() {
    if (remaining() == 0) return fail();
    const char* begin = input_.data() + position_;
    const void* end = std::memchr(begin, 0, remaining());
    if (end == nullptr) return fail();
    const auto length = static_cast<size_t>(static_cast<const char*>(end) - begin);
    position_ += length + 1;
    return {begin, length};
  }

  std::string_view fail() {
    ok_ = false;
    position_ = input_.size();
    return {};
  }

 private:
  bool require(size_t count) {
    if (count <= remaining()) return true;
    fail();
    return false;
  }

  std::string_view input_;
  size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace pgrecall::wire
