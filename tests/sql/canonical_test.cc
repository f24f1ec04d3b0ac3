#include "pgrecall/sql/canonical.h"

#include <gtest/gtest.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sql/canonical_scanner.h"

namespace pgrecall::sql {
namespace {

using Strings = std::vector<std::string>;

std::string key_of(const std::string& text) {
  const Canonical canonical = canonicalize(text);
  EXPECT_TRUE(canonical.ok) << text;
  return canonical.shape + '\0' + canonical.literals;
}

std::string shape_of(const std::string& text) {
  const Canonical canonical = canonicalize(text);
  return canonical.ok ? canonical.shape : "not ok";
}

TEST(Canonical, FoldsCaseAndSpaceAndKeepsLiteralsApart) {
  const Canonical canonical = canonicalize(
      "SELECT  \"Auth\".\"Id\",COUNT( * )\n FROM T1 /* why */ WHERE x=5 AND y = 'it''s' -- end\n "
      ";");
  ASSERT_TRUE(canonical.ok);
  EXPECT_EQ(canonical.shape, "select \"Auth\".\"Id\", count(*) from t1 where x = ? and y = $?");
  EXPECT_EQ(canonical.literals, std::string("i\1"
                                            "5s\5it''s"));
  EXPECT_FALSE(canonical.multi_statement);
  EXPECT_FALSE(canonical.non_ascii);
  EXPECT_EQ(canonical.tokens, 19U);
}

TEST(Canonical, GivesEveryStringFormItsOwnMark) {
  EXPECT_EQ(shape_of("select 'a', E'a', B'1', X'1F', N'a', U&'a', $$a$$, $t$a$t$, 1, 1.5, .5, 1e3"),
            "select $?, $e?, $b?, $x?, nchar $?, $u?, $d?, $d?, ?, ?, ?, ?");
  EXPECT_EQ(key_of("select N'a'"), key_of("select NCHAR 'a'"));
  EXPECT_EQ(key_of("select $a$x$a$"), key_of("select $bc$x$bc$"));
  const std::set<std::string> keys = {key_of("select 'a'"),   key_of("select E'a'"),
                                      key_of("select $$a$$"), key_of("select U&'a'"),
                                      key_of("select B'a'"),  key_of("select X'a'")};
  EXPECT_EQ(keys.size(), 6U);
}

TEST(Canonical, KeepsParametersAndQuotedNamesInTheShape) {
  EXPECT_EQ(shape_of("select $1::int, \"A b\", \"a\"\"b\", U&\"d\\0061\""),
            "select $1 :: int, \"A b\", \"a\"\"b\", U&\"d\\0061\"");
  EXPECT_NE(key_of("select \"a\""), key_of("select \"A\""));
  EXPECT_NE(key_of("select a"), key_of("select \"a\""));
  EXPECT_NE(key_of("select $1"), key_of("select $2"));
}

TEST(Canonical, LeavesNonAsciiBytesOfNamesAlone) {
  EXPECT_EQ(shape_of("SELECT \xC3\x84"
                     "B"),
            "select \xC3\x84"
            "b");
  EXPECT_TRUE(canonicalize("select 'caf\xC3\xA9'").non_ascii);
  EXPECT_TRUE(canonicalize("select 1 -- caf\xC3\xA9").non_ascii);
}

TEST(Canonical, JoinsStringsOnlyOverANewline) {
  EXPECT_EQ(canonicalize("select 'a' \n -- why\n 'b'").literals, "s\5a'\n'b");
  EXPECT_EQ(key_of("select 'a'\n'b'"), key_of("select 'a' -- x\n\t'b'"));
  EXPECT_NE(key_of("select 'a'\n'b'"), key_of("select 'a' 'b'"));
  EXPECT_NE(key_of("select 'a' /* \n */ 'b'"), key_of("select 'a'\n'b'"));
  EXPECT_NE(key_of("select E'\\1'\n'01'"), key_of("select E'\\101'"));
  EXPECT_EQ(shape_of("select E'a\\''\n'b'"), "select $e?");
}

TEST(Canonical, EndsOperatorsAsTheServerDoes) {
  EXPECT_EQ(shape_of("a+-1"), "a + - ?");
  EXPECT_EQ(shape_of("a@-1"), "a @- ?");
  EXPECT_EQ(shape_of("a<-1"), "a < - ?");
  EXPECT_EQ(shape_of("a<=+-+b"), "a <= + - + b");
  EXPECT_EQ(shape_of("a+-+@-+b"), "a +-+@-+ b");
  EXPECT_EQ(shape_of("a+-+/**/+-b"), "a + - + + - b");
  EXPECT_EQ(shape_of("a*--1\n2"), "a * ?");
  EXPECT_EQ(shape_of("a+/*x*/b"), "a + b");
  EXPECT_EQ(shape_of("a<=b!=c=>d"), "a <= b != c => d");
  EXPECT_EQ(shape_of("a::b:=c..d:e"), "a :: b := c .. d : e");
}

TEST(Canonical, TellsAQuestionMarkFromALiteral) {
  EXPECT_EQ(shape_of("a ? 'b'"), "a ?? $?");
  EXPECT_EQ(shape_of("a ?| b"), "a ??| b");
  EXPECT_NE(key_of("a ? 5 b"), key_of("a 5 ? b"));
  EXPECT_NE(key_of("a ?? b"), key_of("a ? ? b"));
}

TEST(Canonical, ReadsNumbersAsTheServerDoes) {
  EXPECT_EQ(canonicalize("1..2").literals,
            "i\1"
            "1i\1"
            "2");
  EXPECT_EQ(shape_of("1..2"), "? .. ?");
  EXPECT_EQ(canonicalize("1. .5 1.5e-3 1.5.3").literals,
            "f\2"
            "1.f\2.5f\6"
            "1.5e-3f\3"
            "1.5f\2.3");
  EXPECT_EQ(shape_of("a.5"), "a ?");
  EXPECT_EQ(shape_of("a . 5"), "a.?");
  EXPECT_EQ(shape_of("0x1F 0b1 0o7 1_000"), "$i? $i? $i? $i?");
}

TEST(Canonical, DropsTrailingSemicolonsAndSeesSeveralStatements) {
  EXPECT_EQ(key_of("select 1"), key_of("select 1 ;"));
  EXPECT_EQ(key_of("select 1"), key_of("select 1 ; ; -- end"));
  EXPECT_FALSE(canonicalize("select 1; /* nothing */ ;").multi_statement);
  EXPECT_TRUE(canonicalize("select 1; select 2").multi_statement);
  EXPECT_EQ(shape_of("select 1; select 2;"), "select ?; select ?");
  for (const char* empty : {"", " ", ";", "-- x", "/* ; */ ;"}) {
    EXPECT_EQ(key_of(empty), key_of("")) << empty;
    EXPECT_EQ(canonicalize(empty).tokens, 0U) << empty;
  }
}

TEST(Canonical, RefusesWhatTheScannerWouldRefuse) {
  const Strings malformed = {"select 'a",
                             "select E'a\\'",
                             "select \"a",
                             "select \"\"",
                             "/* a",
                             "/* /* */",
                             "select $a$b",
                             "select $",
                             "select $a b",
                             "select 1a",
                             "select 1e",
                             "select 1e+",
                             "select $1a",
                             "select 0x",
                             "select 0xg",
                             "select 0b12",
                             "select E'\\u00e'",
                             "select E'\\uD800'",
                             "select E'\\u0000'",
                             "select E'\\U00110000'",
                             "select 1_",
                             "select 1__0",
                             "select 1.5a",
                             "select {",
                             "select \\",
                             "select \v 1",
                             "select E'a\\",
                             "select U&\"",
                             "select '''",
                             "select B'1",
                             "select 'a'\n'b",
                             "select 123\xC3\xA9",
                             "select " + std::string(64, '@') + " 1",
                             std::string("select 1\0 2", 11)};
  for (const std::string& text : malformed) {
    const Canonical canonical = canonicalize(text);
    EXPECT_FALSE(canonical.ok) << text;
    EXPECT_TRUE(canonical.shape.empty() && canonical.literals.empty()) << text;
  }
  EXPECT_TRUE(canonicalize("select 1 " + std::string(63, '@') + " 1").ok);
}

TEST(Canonical, ReadsHintsFromComments) {
  EXPECT_EQ(canonicalize("/* pgrecall: ttl=30s */ select 1").hints.ttl_ms, 30000);
  EXPECT_EQ(canonicalize("select 1 -- pgrecall: ttl=250ms").hints.ttl_ms, 250);
  EXPECT_EQ(canonicalize("/*pgrecall: ttl=2m, primary*/ select 1").hints.ttl_ms, 120000);
  EXPECT_EQ(canonicalize("/*pgrecall: ttl=1h*/ select 1 /*pgrecall:ttl=1s*/").hints.ttl_ms, 1000);
  EXPECT_TRUE(canonicalize("/* pgrecall: wonder primary */ select 1").hints.primary);
  EXPECT_TRUE(canonicalize("select /* pgrecall:\n off */ 1").hints.off);
  for (const char* text :
       {"/* pgrecall off */ select 1", "/* x pgrecall: off */ select 1", "select 'pgrecall: off'",
        "/* pgrecall: offer ttl=30 ttl=s ttl=-1s ttl=99999999999999999999s */ select 1",
        "select \"/* pgrecall: off */\"", "select $$/* pgrecall: off */$$"}) {
    const Hints hints = canonicalize(text).hints;
    EXPECT_FALSE(hints.off || hints.primary || hints.ttl_ms != -1) << text;
  }
}

TEST(Canonical, FindsClockWordsInEveryStringForm) {
  for (const char* text :
       {"select 'now'", "select ' Today '", "select E'n\\x6fw'", "select E'\\156ow'",
        "select E'to\\u0064ay'", "select E'to\\U00000064ay'", "select E't\\oday'",
        "select $$yesterday$$", "select 'to'\n'day'", "select '[2020-01-01,tomorrow]'",
        "select U&'d\\0061ta'", "select U&'d!0061ta' uescape '!'", "select 'now+1'",
        "select '{\"to\\day\"}'", "select '[to\"day\",)'", "select '{\"d\": \"\\u006eow\"}'",
        "select N'NOW'"})
    EXPECT_TRUE(canonicalize(text).has_clock_word) << text;
  for (const char* text :
       {"select now()", "select 'know'", "select 'nowhere'", "select 'todayx'", "select \"now\"",
        "select 'epoch', 'allballs'", "select 1 -- now", "select 'no'/*\n*/'w'", "select E'n\\now'",
        "select 'C:\\temp'", "select X'now'", "select '\"snow\"'"})
    EXPECT_FALSE(canonicalize(text).has_clock_word) << text;
  EXPECT_TRUE(has_clock_word("today10:00"));
  EXPECT_TRUE(has_clock_word("2020_now"));
  EXPECT_FALSE(has_clock_word(""));
  EXPECT_FALSE(has_clock_word("yesterdayx"));
}

TEST(Canonical, HasRoomForWhatGrowsMost) {
  for (const std::string piece :
       {"n''", "n'';", "'';", "?,", "?;", "1,", "1 ", ".,", "..,", ". ", ":", "a ", "$$$$", "x'',",
        "\"a\"", "U&\"a\"", "0x1,", "??", "$1 "}) {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += piece;
    const Canonical canonical = canonicalize(text);
    // Sixty-four question marks are too long for an operator.
    EXPECT_EQ(canonical.ok, piece != "??") << piece;
  }
  const Canonical large = canonicalize("select '" + std::string(1 << 20, 'x') + "'");
  EXPECT_EQ(large.shape, "select $?");
  EXPECT_EQ(large.literals.size(), (1U << 20) + 4);
}

TEST(Canonical, TakesLinearTimeForWhatInvitesToReadAgain) {
  // Quadratic scans of these texts would not end within the life of a test.
  for (const std::string piece :
       {"+", "-+", "+/**/", "*+ ", "@+/**/", "/*", "'a'\n", "'a' -- x\n", "(", "1.."}) {
    std::string text;
    while (text.size() < 4'000'000) text += piece;
    const Canonical canonical = canonicalize(text);
    EXPECT_EQ(canonical.ok, piece != "/*") << piece;
  }
}

bool test_safe(std::string_view word) {
  return word == "lower" || word == "json_table" || word == "columns" || word == "count";
}

TEST(ReadOnlyByTokens, AcceptsOnlySelectsOfKnownFunctions) {
  for (const char* text :
       {"select 1", "SELECT a FROM t WHERE b IN (1, 2) ;", "with x as (select 1) select * from x",
        "select lower(a), \"lower\"(b), pg_catalog.lower(c), \"pg_catalog\".\"lower\"(d) from t",
        "select * from json_table(a, '$' columns (b)) where 'delete' = \"update\"",
        "select count(*) filter (where a) over (partition by (b) order by (c)) from t",
        "with x as materialized (select cast(a as character varying(3))) select * from x",
        "select a[1], (b).c, 0x1F from t group by (a) -- delete"}) {
    EXPECT_TRUE(tokens_prove_read_only(text, test_safe)) << text;
  }
  for (const char* text : {"",
                           "insert into t values (1)",
                           "select upper(a)",
                           "select other.lower(a)",
                           "select \"other\".\"lower\"(a)",
                           "select a.pg_catalog.lower(b)",
                           "select a into b",
                           "with x as (delete from t returning 1) select 1",
                           "select 1 for update",
                           "select 1 for key share",
                           "select 1; select 2",
                           "select 'a",
                           "select \"in\"(1)",
                           "select x.in (1)",
                           "select filter(a)",
                           "select over(a)",
                           "select \"by\"(1)",
                           "select not materialized(1)",
                           "select U&\"lower\"(1)",
                           "select lower (a), upper (b)",
                           "select \"lo\"\"wer\"(1)",
                           "select upper/* */\n(a)",
                           "explain select 1",
                           "(select 1)",
                           "select 1 union select cube(1)"})
    EXPECT_FALSE(tokens_prove_read_only(text, test_safe)) << text;
}

/// Random texts made of tokens, with what may stand between them.
class TokenSoup {
 public:
  explicit TokenSoup(unsigned seed) : random_(seed) {}

  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  const std::string& pick(const Strings& from) { return from[below(from.size())]; }

