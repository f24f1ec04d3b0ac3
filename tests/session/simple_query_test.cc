// The simple query protocol: forwarded, answered from memory, answered here, and when none of it.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using sql::BypassReason;
using Texts = std::vector<std::string>;

constexpr std::string_view kSelect = "select a from t";
const std::string kFirst = "T D(public.t=0) C(SELECT 1) Z(I)";

TEST(SimpleQuery, ASecondEqualSelectIsAHit) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query(kSelect), kFirst);
  EXPECT_EQ(world.misses(), 1u);
  EXPECT_EQ(a.query("SELECT  a from t -- the same"), kFirst);
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(world.asked(), Texts{"select a from t"});
}

TEST(SimpleQuery, AHitNeedsNoServerConnection) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  world.kill(0, "57P01");
  EXPECT_EQ(b.query(kSelect), kFirst);
  EXPECT_EQ(a.query(kSelect), kFirst);
  EXPECT_EQ(world.hits(), 2u);
}

TEST(SimpleQuery, AWriteTakesTheHitsBackAtOnce) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  a.query(kSelect);
  ASSERT_EQ(world.hits(), 1u);
  EXPECT_EQ(b.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(b.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 2u);
}

TEST(SimpleQuery, AWriteToAnotherTableTakesNothingBack) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  a.query("update u set a = 'x'");
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 1u);
}

TEST(SimpleQuery, EveryBypassIsCountedWithItsReason) {
  World world;
  Client& a = world.client();
  a.query("select a from t for update");
  EXPECT_EQ(world.bypasses(BypassReason::kLockingClause), 1u);
  a.query("/* pgrecall: off */ select a from t");
  EXPECT_EQ(world.bypasses(BypassReason::kHintOff), 1u);
  a.query("set default_transaction_isolation = 'repeatable read'");
  a.query(kSelect);
  EXPECT_EQ(world.bypasses(BypassReason::kIsolation), 1u);
  EXPECT_EQ(world.misses() + world.hits(), 0u);
}

TEST(SimpleQuery, Trap19_TextsOfManyStatementsNoneAndCommentsOnly) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query(""), "I Z(I)");
  EXPECT_EQ(a.query(" -- nothing\n"), "I Z(I)");
  EXPECT_EQ(a.query(";"), "I Z(I)");
  a.query(kSelect);
  a.query(kSelect);
  ASSERT_EQ(world.hits(), 1u);
  EXPECT_EQ(a.query("select a from t; select a from t"),
            "T D(public.t=0) C(SELECT 1) T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.query("select a from u; select fails from t; select a from u"),
            "T D(public.u=0) C(SELECT 1) E(22012) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(SimpleQuery, PipelinedQueriesAreAnsweredInOrder) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  EXPECT_EQ(a.ask(query("select a from u") + query(kSelect) + query("update t set a = 'x'") +
                  query(kSelect)),
            "T D(public.u=0) C(SELECT 1) Z(I) " + kFirst +
                " C(UPDATE 1) Z(I) T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(SimpleQuery, AnErrorIsNotRemembered) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query("select fails from t"), "E(22012) Z(I)");
  EXPECT_EQ(a.query("select fails from t"), "E(22012) Z(I)");
  EXPECT_EQ(world.misses(), 2u);
}

TEST(SimpleQuery, AnAnswerWithANoticeIsNotRemembered) {
  World world;
  Client& a = world.client();
  a.query("select 1");
  std::string notice;
  wire::append_notice(notice, "NOTICE", "00000", "look");
  a.send(query(kSelect));
  world.server(0).say(notice);
  world.pump();
  EXPECT_EQ(a.got(), "N(00000) T D(public.t=0) C(SELECT 1) Z(I)");
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 0u);
}

TEST(SimpleQuery, Trap01_AFillThatAWriteOvertookIsNotStored) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query("select 1");
  a.send(query("select a, sleeps from t"));
  world.pump();
  const size_t server = world.leased(a);
  EXPECT_EQ(b.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
  world.server(server).wake();
  world.pump();
  EXPECT_EQ(a.got(), "T D(public.t=1) C(SELECT 1) Z(I)");
  a.send(query("select a, sleeps from t"));
  world.pump();
  EXPECT_EQ(a.got(), "") << "asked again";
}

TEST(SimpleQuery, Trap01_NothingIsServedOrFilledUnderAFence) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  b.query("begin");
  b.query("update t set a = 'x'");
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 1u) << "nothing is committed yet";
  const size_t server = world.leased(b);
  world.hold(server, true);
  b.send(query("commit"));
  world.pump();
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.bypasses(BypassReason::kFence), 1u);
  world.hold(server, false);
  world.pump();
  EXPECT_EQ(b.got(), "C(COMMIT) Z(I)");
  a.query(kSelect);
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 2u);
}

