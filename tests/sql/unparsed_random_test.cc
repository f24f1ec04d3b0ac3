// Random SELECTs: what the parser calls opaque is never proved harmless by its tokens alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pgrecall/sql/analyzer.h"
#include "sql/analyzer_fixture.h"
#include "sql/big_stack.h"

namespace pgrecall::sql::testing {
namespace {

using Strings = std::vector<std::string>;

/// SELECTs out of names that run code of users now and then, in the spellings that SQL allows.
class RandomSelect {
 public:
  explicit RandomSelect(uint32_t seed) : random_(seed) {}

  std::string select(int depth = 3) {
    std::string text;
    if (depth > 0 && one_in(8)) text += "WITH " + with_name() + gap() + sub(depth) + gap();
    text += word("SELECT") + gap();
    if (one_in(12)) text += word("DISTINCT") + gap();
    text += items(depth) + gap() + word("FROM") + gap() + from(depth);
    if (one_in(2)) text += gap() + word("WHERE") + gap() + expression(depth);
    if (one_in(8)) text += gap() + word("GROUP BY") + gap() + column();
    if (one_in(8)) text += gap() + word("UNION ALL") + gap() + select(0);
    return text;
  }

 private:
  bool one_in(unsigned n) { return below(n) == 0; }
  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  const std::string& pick(const Strings& from) { return from[below(from.size())]; }
  /// Most often a harmless one, so that both kinds of text are common.
  const std::string& pick(const Strings& harmless, const Strings& others) {
    return pick(one_in(25) ? others : harmless);
  }

  std::string gap() {
    static const Strings kGaps = {" ", " ", " ", "\t", "\n", " /* it's */ ", " -- \" (\n", "/**/ "};
    return pick(kGaps);
  }
  std::string word(std::string text) {
    if (one_in(3)) std::transform(text.begin(), text.end(), text.begin(), ::tolower);
    return text;
  }
  /// The same name otherwise spelt.
  std::string name(const std::string& text) {
    if (one_in(6) && !text.ends_with("[]")) return '"' + text + '"';
    if (one_in(6)) return static_cast<char>(std::toupper(text[0])) + text.substr(1);
    return text;
  }
  std::string qualified(const std::string& text) {
    return one_in(6) ? name("public") + (one_in(4) ? " . " : ".") + name(text) : name(text);
  }

  std::string with_name() {
    static const Strings kNames = {"w AS", "w(x) AS", "v_log AS", "RECURSIVE w AS",
                                   "w AS MATERIALIZED"};
    return pick(kNames);
  }
  std::string sub(int depth) { return "(" + select(depth - 1) + ")"; }

  std::string items(int depth) {
    std::string text = expression(depth);
    while (one_in(2)) text += "," + gap() + expression(depth);
    if (one_in(3)) text += gap() + word("AS") + gap() + label();
    return text;
  }
  std::string label() {
    static const Strings kLabels = {"x", "title", "\"from\"", "from", "values", "is", "log_it"};
    return pick(kLabels);
  }

  std::string relation() {
    static const Strings kHarmless = {"blog_post", "blog_comment", "auth_user", "v_post",
                                      "mv_count"};
    static const Strings kOthers = {"v_log",    "v_broken", "fn_docs", "t_coined", "t_ranked",
                                    "t_folded", "nowhere",  "t_odd",   "w"};
    return qualified(pick(kHarmless, kOthers));
  }
  std::string from_item(int depth) {
    if (depth > 0 && one_in(6)) return sub(depth) + gap() + "s";
    if (one_in(8)) return call(0) + gap() + "f";
    if (one_in(10)) return word("ONLY") + gap() + relation();
    return relation() + (one_in(2) ? gap() + (one_in(2) ? word("AS") + gap() : "") + "b" : "");
  }
  std::string from(int depth) {
    static const Strings kJoins = {",", " CROSS JOIN ", " NATURAL JOIN ", " left join ", " JOIN "};
    std::string text = from_item(depth);
    while (one_in(3)) {
      const std::string& join = pick(kJoins);
      const std::string right = from_item(depth);
      text += join + (one_in(5) ? "(" + from_item(0) + " CROSS JOIN " + right + ")" : right);
      if (join == " left join ") text += " ON " + expression(0);
      if (join == " JOIN ") text += one_in(2) ? " USING (id)" : " ON true";
    }
    return text;
  }

