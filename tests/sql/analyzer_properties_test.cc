// Properties of the analysis as a whole: literals, several statements, no catalog, explain.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "pgrecall/sql/analyzer.h"
#include "pgrecall/sql/canonical.h"
#include "pgrecall/sql/explain.h"
#include "sql/analyzer_fixture.h"
#include "sql/big_stack.h"
#include "sql/statement_cases.h"
#include "sql/statement_splicer.h"

namespace pgrecall::sql::testing {
namespace {

ResolveScope public_scope() {
  ResolveScope scope;
  scope.search_path = {2200};
  return scope;
}

std::vector<StatementAnalysis> analyze_all(const std::string& sql, const Catalog* catalog) {
  return resolve(*parse(sql), catalog, public_scope());
}

StatementAnalysis analyze(const std::string& sql) {
  return analyze_all(sql, &fixture_catalog()).at(0);
}

/// Everything but the settings, in one comparable value.
auto fields(const StatementAnalysis& a) {
  return std::make_tuple(
      std::make_tuple(a.kind, a.effect, a.cacheable, a.reason, a.detail, a.reads, a.policy_reads,
                      a.named, a.schemas, a.writes, a.session_effects, a.name),
      std::make_tuple(a.locks, a.transaction_read_only, a.and_chain, a.plain_begin,
                      a.snapshot_import, a.self_committing, a.on_conflict_do_nothing, a.isolation,
                      a.literal_sensitive, a.uses_clock, a.reads_custom_settings, a.location,
                      a.length, a.plain_count.relation, a.plain_count.column_name));
}

/// The text with another content in each plain string literal.
std::string with_other_strings(const std::string& sql) {
  std::string other;
  bool inside = false;
  for (const char c : sql) {
    if (c == '\'') inside = !inside;
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    other += inside && letter ? 'q' : c;
    if (inside && c == '\'') other += "other ";
  }
  return other;
}

TEST(AnalyzerProperties, AnotherLiteralOfTheSameShapeHasTheSameAnalysis) {
  on_big_stack([] {
    int compared = 0;
    for (const StatementCase& test : read_statement_cases()) {
      const StatementAnalysis analysis = analyze(test.sql);
      const std::string other = with_other_strings(test.sql);
      const Canonical before = canonicalize(test.sql);
      const Canonical after = canonicalize(other);
      if (analysis.literal_sensitive || other == test.sql || before.shape != after.shape) continue;
      ++compared;
      EXPECT_TRUE(fields(analysis) == fields(analyze(other))) << test.sql << "\n" << other;
    }
    EXPECT_GT(compared, 30);
  });
}

TEST(AnalyzerProperties, SensitivityToLiteralsIsTheSameWithAndWithoutACatalog) {
  on_big_stack([] {
    for (const StatementCase& test : read_statement_cases()) {
      const auto with = analyze_all(test.sql, &fixture_catalog());
      const auto without = analyze_all(test.sql, nullptr);
      ASSERT_EQ(with.size(), without.size());
      EXPECT_EQ(with[0].literal_sensitive, without[0].literal_sensitive) << test.sql;
    }
  });
}

TEST(AnalyzerProperties, WithoutACatalogNothingIsCacheableAndNothingIsAKnownWrite) {
  on_big_stack([] {
    for (const StatementCase& test : read_statement_cases()) {
      for (const StatementAnalysis& analysis : analyze_all(test.sql, nullptr)) {
        EXPECT_FALSE(analysis.cacheable) << test.sql;
        EXPECT_NE(analysis.effect, Effect::kWrites) << test.sql;
        EXPECT_TRUE(analysis.reads.empty() && analysis.writes.empty()) << test.sql;
      }
    }
  });
}

TEST(AnalyzerProperties, EventTriggersMakeDefinitionsOpaqueAndChangeNothingElse) {
  on_big_stack([] {
    int opaque = 0;
    for (const StatementCase& test : read_statement_cases()) {
      const StatementAnalysis without = analyze(test.sql);
      const auto with = analyze_all(test.sql, &catalog_with_event_triggers()).at(0);
      const std::string_view sql = test.sql;
      const bool fires = without.kind == StatementKind::kDdl || sql.starts_with("COMMENT") ||
                         sql.starts_with("CREATE") || sql.starts_with("DROP") ||
                         sql.starts_with("REFRESH");
      if (!fires) {
        EXPECT_TRUE(fields(with) == fields(without)) << sql;
        continue;
      }
      ++opaque;
      EXPECT_GE(with.effect, std::max(without.effect, Effect::kOpaque)) << sql;
      EXPECT_EQ(with.kind, without.kind) << sql;
      EXPECT_EQ(with.self_committing, without.self_committing) << sql;
      EXPECT_NE(with.session_effects & kSessionUnknown, 0U) << sql;
    }
    EXPECT_GT(opaque, 40);
  });
}

TEST(AnalyzerProperties, WithoutACatalogTokensProveAPlainRead) {
  on_big_stack([] {
    const auto effect = [](const char* sql) { return analyze_all(sql, nullptr).at(0).effect; };
    EXPECT_EQ(effect("SELECT id, lower(title) FROM blog_post WHERE id IN (1, 2)"), Effect::kNone);
    EXPECT_EQ(effect("SELECT log_it(1)"), Effect::kOpaque);
    EXPECT_EQ(effect("SELECT id FROM blog_post FOR UPDATE"), Effect::kOpaque);
    EXPECT_EQ(effect("UPDATE blog_post SET title = 'x'"), Effect::kOpaque);
    EXPECT_EQ(effect("BEGIN"), Effect::kNone);
    EXPECT_EQ(effect("SET TIME ZONE 'UTC'"), Effect::kNone);
    EXPECT_EQ(effect("SELECT set_config('TimeZone', 'UTC', false)"), Effect::kNone);
    EXPECT_EQ(effect("CREATE TABLE x (id int)"), Effect::kDdl);
    EXPECT_EQ(effect("VACUUM"), Effect::kOpaque);
  });
}

TEST(AnalyzerProperties, WhatWritesWithACatalogNeverWritesNothingWithoutOne) {
  on_big_stack([] {
    for (const StatementCase& test : read_statement_cases()) {
      const auto with = analyze_all(test.sql, &fixture_catalog());
      const auto without = analyze_all(test.sql, nullptr);
      ASSERT_EQ(with.size(), without.size()) << test.sql;
      for (size_t i = 0; i < with.size(); ++i) {
        // Views and policies run functions that no token shows; unknown names are opaque.
        const bool hidden = with[i].effect == Effect::kOpaque;
        if (with[i].effect == Effect::kNone || hidden) continue;
        EXPECT_NE(without[i].effect, Effect::kNone) << test.sql;
      }
    }
  });
}

TEST(AnalyzerProperties, SeveralStatementsHaveTheirRangesAndAreNotCached) {
  on_big_stack([] {
    const std::string sql = "  BEGIN ; SELECT * FROM blog_post;\n SET x.y = 'a;b' ; COMMIT";
    const auto analyses = analyze_all(sql, &fixture_catalog());
    ASSERT_EQ(analyses.size(), 4U);
    const auto slice = [&](size_t i) {
      return sql.substr(analyses[i].location, analyses[i].length);
    };
    EXPECT_EQ(slice(0), "BEGIN");
    EXPECT_EQ(slice(1), "SELECT * FROM blog_post");
    EXPECT_EQ(slice(2), "SET x.y = 'a;b'");
    EXPECT_EQ(slice(3), "COMMIT");
    EXPECT_FALSE(analyses[1].cacheable);
    EXPECT_EQ(analyses[1].reason, BypassReason::kMultiStatement);
    EXPECT_TRUE(analyses[1].literal_sensitive);
    ASSERT_EQ(analyses[2].settings.size(), 1U);
    EXPECT_EQ(analyses[2].settings[0].statement, "SET x.y = 'a;b'");
  });
}

TEST(AnalyzerProperties, TheRangeOfTheOnlyStatementDoesNotDependOnItsLiterals) {
  on_big_stack([] {
    const std::string sql = "/* c */ SELECT id FROM blog_post WHERE title = 'a';";
    const StatementAnalysis analysis = analyze(sql);
    EXPECT_FALSE(analysis.literal_sensitive);
    EXPECT_EQ(sql.substr(analysis.location, analysis.length), sql);
  });
}

TEST(AnalyzerProperties, ASetIsReplayedByItsOwnText) {
  on_big_stack([] {
    const auto statement = [](const char* sql) { return analyze(sql).settings.at(0).statement; };
    EXPECT_EQ(statement("set  search_path to a,B ;"), "set  search_path to a,B");
    EXPECT_EQ(statement("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE"),
              "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE");
    EXPECT_EQ(statement("select set_config('app.x', 'it''s', true)"),
              "SELECT pg_catalog.set_config('app.x', 'it''s', true)");
    EXPECT_EQ(statement("select set_config('app.x', $1, false)"), "");
  });
}

TEST(AnalyzerProperties, SplicedTextsKeepTheRulesOfAnAnalysis) {
  on_big_stack([] {
    Splicer splicer(7);
    int parsed = 0;
    for (int i = 0; i < 40'000; ++i) {
      const std::string sql = splicer.next();
      const auto analyses = analyze_all(sql, &fixture_catalog());
      ASSERT_FALSE(analyses.empty());
      const StatementAnalysis& first = analyses[0];
      parsed += first.kind == StatementKind::kUnparsed ? 0 : 1;
      const bool quiet = first.effect == Effect::kNone && !first.locks &&
                         first.session_effects == kSessionNothing && first.settings.empty();
      EXPECT_TRUE(!first.cacheable || (quiet && !first.reads.empty())) << sql;
      EXPECT_EQ(first.cacheable, first.reason == BypassReason::kNoBypass) << sql;
      EXPECT_TRUE(first.effect == Effect::kWrites || first.writes.empty()) << sql;
      EXPECT_TRUE(first.effect != Effect::kWrites || !first.writes.empty()) << sql;
    }
    EXPECT_GT(parsed, 1000);
  });
}

TEST(AnalyzerProperties, EveryReasonHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i < static_cast<int>(BypassReason::kCount); ++i) {
    names.insert(bypass_reason_name(static_cast<BypassReason>(i)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(BypassReason::kCount));
  EXPECT_EQ(bypass_reason_name(BypassReason::kUnlistedStableFunction), "unlisted_stable_function");
  EXPECT_EQ(bypass_reason_name(BypassReason::kTooLarge), "too_large");
  EXPECT_EQ(bypass_reason_name(BypassReason::kDateFromText), "date_from_text");
}

TEST(AnalyzerProperties, ExplainNamesRelationsReasonsAndSessionEffects) {
  on_big_stack([] {
    const Catalog& catalog = fixture_catalog();
    EXPECT_EQ(explain_analysis(analyze("SELECT * FROM v_docs"), &catalog),
              "kind:       select\n"
              "cacheable:  yes\n"
              "effect:     writes nothing that others see\n"
              "reads:      public.members, public.docs, public.v_docs\n"
              "policies:   public.members\n");
    EXPECT_EQ(explain_analysis(analyze("SELECT * FROM v_now"), &catalog),
              "kind:       select\n"
              "cacheable:  no (clock_function: now() in view public.v_now)\n"
              "effect:     writes nothing that others see\n"
              "reads:      public.blog_post, public.v_now\n"
              "clock:      depends on the time of its transaction\n");
    const std::string write = explain_analysis(analyze("DELETE FROM parent"), &catalog);
    EXPECT_NE(write.find("writes:     public.parent, public.child_cascade"), std::string::npos)
        << write;
    const std::string set = explain_analysis(analyze("SET LOCAL search_path = a"), &catalog);
    EXPECT_NE(set.find("sets search_path to a until the transaction ends"), std::string::npos);
    EXPECT_NE(explain_analysis(analyze("DISCARD ALL"), nullptr).find("discards all"),
              std::string::npos);
  });
}

TEST(AnalyzerProperties, AReaderAndAWriterOfOneFamilyShareADependency) {
  on_big_stack([] {
    const auto meets = [](const std::string& read, const std::string& write) {
      const auto reads = analyze(read).reads;
      const auto writes = analyze(write).writes;
      return std::find_first_of(reads.begin(), reads.end(), writes.begin(), writes.end()) !=
             reads.end();
    };
    EXPECT_TRUE(meets("SELECT * FROM events", "DELETE FROM events_2024_a"));
    EXPECT_TRUE(meets("SELECT * FROM events_2024_a", "DELETE FROM events"));
    EXPECT_TRUE(meets("SELECT * FROM events_2024", "INSERT INTO events_2024_a VALUES (1)"));
    EXPECT_FALSE(meets("SELECT * FROM events_2023", "INSERT INTO events_2024_a VALUES (1)"));
    EXPECT_TRUE(meets("SELECT * FROM metrics", "INSERT INTO metrics_3 VALUES (1)"));
    EXPECT_TRUE(meets("SELECT * FROM metrics_3", "INSERT INTO metrics VALUES (1)"));
    EXPECT_TRUE(meets("SELECT * FROM animal", "UPDATE cat SET lives = 1"));
    EXPECT_FALSE(meets("SELECT * FROM ONLY animal", "UPDATE cat SET lives = 1"));
    EXPECT_TRUE(meets("SELECT * FROM v_nested", "UPDATE auth_user SET email = ''"));
    EXPECT_TRUE(meets("SELECT * FROM docs", "DELETE FROM members"));
    EXPECT_FALSE(meets("SELECT * FROM mv_count", "DELETE FROM blog_post"));
    EXPECT_TRUE(meets("SELECT * FROM mv_count", "REFRESH MATERIALIZED VIEW mv_count"));
  });
}

}  // namespace
}  // namespace pgrecall::sql::testing
