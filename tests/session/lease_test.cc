// Leases: who holds a server connection, who waits for one, and what happens when one is lost.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;

const std::string kSelected = "T D(public.t=0) C(SELECT 1) Z(I)";

WorldOptions pool_of(uint32_t size) {
  WorldOptions options = defaults();
  options.config.pool.size = size;
  return options;
}

TEST(Lease, ClientsTakeTurnsOnOneServer) {
  World world(pool_of(1));
  Client& a = world.client();
  Client& b = world.client();
  Client& c = world.client();
  a.query("begin");
  a.query("update u set a = 'x'");
  b.send(query("update t set a = 'b'"));
  c.send(query("update t set a = 'c'"));
  world.pump();
  EXPECT_TRUE(b.session.waiting_for_lease());
  EXPECT_TRUE(c.session.waiting_for_lease());
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
  EXPECT_EQ(b.got(), "C(UPDATE 1) Z(I)");
  EXPECT_EQ(c.got(), "C(UPDATE 1) Z(I)");
  const auto asked = world.asked();
  EXPECT_EQ(asked[asked.size() - 2], "update t set a = 'b'");
  EXPECT_EQ(world.servers_made(), 1u);
}

TEST(Lease, AHitIsServedWhileTheOnlyServerIsBusy) {
  World world(pool_of(1));
  Client& a = world.client();
  Client& b = world.client();
  b.query("select a from t");
  a.query("begin");
  a.query("update u set a = 'x'");
  EXPECT_EQ(b.query("select a from t"), kSelected);
  b.query("begin");
  EXPECT_EQ(b.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(b.query("commit"), "C(COMMIT) Z(I)");
}

TEST(Lease, AClientThatVanishesWhileItWaitsLeavesTheLine) {
  World world(pool_of(1));
  Client& a = world.client();
  Client& b = world.client();
  Client& c = world.client();
  a.query("begin");
  a.query("update u set a = 'x'");
  b.send(query("update t set a = 'b'"));
  world.pump();
  c.send(query("update t set a = 'c'"));
  world.pump();
  b.vanish();
  a.query("commit");
  EXPECT_EQ(c.got(), "C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.data.versions["public.t"], 1);
  EXPECT_EQ(world.pool().numbers().idle, 1u);
}

/// Asks, gives up before anything happens, and asks again: two grants are on their way.
void ask_twice(Client& client) {
  client.send(query("update t set a = 'given up'"));
  client.session.on_cancel();
  client.send(query("update t set a = 'b'"));
}

TEST(Lease, Trap23_AClientThatCancelsItsWaitingAndIsGivenAnOlderServerLetsTheNewOneGo) {
  World world(pool_of(2));
  Client& a = world.client();
  Client& b = world.client();
  a.query("begin");
  a.query("update u set a = 'x'");
  world.hold_new = true;
  ask_twice(b);
  world.pump();
  ASSERT_EQ(world.servers_alive(), 2u);
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
  EXPECT_EQ(b.got(), "E(57014) Z(I) C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.servers_alive(), 1u);
  EXPECT_EQ(world.pool().numbers().connections, 1u);
}

TEST(Lease, Trap23_AClientThatCancelsItsWaitingHasOneServerOpenedForIt) {
  World world(pool_of(2));
  Client& b = world.client();
  world.kill(0, "57P01");
  world.hold_new = true;
  ask_twice(b);
  world.pump();
  EXPECT_EQ(world.servers_alive(), 1u);
  b.vanish();
  EXPECT_EQ(world.servers_alive(), 0u);
  EXPECT_EQ(world.pool().numbers().connections, 0u);
}

TEST(Lease, Trap23_ACancelDoesNotHitTheBeginThatWasSentAhead) {
  World world(pool_of(1));
  Client& b = world.client();
  EXPECT_EQ(b.query("begin"), "C(BEGIN) Z(T)");
  world.hold(0, true);
  b.send(query("select sleeps from t"));
  world.pump();
  ASSERT_EQ(world.leased(b), 0u);
  b.session.on_cancel();
  EXPECT_FALSE(b.session.server()->cancel_happened) << "what follows would be no transaction";
  world.hold(0, false);
  world.pump();
  EXPECT_EQ(b.got(), "E(57014) Z(E)") << "the server has come to what the client asked";
}

TEST(Lease, Trap23_ACancelDoesNotCostAPinnedClientItsServer) {
  World world(pool_of(2));
  Client& b = world.client();
  EXPECT_EQ(b.query("listen news"), "C(LISTEN) Z(I)");
  world.configuration_changes();
  world.hold(0, true);
  b.send(query("select a from t"));
  world.pump();
  ASSERT_TRUE(b.session.waiting_for_lease()) << "its server is inspected again";
  b.session.on_cancel();
  world.pump();
  world.hold(0, false);
  world.pump();
  EXPECT_EQ(b.got(), "T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.leased(b), 0u) << "it still listens there";
}

/// A client whose server has answered unknown code, and not what its names mean now.
Client& awaits_names(World& world) {
  Client& client = world.client();
  std::mt19937 random(1);
  client.send(query("do bump t"));
  while (!read(client.inbox).ends_with("Z(I)")) world.step(random);
  world.hold(0, true);
  EXPECT_EQ(client.got(), "C(DO) Z(I)");
  client.send(query("select a from u"));
  world.pump();
  EXPECT_EQ(world.asked().back(), "do bump t");
  return client;
}

TEST(Lease, AClientWaitsForWhatItsNamesMean) {
  World world(pool_of(1));
  Client& a = awaits_names(world);
  world.hold(0, false);
  world.pump();
  EXPECT_EQ(a.got(), "T D(public.u=0) C(SELECT 1) Z(I)");
}

TEST(Lease, Trap23_ACancelEndsTheWaitingForWhatNamesMean) {
  World world(pool_of(1));
  Client& a = awaits_names(world);
  a.session.on_cancel();
  world.hold(0, false);
  world.pump();
  EXPECT_EQ(a.got(), "E(57014) Z(I)");
  EXPECT_EQ(world.asked().back(), "do bump t");
}

TEST(Lease, AClientWhoseServerIsLostWaitsForNoNames) {
  World world(pool_of(1));
  Client& a = awaits_names(world);
  world.kill(0, "57P01");
  world.pump();
  EXPECT_EQ(a.got(), "E!(57P01)");
  EXPECT_TRUE(a.closed);
}

TEST(Lease, Trap23_ACancelEndsTheOpeningOfAServer) {
  World world(pool_of(1));
  Client& b = world.client();
  world.kill(0, "57P01");
  world.hold_new = true;
  b.send(query("update t set a = 'given up'"));
  world.pump();
  b.session.on_cancel();
  world.pump();
  EXPECT_EQ(b.got(), "E(57014) Z(I)");
  EXPECT_EQ(world.servers_alive(), 0u);
  world.hold_new = false;
  EXPECT_EQ(b.query("update t set a = 'b'"), "C(UPDATE 1) Z(I)");
}

TEST(Lease, NobodyWaitsForEver) {
  World world(pool_of(1));
  Client& a = world.client();
  Client& b = world.client();
  a.query("begin");
  a.query("update u set a = 'x'");
  b.send(query("update t set a = 'b'"));
  world.pump();
  world.stop_waiting(b.session);
  b.session.on_no_lease(NoLease::kTimeout, {});
  world.pump();
  EXPECT_EQ(b.got(), "E!(53300)");
  EXPECT_TRUE(b.closed);
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
}

TEST(Lease, AServerLostIdleIsNoticedByNobody) {
  World world;
  Client& a = world.client();
  world.kill(0, "57P01");
  EXPECT_EQ(a.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
}

TEST(Lease, AServerLostInUseEndsItsClientWithTheServersError) {
  struct Case {
    const char* sqlstate;
    const char* expected;
  };
  for (const Case& test : {Case{"57P01", "E!(57P01)"}, Case{"57P02", "E!(57P02)"},
                           Case{"57P03", "E!(57P03)"}, Case{"", "E!(08006)"}}) {
    World world;
    Client& a = world.client();
    a.query("begin");
    a.query("update t set a = 'x'");
    world.kill(world.leased(a), test.sqlstate);
    EXPECT_EQ(a.got(), test.expected);
    EXPECT_TRUE(a.closed);
    EXPECT_EQ(world.client().query("select a from t"), kSelected);
  }
}

TEST(Lease, AServerLostInTheMiddleOfAQuery) {
  World world;
  Client& a = world.client();
  a.send(query("select sleeps from t"));
  world.pump();
  world.kill(world.leased(a), "57P01");
  EXPECT_EQ(a.got(), "E!(57P01)");
  EXPECT_EQ(world.client().query("select sleeps from u").size(), 0u);
}

TEST(Lease, AServerLostInTheMiddleOfAUnit) {
  World world;
  Client& a = world.client();
  a.ask(parse("", "update t set a = 'x'") + bind() + execute() + flush());
  world.kill(world.leased(a), "");
  EXPECT_EQ(a.got(), "E!(08006)");
  EXPECT_EQ(world.data.versions["public.t"], 0);
}

TEST(Lease, AServerLostInTheMiddleOfACopy) {
  World world;
  Client& a = world.client();
  a.query("copy t from stdin");
  world.kill(world.leased(a), "57P01");
  EXPECT_EQ(a.got(), "E!(57P01)");
}

TEST(Lease, NothingIsAppendedToHalfAMessage) {
  World world;
  Client& a = world.client();
  a.query("select a from u");
  a.send(query("select wide from t"));
  world.hold(0, true);
  world.pump();
  FakePostgres& server = world.server(0);
  // The head of a large row reaches the client, then the server dies.
  const std::string said = std::exchange(server.out, {});
  const size_t row = said.find('D');
  server.say(said.substr(0, row + 70'000));
  world.hold(0, false);
  world.pump();
  world.kill(0, "");  // a backend never says anything in the middle of a message
  EXPECT_TRUE(a.closed);
  EXPECT_EQ(a.take().size(), row + 70'000) << "an error here would be read as part of the row";
}

TEST(Lease, Trap33_AServerThatBreaksTheProtocolEndsItsClientAlone) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query("begin");
  a.query("update t set a = 'x'");
  b.query("select a from u");
  world.server(world.leased(a)).say(std::string("1\0\0\0\4", 5));
  world.pump();
  EXPECT_EQ(a.got(), "E!(08006)");
  EXPECT_FALSE(b.closed);
  EXPECT_EQ(b.query("select a from u"), "T D(public.u=0) C(SELECT 1) Z(I)");
}

TEST(Lease, Trap22_NotificationsReachThePinnedClient) {
  World world;
  Client& a = world.client();
  a.query("listen c");
  std::string notification = "A";
  wire::append_u32(notification, 4 + 4 + 2 + 2);
  notification += std::string("\0\0\0\1c\0p\0", 8);
  world.server(world.leased(a)).say(notification);
  world.pump();
  EXPECT_EQ(a.got(), "A");
}

TEST(Lease, AClientThatVanishesInATransactionRollsBack) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  b.query("select a from t");
  a.query("begin");
  a.query("update t set a = 'x'");
  a.vanish();
  EXPECT_EQ(world.data.versions["public.t"], 0);
  EXPECT_EQ(world.pool().numbers().idle, world.pool().numbers().connections);
  EXPECT_EQ(b.query("select a from t"), kSelected);
  EXPECT_EQ(world.epochs.open_fences(), 0u);
}

TEST(Lease, AClientThatVanishesWithoutASyncCommitsNothing) {
  World world;
  Client& a = world.client();
  a.ask(parse("", "update t set a = 'x'") + bind() + execute() + flush());
  a.vanish();
  EXPECT_EQ(world.data.versions["public.t"], 0);
  EXPECT_EQ(world.epochs.open_fences(), 0u);
  Client& b = world.client();
  EXPECT_EQ(b.query("select a from t"), kSelected);
  b.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Lease, Trap45_AClientThatDiesDuringAWrite) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  b.query("select a from t");
  a.send(query("update t set a = sleeps"));
  world.pump();
  const size_t server = world.leased(a);
  a.closed = true;
  a.session.on_client_end();  // and nothing is pumped yet
  b.send(query("select a from t"));
  EXPECT_EQ(world.hits(), 0u) << "the backend may still commit";
  world.pump();
  if (world.server(server).sleeping()) world.server(server).wake();
  world.pump();
  EXPECT_EQ(world.epochs.open_fences(), 0u);
  b.got();
  EXPECT_EQ(
      b.query("select a from t"),
      "T D(public.t=" + std::to_string(world.data.versions["public.t"]) + ") C(SELECT 1) Z(I)");
}

TEST(Lease, Trap10_IdleConnectionsOfADatabaseCloseBeforeItIsDropped) {
  World world;
  Client& a = world.client();
  Client& other = world.stranger();
  other.ask(startup({{"user", "alice"}, {"database", "doomed"}}));
  ASSERT_EQ(world.servers_alive(), 2u);
  a.query("begin; select a from u");
  const size_t own = world.leased(a);
  ASSERT_NE(own, SIZE_MAX);
  a.query("rollback");
  world.hold(own, true);
  a.send(query("drop database doomed"));
  world.pump();
  EXPECT_EQ(world.servers_alive(), 1u) << "before the statement is answered";
  EXPECT_EQ(world.released, std::vector<std::string>{"doomed"});
  world.hold(own, false);
  world.pump();
  EXPECT_EQ(a.got(), "C(DROP) Z(I)");
}

}  // namespace
}  // namespace pgrecall::session