  std::string column() {
    static const Strings kHarmless = {"id", "title", "body", "b.id", "b.title", "b.*", "(b).views"};
    static const Strings kOthers = {"b.log_it",        "(b).headline",    "(b.*).\"log_it\"",
                                    "(ROW(1)).log_it", "b . /**/ log_it", "b.setseed"};
    return pick(kHarmless, kOthers);
  }
  std::string type() {
    static const Strings kHarmless = {
        "int", "text", "numeric(5,2)", "double precision", "date", "timestamp with time zone"};
    static const Strings kOthers = {"email", "minted", "ranked", "email[]", "t_email", "coined"};
    return one_in(25) ? qualified(pick(kOthers)) : pick(kHarmless);
  }
  std::string call(int depth) {
    static const Strings kHarmless = {"lower",  "abs", "count", "coalesce",
                                      "concat", "max", "length"};
    static const Strings kOthers = {"log_it", "setseed",       "pg_advisory_lock", "headline",
                                    "email",  "immutable_one", "set_config"};
    const bool harmless = !one_in(25);
    if (one_in(6)) return of_grammar(depth);
    const std::string called = harmless ? pick(kHarmless) : qualified(pick(kOthers));
    return called + (one_in(5) ? gap() : "") + "(" + expression(depth) + ")";
  }
  /// Calls that the grammar spells in words of its own; TREAT calls what is named like its type.
  std::string of_grammar(int depth) {
    static const Strings kHarmless = {"abs", "length"};
    static const Strings kOthers = {"setseed", "pg_advisory_lock"};
    const std::string inner = expression(depth);
    switch (below(4)) {
      case 0:
        return word("TREAT") + "(" + inner + " AS " + pick(one_in(2) ? kHarmless : kOthers) + ")";
      case 1:
        return word("EXTRACT") + "(year FROM " + inner + ")";
      case 2:
        return word("TRIM") + "(BOTH FROM " + inner + ")";
      default:
        return word("NULLIF") + "(" + inner + ", 1)";
    }
  }
  std::string literal() {
    static const Strings kLiterals = {
        "1",    "1.5",    "'a'",  "'it''s log_it(1)'", "$$v_log$$", "NULL",
        "true", "E'\\''", "B'1'", "$a$ FROM v_log $a$"};
    return pick(kLiterals);
  }
  std::string operation(int depth) {
    static const Strings kHarmless = {"+", "||",     "=",     "<>",
                                      "<", " LIKE ", " and ", " IS DISTINCT FROM "};
    static const Strings kOthers = {"<@@@>", " OPERATOR(public.<@@@>) ",
                                    " operator ( public . <@@@> ) "};
    return expression(depth) + pick(kHarmless, kOthers) + expression(depth);
  }

  std::string expression(int depth) {
    const int less = depth - 1;
    switch (depth <= 0 ? below(4) : below(12)) {
      case 0:
      case 1:
        return column();
      case 2:
        return literal();
      case 3:
        return one_in(8) ? type() + " 'x'" : literal();
      case 4:
        return call(less);
      case 5:
        return operation(less);
      case 6:
        return "CAST(" + expression(less) + " AS " + type() + ")";
      case 7:
        return "(" + expression(less) + ")::" + type();
      case 8:
        return sub(depth);
      case 9:
        return "CASE WHEN " + expression(less) + " THEN " + expression(less) + " ELSE 1 END";
      case 10:
        return "(" + expression(less) + (one_in(2) ? ") IN (1, 2)" : ") IS NOT NULL");
      default:
        return "EXISTS " + sub(depth);
    }
  }

  std::mt19937 random_;
};

bool harmless(const StatementAnalysis& analysis) {
  return analysis.effect == Effect::kNone && analysis.session_effects == kSessionNothing;
}

TEST(UnparsedProperty, Case07_WhatTheParserCallsOpaqueIsNeverProvedByTokens) {
  ResolveScope scope;
  scope.search_path = {2200};
  const auto analyze = [&](const std::string& sql) {
    return resolve(*parse(sql), &fixture_catalog(), scope);
  };
  const std::string long_tail = " /* " + std::string(66'000, 'x') + " */";
  int opaque = 0, proved = 0;
  on_big_stack([&] {
    RandomSelect random(1);
    for (int round = 0; round < 4'000; ++round) {
      const std::string sql = random.select();
      const auto parsed = analyze(sql);
      ASSERT_EQ(parsed.size(), 1U) << sql;
      const auto unparsed = analyze(sql + long_tail);
      ASSERT_EQ(unparsed.size(), 1U) << sql;
      ASSERT_EQ(unparsed[0].kind, StatementKind::kUnparsed) << sql;
      if (harmless(parsed[0])) {
        proved += harmless(unparsed[0]) ? 1 : 0;
        continue;
      }
      ++opaque;
      ASSERT_EQ(unparsed[0].effect, Effect::kOpaque) << sql << "\n" << parsed[0].detail;
    }
  });
  EXPECT_GT(opaque, 1'000);
  EXPECT_GT(proved, 1'000);
}

}  // namespace
}  // namespace pgrecall::sql::testing
