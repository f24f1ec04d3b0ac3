#include "sql/canonical_escape.h"

namespace pgrecall::sql {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char letter = static_cast<char>(c | 0x20);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 99;
}

/// Reads up to `digits_max` digits of `base` from the front of `text`, into one byte; everything
/// that is not ASCII becomes 0x80.
char take_code(std::string_view& text, int base, size_t digits_max, bool code_point) {
  uint32_t code = 0;
  for (; digits_max > 0 && !text.empty() && digit_of(text[0]) < base; --digits_max) {
    code = code * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit_of(text[0]));
    text.remove_prefix(1);
  }
  if (code_point && code > 0x7F) return '\x80';
  return static_cast<char>(code);
}

/// `text` starts after a backslash.
char take_escape(std::string_view& text) {
  const char c = text[0];
  if (c >= '0' && c <= '7') return take_code(text, 8, 3, false);
  text.remove_prefix(1);
  if (c == 'x' && !text.empty() && digit_of(text[0]) < 16) return take_code(text, 16, 2, false);
  if (c == 'u') return take_code(text, 16, 4, true);
  if (c == 'U') return take_code(text, 16, 8, true);
  // \b \f \n \r \t \v are no letters; which of them it is does not matter here.
  return std::string_view("bfnrtv").find(c) != std::string_view::npos ? ' ' : c;
}

}  // namespace

std::string decode_string(const Token& token) {
  std::string value;
  value.reserve(token.content.size());
  std::string_view rest = token.content;
  const bool escapes = token.kind == TokenKind::kEscapeString;
  while (!rest.empty()) {
    if (rest[0] == '\'' && token.joined && rest.starts_with("'\n'")) {
      rest.remove_prefix(3);
    } else if (rest[0] == '\'' && rest.size() > 1) {
      value += "''";
      rest.remove_prefix(2);
    } else if (escapes && rest[0] == '\\' && rest.size() > 1) {
      rest.remove_prefix(1);
      value += take_escape(rest);
    } else {
      value += rest[0];
      rest.remove_prefix(1);
    }
  }
  return value;
}

}  // namespace pgrecall::sql
