#include "sql/canonical_hints.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace pgrecall::sql {
namespace {

constexpr std::string_view kMark = "pgrecall:";
constexpr std::string_view kSeparators = " \t\r\n\f,";

/// Milliseconds of a text such as "500ms", "30s", "5m", "1h"; -1 if it is not one.
int64_t parse_duration_ms(std::string_view text) {
  int64_t count = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (problem != std::errc() || count < 0) return -1;
  const std::string_view unit = text.substr(static_cast<size_t>(rest - text.data()));
  int64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60 * 1000;
  if (unit == "h") factor = 60 * 60 * 1000;
  if (factor == 0 || count > std::numeric_limits<int64_t>::max() / factor) return -1;
  return count * factor;
}

void read_word(std::string_view word, Hints& hints) {
  if (word == "off") hints.off = true;
  if (word == "primary") hints.primary = true;
  if (!word.starts_with("ttl=")) return;
  const int64_t ttl_ms = parse_duration_ms(word.substr(4));
  if (ttl_ms < 0) return;
  hints.ttl_ms = hints.ttl_ms < 0 ? ttl_ms : std::min(hints.ttl_ms, ttl_ms);
}

}  // namespace

void read_hints(std::string_view comment, Hints& hints) {
  const size_t start = comment.find_first_not_of(kSeparators);
  if (start == std::string_view::npos || !comment.substr(start).starts_with(kMark)) return;
  comment.remove_prefix(start + kMark.size());
  while (!comment.empty()) {
    const size_t begin = comment.find_first_not_of(kSeparators);
    if (begin == std::string_view::npos) return;
    comment.remove_prefix(begin);
    const size_t length = std::min(comment.find_first_of(kSeparators), comment.size());
    read_word(comment.substr(0, length), hints);
    comment.remove_prefix(length);
  }
}

}  // namespace pgrecall::sql
