#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "pgrecall/sql/canonical.h"
#include "sql/canonical_scanner.h"

namespace pgrecall::sql {
namespace {

/// Words that write, lock rows or name a target wherever they stand in a SELECT.
constexpr std::array<std::string_view, 8> kWritingWords = {
    "delete", "insert", "into", "lock", "merge", "share", "truncate", "update"};

/// Reserved words and column name keywords (src/include/parser/kwlist.h): unquoted, none of them
/// can be the name of a function that somebody defined. Sorted.
constexpr std::array<std::string_view, 58> kWordsBeforeBracket = {
    "all",      "and",       "any",       "array",     "as",        "between",   "bit",
    "case",     "cast",      "char",      "character", "coalesce",  "dec",       "decimal",
    "distinct", "else",      "except",    "exists",    "extract",   "float",     "from",
    "greatest", "group",     "grouping",  "having",    "in",        "intersect", "interval",
    "lateral",  "least",     "limit",     "nchar",     "normalize", "not",       "nullif",
    "numeric",  "offset",    "on",        "or",        "overlay",   "position",  "row",
    "select",   "some",      "substring", "then",      "time",      "timestamp", "treat",
    "trim",     "union",     "using",     "values",    "varchar",   "when",      "where",
    "with",     "xmlelement"};

/// Words that may be function names, but are not after what stands before them.
struct WordPair {
  std::string_view before;
  std::string_view word;
};
constexpr std::array<WordPair, 11> kPairsBeforeBracket = {{{"group", "by"},
                                                           {"order", "by"},
                                                           {"partition", "by"},
                                                           {"grouping", "sets"},
                                                           {"as", "materialized"},
                                                           {"bit", "varying"},
                                                           {"char", "varying"},
                                                           {"character", "varying"},
                                                           {"nchar", "varying"},
                                                           {")", "filter"},
                                                           {")", "over"}}};

static_assert(std::is_sorted(kWordsBeforeBracket.begin(), kWordsBeforeBracket.end()));

std::string fold(std::string_view word) {
  std::string folded(word);
  for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return folded;
}

template <size_t N>
bool listed(const std::array<std::string_view, N>& words, const std::string& word) {
  return std::binary_search(words.begin(), words.end(), std::string_view(word));
}

/// The last name of a dotted chain, as far as a call needs to be judged.
struct Name {
  bool present = false;
  bool keyword_possible = false;  ///< unquoted and not qualified
  bool foreign = false;           ///< qualified by something else than pg_catalog, or unreadable
  std::string text;
  std::string before;  ///< the token before it, folded; empty for a quoted word
};

Name name_of(const Token& token, const Name& qualifier, bool after_dot, std::string before) {
  Name name;
  name.before = std::move(before);
  name.present = true;
  name.keyword_possible = token.kind == TokenKind::kWord && !after_dot;
  name.text = token.kind == TokenKind::kWord ? fold(token.text) : std::string(token.content);
  name.foreign = token.kind == TokenKind::kQuotedWord && name.text.find('"') != std::string::npos;
  if (after_dot) name.foreign |= qualifier.foreign || qualifier.text != "pg_catalog";
  return name;
}

bool call_is_safe(const Name& name, bool (*known_safe)(std::string_view)) {
  if (!name.present) return true;  // a bracket of an expression or a list
  if (name.keyword_possible && listed(kWordsBeforeBracket, name.text)) return true;
  if (name.keyword_possible && std::any_of(kPairsBeforeBracket.begin(), kPairsBeforeBracket.end(),
                                           [&](const WordPair& pair) {
                                             return pair.before == name.before &&
                                                    pair.word == name.text;
                                           }))
    return true;
  return !name.foreign && known_safe(name.text);
}

}  // namespace

bool tokens_prove_read_only(std::string_view text, bool (*known_safe)(std::string_view word)) {
  if (text.find('\0') != std::string_view::npos) return false;
  TokenScanner scanner(text);
  Token token = scanner.next();
  if (token.kind != TokenKind::kWord) return false;
  const std::string first = fold(token.text);
  if (first != "select" && first != "with") return false;

  Name name = name_of(token, {}, false, "");
  Name qualifier;
  std::string before = first;
  bool ended = false;
  for (token = scanner.next(); token.kind != TokenKind::kEnd; token = scanner.next()) {
    if (token.kind == TokenKind::kError || token.kind == TokenKind::kUnicodeWord) return false;
    if (ended && token.text != ";") return false;
    ended = ended || token.text == ";";
    if (token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedWord) {
      const bool after_dot = before == ".";
      name = name_of(token, qualifier, after_dot, std::move(before));
      if (token.kind == TokenKind::kWord && listed(kWritingWords, name.text)) return false;
      before = token.kind == TokenKind::kWord ? name.text : "";
      continue;
    }
    if (token.text == "(" && !call_is_safe(name, known_safe)) return false;
    // A dot after anything but a name selects a field: (row).name is no call of a known function.
    if (token.text == ".") qualifier = name.present ? name : Name{};
    name = Name{};
    before = token.kind == TokenKind::kPunctuation ? std::string(token.text) : "";
  }
  return true;
}

}  // namespace pgrecall::sql
