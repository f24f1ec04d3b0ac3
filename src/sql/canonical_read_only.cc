#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/sql/canonical.h"
#include "sql/canonical_scanner.h"
#include "sql/grammar.h"
#include "sql/token_names.h"

namespace pgrecall::sql {
namespace {

constexpr size_t kNamesMax = 1000;
/// Each name of a text is looked for among them, one by one.
constexpr size_t kWithNamesMax = 100;
constexpr size_t kLevelsMax = 100'000;
/// NAMEDATALEN - 1: the server cuts longer names off.
constexpr size_t kNameBytesMax = 63;

/// Words that write, lock rows or name a target wherever they stand in a SELECT.
constexpr std::array<std::string_view, 8> kWritingWords = {
    "delete", "insert", "into", "lock", "merge", "share", "truncate", "update"};

/// Reserved words and column name keywords (src/include/parser/kwlist.h): unquoted, none of them
/// can be the name of a function that somebody defined. But "overlay" and "substring" are looked up
/// like any name when commas stand between their arguments, and TREAT calls the function that is
/// named like its type. Sorted.
constexpr std::array<std::string_view, 57> kWordsBeforeBracket = {
    "all",       "and",      "any",    "array",     "as",       "between",   "bit",
    "case",      "cast",     "char",   "character", "coalesce", "dec",       "decimal",
    "default",   "distinct", "else",   "except",    "exists",   "extract",   "float",
    "from",      "greatest", "group",  "grouping",  "having",   "in",        "intersect",
    "interval",  "lateral",  "least",  "limit",     "nchar",    "normalize", "not",
    "nullif",    "numeric",  "offset", "on",        "only",     "or",        "position",
    "row",       "select",   "some",   "then",      "time",     "timestamp", "trim",
    "union",     "using",    "values", "varchar",   "when",     "where",     "with",
    "xmlelement"};

/// Words of clauses, known by the token before them. None is reserved: they may be functions, too.
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

/// Words that end a FROM list. Sorted.
constexpr std::array<std::string_view, 12> kAfterFrom = {"except", "fetch",     "for",   "group",
                                                         "having", "intersect", "limit", "offset",
                                                         "order",  "union",     "where", "window"};

/// Operators that words of the grammar stand for.
struct WordOperators {
  std::string_view word;
  std::initializer_list<std::string_view> operators;
};
const WordOperators kWordOperators[] = {
    {"between", {"<", "<=", ">", ">="}},
    {"case", {"="}},
    {"distinct", {"="}},
    {"ilike", {"~~*", "!~~*"}},
    {"in", {"=", "<>"}},
    {"like", {"~~", "!~~"}},
    {"natural", {"="}},
    {"nullif", {"="}},
    {"similar", {"~", "!~"}},
    {"using", {"="}},
};

static_assert(std::is_sorted(kWordsBeforeBracket.begin(), kWordsBeforeBracket.end()));
static_assert(std::is_sorted(kAfterFrom.begin(), kAfterFrom.end()));

std::string fold(std::string_view word) {
  std::string folded(word);
  for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return folded;
}

/// The name inside double quotes, where a doubled one stands for one.
std::string unquoted(std::string_view content) {
  std::string name;
  for (size_t i = 0; i < content.size(); ++i) {
    name += content[i];
    if (content[i] == '"') ++i;
  }
  return name;
}

template <size_t N>
bool listed(const std::array<std::string_view, N>& words, const std::string& word) {
  return std::binary_search(words.begin(), words.end(), std::string_view(word));
}

/// The last name of a dotted chain, as far as a call needs to be judged.
struct Name {
  bool present = false;
  bool keyword_possible = false;  ///< unquoted and not qualified
  bool label = false;             ///< behind AS: of a column, a type or a WITH clause
  bool structural = false;        ///< a keyword that names nothing
  bool type_possible = false;     ///< a keyword that may be the name of a type as well
  bool after_dot = false;
  bool foreign = false;  ///< qualified by something else than pg_catalog, or unreadable
  std::string text;
  std::string qualifier;
  std::string before;  ///< the token before it, folded; empty for a quoted word
};

/// A bracket behind it belongs to a clause, unless a function has this name.
bool is_of_clause(const Name& name) {
  return name.keyword_possible && std::any_of(kPairsBeforeBracket.begin(),
                                              kPairsBeforeBracket.end(), [&](const WordPair& pair) {
                                                return pair.before == name.before &&
                                                       pair.word == name.text;
                                              });
}

/// A bracket behind it calls nothing.
bool is_of_grammar(const Name& name) {
  return (name.keyword_possible && listed(kWordsBeforeBracket, name.text)) || is_of_clause(name);
}

bool call_is_safe(const Name& name, bool (*known_safe)(std::string_view)) {
  // Without a name, a bracket of an expression or a list.
  return !name.present || is_of_grammar(name) || (!name.foreign && known_safe(name.text));
}

/// One pass over the tokens. Which names stand for relations is told by a stack of brackets.
class ReadOnlyScan {
 public:
  ReadOnlyScan(std::string_view text, bool (*known_safe)(std::string_view), TokenNames* names)
      : scanner_(text), known_safe_(known_safe), names_(names) {}

