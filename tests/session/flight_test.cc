// Single-flight, stamps and the catalog: what may be shared and what may be shown.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using sql::BypassReason;

const std::string kSleep = "select sleeps from t";
const std::string kSelected = "T D(public.t=0) C(SELECT 1) Z(I)";

class Flight : public ::testing::Test {
 protected:
  /// `a` asks and PostgreSQL does not answer yet.
  void lead() {
    a.send(query(kSleep));
    world.pump();
    server = world.leased(a);
    ASSERT_TRUE(world.server(server).sleeping());
  }
  void land() {
    world.server(server).wake();
    world.pump();
  }
  size_t times_asked() {
    size_t count = 0;
    for (const std::string& text : world.asked()) count += text == kSleep;
    return count;
  }

  World world;
  Client& a = world.client();
  Client& b = world.client();
  Client& c = world.client();
  size_t server = 0;
};

TEST_F(Flight, OneAsksAndAllAreAnswered) {
  lead();
  b.send(query(kSleep));
  c.send(query(kSleep));
  world.pump();
  EXPECT_EQ(b.got() + c.got(), "");
  land();
  for (Client* client : {&a, &b, &c}) EXPECT_EQ(client->got(), kSelected);
  EXPECT_EQ(times_asked(), 1u);
  EXPECT_EQ(world.hits(), 2u);
  EXPECT_EQ(world.misses(), 1u);
}