TEST(SimpleQuery, OutsideWritesTakeEffectWhenTheFeedDeliversThem) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  world.outside_write("t");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
}

TEST(SimpleQuery, ObserveCountsWithoutServing) {
  WorldOptions options = defaults();
  options.config.cache.mode = config::CacheMode::kObserve;
  World world(options);
  Client& a = world.client();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(a.query(kSelect), kFirst);
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.asked().size(), 3u);
}

TEST(SimpleQuery, SwitchedOffEverythingIsForwarded) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  world.shared().mode = config::CacheMode::kOff;
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kCacheOff), 1u);
  world.shared().mode = config::CacheMode::kOn;
  Client& b = world.client();
  b.query("set pgrecall.cache = off");
  b.query(kSelect);
  EXPECT_EQ(world.bypasses(BypassReason::kCacheOff), 2u);
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 1u);
}

TEST(SimpleQuery, EntriesExpire) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  world.clock.set(world.clock.now() + std::chrono::hours(2));
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.misses(), 2u);
}

TEST(SimpleQuery, WhatALazyBlockKeepsIsBounded) {
  World world;
  Client& a = world.client();
  a.query("begin");
  EXPECT_EQ(a.query("savepoint a"), "C(SAVEPOINT) Z(T)");
  EXPECT_EQ(a.session.server(), nullptr);
  EXPECT_EQ(a.query("savepoint b" + std::string(2000, ' ')), "C(SAVEPOINT) Z(T)");
  EXPECT_NE(a.session.server(), nullptr) << "a long text is the server's to keep";
}

TEST(SimpleQuery, EstimatesAnswerCountsWhereARuleAllowsIt) {
  WorldOptions options = defaults();
  config::Rule rule;
  rule.tables = {"big"};
  rule.count = config::CountMode::kEstimate;
  options.config.rules = {rule};
  World world(options);
  Client& a = world.client();
  world.estimates[40003] = 1234567;
  EXPECT_EQ(a.query("select count(*) as n from big"), "T D(1234567) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.ask(unit("select count(*) from big")), "1 2 T D(1234567) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.asked(), Texts{});
  EXPECT_EQ(a.ask(parse("", "select count(*) from big") + bind() + execute(1) + testing::sync()),
            "1 2 D(public.big=0) s Z(I)")
      << "a portal with a limit stays open: that is the server's";
  a.query("begin");
  a.query("insert into big values (1)");
  EXPECT_EQ(a.query("select count(*) from big"),
            "T D(public.big=1) D(public.big=1#2) "
            "D(public.big=1#3) C(SELECT 3) Z(T)")
      << "own writes: exact";
}

TEST(SimpleQuery, ALargeRowIsRelayedAndRememberedIfItFits) {
  World world;
  Client& a = world.client();
  const std::string answer = a.query("select wide from t");
  EXPECT_EQ(answer, "T D(public.t=0wwwwwwwwww...100010) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.query("select wide from t"), answer);
}

TEST(SimpleQuery, AMalformedQueryIsTheServersToRefuse) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(std::string("Q\0\0\0\6xx", 7)), "E(42601) Z(I)");
  EXPECT_EQ(a.query(kSelect), kFirst);
}

TEST(SimpleQuery, AnUnknownMessageTypeEndsTheClientAlone) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  EXPECT_EQ(a.ask(letter('y')), "E!(08P01)");
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(b.query(kSelect), kFirst);
}

TEST(SimpleQuery, ATerminateBehindAQueryLetsTheQueryFinish) {
  World world;
  Client& a = world.client();
  a.send(query("update t set a = 'x'") + terminate());
  world.pump();
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.data.versions["public.t"], 1);
}

// ---- Transactions ----

TEST(Transactions, Trap39_APageOfHitsUsesNoServerConnection) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  a.query("select a from u");
  const size_t asked = world.asked().size();
  EXPECT_EQ(a.query("BEGIN"), "C(BEGIN) Z(T)");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(a.session.server(), nullptr);
  EXPECT_EQ(a.query("SAVEPOINT s1"), "C(SAVEPOINT) Z(T)");
  EXPECT_EQ(a.query("select a from u"), "T D(public.u=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(a.query("RELEASE SAVEPOINT s1"), "C(RELEASE) Z(T)");
  EXPECT_EQ(a.query("SAVEPOINT s2"), "C(SAVEPOINT) Z(T)");
  EXPECT_EQ(a.query("ROLLBACK TO s2"), "C(ROLLBACK) Z(T)");
  EXPECT_EQ(a.query("COMMIT"), "C(COMMIT) Z(I)");
  EXPECT_EQ(world.asked().size(), asked);
  EXPECT_EQ(world.hits(), 2u);
}

