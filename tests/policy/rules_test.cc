#include "pgrecall/policy/rules.h"

#include <gtest/gtest.h>

#include <array>

#include "pgrecall/config/load.h"

namespace pgrecall::policy {
namespace {

using namespace std::chrono_literals;
using config::CountMode;

std::shared_ptr<const RuleSet> rules(std::string_view text) {
  const config::LoadResult loaded = config::load_text(text, "test.toml", {});
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  auto compiled = RuleSet::compile(loaded.config);
  EXPECT_TRUE(compiled.ok());
  return std::move(compiled).value();
}

RuleInput reads(std::initializer_list<const char*> tables) {
  RuleInput input;
  for (const char* table : tables) input.named.push_back({"public", table});
  input.reads = input.named;
  return input;
}

TEST(RuleSet, WithoutRulesTheConfigurationDecides) {
  const auto set = rules("[cache]\nmax_age = \"7min\"\nentry_max = \"9KB\"\n");
  const Policy policy = set->policy_for(reads({"t"}));
  EXPECT_TRUE(policy.cache);
  EXPECT_TRUE(policy.redis);
  EXPECT_EQ(policy.ttl, 7min);
  EXPECT_EQ(policy.max_bytes, 9'216U);
  EXPECT_DOUBLE_EQ(policy.jitter, 0.2);
  EXPECT_FALSE(policy.ttl_only);
  EXPECT_EQ(policy.count, CountMode::kExact);
  EXPECT_EQ(policy.rule_name, nullptr);
}

TEST(RuleSet, ATighteningRuleMatchesIfAnyRelationIsListed) {
  const auto set = rules(
      "[[rule]]\nname = \"r\"\ntables = [\"auth_user\"]\nredis = false\n"
      "[[rule]]\ntables = [\"log\"]\ncache = false\n");
  const Policy join = set->policy_for(reads({"orders", "auth_user"}));
  EXPECT_FALSE(join.redis);
  EXPECT_TRUE(join.cache);
  EXPECT_EQ(*join.rule_name, "r");
  EXPECT_TRUE(set->policy_for(reads({"orders"})).redis);
  EXPECT_FALSE(set->policy_for(reads({"orders", "log"})).cache);
}

TEST(RuleSet, ALooseningRuleMatchesOnlyIfAllRelationsAreListed) {
  const auto set = rules(R"([[rule]]
tables = ["a", "b"]
invalidate = "ttl-only"
ttl = "10s"
)");
  EXPECT_TRUE(set->policy_for(reads({"a"})).ttl_only);
  EXPECT_TRUE(set->policy_for(reads({"b", "a"})).ttl_only);
  const Policy join = set->policy_for(reads({"a", "c"}));
  EXPECT_FALSE(join.ttl_only);
  EXPECT_EQ(join.ttl, 1h);
  EXPECT_EQ(join.rule_name, nullptr);
  EXPECT_FALSE(set->policy_for(reads({})).ttl_only);
}

TEST(RuleSet, CountEstimatesNeedAllAndCarryTheirBounds) {
  const auto set = rules(
      "[[rule]]\ntables = [\"events\"]\ncount = \"estimate\"\nmin_rows = 5\n"
      "max_error = 0.5\n");
  const Policy policy = set->policy_for(reads({"events"}));
  EXPECT_EQ(policy.count, CountMode::kEstimate);
  EXPECT_EQ(policy.min_rows, 5);
  EXPECT_DOUBLE_EQ(policy.max_error, 0.5);
  const Policy other = set->policy_for(reads({"events", "t"}));
  EXPECT_EQ(other.count, CountMode::kExact);
  EXPECT_EQ(other.min_rows, 100'000);
}

TEST(RuleSet, TheFirstMatchWins) {
  const auto set = rules(
      "[[rule]]\nname=\"one\"\ntables=[\"t\"]\nttl=\"1s\"\n"
      "[[rule]]\nname=\"two\"\ntables=[\"t\"]\ncache=false\n");
  const Policy policy = set->policy_for(reads({"t"}));
  EXPECT_TRUE(policy.cache);
  EXPECT_EQ(policy.ttl, 1s);
  EXPECT_EQ(*policy.rule_name, "one");
}

TEST(RuleSet, AMixedRuleTightensForAnyAndLoosensForAllOnly) {
  const auto set =
      rules("[[rule]]\ntables=[\"s\"]\nredis=false\ninvalidate=\"ttl-only\"\nttl=\"9s\"\n");
  const Policy all = set->policy_for(reads({"s"}));
  EXPECT_TRUE(all.ttl_only);
  EXPECT_FALSE(all.redis);
  EXPECT_EQ(all.ttl, 9s);
  const Policy some = set->policy_for(reads({"s", "t"}));
  EXPECT_FALSE(some.ttl_only);
  EXPECT_FALSE(some.redis);
  EXPECT_EQ(some.ttl, 1h);
}

TEST(RuleSet, NoRuleHidesAnotherTablesTighterRule) {
  const auto set = rules(
      "[[rule]]\nname=\"a\"\ntables=[\"a\"]\nttl=\"5s\"\n"
      "[[rule]]\ntables=[\"b\"]\ncache=false\n");
  EXPECT_TRUE(set->policy_for(reads({"a"})).cache);
  const Policy join = set->policy_for(reads({"a", "b"}));
  EXPECT_FALSE(join.cache);
  EXPECT_EQ(*join.rule_name, "a");
}

TEST(RuleSet, AllowListsEndWithARuleForTheRest) {
  const auto set = rules(
      "[[rule]]\ntables=[\"a\"]\nttl=\"5s\"\n"
      "[[rule]]\ntables=[\"b\"]\nttl=\"3s\"\n"
      "[[rule]]\nname=\"rest\"\ncache=false\n");
  EXPECT_TRUE(set->policy_for(reads({"a"})).cache);
  const Policy both = set->policy_for(reads({"a", "b"}));
  EXPECT_TRUE(both.cache);
  EXPECT_EQ(both.ttl, 3s);
  EXPECT_FALSE(set->policy_for(reads({"a", "c"})).cache);
  EXPECT_FALSE(set->policy_for(reads({"c"})).cache);
}

TEST(RuleSet, AnExplicitYesNeedsAllRelations) {
  const auto set = rules("[[rule]]\ntables=[\"a\"]\ncache=true\n[[rule]]\ncache=false\n");
  EXPECT_TRUE(set->policy_for(reads({"a"})).cache);
  EXPECT_FALSE(set->policy_for(reads({"a", "b"})).cache);
}

TEST(RuleSet, AViewDoesNotLeadAroundATighteningRule) {
  const auto set = rules(
      "[[rule]]\ntables=[\"v\"]\nttl=\"5s\"\n"
      "[[rule]]\ntables=[\"auth_user\"]\nredis=false\n"
      "[[rule]]\ncache=false\n");
  RuleInput input;
  input.named = {{"public", "v"}};
  input.reads = {{"public", "v"}, {"public", "auth_user"}};
  const Policy policy = set->policy_for(input);
  EXPECT_FALSE(policy.redis);
  EXPECT_TRUE(policy.cache) << "the view is listed, so the rule for the rest does not apply";
  input.named = {{"public", "w"}};
  EXPECT_FALSE(set->policy_for(input).redis);
}

TEST(RuleSet, BareNamesMatchInAnySchemaAndQualifiedOnesExactly) {
  const auto set = rules(
      "[[rule]]\ntables=[\"t\"]\nmax_bytes=1\n"
      "[[rule]]\ntables=[\"s.u\"]\nmax_bytes=2\n");
  RuleInput input;
  input.named = {{"any", "t"}};
  EXPECT_EQ(set->policy_for(input).max_bytes, 1U);
  input.named = {{"s", "u"}};
  EXPECT_EQ(set->policy_for(input).max_bytes, 2U);
  input.named = {{"public", "u"}};
  EXPECT_EQ(set->policy_for(input).rule_name, nullptr);
}

TEST(RuleSet, EveryConditionMustHold) {
  const auto set = rules(
      "[[rule]]\nuser=\"u\"\ndatabase=\"d\"\napplication_name=\"app\"\n"
      "sql='^select .* from t\\b'\ncache=false\n");
  RuleInput input = reads({"t"});
  input.user = "u";
  input.database = "d";
  input.application_name = "app";
  input.shape = "select a from t where b = ?";
  EXPECT_FALSE(set->policy_for(input).cache);
  using Field = std::string_view RuleInput::*;
  const auto fields = std::to_array<Field>(
      {&RuleInput::user, &RuleInput::database, &RuleInput::application_name, &RuleInput::shape});
  for (const Field field : fields) {
    RuleInput other = input;
    other.*field = "other";
    EXPECT_TRUE(set->policy_for(other).cache);
  }
}

TEST(RuleSet, AnExpressionThatBacktracksElsewhereTakesLinearTime) {
  const auto set = rules("[[rule]]\nsql='(a*)*b'\ncache=false\n");
  const std::string text(60'000, 'a');
  RuleInput input;
  input.shape = text;
  EXPECT_TRUE(set->policy_for(input).cache);
}

TEST(RuleSet, AShorterTtlBoundsJoinsAndALongerOneOnlyItsOwnTables) {
  const auto set = rules("[[rule]]\ntables=[\"t\"]\nttl=\"24h\"\njitter=0\nmin_query_ms=7\n");
  const Policy own = set->policy_for(reads({"t"}));
  EXPECT_EQ(own.ttl, 24h);
  EXPECT_TRUE(own.ttl_for_all);
  EXPECT_EQ(own.min_query, 7ms);
  EXPECT_DOUBLE_EQ(own.jitter, 0);
  const Policy join = set->policy_for(reads({"t", "u"}));
  EXPECT_EQ(join.ttl, 1h);
  EXPECT_FALSE(join.ttl_for_all);
}

TEST(RuleSet, ABadRuleIsAnErrorThatNamesIt) {
  config::Config config;
  config.rules.push_back({});
  config.rules[0].name = "broken";
  config.rules[0].sql = "(";
  const auto compiled = RuleSet::compile(config);
  ASSERT_FALSE(compiled.ok());
  EXPECT_NE(compiled.error().message.find("\"broken\""), std::string::npos);
}

}  // namespace
}  // namespace pgrecall::policy
