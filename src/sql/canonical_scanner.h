// TokenScanner: PostgreSQL's lexical rules (src/backend/parser/scan.l), without the grammar.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

enum class TokenKind : uint8_t {
  kEnd,
  kError,          ///< the server's scanner would raise an error, or versions 13 to 18 disagree
  kWord,           ///< unquoted identifier or keyword, as written
  kQuotedWord,     ///< "..."
  kUnicodeWord,    ///< U&"..."
  kInteger,        ///< decimal digits
  kNumber,         ///< with a point or an exponent
  kOtherInteger,   ///< 0x1F, 0o17, 0b11, 1_000: a number from version 16 on
  kString,         ///< '...'
  kEscapeString,   ///< E'...'
  kBitString,      ///< B'...'
  kHexString,      ///< X'...'
  kUnicodeString,  ///< U&'...'
  kDollarString,   ///< $tag$...$tag$
  kParameter,      ///< $1
  kOperator,
  kPunctuation,  ///< , ( ) [ ] ; : :: := . ..
};

/// Views into the text, or into the scanner until its next token.
struct Token {
  TokenKind kind = TokenKind::kEnd;
  bool joined = false;       ///< a string continued over a newline
  std::string_view text;     ///< the whole token
  std::string_view content;  ///< strings and quoted words: what is between the quotes, escapes
                             ///< kept; the pieces of a joined string are separated by `'\n'`
};

/// Character classes of scan.l, for tables indexed by the unsigned byte.
enum CharClass : uint8_t {
  kOtherChar,  ///< no token starts with it
  kSpace,      ///< \v is left out: white space from version 16 on, an error before
  kIdentStart,
  kDigit,
  kQuote,
  kDoubleQuote,
  kDollar,
  kOperatorChar,
  kSelfChar,  ///< , ( ) [ ] ;
  kDot,
  kColon,
};
constexpr bool is_ascii_letter(unsigned c) {
  return (c | 0x20U) >= 'a' && (c | 0x20U) <= 'z';
}
constexpr bool is_ascii_digit(unsigned c) {
  return c >= '0' && c <= '9';
}

constexpr CharClass classify(unsigned c) {
  if (is_ascii_letter(c) || c == '_' || c >= 0x80) return kIdentStart;
  if (is_ascii_digit(c)) return kDigit;
  if (c != 0 && std::string_view(" \t\n\r\f").find(static_cast<char>(c)) != std::string_view::npos)
    return kSpace;
  if (c != 0 &&
      std::string_view("~!@#^&|`?+-*/%<>=").find(static_cast<char>(c)) != std::string_view::npos)
    return kOperatorChar;
  switch (c) {
    case '\'':
      return kQuote;
    case '"':
      return kDoubleQuote;
    case '$':
      return kDollar;
    case ',':
    case '(':
    case ')':
    case '[':
    case ']':
    case ';':
      return kSelfChar;
    case '.':
      return kDot;
    case ':':
      return kColon;
    default:
      return kOtherChar;
  }
}

inline constexpr std::array<CharClass, 256> kClasses = [] {
  std::array<CharClass, 256> classes{};
  for (unsigned c = 0; c < 256; ++c) classes[c] = classify(c);
  return classes;
}();

inline constexpr std::array<bool, 256> kIdentCont = [] {
  std::array<bool, 256> cont{};
  for (unsigned c = 0; c < 256; ++c)
    cont[c] = kClasses[c] == kIdentStart || kClasses[c] == kDigit || c == '$';
  return cont;
}();

inline CharClass class_of(char c) {
  return kClasses[static_cast<unsigned char>(c)];
}
inline bool continues_word(char c) {
  return kIdentCont[static_cast<unsigned char>(c)];
}

/// One pass over one text, which it does not own. Never recurses, never throws.
class TokenScanner {
 public:
  explicit TokenScanner(std::string_view text)
      : at_(text.data()), end_(text.data() + text.size()) {}

  Token next();
  /// The hints of all comments passed so far.
  const Hints& hints() const { return hints_; }

 private:
  bool skip_space();
  bool skip_comments();
  bool skip_block_comment();
  void skip_line_comment();
  Token token(TokenKind kind, const char* begin) const;
  Token error();
  Token word();
  Token letter_before_quote(const char* begin);
  Token prefixed(TokenKind kind, size_t prefix_bytes);
  Token quoted_word(TokenKind kind, size_t prefix_bytes);
  Token string(TokenKind kind, const char* begin);
  Token number();
  Token other_integer();
  Token dollar();
  Token operators();
  bool starts_comment() const;
  Token punctuation();
  bool skip_digits();
  const char* string_end(TokenKind kind, const char* at) const;
  const char* continuation(const char* at) const;

  const char* at_;
  const char* end_;
  const char* signs_end_ = nullptr;
  Hints hints_;
  std::string joined_;
};

// What every token passes is inline: a canonical form is made for each query.

inline bool TokenScanner::skip_space() {
  while (at_ < end_ && class_of(*at_) == kSpace) ++at_;
  if (at_ == end_ || (*at_ != '-' && *at_ != '/')) return true;
  return skip_comments();
}

inline Token TokenScanner::token(TokenKind kind, const char* begin) const {
  Token token;
  token.kind = kind;
  token.text = {begin, static_cast<size_t>(at_ - begin)};
  return token;
}

inline Token TokenScanner::word() {
  const char* begin = at_;
  do {
    ++at_;
  } while (at_ < end_ && continues_word(*at_));
  if (at_ - begin == 1 && at_ < end_ && (*at_ == '\'' || *at_ == '&'))
    return letter_before_quote(begin);
  return token(TokenKind::kWord, begin);
}

inline Token TokenScanner::quoted_word(TokenKind kind, size_t prefix_bytes) {
  const char* begin = at_;
  const char* content = at_ + prefix_bytes + 1;
  const char* quote = content;
  for (;;) {
    // Names are short: a plain loop beats memchr.
    while (quote < end_ && *quote != '"') ++quote;
    if (quote == end_) return error();
    if (quote + 1 == end_ || quote[1] != '"') break;
    quote += 2;
  }
  if (quote == content) return error();  // zero-length delimited identifier
  at_ = quote + 1;
  Token result = token(kind, begin);
  result.content = {content, static_cast<size_t>(quote - content)};
  return result;
}

inline Token TokenScanner::punctuation() {
  const char* begin = at_++;
  if (at_ < end_ &&
      ((*begin == '.' && *at_ == '.') || (*begin == ':' && (*at_ == ':' || *at_ == '='))))
    ++at_;
  return token(TokenKind::kPunctuation, begin);
}

inline Token TokenScanner::next() {
  if (!skip_space()) return error();
  if (at_ == end_) return Token{};
  switch (class_of(*at_)) {
    case kIdentStart:
      return word();
    case kDigit:
      return number();
    case kQuote:
      return string(TokenKind::kString, at_);
    case kDoubleQuote:
      return quoted_word(TokenKind::kQuotedWord, 0);
    case kDollar:
      return dollar();
    case kOperatorChar:
      return operators();
    case kDot:
      if (at_ + 1 < end_ && class_of(at_[1]) == kDigit) return number();
      return punctuation();
    case kColon:
    case kSelfChar:
      return punctuation();
    case kSpace:
    case kOtherChar:
      break;
  }
  return error();
}

}  // namespace pgrecall::sql
