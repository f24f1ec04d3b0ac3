// The extended protocol: units, hits inside them, statements and portals across servers.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using sql::BypassReason;
using Texts = std::vector<std::string>;

constexpr std::string_view kSelect = "select a from t";
const std::string kUnit = "1 2 T D(public.t=0) C(SELECT 1) Z(I)";

TEST(ExtendedQuery, WhatIsHeldBackIsBounded) {
  World world;
  Client& a = world.client();
  const std::string sql = "select a from t /*" + std::string(64 * 1024, 'x') + "*/";
  for (int i = 0; i < 64; ++i) a.send(parse("", sql) + bind());
  world.pump();
  EXPECT_NE(a.session.server(), nullptr) << "a unit without end goes to the server";
  a.take();
  a.ask(testing::sync());
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(ExtendedQuery, PortalsAreBounded) {
  WorldOptions options = defaults();
  options.config.limits.client_statements = 3;
  World world(options);
  Client& a = world.client();
  std::string unit = parse("", "select a from t");
  for (const char* name : {"a", "b", "c", "d"}) unit += bind("", {.portal = name});
  EXPECT_EQ(a.ask(unit + testing::sync()), "E!(53400)");
  EXPECT_TRUE(a.closed);
}

TEST(ExtendedQuery, AnEstimatedPortalIsAtItsEnd) {
  WorldOptions options = defaults();
  config::Rule rule;
  rule.tables = {"big"};
  rule.count = config::CountMode::kEstimate;
  options.config.rules = {rule};
  World world(options);
  world.estimates[40003] = 1234567;
  Client& a = world.client();
  const std::string sql = "select count(*) from big";
  EXPECT_EQ(a.ask(parse("", sql) + bind() + execute() + execute() + testing::sync()),
            "1 2 D(1234567) C(SELECT 1) C(SELECT 0) Z(I)");
  a.query("begin");
  EXPECT_EQ(a.ask(parse("", sql) + bind("", {.portal = "p"}) + execute(0, "p") + testing::sync()),
            "1 2 D(public.big=0) D(public.big=0#2) D(public.big=0#3) C(SELECT 3) Z(T)")
      << "FETCH may name it";
}

TEST(ExtendedQuery, ASecondEqualUnitIsAHit) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
  const size_t asked = world.asked().size();
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(world.asked().size(), asked);
  EXPECT_EQ(a.session.server(), nullptr);
}

TEST(ExtendedQuery, ADescriptionIsServedIfItIsKnownAndAskedForOtherwise) {
  World world;
  Client& a = world.client();
  const std::string plain = parse("", kSelect) + bind() + execute() + testing::sync();
  EXPECT_EQ(a.ask(plain), "1 2 D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.ask(plain), "1 2 D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit) << "what was remembered has no description";
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
  EXPECT_EQ(a.ask(plain), "1 2 D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 3u);
}

TEST(ExtendedQuery, Trap15_ParametersTypesAndFormatsArePartOfTheKey) {
  World world;
  Client& a = world.client();
  const std::string sql = "select a from t where id = $1";
  const auto ask = [&](const BindOptions& options, const std::vector<uint32_t>& types = {}) {
    return a.ask(parse("", sql, types) + bind("", options) + execute() + testing::sync());
  };
  EXPECT_EQ(ask({.parameters = {"1"}}), "1 2 D(public.t=0 $1) C(SELECT 1) Z(I)");
  EXPECT_EQ(ask({.parameters = {"2"}}), "1 2 D(public.t=0 $2) C(SELECT 1) Z(I)");
  EXPECT_EQ(ask({.parameters = {"1"}, .portal = "", .binary = true}),
            "1 2 D(public.t=0 $1 binary) C(SELECT 1) Z(I)");
  ask({.parameters = {"1"}}, {20});
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(ask({.parameters = {"1"}}), "1 2 D(public.t=0 $1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(ExtendedQuery, Trap56_AParameterThatMayBeAClockWordIsNotCached) {
  World world;
  Client& a = world.client();
  for (int i = 0; i < 2; ++i) {
    a.ask(parse("", "select a from t where id = $1") + bind("", {.parameters = {"tomorrow"}}) +
          execute() + testing::sync());
  }
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kClockLiteral), 2u);
}

TEST(ExtendedQuery, SimpleAndExtendedAnswersAreKeptApart) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
  EXPECT_EQ(world.hits(), 0u);
}