TEST(Transactions, EachAnsweredLocallyHasItsOwnTag) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query("start transaction"), "C(START TRANSACTION) Z(T)");
  EXPECT_EQ(a.query("rollback"), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(a.query("/* a */ start transaction"), "C(START TRANSACTION) Z(T)");
  EXPECT_EQ(a.query("end"), "C(COMMIT) Z(I)");
}

TEST(Transactions, AMissInALazyBlockBringsTheBlockToTheServer) {
  World world;
  Client& a = world.client();
  a.query("begin");
  a.query("savepoint s1");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(world.asked(), (Texts{"BEGIN", "savepoint s1", "select a from t"}));
  EXPECT_EQ(a.query("rollback to s1"), "C(ROLLBACK) Z(T)");
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
  EXPECT_EQ(world.asked().size(), 5u);
}

TEST(Transactions, WhatCannotBeAnsweredHereIsAskedWithItsBlock) {
  World world;
  Client& a = world.client();
  a.query("begin");
  EXPECT_EQ(a.query("rollback to nowhere"), "E(3B001) Z(E)");
  EXPECT_EQ(a.query(kSelect), "E(25P02) Z(E)");
  EXPECT_EQ(a.query("commit"), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(a.query("commit"), "N(25P01) C(COMMIT) Z(I)");
}

TEST(Transactions, AfterAHitSetTransactionIsPrecededByAQuery) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  for (const bool simple : {true, false}) {
    a.query("begin");
    a.query(kSelect);
    const size_t asked = world.asked().size();
    const std::string_view sql = "set transaction isolation level serializable";
    simple ? a.query(sql) : a.ask(unit(sql));
    const Texts all = world.asked();
    const Texts sent(all.begin() + static_cast<long>(asked), all.end());
    ASSERT_GE(sent.size(), 2u);
    EXPECT_EQ(sent[0], "BEGIN");
    EXPECT_EQ(sent[1], "SELECT 1");
    a.query("rollback");
  }
}

TEST(Transactions, OwnWritesAreReadFromTheServerAndNeverStored) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  a.query("begin");
  EXPECT_EQ(a.query("update t set a = 'x'"), "C(UPDATE 1) Z(T)");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(T)");
  EXPECT_EQ(world.bypasses(BypassReason::kOwnWrites), 1u);
  EXPECT_EQ(b.query(kSelect), kFirst);
  EXPECT_EQ(world.hits(), 1u);
  a.query("rollback");
  EXPECT_EQ(b.query(kSelect), kFirst);
  EXPECT_EQ(world.hits(), 2u) << "a rollback takes nothing back";
}

TEST(Transactions, Trap03_SnapshotIsolationNeverSeesTheCache) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  for (const char* begin : {"begin isolation level repeatable read",
                            "begin; set transaction isolation level serializable"}) {
    a.query(begin);
    a.query(kSelect);
    a.query("commit");
  }
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kIsolation), 2u);
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Transactions, LazyBeginCanBeSwitchedOff) {
  WorldOptions options = defaults();
  options.config.pool.lazy_begin = false;
  World world(options);
  Client& a = world.client();
  EXPECT_EQ(a.query("begin"), "C(BEGIN) Z(T)");
  EXPECT_EQ(world.asked(), Texts{"begin"});
}

TEST(Transactions, Trap44_AnImplicitBlockSettlesAsAWhole) {
  World world;
  Client& a = world.client();
  a.query(kSelect);
  EXPECT_EQ(a.query("update t set a = 'x'; select fails from u"), "C(UPDATE 1) E(22012) Z(I)");
  EXPECT_EQ(a.query(kSelect), kFirst);
  EXPECT_EQ(world.hits(), 1u) << "proved rolled back";
  EXPECT_EQ(a.query("begin; update t set a = 'x'; commit; select fails from u"),
            "C(BEGIN) C(UPDATE 1) C(COMMIT) E(22012) Z(I)");
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
}

TEST(Transactions, Trap05_ACommitThatIsCutOffKeepsItsFenceUntilTheBackendIsGone) {
  World world;
  world.settle_gone = false;
  Client& a = world.client();
  Client& b = world.client();
  a.query(kSelect);
  world.pump();
  b.query("begin");
  b.query("update t set a = 'x'");
  const size_t server = world.leased(b);
  world.hold(server, true);
  b.send(query("commit"));
  world.pump();
  world.kill(server, "");
  EXPECT_TRUE(b.closed);
  EXPECT_EQ(b.got(), "E!(08006)");
  ASSERT_EQ(world.unsettled.size(), 1u);
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kFence), 1u);
  for (const auto fence : world.unsettled) world.epochs.settle_committed(fence);
  EXPECT_EQ(a.query(kSelect), "T D(public.t=1) C(SELECT 1) Z(I)");
  a.query(kSelect);
  EXPECT_EQ(world.hits(), 1u);
}

}  // namespace
}  // namespace pgrecall::session
