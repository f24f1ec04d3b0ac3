#include "pgrecall/sql/canonical.h"

#include <array>
#include <cstring>
#include <memory>

#include "pgrecall/base/assert.h"
#include "sql/canonical_depth.h"
#include "sql/canonical_escape.h"
#include "sql/canonical_scanner.h"

namespace pgrecall::sql {
namespace {

constexpr std::array<char, 256> kFolded = [] {
  std::array<char, 256> folded{};
  for (unsigned c = 0; c < 256; ++c)
    folded[c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20U : c);
  return folded;
}();

bool has_high_bit(std::string_view text) {
  uint64_t bits = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t chunk;
    std::memcpy(&chunk, text.data() + i, 8);
    bits |= chunk;
  }
  for (; i < text.size(); ++i) bits |= static_cast<unsigned char>(text[i]);
  return (bits & 0x8080808080808080U) != 0;
}

/// How a token looks in the shape, and the mark of its kind in `literals`.
struct LiteralForm {
  std::string_view shape;
  char mark;
};

LiteralForm literal_form(TokenKind kind) {
  switch (kind) {
    case TokenKind::kInteger:
      return {"?", 'i'};
    case TokenKind::kNumber:
      return {"?", 'f'};
    case TokenKind::kOtherInteger:
      return {"$i?", 'o'};
    case TokenKind::kString:
      return {"$?", 's'};
    case TokenKind::kEscapeString:
      return {"$e?", 'e'};
    case TokenKind::kBitString:
      return {"$b?", 'b'};
    case TokenKind::kHexString:
      return {"$x?", 'x'};
    case TokenKind::kUnicodeString:
      return {"$u?", 'u'};
    case TokenKind::kDollarString:
      return {"$d?", 'd'};
    default:
      return {};
  }
}

/// Room for the longest shape or the longest literals that a text can have: no token grows to more
/// than three times its bytes, the separator included (`n''` becomes ` nchar $?`). Short texts need
/// no allocation.
class Scratch {
 public:
  explicit Scratch(size_t text_bytes) {
    const size_t bytes = 3 * text_bytes + 16;
    if (bytes > sizeof(near_)) far_ = std::make_unique_for_overwrite<char[]>(bytes);
    begin_ = at_ = far_ != nullptr ? far_.get() : near_;
    end_ = begin_ + (far_ != nullptr ? bytes : sizeof(near_));
  }

  void put(char c) {
    PGR_DCHECK(at_ < end_);
    *at_++ = c;
  }
  void put(std::string_view text) {
    PGR_DCHECK(text.size() <= static_cast<size_t>(end_ - at_));
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  /// Puts a word in lower case (ASCII letters, as the server folds in UTF8) and returns it.
  std::string_view put_folded(std::string_view word) {
    PGR_DCHECK(word.size() <= static_cast<size_t>(end_ - at_));
    const char* folded = at_;
    for (const char c : word) *at_++ = kFolded[static_cast<unsigned char>(c)];
    return {folded, word.size()};
  }
  std::string_view view() const { return {begin_, static_cast<size_t>(at_ - begin_)}; }

 private:
  char near_[4096];
  std::unique_ptr<char[]> far_;
  char* begin_;
  char* at_;
  char* end_;
};

/// Writes shape and literals. The shape can be cut into the tokens it was made of in one way only:
/// tokens are parted by one space, except around brackets, commas and dots where nothing longer can
/// arise ("." and ".." never touch), and a `?` inside an operator is doubled.
class Writer {
 public:
  Writer(Canonical& out, size_t text_bytes)
      : out_(out), shape_(text_bytes), literals_(text_bytes) {}

  void add(const Token& token) {
    if (token.text == ";") {
      ++semicolons_;  // written only if something follows
      return;
    }
    if (semicolons_ > 0) write_semicolons();
    ++out_.tokens;
    switch (token.kind) {
      case TokenKind::kWord:
        return word(token.text);
      case TokenKind::kUnicodeWord:
        depth_.other();
        plain("U&");
        shape_.put(token.text.substr(2));
        return;
      case TokenKind::kQuotedWord:
      case TokenKind::kParameter:
        depth_.other();
        return plain(token.text);
      case TokenKind::kOperator:
        depth_.other();
        return operators(token.text);
      case TokenKind::kPunctuation:
        return punctuation(token.text);
      default:
        depth_.other();
        return literal(token);
    }
  }