  bool run();

 private:
  /// Inside one pair of brackets.
  struct Level {
    bool begins = true;     ///< nothing was there yet
    bool select = false;    ///< the FROM that comes is a clause
    bool from = false;      ///< in a FROM list: a comma is followed by a relation
    bool relation = false;  ///< the next name is that of a relation
    bool with = false;      ///< in a WITH clause: a comma is followed by a name of its own
    bool named = false;     ///< the next name is one of a WITH clause
    bool recursive = false;
    std::string defined;  ///< the last name of the WITH clause, while its query is read
  };

  bool take(const Token& token);
  bool word(const Token& token);
  bool punctuation(std::string_view text);
  void structure(const std::string& word);
  void close_name(std::string_view next);
  void add_operator(std::string_view text);
  bool readable(const Token& token) const;
  bool is_with_name(const std::string& name) const;
  void end_with_query();
  Level& level() { return levels_.back(); }

  TokenScanner scanner_;
  bool (*known_safe_)(std::string_view);
  TokenNames* names_;
  std::vector<Level> levels_{Level{}};
  /// Of the WITH clauses around, each with the number of brackets that it is in.
  std::vector<std::pair<std::string, size_t>> with_names_;
  Name name_;
  Name qualifier_;
  std::string before_;
  bool compares_ = false;  ///< behind IS [NOT] DISTINCT: its FROM begins no clause
  bool ended_ = false;
};

/// Names that PostgreSQL would cut off or fold by its locale are not looked up as it does.
bool ReadOnlyScan::readable(const Token& token) const {
  if (names_ == nullptr) return true;
  if (names_->names.size() > kNamesMax || names_->operators.size() > kNamesMax ||
      with_names_.size() > kWithNamesMax) {
    return false;
  }
  const bool quoted = token.kind == TokenKind::kQuotedWord;
  return token.content.size() <= kNameBytesMax && token.text.size() <= kNameBytesMax + 2 &&
         (quoted || (token.text.size() <= kNameBytesMax &&
                     std::all_of(token.text.begin(), token.text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; })));
}

void ReadOnlyScan::add_operator(std::string_view text) {
  if (names_ == nullptr || text == "=>") return;
  if (text == "!=") text = "<>";
  if (!names_->operators.contains(text)) names_->operators.emplace(text);
}

bool ReadOnlyScan::is_with_name(const std::string& name) const {
  return std::any_of(with_names_.begin(), with_names_.end(),
                     [&](const auto& known) { return known.first == name; });
}

/// A query of a WITH clause is known behind it; inside, too, if the clause is RECURSIVE.
void ReadOnlyScan::end_with_query() {
  std::string& defined = level().defined;
  if (!defined.empty()) with_names_.emplace_back(std::exchange(defined, {}), levels_.size());
}

/// The clause that a keyword begins or ends.
void ReadOnlyScan::structure(const std::string& word) {
  Level& now = level();
  if (name_.label) return;
  name_.structural = true;
  const bool compares = std::exchange(
      compares_, word == "distinct" && (name_.before == "is" || name_.before == "not"));
  if (word == "select") {
    end_with_query();
    now = Level{.begins = false, .select = true};
  } else if (word == "from" && now.select && !compares) {
    now.from = now.relation = true;
  } else if (word == "join" || word == "table") {
    now.relation = true;
    name_.type_possible = word == "join";
  } else if (word == "with" && now.begins) {
    now = Level{.begins = false, .with = true, .named = true};
  } else if (listed(kAfterFrom, word)) {
    now.from = now.relation = false;
  } else {
    now.recursive |= word == "recursive" && name_.before == "with";
    name_.structural =
        word == "only" || word == "lateral" || (word == "recursive" && name_.before == "with");
  }
  now.begins = false;
  if (names_ == nullptr) return;
  for (const WordOperators& entry : kWordOperators) {
    if (entry.word != word) continue;
    for (const std::string_view text : entry.operators) add_operator(text);
  }
}

/// Files the name that has ended, now that the token behind it is known.
void ReadOnlyScan::close_name(std::string_view next) {
  if (!name_.present || next == ".") return;
  if (name_.type_possible && names_ != nullptr) {
    names_->names.insert({TokenNames::Place::kPlain, {}, name_.text});
  }
  if (name_.structural) return;
  Level& now = level();
  if (next == "(" && is_of_grammar(name_)) {
    now.relation = false;  // an expression in a FROM list, such as coalesce(t.f, 1)
    if (is_of_clause(name_) && names_ != nullptr) {
      names_->names.insert({TokenNames::Place::kClause, {}, name_.text});
    }
    return;
  }
  const bool of_with = std::exchange(now.named, false);
  bool relation = std::exchange(now.relation, false);
  if (names_ == nullptr) return;
  if (of_with) {
    now.defined = name_.text;
    if (now.recursive) end_with_query();
  }
  if (!name_.after_dot && is_with_name(name_.text)) relation = false;
  TokenNames::Name found;
  found.place = next == "("       ? TokenNames::Place::kCalled
                : relation        ? TokenNames::Place::kRelation
                : name_.after_dot ? TokenNames::Place::kSelected
                                  : TokenNames::Place::kPlain;
  found.qualifier = name_.qualifier;
  found.name = name_.text;
  names_->names.insert(std::move(found));
}

bool ReadOnlyScan::word(const Token& token) {
  if (!readable(token)) return false;
  const bool plain = token.kind == TokenKind::kWord;
  Name next;
  next.present = true;
  next.after_dot = before_ == ".";
  next.keyword_possible = plain && !next.after_dot;
  next.text = plain ? fold(token.text) : unquoted(token.content);
  next.foreign = !plain && next.text.find('"') != std::string::npos;
  next.label = plain && before_ == "as";
  next.before = std::move(before_);
  if (next.after_dot) {
    next.foreign |= qualifier_.foreign || qualifier_.text != "pg_catalog";
    next.qualifier = qualifier_.text;
  }
  name_ = std::move(next);
  if (plain && listed(kWritingWords, name_.text)) return false;
  if (name_.keyword_possible)
    structure(name_.text);
  else
    compares_ = false;
  level().begins = false;
  // A field is no keyword to what follows, and neither is a label "as".
  before_ = name_.keyword_possible && !(name_.label && name_.text == "as") ? name_.text : "";
  return true;
}

bool ReadOnlyScan::punctuation(std::string_view text) {
  // A keyword of newer versions is a function to older ones: who looks names up will know.
  const bool keyword = names_ != nullptr && name_.keyword_possible && keyword_since(name_.text) > 0;
  if (text == "(" && !keyword && !call_is_safe(name_, known_safe_)) return false;
  // A dot after anything but a name selects a field: (row).name is no call of a known function.
  if (text == ".") qualifier_ = name_.present ? name_ : Name{};
  if (text == "(" || text == "[") {
    Level inner;
    inner.relation = text == "(" && level().relation;
    level().relation = level().begins = false;
    if (levels_.size() >= kLevelsMax) return false;
    levels_.push_back(inner);
  } else if (text == ")" || text == "]") {
    if (levels_.size() == 1) return false;
    levels_.pop_back();
    while (!with_names_.empty() && with_names_.back().second > levels_.size()) {
      with_names_.pop_back();
    }
  } else if (text == ",") {
    if (level().with) end_with_query();
    level().named = level().with;
    level().relation = level().from;
  }
  return true;
}

bool ReadOnlyScan::take(const Token& token) {
  if (token.kind == TokenKind::kError || token.kind == TokenKind::kUnicodeWord) return false;
  if (ended_ && token.text != ";") return false;
  ended_ = ended_ || token.text == ";";
  close_name(token.text);
  if (token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedWord) return word(token);
  const bool is_punctuation = token.kind == TokenKind::kPunctuation;
  if (is_punctuation && !punctuation(token.text)) return false;
  if (token.kind == TokenKind::kOperator) add_operator(token.text);
  if (!is_punctuation) level().relation = false;  // no relation begins with it
  name_ = Name{};
  compares_ = false;
  before_ = is_punctuation ? std::string(token.text) : "";
  return true;
}

bool ReadOnlyScan::run() {
  Token token = scanner_.next();
  if (token.kind != TokenKind::kWord) return false;
  const std::string first = fold(token.text);
  if (first != "select" && first != "with") return false;
  for (; token.kind != TokenKind::kEnd; token = scanner_.next()) {
    if (!take(token)) return false;
  }
  close_name({});
  return true;
}

}  // namespace

bool tokens_prove_read_only(std::string_view text, bool (*known_safe)(std::string_view word),
                            TokenNames* names) {
  if (text.find('\0') != std::string_view::npos) return false;
  return ReadOnlyScan(text, known_safe, names).run();
}

size_t memory_bytes(const TokenNames& names) {
  constexpr size_t kNodeBytes = 128;  // of a set, with its strings
  size_t bytes = 0;
  for (const TokenNames::Name& name : names.names) {
    bytes += kNodeBytes + name.name.capacity() + name.qualifier.capacity();
  }
  return bytes + names.operators.size() * kNodeBytes;
}

}  // namespace pgrecall::sql
