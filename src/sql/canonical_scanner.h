// TokenScanner: PostgreSQL's lexical rules (src/backend/parser/scan.l), without the grammar.
#pragma once

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
CharClass char_class(char c);

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
  bool skip_block_comment();
  void skip_line_comment();
  Token token(TokenKind kind, const char* begin) const;
  Token error();
  Token word();
  Token prefixed(TokenKind kind, size_t prefix_bytes);
  Token quoted_word(TokenKind kind, size_t prefix_bytes);
  Token string(TokenKind kind, const char* begin);
  Token number();
  Token other_integer();
  Token dollar();
  Token operators();
  Token punctuation();
  bool skip_digits();
  const char* string_end(TokenKind kind, const char* at) const;
  const char* continuation(const char* at) const;

  const char* at_;
  const char* end_;
  Hints hints_;
  std::string joined_;
};

}  // namespace pgrecall::sql
