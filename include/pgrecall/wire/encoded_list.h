// Lists inside a message, read where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "pgrecall/base/assert.h"
#include "pgrecall/wire/byte_reader.h"

namespace pgrecall::wire {

/// Big-endian integers: format codes and type oids. A view; lives as long as the message it was
/// decoded from. A trailing part of an integer is ignored.
template <typename T>
class IntegerList {
 public:
  static_assert(std::is_integral_v<T> && (sizeof(T) == 2 || sizeof(T) == 4));

  IntegerList() = default;
  explicit IntegerList(std::string_view bytes) : bytes_(bytes) {}

  size_t size() const { return bytes_.size() / sizeof(T); }
  bool empty() const { return size() == 0; }
  std::string_view bytes() const { return bytes_; }

  T operator[](size_t index) const {
    PGR_ASSERT(index < size());
    const char* at = bytes_.data() + index * sizeof(T);
    if constexpr (sizeof(T) == 2)
      return static_cast<T>(load_u16(at));
    else
      return static_cast<T>(load_u32(at));
  }

 private:
  std::string_view bytes_;
};

using OidList = IntegerList<uint32_t>;

/// Format codes by the protocol's rule: none means text for all, one is for all.
class FormatList : public IntegerList<int16_t> {
 public:
  using IntegerList::IntegerList;

  int16_t of(size_t column) const {
    if (empty()) return 0;
    if (size() == 1) return (*this)[0];
    return column < size() ? (*this)[column] : int16_t{0};
  }
};

/// Items of varying length. `Codec` has a type `Item` and `static Item read(ByteReader&)`.
/// A view; lives as long as the message it was decoded from. `count` is what the message says;
/// decoding has checked that so many items are there and nothing more. Over bytes that nobody
/// checked, iteration still stays inside them and ends at the first bad item.
template <typename Codec>
class EncodedList {
 public:
  using Item = typename Codec::Item;

  EncodedList() = default;
  EncodedList(size_t count, std::string_view bytes) : bytes_(bytes), count_(count) {}

  /// Reads `count` items; on failure the reader has failed.
  static EncodedList read(ByteReader& reader, size_t count) {
    const size_t start = reader.position();
    for (size_t i = 0; i < count && reader.ok(); ++i) Codec::read(reader);
    if (!reader.ok()) return {};
    return EncodedList(count, reader.since(start));
  }

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = const Item*;
    using reference = const Item&;

    Iterator() : reader_({}) {}
    explicit Iterator(std::string_view bytes) : reader_(bytes) { advance(); }
    reference operator*() const { return item_; }
    pointer operator->() const { return &item_; }
    Iterator& operator++() {
      advance();
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      advance();
      return before;
    }
    /// Positions of one list are told apart by what is left behind them.
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.valid_ == b.valid_ && (!a.valid_ || a.reader_.remaining() == b.reader_.remaining());
    }

   private:
    void advance() {
      valid_ = reader_.remaining() != 0;
      if (valid_) item_ = Codec::read(reader_);
      valid_ = valid_ && reader_.ok();
    }

    ByteReader reader_;
    Item item_{};
    bool valid_ = false;
  };

  Iterator begin() const { return Iterator(bytes_); }
  Iterator end() const { return Iterator(); }
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
  size_t count_ = 0;
};

/// Zero-terminated strings.
struct TextCodec {
  using Item = std::string_view;
  static Item read(ByteReader& reader) { return reader.text(); }
};
using TextList = EncodedList<TextCodec>;

/// Parameter values and columns: empty optional is NULL.
struct ValueCodec {
  using Item = std::optional<std::string_view>;
  static Item read(ByteReader& reader) {
    const int32_t length = reader.i32();
    if (length == -1) return std::nullopt;
    if (length < 0) {
      reader.fail();
      return std::nullopt;
    }
    return reader.bytes(static_cast<size_t>(length));
  }
};
using ValueList = EncodedList<ValueCodec>;

/// Appends one item of a ValueList, for building its bytes.
inline void append_value(std::string& out, std::optional<std::string_view> value) {
  append_u32(out, value ? static_cast<uint32_t>(value->size()) : UINT32_MAX);
  if (value) out.append(*value);
}

}  // namespace pgrecall::wire
