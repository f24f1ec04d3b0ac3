#include "pgrecall/config/relation_pattern.h"

namespace pgrecall::config {
namespace {

/// Takes one part off the front of `text`, which then starts with the dot or is empty.
std::optional<std::string> take_part(std::string_view& text) {
  std::string part;
  if (!text.starts_with('"')) {
    const size_t dot = text.find('.');
    part = text.substr(0, dot);
    text.remove_prefix(part.size());
    if (part.find('"') != std::string::npos) return std::nullopt;
  } else {
    size_t i = 1;
    for (;; ++i) {
      if (i >= text.size()) return std::nullopt;
      if (text[i] != '"') {
        part += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        part += '"';
        ++i;
      } else {
        break;
      }
    }
    text.remove_prefix(i + 1);
  }
  if (part.empty()) return std::nullopt;
  return part;
}

}  // namespace

std::optional<RelationPattern> parse_relation_pattern(std::string_view text) {
  auto first = take_part(text);
  if (!first) return std::nullopt;
  if (text.empty()) return RelationPattern{"", std::move(*first)};
  if (!text.starts_with('.')) return std::nullopt;
  text.remove_prefix(1);
  auto second = take_part(text);
  if (!second || !text.empty()) return std::nullopt;
  return RelationPattern{std::move(*first), std::move(*second)};
}

}  // namespace pgrecall::config
