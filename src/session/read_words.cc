#include "session/read_words.h"

#include <algorithm>
#include <string>

namespace pgrecall::session {
namespace {

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const bool letter = (byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z';
  return letter || (byte >= '0' && byte <= '9') || byte == '_' || byte >= 0x80;
}

/// What remains behind blanks and comments.
std::string_view skip_blanks(std::string_view text) {
  while (!text.empty()) {
    if (std::string_view(" \t\r\n\f\v").find(text[0]) != std::string_view::npos) {
      text.remove_prefix(1);
    } else if (text.starts_with("--")) {
      text.remove_prefix(std::min(text.size(), text.find('\n')));
    } else if (text.starts_with("/*")) {
      size_t depth = 0;  // they nest
      do {
        const bool opens = text.starts_with("/*");
        const bool closes = text.starts_with("*/");
        depth += opens ? 1 : 0;
        depth -= closes ? 1 : 0;
        text.remove_prefix(opens || closes ? 2 : 1);
      } while (depth > 0 && !text.empty());
    } else {
      break;
    }
  }
  return text;
}

std::string take_word(std::string_view& text) {
  std::string word;
  while (!text.empty() && is_word_byte(text[0])) {
    word += text[0] >= 'A' && text[0] <= 'Z' ? static_cast<char>(text[0] | 0x20) : text[0];
    text.remove_prefix(1);
  }
  return word;
}

/// The word behind the common table expressions: the first that stands behind a bracket, outside of
/// all, and is a statement's.
bool with_reads(std::string_view text) {
  size_t depth = 0;
  bool behind_bracket = false;
  while (!(text = skip_blanks(text)).empty()) {
    if (const std::string word = take_word(text); !word.empty()) {
      if (depth == 0 && behind_bracket) {
        if (word == "select" || word == "values" || word == "table") return true;
        if (word == "insert" || word == "update" || word == "delete" || word == "merge")
          return false;
      }
      behind_bracket = false;
      continue;
    }
    const char c = text[0];
    text.remove_prefix(1);
    if (c == '"') text.remove_prefix(std::min(text.size(), text.find('"') + 1));
    depth += c == '(' ? 1 : 0;
    depth -= c == ')' && depth > 0 ? 1 : 0;
    behind_bracket = c == ')';
  }
  return true;
}

}  // namespace

bool looks_like_read(std::string_view text) {
  text = skip_blanks(text);
  while (text.starts_with('(')) text = skip_blanks(text.substr(1));
  const std::string word = take_word(text);
  if (word == "with") return with_reads(text);
  return word == "select" || word == "values" || word == "table";
}

}  // namespace pgrecall::session
