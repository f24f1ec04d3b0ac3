#include "pgrecall/wire/command_tag.h"

#include <charconv>

namespace pgrecall::wire {

namespace {

/// Cuts the last word off `text` if it is a number.
std::optional<uint64_t> take_number(std::string_view& text) {
  const size_t space = text.rfind(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view word = text.substr(space + 1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  text = text.substr(0, space);
  return number;
}

}  // namespace

CommandTag parse_command_tag(std::string_view tag) {
  CommandTag result;
  result.verb = tag;
  result.rows = take_number(result.verb);
  // INSERT has an oid, today always 0, before its count.
  if (result.verb.starts_with("INSERT ")) take_number(result.verb);
  return result;
}

}  // namespace pgrecall::wire
