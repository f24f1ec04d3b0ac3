#include "sql/canonical_scanner.h"

#include <cstddef>
#include <cstring>

#include "sql/canonical_hints.h"

namespace pgrecall::sql {
namespace {

constexpr std::ptrdiff_t kOperatorBytesMax = 63;  // NAMEDATALEN - 1: a longer operator is an error

inline char lower(char c) {
  return static_cast<char>(c | 0x20);
}

const char* find(const char* at, const char* end, char c) {
  return static_cast<const char*>(std::memchr(at, c, static_cast<size_t>(end - at)));
}

/// 99 if it is none.
uint32_t digit_value(char c) {
  if (is_ascii_digit(static_cast<unsigned char>(c))) return static_cast<uint32_t>(c - '0');
  return lower(c) >= 'a' && lower(c) <= 'f' ? static_cast<uint32_t>(lower(c) - 'a' + 10) : 99;
}

bool is_base_digit(char c, uint32_t base) {
  return digit_value(c) < base;
}

/// Reads the escape `\uXXXX` or `\UXXXXXXXX` at `at`. Returns where it ends, or null.
const char* read_unicode_escape(const char* at, const char* end, uint32_t& code) {
  if (end - at < 2 || at[0] != '\\' || lower(at[1]) != 'u') return nullptr;
  const std::ptrdiff_t digits = at[1] == 'u' ? 4 : 8;
  at += 2;
  if (end - at < digits) return nullptr;
  code = 0;
  for (const char* last = at + digits; at < last; ++at) {
    if (!is_base_digit(*at, 16)) return nullptr;
    code = code << 4 | digit_value(*at);
  }
  return at;
}

/// As above for a whole character, which may be a surrogate pair; the server refuses half a pair,
/// zero and what is beyond Unicode.
const char* skip_unicode_character(const char* at, const char* end) {
  uint32_t code = 0;
  at = read_unicode_escape(at, end, code);
  if (at == nullptr || code == 0 || code > 0x10FFFF) return nullptr;
  if (code < 0xD800 || code > 0xDFFF) return at;
  if (code > 0xDBFF) return nullptr;
  at = read_unicode_escape(at, end, code);
  return at != nullptr && code >= 0xDC00 && code <= 0xDFFF ? at : nullptr;
}

/// True if the octal or hexadecimal escape after a backslash makes a zero byte, which no value may
/// hold.
bool makes_zero_byte(const char* at, const char* end) {
  const bool hex = *at == 'x';
  if (hex) ++at;
  const uint32_t base = hex ? 16 : 8;
  const std::ptrdiff_t digits_max = hex ? 2 : 3;
  uint32_t code = 0;
  std::ptrdiff_t digits = 0;
  for (; digits < digits_max && at + digits < end && is_base_digit(at[digits], base); ++digits)
    code = code * base + digit_value(at[digits]);
  return digits > 0 && (code & 0xFFU) == 0;
}

/// The closing quote of a piece of an escape string, or null.
const char* escape_string_end(const char* at, const char* end) {
  for (; at < end; ++at) {
    if (*at == '\\') {
      if (at + 1 == end || makes_zero_byte(at + 1, end)) return nullptr;
      if (lower(at[1]) != 'u') {
        ++at;
        continue;
      }
      at = skip_unicode_character(at, end);
      if (at == nullptr) return nullptr;
      --at;
    } else if (*at == '\'') {
      if (at + 1 == end || at[1] != '\'') return at;
      ++at;
    }
  }
  return nullptr;
}

}  // namespace

/// White space and comments; false if a comment does not end.
bool TokenScanner::skip_comments() {
  while (at_ < end_) {
    if (class_of(*at_) == kSpace) {
      ++at_;
    } else if (at_ + 1 < end_ && at_[0] == '-' && at_[1] == '-') {
      skip_line_comment();
    } else if (at_ + 1 < end_ && at_[0] == '/' && at_[1] == '*') {
      if (!skip_block_comment()) return false;
    } else {
      return true;
    }
  }
  return true;
}

void TokenScanner::skip_line_comment() {
  const char* begin = at_ + 2;
  while (at_ < end_ && *at_ != '\n' && *at_ != '\r') ++at_;
  read_hints({begin, static_cast<size_t>(at_ - begin)}, hints_);
}

bool TokenScanner::skip_block_comment() {
  const char* begin = at_ + 2;
  size_t depth = 1;
  for (at_ += 2; at_ + 1 < end_; ++at_) {
    if (at_[0] == '/' && at_[1] == '*') {
      ++depth;
      ++at_;
    } else if (at_[0] == '*' && at_[1] == '/') {
      ++at_;
      if (--depth > 0) continue;
      ++at_;
      read_hints({begin, static_cast<size_t>(at_ - 2 - begin)}, hints_);
      return true;
    }
  }
  return false;
}

Token TokenScanner::error() {
  Token failed;
  failed.kind = TokenKind::kError;
  at_ = end_;
  return failed;
}

/// `begin` is a single letter, at_ behind it, and a quote or an ampersand follows.
Token TokenScanner::letter_before_quote(const char* begin) {
  const bool quote = *at_ == '\'';
  switch (lower(*begin)) {
    case 'e':
      if (quote) return prefixed(TokenKind::kEscapeString, 1);
      break;
    case 'b':
      if (quote) return prefixed(TokenKind::kBitString, 1);
      break;
    case 'x':
      if (quote) return prefixed(TokenKind::kHexString, 1);
      break;
    case 'n':
      if (quote) {  // N'...' is the keyword NCHAR and a plain string
        Token nchar = token(TokenKind::kWord, begin);
        nchar.text = "nchar";
        return nchar;
      }
      break;
    case 'u':
      if (!quote && at_ + 1 < end_ && at_[1] == '\'') return prefixed(TokenKind::kUnicodeString, 2);
      if (!quote && at_ + 1 < end_ && at_[1] == '"') {
        at_ = begin;
        return quoted_word(TokenKind::kUnicodeWord, 2);
      }
      break;
    default:
      break;
  }
  return token(TokenKind::kWord, begin);
}

Token TokenScanner::prefixed(TokenKind kind, size_t prefix_bytes) {
  const char* begin = at_ - 1;
  at_ = begin + prefix_bytes;
  return string(kind, begin);
}

/// The closing quote of the piece that starts at `at`, or null.
const char* TokenScanner::string_end(TokenKind kind, const char* at) const {
  const bool doubles = kind != TokenKind::kBitString && kind != TokenKind::kHexString;
  if (kind == TokenKind::kEscapeString) return escape_string_end(at, end_);
  for (;;) {
    const char* quote = find(at, end_, '\'');
    if (quote == nullptr || !doubles || quote + 1 == end_ || quote[1] != '\'') return quote;
    at = quote + 2;
  }
}

/// After a closing quote: where the next piece of the same string begins, or null. Pieces are
/// joined over white space and line comments that hold at least one newline.
const char* TokenScanner::continuation(const char* at) const {
  bool newline = false;
  while (at < end_) {
    if (class_of(*at) == kSpace) {
      newline = newline || *at == '\n' || *at == '\r';
      ++at;
    } else if (at + 1 < end_ && at[0] == '-' && at[1] == '-') {
      while (at < end_ && *at != '\n' && *at != '\r') ++at;
    } else {
      return newline && *at == '\'' ? at + 1 : nullptr;
    }
  }
  return nullptr;
}

Token TokenScanner::string(TokenKind kind, const char* begin) {
  const char* content = at_ + 1;
  const char* quote = string_end(kind, content);
  if (quote == nullptr) return error();
  Token result;
  result.content = {content, static_cast<size_t>(quote - content)};
  while (const char* piece = continuation(quote + 1)) {
    if (!result.joined) joined_.assign(result.content);
    result.joined = true;
    quote = string_end(kind, piece);
    if (quote == nullptr) return error();
    joined_ += "'\n'";
    joined_.append(piece, static_cast<size_t>(quote - piece));
  }
  if (result.joined) result.content = joined_;
  at_ = quote + 1;
  result.kind = kind;
  result.text = {begin, static_cast<size_t>(at_ - begin)};
  return result;
}

/// Digits with single underscores between them; false if an underscore is misplaced.
bool TokenScanner::skip_digits() {
  bool underscores = false;
  while (at_ < end_) {
    if (class_of(*at_) == kDigit) {
      ++at_;
    } else if (*at_ == '_' && at_ + 1 < end_ && class_of(at_[1]) == kDigit) {
      underscores = true;
      at_ += 2;
    } else {
      break;
    }
  }
  return underscores;
}

Token TokenScanner::number() {
  const char* begin = at_;
  TokenKind kind = TokenKind::kInteger;
  bool underscores = false;
  if (*at_ != '.') {
    if (*at_ == '0' && at_ + 1 < end_ &&
        (lower(at_[1]) == 'x' || lower(at_[1]) == 'o' || lower(at_[1]) == 'b'))
      return other_integer();
    underscores = skip_digits();
  }
  // "1..2" is 1, the range sign and 2.
  if (at_ < end_ && *at_ == '.' && !(at_ + 1 < end_ && at_[1] == '.')) {
    kind = TokenKind::kNumber;
    ++at_;
    if (at_ < end_ && class_of(*at_) == kDigit) underscores |= skip_digits();
  }
  if (at_ < end_ && lower(*at_) == 'e') {
    const char* digits = at_ + 1;
    if (digits < end_ && (*digits == '+' || *digits == '-')) ++digits;
    if (digits == end_ || class_of(*digits) != kDigit) return error();
    kind = TokenKind::kNumber;
    at_ = digits;
    underscores |= skip_digits();
  }
  // Two tokens up to version 14, "trailing junk after numeric literal" since.
  if (at_ < end_ && class_of(*at_) == kIdentStart) return error();
  return token(underscores ? TokenKind::kOtherInteger : kind, begin);
}

Token TokenScanner::other_integer() {
  const char* begin = at_;
  const uint32_t base = lower(at_[1]) == 'x' ? 16 : lower(at_[1]) == 'o' ? 8 : 2;
  at_ += 2;
  const char* digits = at_;
  while (at_ < end_) {
    if (is_base_digit(*at_, base))
      ++at_;
    else if (*at_ == '_' && at_ + 1 < end_ && is_base_digit(at_[1], base))
      at_ += 2;
    else
      break;
  }
  if (at_ == digits) return error();
  if (at_ < end_ && (class_of(*at_) == kIdentStart || class_of(*at_) == kDigit)) return error();
  return token(TokenKind::kOtherInteger, begin);
}

Token TokenScanner::dollar() {
  const char* begin = at_;
  ++at_;
  if (at_ < end_ && class_of(*at_) == kDigit) {
    while (at_ < end_ && class_of(*at_) == kDigit) ++at_;
    if (at_ < end_ && class_of(*at_) == kIdentStart) return error();
    return token(TokenKind::kParameter, begin);
  }
  if (at_ < end_ && class_of(*at_) == kIdentStart) {
    while (at_ < end_ && continues_word(*at_) && *at_ != '$') ++at_;
  }
  if (at_ == end_ || *at_ != '$') return error();
  ++at_;
  const std::string_view tag(begin, static_cast<size_t>(at_ - begin));
  const std::string_view rest(at_, static_cast<size_t>(end_ - at_));
  const size_t length = rest.find(tag);
  if (length == std::string_view::npos) return error();
  at_ += length + tag.size();
  Token result = token(TokenKind::kDollarString, begin);
  result.content = rest.substr(0, length);
  return result;
}

/// An operator ends where a comment starts. It must not end in + or - unless it holds a character
/// that no standard operator has; the signs cut off are tokens of their own, which `signs_end_`
/// remembers, for a run of them must not be read again for each.
Token TokenScanner::operators() {
  const char* begin = at_;
  if (begin < signs_end_) {
    ++at_;
    return token(TokenKind::kOperator, begin);
  }
  do {
    ++at_;
  } while (at_ < end_ && class_of(*at_) == kOperatorChar && !starts_comment());
  if (at_ - begin == 1) return token(TokenKind::kOperator, begin);
  const std::string_view run(begin, static_cast<size_t>(at_ - begin));
  if (run.find_first_of("~!@#^&|`?%") == std::string_view::npos) {
    const size_t last = run.find_last_not_of("+-");
    if (last + 1 < run.size()) {
      signs_end_ = at_;
      at_ = begin + (last == std::string_view::npos ? 1 : last + 1);
    }
  }
  if (at_ - begin > kOperatorBytesMax) return error();
  return token(TokenKind::kOperator, begin);
}

bool TokenScanner::starts_comment() const {
  return at_ + 1 < end_ && ((at_[0] == '/' && at_[1] == '*') || (at_[0] == '-' && at_[1] == '-'));
}

}  // namespace pgrecall::sql
