#include "pgrecall/policy/count_estimate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace pgrecall::policy {
namespace {

constexpr int64_t kMinRows = 1000;
constexpr double kMaxError = 0.02;

CountSource table(double rows, int64_t pages) {
  CountSource source;
  source.reltuples = rows;
  source.relpages = pages;
  source.current_pages = pages;
  source.changes = 0;
  source.analyzed = true;
  source.age_s = 10;
  return source;
}

CountFacts facts_of(std::vector<CountSource> sources) {
  CountFacts facts;
  facts.exists = true;
  facts.may_select = true;
  facts.kind = sources.size() == 1 ? 'r' : 'p';
  facts.sources = std::move(sources);
  return facts;
}

CountEstimate estimate(const CountFacts& facts) {
  return estimate_count(facts, kMinRows, kMaxError);
}

CountRefusal refusal_of_source(void (*change)(CountSource&)) {
  CountFacts facts = facts_of({table(100000, 1000)});
  change(facts.sources[0]);
  return estimate(facts).refusal;
}

CountRefusal refusal_of(void (*change)(CountFacts&)) {
  CountFacts facts = facts_of({table(100000, 1000)});
  change(facts);
  return estimate(facts).refusal;
}

TEST(CountEstimate, OfAFreshlyAnalyzedSmallTableIsExact) {
  const CountEstimate found = estimate(facts_of({table(100000, 1000)}));
  EXPECT_EQ(found.refusal, CountRefusal::kNone);
  EXPECT_EQ(found.rows, 100000);
  EXPECT_EQ(found.error, 0.0);
  EXPECT_EQ(found.age_s, 10.0);
}

TEST(CountEstimate, ScalesByThePresentSizeAsThePlannerDoes) {
  CountFacts facts = facts_of({table(100000, 1000)});
  facts.sources[0].current_pages = 1010;
  facts.sources[0].changes = 1000;
  const CountEstimate found = estimate(facts);
  EXPECT_EQ(found.refusal, CountRefusal::kNone);
  EXPECT_EQ(found.rows, 101000);
  EXPECT_NEAR(found.error, 1000.0 / 101000, 1e-12);
}

TEST(CountEstimate, SumsPartitionsAndTakesTheOldestStatistics) {
  CountFacts facts = facts_of({table(60000, 600), table(40000, 400), table(0, 0)});
  facts.sources[1].age_s = 99;
  facts.sources[2] = CountSource{};  // an empty leaf that was never analyzed
  const CountEstimate found = estimate(facts);
  EXPECT_EQ(found.refusal, CountRefusal::kNone);
  EXPECT_EQ(found.rows, 100000);
  EXPECT_EQ(found.age_s, 99.0);
  facts.sources[2].current_pages = 1;
  EXPECT_EQ(estimate(facts).refusal, CountRefusal::kNeverAnalyzed);
}

TEST(CountEstimate, StatesTheSamplingErrorOfLargeTables) {
  const CountEstimate found = estimate(facts_of({table(1e7, 100000)}));
  EXPECT_EQ(found.refusal, CountRefusal::kNone);
  EXPECT_NEAR(found.error, 2 / std::sqrt(30000.0), 1e-9);
  CountFacts rough = facts_of({table(1e7, 100000)});
  rough.sampled_pages = 300;
  EXPECT_EQ(estimate(rough).refusal, CountRefusal::kInaccurate);
}

TEST(CountEstimate, IsRefusedAboveTheErrorAllowed) {
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.changes = 2000; }), CountRefusal::kNone);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.changes = 2001; }), CountRefusal::kInaccurate);
  // Pages that grew or shrank without counted changes: the counters are not to be trusted.
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.current_pages = 1100; }),
            CountRefusal::kInaccurate);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.current_pages = 900; }),
            CountRefusal::kInaccurate);
  EXPECT_EQ(estimate_count(facts_of({table(100000, 1000)}), kMinRows, std::nan("")).refusal,
            CountRefusal::kInaccurate);
}

TEST(CountEstimate, IsRefusedForFewRows) {
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.reltuples = 1000; }), CountRefusal::kNone);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.reltuples = 999; }), CountRefusal::kFewRows);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.current_pages = 0; }), CountRefusal::kFewRows);
  EXPECT_EQ(estimate_count(facts_of({table(0, 1)}), 0, 1.0).refusal, CountRefusal::kFewRows);
}

TEST(CountEstimate, IsRefusedWithoutStatistics) {
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.reltuples = -1; }),
            CountRefusal::kNeverAnalyzed);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.reltuples = 0, s.relpages = 0; }),
            CountRefusal::kNeverAnalyzed);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.analyzed = false; }),
            CountRefusal::kStatisticsLost);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.changes = -1; }),
            CountRefusal::kStatisticsLost);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.current_pages = -1; }), CountRefusal::kLocked);
  EXPECT_EQ(refusal_of_source([](CountSource& s) { s.kind = 'f'; }), CountRefusal::kNotATable);
}

TEST(CountEstimate, IsRefusedForWhatIsNoPlainTableOfTheRole) {
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.exists = false; }), CountRefusal::kMissing);
  for (const char kind : {'v', 'm', 'f', 'S'}) {
    CountFacts facts = facts_of({table(100000, 1000)});
    facts.kind = kind;
    EXPECT_EQ(estimate(facts).refusal, CountRefusal::kNotATable) << kind;
  }
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.persistence = 't'; }), CountRefusal::kTemporary);
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.row_security = true; }), CountRefusal::kRowSecurity);
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.has_children = true; }), CountRefusal::kInheritance);
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.may_select = false; }), CountRefusal::kNoPrivilege);
  EXPECT_EQ(refusal_of([](CountFacts& f) { f.sources.clear(); }), CountRefusal::kFewRows);
}

TEST(CountEstimate, NamesEveryRefusal) {
  std::set<std::string_view> names;
  for (int i = 0; i < static_cast<int>(CountRefusal::kCount); ++i)
    names.insert(count_refusal_name(static_cast<CountRefusal>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(CountRefusal::kCount));
  EXPECT_EQ(count_refusal_name(CountRefusal::kInaccurate), "inaccurate");
}

}  // namespace
}  // namespace pgrecall::policy
