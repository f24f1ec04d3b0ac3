// From the first byte to the first ReadyForQuery.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using Parameters = std::map<std::string, std::string>;

const Parameters kAlice = {{"user", "alice"}, {"database", "site"}};
const std::string kGreeting = "S(server_version=15.4) S(application_name=) S(TimeZone=UTC) K Z(I)";

WorldOptions passthrough() {
  WorldOptions options = defaults();
  options.config.auth.mode = config::AuthMode::kPassthrough;
  return options;
}

std::string packet(uint32_t code) {
  std::string out;
  wire::append_u32(out, 8);
  wire::append_u32(out, code);
  return out;
}

TEST(Login, TrustGreetsAsPostgreSQLDoes) {
  World world;
  EXPECT_EQ(world.stranger().ask(startup(kAlice)), "R(0) " + kGreeting);
  EXPECT_EQ(world.pool().numbers().idle, 1u) << "the connection is back in the pool";
}

TEST(Login, TheDatabaseDefaultsToTheUser) {
  World world;
  Client& a = world.stranger();
  a.ask(startup({{"user", "site"}}));
  EXPECT_EQ(a.session.database(), "site");
}

TEST(Login, PassthroughRelaysTheChallengeAndTheAnswer) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger(false);
  EXPECT_EQ(a.ask(startup(kAlice)), "R(3)");
  EXPECT_EQ(a.ask(password("secret")), "R(0) " + kGreeting);
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Login, Trap26_AWrongPasswordFailsWithTheServersOwnError) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger();
  a.ask(startup(kAlice));
  EXPECT_EQ(a.ask(password("wrong")), "E!(28P01)");
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.pool().numbers().connections, 0u) << "its place is free again";
}

TEST(Login, Trap26_WhatTheServerRefusesIsRefusedAlike) {
  World world(passthrough());
  world.login = FakePostgres::Login::kRefused;
  Client& a = world.stranger();
  EXPECT_EQ(a.ask(startup(kAlice)), "E!(28000)");
  EXPECT_TRUE(a.closed);
}

TEST(Login, AnUnchallengedLoginIsRelayedToLocalClientsOnly) {
  World world(passthrough());
  EXPECT_EQ(world.stranger(true).ask(startup(kAlice)), "R(0) " + kGreeting);
  EXPECT_EQ(world.stranger(false).ask(startup(kAlice)), "E!(28000)");
}

TEST(Login, TrustDoesNotAnswerAServerThatWantsAPassword) {
  World world;
  world.login = FakePostgres::Login::kPassword;
  EXPECT_EQ(world.stranger().ask(startup(kAlice)),
            "E!(28P01 \"alice\", which pgrecall does not have)");
}

TEST(Login, Trap26_EncryptionIsDeclinedOnceEachInEitherOrder) {
  World world;
  Client& a = world.stranger();
  a.send(packet(wire::kSslRequestCode));
  world.pump();
  EXPECT_EQ(a.take(), "N");
  a.send(packet(wire::kGssEncRequestCode));
  world.pump();
  EXPECT_EQ(a.take(), "N");
  EXPECT_EQ(a.ask(startup(kAlice)), "R(0) " + kGreeting);
  Client& b = world.stranger();
  b.send(packet(wire::kSslRequestCode) + packet(wire::kSslRequestCode));
  world.pump();
  EXPECT_TRUE(b.closed);
}

TEST(Login, Trap26_NewerMinorVersionsAreNegotiated) {
  World world;
  EXPECT_EQ(world.stranger().ask(startup(kAlice, wire::kProtocol32)), "v R(0) " + kGreeting);
  Parameters parameters = kAlice;
  parameters["_pq_.something"] = "x";
  EXPECT_EQ(world.stranger().ask(startup(parameters)), "v R(0) " + kGreeting);
}

TEST(Login, Trap26_OtherProtocolsReplicationAndNonsenseAreRefused) {
  World world;
  EXPECT_EQ(world.stranger().ask(packet(2U << 16)), "E!(0A000)");
  Parameters parameters = kAlice;
  parameters["replication"] = "database";
  EXPECT_EQ(world.stranger().ask(startup(parameters)), "E!(0A000)");
  EXPECT_EQ(world.stranger().ask(startup({{"database", "site"}})), "E!(28000)");
  Client& a = world.stranger();
  EXPECT_EQ(a.ask("GET / HTTP/1.1\r\n\r\n"), "");
  EXPECT_TRUE(a.closed);
}

TEST(Login, TheConsolesNameIsReserved) {
  World world;
  EXPECT_EQ(world.stranger().ask(startup({{"user", "alice"}, {"database", "pgrecall"}})),
            "E!(0A000)");
}

TEST(Login, Trap31_NothingIsTakenBeforeTheLoginIsComplete) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger();
  a.ask(startup(kAlice));
  EXPECT_EQ(a.ask(query("select 1")), "") << "kept until the login is done";
  Client& b = world.stranger();
  EXPECT_EQ(b.ask(password("secret")), "") << "no start-up packet";
  EXPECT_TRUE(b.closed);
}