TEST(ExtendedQuery, Trap20_HitBehindMissAndMissBehindHitInOnePipeline) {
  World world;
  Client& a = world.client();
  a.ask(unit(kSelect));
  const auto part = [](std::string_view sql) {
    return parse("", sql) + bind() + describe() + execute();
  };
  EXPECT_EQ(a.ask(part(kSelect) + part("select a from u") + part(kSelect) + testing::sync()),
            "1 2 T D(public.t=0) C(SELECT 1) 1 2 T D(public.u=0) C(SELECT 1) "
            "1 2 T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u) << "behind a miss everything goes to the server";
  EXPECT_EQ(world.misses(), 2u);
  EXPECT_EQ(world.bypasses(BypassReason::kOwed), 1u);
}

TEST(ExtendedQuery, Trap20_AfterAnErrorEverythingUpToSyncIsSkippedOursToo) {
  World world;
  Client& a = world.client();
  a.ask(unit(kSelect));
  a.ask(parse("s1", kSelect) + testing::sync());
  EXPECT_EQ(a.ask(parse("", "nonsense") + bind() + execute() + close_statement("s1") +
                  parse("s1", kSelect) + testing::sync()),
            "E(42601) Z(I)");
  EXPECT_EQ(a.ask(parse("", "nonsense") + flush()), "E(42601)");
  EXPECT_EQ(a.ask(close_statement("s1") + flush()), "");
  EXPECT_EQ(a.ask(query("select 1")), "");
  EXPECT_EQ(a.ask(testing::sync()), "Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 D(public.t=0) C(SELECT 1) Z(I)")
      << "the Close was skipped";
}

TEST(ExtendedQuery, Trap06_PartialExecuteThenTheRest) {
  World world;
  Client& a = world.client();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(
        a.ask(parse("", "select a from big") + bind() + execute(2) + execute(2) + testing::sync()),
        "1 2 D(public.big=0) D(public.big=0#2) s D(public.big=0#3) C(SELECT 1) Z(I)");
  }
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.misses(), 0u);
}

TEST(ExtendedQuery, TwoExecutesOfOnePortalThatAHitAnswered) {
  World world;
  Client& a = world.client();
  a.ask(unit(kSelect));
  EXPECT_EQ(
      a.ask(parse("", kSelect) + bind() + describe() + execute() + execute() + testing::sync()),
      "1 2 T D(public.t=0) C(SELECT 1) C(SELECT 0) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(ExtendedQuery, DescribeOfStatementAndPortalBeforeAndAfterBind) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(parse("s1", kSelect) + describe_statement("s1") + testing::sync()), "1 t T Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + describe() + describe_statement("s1") + execute() + testing::sync()),
            "2 T t T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.ask(describe_statement("nope") + testing::sync()),
            "E(26000 \"nope\" does not exist) Z(I)");
  EXPECT_EQ(a.ask(describe("nope") + testing::sync()), "E(34000) Z(I)");
}

TEST(ExtendedQuery, Trap46_WhatWasBoundBeforeAWriteIsReturnedButNeverStored) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  EXPECT_EQ(a.ask(parse("", kSelect) + bind() + flush()), "1 2");
  b.query("update t set a = 'x'");
  EXPECT_EQ(a.ask(execute() + testing::sync()), "D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.misses(), 0u);
  a.ask(parse("", kSelect) + bind() + execute() + testing::sync());
  EXPECT_EQ(world.hits(), 0u);
}

TEST(ExtendedQuery, AQueryInsideAnUnfinishedUnit) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  EXPECT_EQ(a.ask(parse("s1", "update t set a = 'x'") + bind("s1") + execute() + query(kSelect)),
            "1 2 C(UPDATE 1) T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
}

TEST(ExtendedQuery, Trap44_AnExecuteWithoutSyncIsSettledByWhatEndsItsUnit) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  EXPECT_EQ(b.ask(parse("", "update t set a = 'x'") + bind() + execute() + flush()),
            "1 2 C(UPDATE 1)");
  a.query(kSelect);
  EXPECT_EQ(world.bypasses(BypassReason::kFence), 1u);
  EXPECT_EQ(b.ask(testing::sync()), "Z(I)");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
}

