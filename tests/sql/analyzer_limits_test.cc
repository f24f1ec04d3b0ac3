// Hostile SQL (trap 60): whatever the text, one clear outcome on a stack of 64 MiB.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "pgrecall/sql/analyzer.h"
#include "sql/analyzer_fixture.h"
#include "sql/big_stack.h"

namespace pgrecall::sql::testing {
namespace {

constexpr Oid kPublic = 2200;

std::string repeated(std::string_view part, size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

StatementAnalysis analyze(const std::string& sql, const ParseLimits& limits = {}) {
  ResolveScope scope;
  scope.search_path = {kPublic};
  const auto analyses = resolve(*parse(sql, limits), &fixture_catalog(), scope);
  EXPECT_EQ(analyses.size(), 1U);
  return analyses[0];
}

TEST(AnalyzerLimits, Trap60_AMegabyteOfAdditionsIsNeverParsed) {
  on_big_stack([] {
    const StatementAnalysis analysis = analyze("SELECT 1" + repeated("+1", 500'000));
    EXPECT_EQ(analysis.kind, StatementKind::kUnparsed);
    EXPECT_EQ(analysis.reason, BypassReason::kTooLong);
    EXPECT_EQ(analysis.effect, Effect::kNone);  // by its tokens
  });
}

TEST(AnalyzerLimits, Trap60_ADeepTextIsNeverParsed) {
  on_big_stack([] {
    const StatementAnalysis chain = analyze("SELECT 1" + repeated("+1", 30'000));
    EXPECT_EQ(chain.reason, BypassReason::kTooDeep);
    const StatementAnalysis brackets =
        analyze("SELECT " + repeated("(", 10'000) + "1" + repeated(")", 10'000));
    EXPECT_EQ(brackets.reason, BypassReason::kTooDeep);
    EXPECT_EQ(brackets.effect, Effect::kNone);
  });
}

TEST(AnalyzerLimits, Trap60_ALongListIsRefusedOrParsed) {
  on_big_stack([] {
    std::string list = "1";
    for (int i = 2; i <= 100'000; ++i) list += "," + std::to_string(i);
    const std::string sql = "SELECT id FROM blog_post WHERE id IN (" + list + ")";
    EXPECT_EQ(analyze(sql).reason, BypassReason::kTooLong);
    EXPECT_EQ(analyze(sql).effect, Effect::kNone);
    EXPECT_TRUE(analyze(sql, {4 * 1024 * 1024, 2000}).cacheable);
  });
}

TEST(AnalyzerLimits, ALongWriteThatIsNotParsedIsOpaque) {
  on_big_stack([] {
    const StatementAnalysis analysis =
        analyze("UPDATE blog_post SET title = '" + repeated("x", 100'000) + "'");
    EXPECT_EQ(analysis.kind, StatementKind::kUnparsed);
    EXPECT_EQ(analysis.reason, BypassReason::kTooLong);
    EXPECT_EQ(analysis.effect, Effect::kOpaque);
    EXPECT_EQ(analysis.session_effects, kSessionUnknown);
  });
}

TEST(AnalyzerLimits, ALongReadThatCallsAnUnknownFunctionIsOpaque) {
  on_big_stack([] {
    const StatementAnalysis analysis =
        analyze("SELECT log_it(1), '" + repeated("x", 100'000) + "'");
    EXPECT_EQ(analysis.effect, Effect::kOpaque);
  });
}

TEST(AnalyzerLimits, Trap60_EveryWayToNestEndsWithinTheStack) {
  struct Nesting {
    const char* before;
    const char* open;
    const char* middle;
    const char* close;
    const char* after;
  };
  constexpr Nesting kNestings[] = {
      {"SELECT ", "(", "1", ")", ""},
      {"SELECT ", "-", " 1", "", ""},
      {"SELECT 1", "+1", "", "", " FROM blog_post"},
      {"SELECT 1", "||1", "", "", ""},
      {"SELECT ", "NOT ", "true", "", ""},
      {"SELECT 1", "::int", "", "", ""},
      {"SELECT ", "abs(", "1", ")", ""},
      {"SELECT ", "ARRAY[", "1", "]", ""},
      {"SELECT ", "CASE WHEN true THEN ", "1", " END", ""},
      {"SELECT ", "(SELECT ", "1", ")", ""},
      {"SELECT * FROM ", "(SELECT * FROM ", "blog_post", ") s", ""},
      {"SELECT 1 WHERE ", "EXISTS (SELECT 1 WHERE ", "true", ")", ""},
      {"SELECT 1", " UNION SELECT 1", "", "", ""},
      {"", "(", "SELECT 1", " UNION SELECT 2)", ""},
      {"SELECT * FROM blog_post b", " CROSS JOIN blog_post", "", "", ""},
      {"SELECT * FROM ", "(", "blog_post", " JOIN blog_tag USING (id))", ""},
      {"SELECT 1", " IS NULL", "", "", ""},
      {"SELECT true ", "AND (true OR ", "true", ")", ""},
      {"", "WITH a AS (", "SELECT 1", ") SELECT 1", ""},
      {"SELECT data", "->'a'", "", "", " FROM blog_post"},
      {"SELECT tags", "[1]", "", "", " FROM blog_post"},
      {"SELECT ", "COALESCE(", "created", ")::date", " FROM blog_post"},
      {"SELECT ", "ROW(", "1", ")", ""},
      {"SELECT 1 COLLATE \"C\"", " COLLATE \"C\"", "", "", ""},
      {"SELECT now()", " AT TIME ZONE 'UTC'", "", "", ""},
      {"SELECT 1 WHERE 1", " BETWEEN 1 AND 1", "", "", ""},
      {"INSERT INTO blog_tag (name) ", "(", "SELECT 'x'", ")", ""},
      {"EXPLAIN ", "(", "SELECT 1", ")", ""},
      {"SELECT a", ".b", "", "", " FROM blog_post"},
      {"SELECT x FROM t ORDER BY ", "(", "1", ")", ""},
  };
  on_big_stack([&] {
    for (const Nesting& nesting : kNestings) {
      BypassReason reason = BypassReason::kNoBypass;
      for (size_t depth = 16; depth < 100'000; depth = depth * 5 / 4) {
        const std::string sql = nesting.before + repeated(nesting.open, depth) + nesting.middle +
                                repeated(nesting.close, depth) + nesting.after;
        reason = analyze(sql).reason;
        if (reason == BypassReason::kTooDeep || reason == BypassReason::kTooLong) break;
      }
      EXPECT_TRUE(reason == BypassReason::kTooDeep || reason == BypassReason::kTooLong)
          << nesting.before << nesting.open << bypass_reason_name(reason);
    }
  });
}

TEST(AnalyzerLimits, AParsedTextKnowsItsSize) {
  on_big_stack([] {
    const auto small = parse("SELECT 1");
    std::string list = "SELECT 1";
    for (int i = 0; i < 5'000; ++i) list += ",1";
    const auto big = parse(list);
    EXPECT_GT(memory_bytes(*small), 100U);
    EXPECT_GT(memory_bytes(*big), memory_bytes(*small) * 10);
    EXPECT_LT(memory_bytes(*big), list.size() * 400);
  });
}

TEST(AnalyzerLimits, TheCostsArePrinted) {
  on_big_stack([] {
    const std::string sql =
        "SELECT \"auth_user\".\"id\", \"auth_user\".\"password\", \"auth_user\".\"last_login\", "
        "\"auth_user\".\"is_superuser\", \"auth_user\".\"username\", \"auth_user\".\"first_name\", "
        "\"auth_user\".\"last_name\", \"auth_user\".\"email\", \"auth_user\".\"is_staff\", "
        "\"auth_user\".\"is_active\", \"auth_user\".\"date_joined\" FROM \"auth_user\" WHERE "
        "\"auth_user\".\"id\" = 1 LIMIT 21";
    ResolveScope scope;
    scope.search_path = {kPublic};
    const auto parsed = parse(sql);
    EXPECT_TRUE(resolve(*parsed, &fixture_catalog(), scope)[0].cacheable);
    constexpr int kRounds = 2000;
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    for (int i = 0; i < kRounds; ++i) parse(sql);
    const auto middle = Clock::now();
    for (int i = 0; i < kRounds; ++i) resolve(*parsed, &fixture_catalog(), scope);
    const auto end = Clock::now();
    const auto each = [](Clock::duration total) {
      return std::chrono::duration<double, std::micro>(total).count() / kRounds;
    };
    std::printf("a Django get(): parse %.1f us, resolve %.1f us, %zu bytes\n", each(middle - start),
                each(end - middle), memory_bytes(*parsed));
  });
}

}  // namespace
}  // namespace pgrecall::sql::testing
