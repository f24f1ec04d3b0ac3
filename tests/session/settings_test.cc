// Settings follow their client across servers, through transactions and savepoints; what cannot
// follow pins the client to its server.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using sql::BypassReason;

/// Two clients that take turns on one server, so that each finds the other's settings there.
class Settings : public ::testing::Test {
 protected:
  static WorldOptions one_server() {
    WorldOptions options = defaults();
    options.config.pool.size = 1;
    return options;
  }
  std::string zone(Client& client) {
    other.query("show timezone");  // takes the server over with other settings
    return client.query("show timezone");
  }
  static std::string shown(const std::string& zone, char status = 'I') {
    return "T D(" + zone + ") C(SHOW) Z(" + status + ")";
  }

  World world{one_server()};
  Client& other = world.client({{"TimeZone", "Pacific/Fiji"}});
  Client& a = world.client();
};

TEST_F(Settings, Trap14_SetFollowsTheClient) {
  EXPECT_EQ(a.query("set timezone = 'Asia/Tokyo'"), "C(SET) S(TimeZone=Asia/Tokyo) Z(I)");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
}

TEST_F(Settings, Trap14_SetConfigIsASet) {
  EXPECT_EQ(a.query("select set_config('timezone', 'Asia/Tokyo', false)"),
            "T D(Asia/Tokyo) C(SELECT 1) S(TimeZone=Asia/Tokyo) Z(I)");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
}

TEST_F(Settings, Trap14_SetLocalEndsWithItsTransaction) {
  a.query("begin");
  a.query("set local timezone = 'Asia/Tokyo'");
  EXPECT_EQ(a.query("show timezone"), shown("Asia/Tokyo", 'T'));
  a.query("commit");
  EXPECT_EQ(zone(a), shown("UTC"));
}

TEST_F(Settings, Trap14_ARollbackTakesSetsBack) {
  a.query("set timezone = 'Asia/Tokyo'");
  a.query("begin");
  a.query("set timezone = 'Asia/Seoul'");
  a.query("rollback");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
  a.query("begin");
  a.query("set timezone = 'Asia/Seoul'");
  a.query("select fails from t");
  EXPECT_EQ(a.query("commit"), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
}

TEST_F(Settings, Trap14_SavepointsTakeSetsBack) {
  a.query("begin");
  a.query("set timezone = 'Asia/Tokyo'");
  a.query("savepoint s1");
  a.query("set timezone = 'Asia/Seoul'");
  a.query("rollback to s1");
  a.query("savepoint s2");
  a.query("set search_path = tenant_a");
  a.query("release s2");
  a.query("commit");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
  EXPECT_EQ(a.query("select a from t"), "T D(tenant_a.t=0 Asia/Tokyo) C(SELECT 1) Z(I)");
}

TEST_F(Settings, AnImplicitTransactionThatFailsTakesItsSetsBack) {
  a.query("set timezone = 'Asia/Tokyo'; select fails from t");
  EXPECT_EQ(zone(a), shown("UTC"));
  a.ask(parse("", "set timezone = 'Asia/Tokyo'") + bind() + execute() +
        parse("", "select fails from t") + bind() + execute() + testing::sync());
  EXPECT_EQ(zone(a), shown("UTC"));
  a.query("begin; set timezone = 'Asia/Tokyo'; commit; select fails from t");
  EXPECT_EQ(zone(a), shown("Asia/Tokyo"));
}

TEST_F(Settings, Trap54_ResetReturnsToTheClientsOwnStartUpValue) {
  other.query("set timezone = 'Asia/Tokyo'");
  EXPECT_EQ(other.query("reset timezone"), "C(RESET) S(TimeZone=Pacific/Fiji) Z(I)");
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
  other.query("set timezone = 'Asia/Tokyo'");
  EXPECT_EQ(other.query("reset all"), "C(RESET) S(TimeZone=Pacific/Fiji) Z(I)");
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
  other.query("set timezone = 'Asia/Tokyo'");
  EXPECT_EQ(other.query("discard all"), "C(DISCARD ALL) S(TimeZone=Pacific/Fiji) Z(I)");
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
  EXPECT_EQ(zone(a), shown("UTC"));
}

TEST_F(Settings, AResetThatFailedInItsBlockIsNotRestoredThere) {
  other.query("begin");
  other.query("set timezone = 'Asia/Tokyo'");
  EXPECT_EQ(other.query("reset timezone; select fails from t"),
            "C(RESET) E(22012) S(TimeZone=Pacific/Fiji) Z(E)");
  EXPECT_EQ(other.query("select a from t"), "E(25P02) Z(E)");
  EXPECT_EQ(other.query("rollback"), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
}

TEST_F(Settings, Trap13_TheSearchPathDecidesWhatIsServed) {
  const std::string in_public = "T D(public.t=0) C(SELECT 1) Z(I)";
  const std::string in_tenant = "T D(tenant_a.t=0) C(SELECT 1) Z(I)";
  EXPECT_EQ(a.query("select a from t"), in_public);
  a.query("set search_path = tenant_a");
  EXPECT_EQ(a.query("select a from t"), in_tenant);
  EXPECT_EQ(a.query("select a from t"), in_tenant);
  EXPECT_EQ(world.hits(), 1u);
  a.query("begin");
  a.query("set local search_path = public");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(T)");
  a.query("rollback");
  EXPECT_EQ(a.query("select a from t"), in_tenant);
  EXPECT_EQ(world.hits(), 2u);
  a.query("reset search_path");
  EXPECT_EQ(a.query("select a from t"), in_public);
  EXPECT_EQ(world.hits(), 3u);
}

TEST_F(Settings, Trap13_TheSamePreparedTextUnderAnotherPath) {
  a.ask(parse("s1", "select a from t") + testing::sync());
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 D(public.t=0) C(SELECT 1) Z(I)");
  a.query("set search_path = tenant_a");
  EXPECT_EQ(a.ask(bind("s1") + execute() + testing::sync()), "2 D(tenant_a.t=0) C(SELECT 1) Z(I)");
}

TEST_F(Settings, Trap16_RolesArePartOfWhoAsks) {
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  a.query("set role bob");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0 as bob) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(a.query("set role fails"), "E(22012) Z(I)");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0 as bob) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u) << "a refused role changes nothing";
  a.query("reset all");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0 as bob) C(SELECT 1) Z(I)")
      << "RESET ALL leaves the role";
  a.query("reset role");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST_F(Settings, NothingOfAClientRunsBeforeItsSettingsAreConfirmed) {
  a.query("set search_path = tenant_a");
  other.query("select a from u");
  world.hold(0, true);
  a.send(query("update t set a = 'x'"));
  world.pump();
  EXPECT_NE(world.server(0).log.back(), "update t set a = 'x'");
  world.hold(0, false);
  world.pump();
  EXPECT_EQ(a.got(), "C(UPDATE 1) Z(I)");
}

