#include <algorithm>
#include <array>
#include <string_view>

#include "pgrecall/sql/canonical.h"

namespace pgrecall::sql {
namespace {

inline char folded(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
inline bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}

/// Collects letters into words. Dates are cut into fields wherever a letter ends (ParseDateTime in
/// the server's datetime.c), so digits, underscores and punctuation all end a word.
class ClockWords {
 public:
  void letter(char c) {
    if (length_ < word_.size()) word_[length_] = c;
    ++length_;
  }

  /// True if the word that ends here is one.
  bool boundary() {
    const size_t length = length_;
    length_ = 0;
    if (length < 3 || length > word_.size()) return false;
    const std::string_view word(word_.data(), length);
    return word == "now" || word == "today" || word == "tomorrow" || word == "yesterday";
  }

 private:
  std::array<char, 9> word_{};
  size_t length_ = 0;
};

/// Every clock word has a w or a y; a backslash may hide any letter. Most values hold none of them.
constexpr std::array<bool, 256> kSuspicious = [] {
  std::array<bool, 256> suspicious{};
  for (const char c : {'w', 'W', 'y', 'Y', '\\'}) suspicious[static_cast<unsigned char>(c)] = true;
  return suspicious;
}();

bool find_words(std::string_view value, std::string_view transparent) {
  ClockWords words;
  for (const char raw : value) {
    const char c = folded(raw);
    if (is_letter(c))
      words.letter(c);
    else if (transparent.find(c) == std::string_view::npos && words.boundary())
      return true;
  }
  return words.boundary();
}

}  // namespace

bool has_clock_word(std::string_view value) {
  if (std::none_of(value.begin(), value.end(),
                   [](char c) { return kSuspicious[static_cast<unsigned char>(c)]; }))
    return false;
  if (find_words(value, {})) return true;
  // Array, range and record literals drop backslashes and quotes: '{to\day}' and '[to"day",)'. In
  // JSON any letter may be written as \uXXXX.
  if (value.find_first_of("\\\"") == std::string_view::npos) return false;
  return value.find("\\u") != std::string_view::npos || find_words(value, "\\\"");
}

}  // namespace pgrecall::sql