TEST(Login, AClientThatDoesNotWaitForTheGreeting) {
  World world;
  EXPECT_EQ(world.stranger().ask(startup(kAlice) + query("select a from t")),
            "R(0) " + kGreeting + " T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Login, Trap54_StartUpParametersAreSetOnTheConnectionNotSentInItsStartUp) {
  World world;
  Client& a = world.stranger();
  EXPECT_EQ(a.ask(startup({{"user", "alice"},
                           {"database", "site"},
                           {"TimeZone", "Asia/Tokyo"},
                           {"options", "-c search_path=tenant_a --app.tenant=A"}})),
            "R(0) S(server_version=15.4) S(application_name=) S(TimeZone=Asia/Tokyo) K Z(I)");
  EXPECT_EQ(world.server(0).startup_parameters().size(), 2u);
  EXPECT_EQ(a.query("select a from t"), "T D(tenant_a.t=0 Asia/Tokyo) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.query("show app.tenant"), "T D(A) C(SHOW) Z(I)");
}

TEST(Login, OptionsThatAreNoneFailTheLogin) {
  World world;
  Client& a = world.stranger();
  EXPECT_EQ(a.ask(startup({{"user", "alice"}, {"database", "site"}, {"options", "-x"}})),
            "R(0) E!(42601)");
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.pool().numbers().idle, 1u);
}

TEST(Login, ASettingThatTheServerRefusesFailsTheLogin) {
  World world;
  Client& a = world.stranger();
  EXPECT_EQ(a.ask(startup({{"user", "alice"}, {"database", "site"}, {"x", "fails"}})),
            "R(0) E!(22012)");
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.client().query("show timezone"), "T D(UTC) C(SHOW) Z(I)");
}

TEST(Login, AServerThatCannotBeReachedIsAClearError) {
  World world;
  world.refuse_connections = true;
  Client& a = world.stranger();
  EXPECT_EQ(a.ask(startup(kAlice)), "E!(08006)");
  EXPECT_TRUE(a.closed);
  world.refuse_connections = false;
  EXPECT_EQ(world.stranger().ask(startup(kAlice)), "R(0) " + kGreeting);
}

TEST(Login, AClientThatVanishesDuringTheLoginLeavesNothing) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger();
  a.ask(startup(kAlice));
  a.vanish();
  EXPECT_EQ(world.pool().numbers().connections, 0u);
  EXPECT_EQ(world.servers_alive(), 0u);
}

TEST(Login, TheLoginTimeoutEndsWhoHasNotLoggedIn) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger();
  a.ask(startup(kAlice));
  a.session.on_login_timeout();
  world.pump();
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.pool().numbers().connections, 0u);
}

TEST(Login, Trap23_ACancelRequestWithTheRightSecretCancels) {
  World world;
  Client& a = world.client();
  a.send(query("select sleeps from t"));
  world.pump();
  std::string wrong;
  wire::append_cancel_request(wrong, 100 + a.id.slot, "nothim");
  world.stranger().ask(wrong);
  EXPECT_EQ(a.got(), "");
  std::string right;
  wire::append_cancel_request(right, 100 + a.id.slot, "secret");
  Client& canceller = world.stranger();
  EXPECT_EQ(canceller.ask(right), "");
  EXPECT_TRUE(canceller.closed);
  EXPECT_EQ(a.got(), "E(57014) Z(I)");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Login, APassthroughPoolThatIsLostSendsItsClientsToLogInAgain) {
  World world(passthrough());
  world.login = FakePostgres::Login::kPassword;
  Client& a = world.stranger();
  a.ask(startup(kAlice));
  a.ask(password("secret"));
  world.kill(0, "57P01");
  EXPECT_FALSE(a.closed) << "it used nothing";
  EXPECT_EQ(a.query("select a from t"), "E!(57P01)");
  EXPECT_TRUE(a.closed);
}

TEST(Login, AnUnchallengedPoolGrowsByItself) {
  WorldOptions options = passthrough();
  World world(options);
  Client& a = world.client();
  Client& b = world.client();
  Client& c = world.client();
  a.query("begin");
  a.query("update t set a = 'x'");
  b.query("begin");
  EXPECT_EQ(b.query("update u set a = 'x'"), "C(UPDATE 1) Z(T)");
  world.kill(world.leased(a), "57P01");
  EXPECT_EQ(c.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
}

TEST(Login, AnUnchallengedPoolWhoseServerWantsAPasswordNowSaysSo) {
  World world(passthrough());
  Client& a = world.client();
  world.kill(0, "57P01");
  world.login = FakePostgres::Login::kPassword;
  EXPECT_EQ(a.query("select a from t"), "E!(28000)");
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(world.pool().numbers().connections, 0u);
}

TEST(Login, Trap35_ShutDownWaitsForWhatIsUnderWay) {
  World world;
  Client& idle = world.client();
  Client& busy = world.client();
  busy.query("begin");
  EXPECT_TRUE(idle.session.shut_down(false));
  EXPECT_FALSE(busy.session.shut_down(false));
  world.pump();
  EXPECT_EQ(idle.got(), "E!(57P01)");
  EXPECT_TRUE(idle.closed);
  EXPECT_FALSE(busy.closed);
  EXPECT_EQ(busy.query("update t set a = 'x'"), "C(UPDATE 1) Z(T)");
  EXPECT_EQ(busy.query("commit"), "C(COMMIT) Z(I) E!(57P01)");
  EXPECT_TRUE(busy.closed);
}

}  // namespace
}  // namespace pgrecall::session