TEST_F(Settings, SettingsThatCannotBeRestoredEndTheClientNotAnother) {
  a.query("set app.x = 'fine'");
  EXPECT_EQ(a.query("set app.x to 'y' /* later fails */"), "C(SET) Z(I)");
  EXPECT_EQ(other.query("show timezone"), shown("Pacific/Fiji"));
}

TEST_F(Settings, ATransactionThatItsClientAbandonsLeavesNoSettingBehind) {
  a.query("begin");
  a.query("set timezone = 'Asia/Tokyo'");
  a.query("set role bob");
  a.vanish();
  Client& b = world.client();
  EXPECT_EQ(b.query("show timezone"), shown("UTC"));
  EXPECT_EQ(b.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  Client& c = world.client({{"TimeZone", "Asia/Tokyo"}});
  EXPECT_EQ(c.query("show timezone"), shown("Asia/Tokyo"));
}

TEST_F(Settings, ASetThatItsClientDidNotWaitForLeavesNothingBehind) {
  a.query("show timezone");
  a.send(query("set timezone = 'Asia/Tokyo'"));
  a.vanish();
  EXPECT_EQ(world.client().query("show timezone"), shown("UTC"));
}

TEST(Names, MeanWhatTheContextSaysOrNot) {
  SessionContext context;
  context.search_path = "\"$user\", Public,  \"Odd \"\"name\"";
  context.role = "reader";
  context.session_role = "postgres";
  const ServersView same{"\"$user\", public, \"Odd \"\"name\"", "reader", "postgres", "on", "UTF8"};
  EXPECT_TRUE(agrees(context, same));
  using Part = std::string_view ServersView::*;
  const auto differs = [&](Part what, std::string_view value) {
    ServersView view = same;
    view.*what = value;
    return !agrees(context, view);
  };
  EXPECT_TRUE(differs(&ServersView::search_path, "public, \"$user\", \"Odd \"\"name\""));
  EXPECT_TRUE(differs(&ServersView::search_path, "\"$user\", \"Public\", \"Odd \"\"name\""));
  EXPECT_TRUE(differs(&ServersView::search_path, ""));
  EXPECT_TRUE(differs(&ServersView::role, "postgres"));
  EXPECT_TRUE(differs(&ServersView::session_role, "reader"));
  EXPECT_TRUE(differs(&ServersView::standard_strings, "off"));
  EXPECT_TRUE(differs(&ServersView::client_encoding, "SJIS"));
}

TEST(Pins, StateThatCannotFollowPinsAndDiscardLiftsIt) {
  for (const char* sql : {"create temp table x (a int)", "listen c", "prepare p1 as select 1",
                          "do 'bump t'", "select touch() from u", "select pg_advisory_lock(1)",
                          "declare c cursor with hold for select 1"}) {
    World world;
    Client& a = world.client();
    a.query(sql);
    EXPECT_NE(a.session.pins(), 0u) << sql;
    EXPECT_NE(a.session.server(), nullptr) << sql;
    EXPECT_EQ(a.query("discard all"), "C(DISCARD ALL) Z(I)") << sql;
    EXPECT_EQ(a.session.pins(), 0u) << sql;
    EXPECT_EQ(a.session.server(), nullptr) << sql;
  }
}

TEST(Pins, WhatIsUndoneUnpins) {
  World world;
  Client& a = world.client();
  a.query("listen c");
  a.query("unlisten *");
  EXPECT_EQ(a.session.server(), nullptr);
  a.query("listen c");
  a.query("listen d");
  a.query("unlisten c");
  EXPECT_NE(a.session.server(), nullptr) << "one channel is left";
  a.query("unlisten d");
  EXPECT_EQ(a.session.server(), nullptr);
  a.query("prepare p1 as select 1");
  a.query("deallocate all");
  EXPECT_EQ(a.session.server(), nullptr);
  a.query("prepare p1 as select 1");
  a.query("deallocate p1");
  EXPECT_EQ(a.session.server(), nullptr);
  a.query("create temp table x (a int)");
  a.query("drop table x");
  EXPECT_EQ(a.session.server(), nullptr);
}

TEST(Pins, StateIsAskedForWhenItsBlockHasEnded) {
  World world;
  Client& a = world.client();
  a.query("unlisten *");
  a.query("close all");
  EXPECT_EQ(a.session.server(), nullptr);
  a.query("begin");
  a.query("listen c");
  EXPECT_NE(a.session.pins(), 0u) << "not before the block has ended";
  a.query("unlisten c");
  EXPECT_NE(a.session.pins(), 0u);
  a.query("commit");
  EXPECT_EQ(a.session.pins(), 0u);
}

TEST(Pins, Trap42_APinnedServerIsCleanedBeforeAnotherGetsIt) {
  World world;
  Client& a = world.client();
  a.query("create temp table t (a int)");
  EXPECT_EQ(a.query("select a from t"), "T D(temp.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.misses() + world.hits(), 0u) << "a temporary table may hide a real one";
  const size_t server = world.leased(a);
  a.vanish();
  EXPECT_EQ(world.server(server).log.back(), "DISCARD ALL");
  EXPECT_EQ(world.client().query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Pins, ATempTableThatItsClientDidNotWaitForIsCleanedToo) {
  World world;
  Client& a = world.client();
  a.send(query("create temp table t (a int)"));
  a.vanish();
  EXPECT_EQ(world.client().query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Pins, OpaqueCodeThatFailedPinsAsWell) {
  World world;
  Client& a = world.client();
  a.query("do 'fails'");
  EXPECT_NE(a.session.pins(), 0u) << "a session lock outlives the rollback";
  a.query("discard all");
  a.ask(unit("select touch(), fails from t"));
  EXPECT_NE(a.session.pins(), 0u);
}

TEST(Pins, SessionPoolingKeepsTheServer) {
  WorldOptions options = defaults();
  options.config.pool.mode = config::PoolMode::kSession;
  World world(options);
  Client& a = world.client();
  EXPECT_NE(a.session.server(), nullptr);
  a.query("select a from t");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
  a.vanish();
  EXPECT_EQ(world.pool().numbers().idle, 1u);
}

}  // namespace
}  // namespace pgrecall::session