  void finish() {
    out_.shape = shape_.view();
    out_.literals = literals_.view();
    out_.depth_max = depth_.finish();
  }

 private:
  /// What the shape ends with, as far as the next token minds.
  enum class Edge : uint8_t { kOpen, kDot, kDots, kOther };

  void gap(Edge next) {
    if (edge_ == Edge::kOther || edge_ == Edge::kDots) shape_.put(' ');
    edge_ = next;
  }

  void plain(std::string_view text) {
    gap(Edge::kOther);
    shape_.put(text);
  }

  void word(std::string_view text) {
    gap(Edge::kOther);
    depth_.word(shape_.put_folded(text));
  }

  void operators(std::string_view text) {
    gap(Edge::kOther);
    if (text.find('?') == std::string_view::npos) {
      shape_.put(text);
      return;
    }
    for (const char c : text) {
      if (c == '?') shape_.put(c);
      shape_.put(c);
    }
  }

  void punctuation(std::string_view text) {
    switch (text[0]) {
      case ':':
        depth_.other();
        return plain(text);
      case '.':
        depth_.other();
        return dots(text);
      case '(':
      case '[':
        depth_.bracket_open();
        edge_ = Edge::kOpen;
        break;
      case ',':
        depth_.comma();
        edge_ = Edge::kOther;
        break;
      default:
        depth_.bracket_close();
        edge_ = Edge::kOther;
        break;
    }
    shape_.put(text);
  }

  void dots(std::string_view text) {
    if (edge_ == Edge::kDot || edge_ == Edge::kDots || (text.size() > 1 && edge_ == Edge::kOther))
      shape_.put(' ');
    shape_.put(text);
    edge_ = text.size() > 1 ? Edge::kDots : Edge::kDot;
  }

  void literal(const Token& token) {
    const LiteralForm form = literal_form(token.kind);
    plain(form.shape);
    const bool quoted = token.kind >= TokenKind::kString;
    const std::string_view content = quoted ? token.content : token.text;
    literals_.put(form.mark);
    size_t length = content.size();
    for (; length >= 0x80; length >>= 7) literals_.put(static_cast<char>(length | 0x80));
    literals_.put(static_cast<char>(length));
    literals_.put(content);
    if (quoted && !out_.has_clock_word) out_.has_clock_word = says_clock(token);
  }

  static bool says_clock(const Token& token) {
    switch (token.kind) {
      case TokenKind::kString:
      case TokenKind::kDollarString:
        return has_clock_word(token.joined ? decode_string(token) : token.content);
      case TokenKind::kEscapeString:
        return has_clock_word(decode_string(token));
      case TokenKind::kUnicodeString:
        return true;  // its escape character is known only to the grammar (UESCAPE)
      default:
        return false;
    }
  }

  void write_semicolons() {
    out_.multi_statement = true;
    out_.tokens += semicolons_;
    for (; semicolons_ > 0; --semicolons_) {
      shape_.put(';');
      depth_.semicolon();
    }
    edge_ = Edge::kOther;
  }

  Canonical& out_;
  Scratch shape_;
  Scratch literals_;
  DepthBound depth_;
  uint32_t semicolons_ = 0;
  Edge edge_ = Edge::kOpen;
};

}  // namespace

Canonical canonicalize(std::string_view text) {
  Canonical out;
  out.non_ascii = has_high_bit(text);
  // The server reads a C string: what follows a zero byte would not be seen.
  if (std::memchr(text.data(), 0, text.size()) != nullptr) return out;
  TokenScanner scanner(text);
  Writer writer(out, text.size());
  for (;;) {
    const Token token = scanner.next();
    if (token.kind == TokenKind::kError) break;
    if (token.kind == TokenKind::kEnd) {
      out.ok = true;
      break;
    }
    writer.add(token);
  }
  if (!out.ok) {
    Canonical failed;
    failed.non_ascii = out.non_ascii;
    failed.hints = scanner.hints();
    return failed;
  }
  out.hints = scanner.hints();
  writer.finish();
  return out;
}

}  // namespace pgrecall::sql
