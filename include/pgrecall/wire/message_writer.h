// MessageWriter: appends one message with its type and length to a string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/base/assert.h"
#include "pgrecall/wire/big_endian.h"

namespace pgrecall::wire {

/// Writes the header when made and fills in the length when destroyed; nothing else may append to
/// `out` in between. A message larger than the protocol can say is an assertion: callers bound
/// what they send long before.
class MessageWriter {
 public:
  MessageWriter(std::string& out, char type) : out_(out) {
    out_.push_back(type);
    length_at_ = out_.size();
    out_.append(4, '\0');
  }

  /// A start-up packet, which has no type.
  explicit MessageWriter(std::string& out) : out_(out), length_at_(out.size()) {
    out_.append(4, '\0');
  }

  ~MessageWriter() {
    const size_t length = out_.size() - length_at_;
    PGR_ASSERT(length <= std::numeric_limits<int32_t>::max());
    store_u32(out_.data() + length_at_, static_cast<uint32_t>(length));
  }

  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  void character(char value) { out_.push_back(value); }
  void u16(uint16_t value) { append_u16(out_, value); }
  void u32(uint32_t value) { append_u32(out_, value); }
  void bytes(std::string_view value) { out_.append(value); }

  /// A zero-terminated string. It ends at its first zero byte, so that no content can shift the
  /// fields behind it.
  void text(std::string_view value) {
    const void* zero = value.empty() ? nullptr : std::memchr(value.data(), 0, value.size());
    if (zero != nullptr)
      value = value.substr(0, static_cast<size_t>(static_cast<const char*>(zero) - value.data()));
    out_.append(value);
    out_.push_back('\0');
  }

  /// A length and so many bytes; NULL is the length -1.
  void value(std::optional<std::string_view> value) {
    u32(value ? static_cast<uint32_t>(value->size()) : UINT32_MAX);
    if (value) bytes(*value);
  }

  /// A 16 bit count, as the protocol has it for columns, parameters and formats.
  void count(size_t value) {
    PGR_ASSERT(value <= std::numeric_limits<uint16_t>::max());
    u16(static_cast<uint16_t>(value));
  }

 private:
  std::string& out_;
  size_t length_at_;
};

}  // namespace pgrecall::wire