TEST(ExtendedQuery, ABlockByExtendedMessages) {
  World world;
  Client& a = world.client();
  a.ask(unit(kSelect));
  EXPECT_EQ(a.ask(unit("begin")), "1 2 n C(BEGIN) Z(T)");
  EXPECT_EQ(a.ask(unit(kSelect)), "1 2 T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(a.ask(unit("update t set a = 'x'")), "1 2 n C(UPDATE 1) Z(T)");
  EXPECT_EQ(a.ask(unit(kSelect)), "1 2 T D(public.t=1) C(SELECT 1) Z(T)");
  EXPECT_EQ(a.ask(unit("rollback")), "1 2 n C(ROLLBACK) Z(I)");
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
}

TEST(ExtendedQuery, AHitInALazyBlockAndThenAMiss) {
  World world;
  Client& a = world.client();
  a.ask(unit(kSelect));
  a.query("begin");
  EXPECT_EQ(a.ask(unit(kSelect)), "1 2 T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(a.session.server(), nullptr);
  EXPECT_EQ(a.ask(unit("select a from u")), "1 2 T D(public.u=0) C(SELECT 1) Z(T)");
  EXPECT_NE(a.session.server(), nullptr);
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
}

TEST(ExtendedQuery, ClosesAloneNeedNoServer) {
  World world;
  Client& a = world.client();
  a.ask(parse("s1", kSelect) + testing::sync());
  const size_t asked = world.asked().size();
  EXPECT_EQ(a.ask(close_statement("s1") + close_statement("s2") + testing::sync()), "3 3 Z(I)");
  EXPECT_EQ(a.ask(testing::sync()), "Z(I)");
  EXPECT_EQ(world.asked().size(), asked);
  EXPECT_EQ(a.ask(bind("s1") + testing::sync()), "E(26000 \"s1\" does not exist) Z(I)");
}

TEST(ExtendedQuery, MalformedMessagesAreTheServersToRefuse) {
  World world;
  Client& a = world.client();
  for (char type : std::string("PBDEC")) {
    EXPECT_EQ(a.ask(type + std::string("\0\0\0\6xx", 6) + testing::sync()), "E(08P01) Z(I)")
        << type;
  }
  EXPECT_EQ(a.ask(unit(kSelect)), kUnit);
}

TEST(ExtendedQuery, Trap35_StatementsPerClientAreBounded) {
  WorldOptions options = defaults();
  options.config.limits.client_statements = 2;
  World world(options);
  Client& a = world.client();
  a.ask(parse("s1", kSelect) + parse("s2", kSelect) + testing::sync());
  EXPECT_EQ(a.ask(parse("s3", kSelect) + testing::sync()), "E!(53400)");
}

TEST(ExtendedQuery, AFunctionCallIsAWriteOfAnything) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  EXPECT_EQ(a.ask(function_call()), "V Z(I)");
  EXPECT_NE(a.session.pins(), 0u);
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 0u);
}

// ---- Statements ----

TEST(Statements, TheSameTextIsParsedOncePerServer) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.ask(parse("x", "select a from u") + testing::sync());
  EXPECT_EQ(b.ask(parse("y", "select a from u") + testing::sync()), "1 Z(I)");
  EXPECT_EQ(world.asked().size(), 1u);
  EXPECT_EQ(b.ask(bind("y") + execute() + testing::sync()), "2 D(public.u=0) C(SELECT 1) Z(I)");
}

TEST(Statements, Trap21_AStatementFollowsItsClientToAnotherServer) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.ask(parse("s1", "update t set a = 'x'") + testing::sync());
  b.query("begin");
  b.query("update u set a = 'y'");  // holds the server that knows it
  const size_t first = world.leased(b);
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.servers_made(), 2u);
  EXPECT_NE(first, 1u);
  EXPECT_EQ(world.server(1).log.front().substr(0, 9), "parse pgr");
}

TEST(Statements, Trap21_TheUnnamedStatementFollowsAsWell) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  EXPECT_EQ(a.ask(parse("", "update t set a = 'x'") + testing::sync()), "1 Z(I)");
  b.ask(unit("update u set a = 'y'"));
  EXPECT_EQ(a.ask(bind() + execute() + testing::sync()), "2 C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.data.versions["public.t"], 1);
  EXPECT_EQ(b.ask(bind() + execute() + testing::sync()), "2 C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.data.versions["public.u"], 2);
}

TEST(Statements, NobodyInheritsAnothersUnnamedStatement) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.ask(parse("", "update t set a = 'x'") + testing::sync());
  EXPECT_EQ(b.ask(bind() + execute() + testing::sync()), "E(26000 \"\" does not exist) Z(I)");
  EXPECT_EQ(b.ask(describe_statement("") + testing::sync()), "E(26000 \"\" does not exist) Z(I)");
}