TEST_F(Flight, ExtendedQueriesJoinAsWell) {
  a.send(unit(kSleep));
  world.pump();
  server = world.leased(a);
  b.send(unit(kSleep));
  world.pump();
  land();
  EXPECT_EQ(a.got(), "1 2 T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(b.got(), "1 2 T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(times_asked(), 1u);
}

TEST_F(Flight, Trap51_NobodyJoinsAFlightThatAWriteOvertook) {
  lead();
  EXPECT_EQ(b.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
  c.send(query(kSleep));
  world.pump();
  ASSERT_NE(c.session.server(), nullptr) << "it asks for itself";
  const size_t own = world.leased(c);
  world.server(own).wake();
  world.pump();
  EXPECT_EQ(c.got(), "T D(public.t=1) C(SELECT 1) Z(I)");
  land();
}

TEST_F(Flight, Trap51_AJoinerThatSendsMoreJoinsOnceAndKeepsNothingOfTheFlight) {
  a.send(unit(kSleep));
  world.pump();
  server = world.leased(a);
  b.send(parse("", kSleep) + bind() + describe() + execute());
  world.pump();
  b.send(testing::sync());
  world.pump();
  land();
  EXPECT_EQ(b.got(), "1 2 T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.shared().flights.stats().joined, 1u);
  EXPECT_EQ(c.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
  b.send(unit(kSleep));
  world.pump();
  ASSERT_NE(b.session.server(), nullptr) << "what it is shown now must be younger than the write";
  server = world.leased(b);
  land();
  EXPECT_EQ(b.got(), "1 2 T D(public.t=1) C(SELECT 1) Z(I)");
}

TEST_F(Flight, AJoinerWhoseLeaderFailsAsksForItself) {
  lead();
  b.send(query(kSleep));
  world.pump();
  world.kill(server, "57P01");
  EXPECT_TRUE(a.closed);
  server = world.leased(b);
  ASSERT_NE(server, SIZE_MAX);
  land();
  EXPECT_EQ(b.got(), kSelected);
}

TEST_F(Flight, Trap23_ALeadersCancelIsItsOwnAlone) {
  lead();
  b.send(query(kSleep));
  world.pump();
  a.session.on_cancel();
  world.pump();
  EXPECT_EQ(a.got(), "E(57014) Z(I)");
  server = world.leased(b);
  ASSERT_NE(server, SIZE_MAX);
  land();
  EXPECT_EQ(b.got(), kSelected);
}

TEST_F(Flight, ALeaderThatVanishesLeavesItsJoinersToThemselves) {
  lead();
  b.send(query(kSleep));
  world.pump();
  a.vanish();
  server = world.leased(b);
  ASSERT_NE(server, SIZE_MAX);
  land();
  EXPECT_EQ(b.got(), kSelected);
  EXPECT_EQ(world.pool().numbers().idle, world.pool().numbers().connections);
}

TEST_F(Flight, AJoinerThatVanishesIsForgotten) {
  lead();
  b.send(query(kSleep));
  world.pump();
  b.vanish();
  land();
  EXPECT_EQ(a.got(), kSelected);
  EXPECT_EQ(b.got(), "");
}

TEST_F(Flight, Trap51_AJoinerThatHoldsTheOnlyLeaseDoesNotWait) {
  WorldOptions options = defaults();
  options.config.pool.size = 1;
  World small(options);
  Client& holder = small.client();
  Client& leader = small.client();
  holder.query("begin");
  holder.query("select a from u where id = 1");
  leader.send(query("select a from t"));
  small.pump();
  EXPECT_TRUE(leader.session.waiting_for_lease());
  EXPECT_EQ(holder.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(holder.query("commit"), "C(COMMIT) Z(I)");
  EXPECT_EQ(leader.got(), kSelected);
}

TEST_F(Flight, AResultForOneStatementIsNeverShownForAnother) {
  lead();
  b.send(query(kSleep));
  world.pump();
  // While b waits, its statement becomes one that must not be cached.
  world.shared().mode = config::CacheMode::kOff;
  land();
  EXPECT_EQ(a.got(), kSelected);
  world.shared().mode = config::CacheMode::kOn;
  for (size_t i = 0; i < world.servers_made(); ++i) {
    if (world.server(i).sleeping()) world.server(i).wake();
  }
  world.pump();
  EXPECT_EQ(b.got(), kSelected);
  EXPECT_EQ(b.query("select a from u"), "T D(public.u=0) C(SELECT 1) Z(I)");
}

TEST_F(Flight, AFillUnderAnOldCatalogIsNotStored) {
  lead();
  world.catalog_changes();
  land();
  EXPECT_EQ(a.got(), kSelected);
  b.send(query(kSleep));
  world.pump();
  EXPECT_EQ(b.got(), "") << "asked again";
}

TEST(Catalog, Trap50_WhileItMayBeOutdatedNothingIsServedAndNothingStored) {
  World world;
  Client& a = world.client();
  a.query("select a from t");
  world.publish_catalogs = false;
  world.catalog_changes();
  a.query("select a from t");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kStaleCatalog), 2u);
  world.publish_catalogs = true;
  world.catalog_changes();
  a.query("select a from t");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Catalog, WhereLoginsRunCodeNothingIsRemembered) {
  World world;
  Client& a = world.client();
  a.query("select a from t");
  for (const bool login_triggers : {true, false}) {
    world.login_triggers = login_triggers;
    world.database().changed(0);
    world.pump();
    a.query("select a from t");
    a.query("select a from t");
    EXPECT_EQ(world.hits() > 0, !login_triggers);
    EXPECT_EQ(world.bypasses(BypassReason::kUserFunction), 2u);
  }
}

TEST(Catalog, OpaqueCodeTakesEverythingBack) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query("select a from t");
  b.query("do 'bump t'");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=1) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 0u);
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Catalog, Trap50_DdlInATransactionKeepsItsFenceToTheEnd) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  a.query("select a from t");
  b.query("begin");
  b.query("alter table t add column z int");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 0u);
  EXPECT_EQ(world.bypasses(BypassReason::kFence), 1u);
  b.query("commit");
  a.query("select a from t");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Catalog, Trap11_AConstraintErrorTakesItsRelationBack) {
  World world;
  Client& a = world.client();
  a.query("select a from t");
  std::string error = "E";
  const std::string fields = std::string("SERROR") + '\0' + "VERROR" + '\0' + "C23505" + '\0' +
                             "Mduplicate" + '\0' + "spublic" + '\0' + "tt" + '\0' + '\0';
  wire::append_u32(error, static_cast<uint32_t>(fields.size() + 4));
  error += fields;
  Client& b = world.client();
  b.send(query("insert into t values (sleeps)"));
  world.pump();
  const size_t server = world.leased(b);
  world.server(server).say(error + std::string("Z\0\0\0\5I", 6));
  world.pump();
  EXPECT_EQ(b.got(), "E(23505) Z(I)");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 0u);
}

}  // namespace
}  // namespace pgrecall::session