  Strings tokens(size_t count) {
    Strings result;
    for (size_t i = 0; i < count; ++i) result.push_back(pick(kTokens));
    return result;
  }

  std::string join(const Strings& tokens) {
    std::string text;
    for (const std::string& token : tokens) text += gap() + token;
    return text + gap();
  }

  static const Strings kTokens;

 private:
  /// Never a newline alone: two strings in a row stay two tokens.
  std::string gap() {
    static const Strings kGaps = {
        " ", "\t", "  ", " /* a */ ", "/**/ ", " /* /* ' */ \" $$ */ ", " /*-- x*/ "};
    std::string text;
    for (size_t i = 0; i <= below(3); ++i) text += pick(kGaps);
    return text;
  }

  std::mt19937 random_;
};

const Strings TokenSoup::kTokens = {
    "select",    "a",      "b1",    "_x$",    "from",  "and",  "between", "\"a\"",   "\"A b\"",
    "\"a\"\"\"", "1",      "23",    "1.5",    ".5",    "1e5",  "0x1f",    "1_0",     "'a'",
    "''",        "'a''b'", "'\\'",  "E'\\''", "E'a'",  "B'0'", "X'ab'",   "U&'x'",   "U&\"x\"",
    "$$$$",      "$$a$$",  "$1",    "$22",    "+",     "-",    "*",       "/",       "<",
    ">",         "=",      "<=",    ">=",     "<>",    "!=",   "=>",      "||",      "@>",
    "?",         "?|",     "??",    "@-",     "~",     ",",    "(",       ")",       "[",
    "]",         ".",      "..",    ":",      "::",    ":=",   ";",       "u",       "e",
    "n",         "&",      "nchar", "x",      "\"u\"", "'?'",  "'$?'",    "\xC3\xA9"};

TEST(CanonicalProperty, DependsOnTheTokensAndOnNothingBetweenThem) {
  TokenSoup soup(1);
  for (int round = 0; round < 20000; ++round) {
    const Strings tokens = soup.tokens(1 + soup.below(12));
    const std::string first = soup.join(tokens);
    const std::string second = soup.join(tokens);
    ASSERT_EQ(key_of(first), key_of(second)) << first << "\n" << second;
  }
}

TEST(CanonicalProperty, DiffersWhereAnyTokenDiffers) {
  TokenSoup soup(2);
  int compared = 0;
  for (int round = 0; round < 40000; ++round) {
    Strings tokens = soup.tokens(1 + soup.below(8));
    tokens.push_back("end");  // trailing semicolons are dropped on purpose
    Strings other = tokens;
    const size_t at = soup.below(tokens.size() - 1);
    switch (soup.below(3)) {
      case 0:
        other[at] = soup.pick(TokenSoup::kTokens);
        break;
      case 1:
        std::swap(other[at], other[soup.below(tokens.size() - 1)]);
        break;
      default:
        other.erase(other.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (other == tokens) continue;
    ++compared;
    ASSERT_NE(key_of(soup.join(tokens)), key_of(soup.join(other))) << soup.join(tokens) << "\n"
                                                                   << soup.join(other);
  }
  EXPECT_GT(compared, 30000);
}

/// Tokens of libpg_query's scanner as ranges of the text; comments left out. The ends that it gives
/// for U& strings and names are wrong.
bool oracle_scan(const std::string& text, std::vector<std::pair<size_t, size_t>>& ranges) {
  const PgQueryScanResult result = pg_query_scan(text.c_str());
  const bool ok = result.error == nullptr;
  if (ok) {
    PgQuery__ScanResult* scan = pg_query__scan_result__unpack(
        nullptr, result.pbuf.len, reinterpret_cast<const uint8_t*>(result.pbuf.data));
    for (size_t i = 0; i < scan->n_tokens; ++i) {
      const PgQuery__ScanToken& token = *scan->tokens[i];
      if (token.token == PG_QUERY__TOKEN__SQL_COMMENT || token.token == PG_QUERY__TOKEN__C_COMMENT)
        continue;
      ranges.emplace_back(static_cast<size_t>(token.start), static_cast<size_t>(token.end));
    }
    pg_query__scan_result__free_unpacked(scan, nullptr);
  }
  pg_query_free_scan_result(result);
  return ok;
}

TEST(CanonicalProperty, CutsTextIntoTheTokensThatPostgresqlCutsItInto) {
  const Strings pieces = {"'",        "''",   "\"",  "\\", "$",  "$a$", "$$", "a",  "E'", "b'",
                          "x'",       "N'",   "U&'", "1",  ".",  "e",   "+",  "-",  "--", "/*",
                          "*/",       "*",    "/",   "@",  "<",  ">",   "=",  ":",  ";",  ",",
                          "(",        ")",    "[",   "]",  " ",  "\n",  "\t", "_",  "0",  "12",
                          "\xC3\xA9", "u&\"", "?",   "%",  "::", "\r",  "\f", "ab", "$1", "!"};
  TokenSoup soup(3);
  int agreed = 0;
  for (int round = 0; round < 200000; ++round) {
    std::string text;
    for (size_t i = 0; i <= soup.below(14); ++i) text += soup.pick(pieces);
    std::vector<std::pair<size_t, size_t>> expected;
    const bool oracle_ok = oracle_scan(text, expected);
    std::vector<std::pair<size_t, size_t>> found;
    TokenScanner scanner(text);
    Token token = scanner.next();
    bool newer = false;  // 0x1F and 1_000 are unknown to the version of the oracle
    for (; token.kind != TokenKind::kEnd && token.kind != TokenKind::kError;
         token = scanner.next()) {
      newer = newer || token.kind == TokenKind::kOtherInteger;
      size_t begin = static_cast<size_t>(token.text.data() - text.data());
      // N'...' is one letter of the text and the word "nchar" to us.
      if (token.text == "nchar" && begin >= text.size()) begin = SIZE_MAX;
      found.emplace_back(begin, begin == SIZE_MAX ? begin : begin + token.text.size());
    }
    if (newer || token.kind == TokenKind::kError)
      continue;  // refused more than need be: never wrong
    ASSERT_TRUE(oracle_ok) << text;
    ASSERT_EQ(found.size(), expected.size()) << text;
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i].first == SIZE_MAX) continue;
      ASSERT_EQ(found[i].first, expected[i].first) << text << " token " << i;
      if (text[found[i].first] == 'u' || text[found[i].first] == 'U') continue;
      ASSERT_EQ(found[i].second, expected[i].second) << text << " token " << i;
    }
    ++agreed;
  }
  EXPECT_GT(agreed, 20000);
}

TEST(CanonicalProperty, RefusesNothingThatTheGrammarCouldUse) {
  // The other direction: a text that the parser accepts has a canonical form.
  TokenSoup soup(4);
  int parsed = 0;
  for (int round = 0; round < 60000; ++round) {
    Strings tokens = soup.tokens(1 + soup.below(5));
    tokens.insert(tokens.begin(), "select");
    const std::string text = soup.join(tokens);
    const PgQueryParseResult result = pg_query_parse(text.c_str());
    if (result.error == nullptr) {
      ++parsed;
      EXPECT_TRUE(canonicalize(text).ok) << text;
    }
    pg_query_free_parse_result(result);
  }
  EXPECT_GT(parsed, 500);
}

}  // namespace
}  // namespace pgrecall::sql