TEST(Statements, Trap21_ANameClashShowsTheClientsName) {
  World world;
  Client& a = world.client();
  a.ask(parse("s1", kSelect) + testing::sync());
  EXPECT_EQ(a.ask(parse("s1", "select a from u") + testing::sync()),
            "E(42P05 \"s1\" already exists) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Statements, Trap21_EvictedStatementsAreParsedAgain) {
  World world;  // a server holds three
  Client& a = world.client();
  const auto sql = [](int i) { return "update t set a = '" + std::to_string(i) + "'"; };
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(a.ask(parse("s" + std::to_string(i), sql(i)) + testing::sync()), "1 Z(I)");
  }
  EXPECT_EQ(world.server(0).statements(), 3u);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(a.ask(testing::bind("s" + std::to_string(i)) + execute() + testing::sync()),
                "2 C(UPDATE 1) Z(I)");
    }
  }
  EXPECT_LE(world.server(0).statements(), 3u);
}

TEST(Statements, Trap21_AParseWhoseUnitFailedIsInDoubtAndClosedFirst) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(parse("s1", kSelect) + parse("s2", "nonsense") + testing::sync()),
            "1 E(42601) Z(I)");
  EXPECT_EQ(a.ask(parse("s2", "select a from u") + testing::sync()), "1 Z(I)");
  EXPECT_EQ(a.ask(parse("s3", "nonsense") + parse("s4", "select a from big") + testing::sync()),
            "E(42601) Z(I)");
  EXPECT_EQ(a.ask(parse("s4", "select a from big") + bind("s4") + execute(1) + testing::sync()),
            "1 2 D(public.big=0) s Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Statements, AClientThatVanishesBeforeItsParseIsAnsweredLeavesNoTrap) {
  World world;
  Client& a = world.client();
  a.send(parse("s1", "select a from u") + parse("s2", "nonsense") + testing::sync());
  a.vanish();
  Client& b = world.client();
  EXPECT_EQ(b.ask(parse("x", "select a from u") + bind("x") + execute() + testing::sync()),
            "1 2 D(public.u=0) C(SELECT 1) Z(I)");
}

TEST(Statements, Trap21_DeallocateAndDiscard) {
  World world;
  Client& a = world.client();
  const auto make = [&] { return a.ask(parse("s1", kSelect) + testing::sync()); };
  const std::string gone = "E(26000 \"s1\" does not exist) Z(I)";
  ASSERT_EQ(make(), "1 Z(I)");
  EXPECT_EQ(a.query("deallocate s1"), "C(DEALLOCATE) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + testing::sync()), gone);
  EXPECT_EQ(a.query("deallocate s1"), gone);
  ASSERT_EQ(make(), "1 Z(I)");
  EXPECT_EQ(a.query("deallocate all"), "C(DEALLOCATE ALL) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + testing::sync()), gone);
  ASSERT_EQ(make(), "1 Z(I)");
  EXPECT_EQ(a.query("discard all"), "C(DISCARD ALL) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + testing::sync()), gone);
  ASSERT_EQ(make(), "1 Z(I)");
  EXPECT_EQ(a.ask(unit("deallocate all")), "1 2 n C(DEALLOCATE ALL) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + testing::sync()), gone);
}

TEST(Statements, DeallocateOfOneClientLeavesTheOthersAlone) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.ask(parse("s1", "select a from u") + testing::sync());
  b.ask(parse("s1", "select a from u") + testing::sync());
  a.query("deallocate all");
  a.query("discard all");
  EXPECT_EQ(b.ask(bind("s1") + execute() + testing::sync()), "2 D(public.u=0) C(SELECT 1) Z(I)");
}

TEST(Statements, SqlFindsWhatTheProtocolPrepared) {
  World world;
  Client& a = world.client();
  a.ask(parse("s1", "update t set a = 'x'") + testing::sync());
  EXPECT_EQ(a.query("execute s1"), "C(UPDATE 1) Z(I)");
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.data.versions["public.t"], 2);
}

TEST(Statements, Trap21_ANewerCatalogMakesServersParseAgain) {
  World world;
  Client& a = world.client();
  a.ask(parse("s1", "update t set a = 'x'") + testing::sync());
  ASSERT_EQ(world.server(0).statements(), 1u);
  world.reread(world.database(), 0, true);
  world.pump();
  world.server(0).log.clear();
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.server(0).log.front(), "DEALLOCATE ALL");
}

}  // namespace
}  // namespace pgrecall::session
