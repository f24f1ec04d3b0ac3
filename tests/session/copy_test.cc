// COPY in both protocols.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;

constexpr std::string_view kCopy = "copy t from stdin";
const std::string kSelected = "T D(public.t=1) C(SELECT 1) Z(I)";

/// Nothing of a COPY may be left on a connection: the next client finds it in step.
void expect_in_step(World& world) {
  Client& next = world.client();
  EXPECT_EQ(next.query("select a from u"), "T D(public.u=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(next.ask(unit("show timezone")), "1 2 T D(UTC) C(SHOW) Z(I)");
  EXPECT_EQ(world.pool().numbers().idle, world.pool().numbers().connections);
}

TEST(Copy, InBySimpleQuery) {
  World world;
  Client& a = world.client();
  a.query("select a from t");
  EXPECT_EQ(a.query(kCopy), "G");
  EXPECT_EQ(a.ask(copy_data("1\tx\n")), "");
  EXPECT_EQ(a.ask(copy_done()), "C(COPY 1) Z(I)");
  EXPECT_EQ(a.query("select a from t"), kSelected);
  expect_in_step(world);
}

TEST(Copy, InBySimpleQueryWithoutWaiting) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(query(kCopy) + copy_data("1\tx\n") + copy_data("2\ty\n") + copy_done() +
                  query("select a from t")),
            "G C(COPY 1) Z(I) " + kSelected);
  expect_in_step(world);
}

TEST(Copy, SeveralInOneQuery) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query("copy t from stdin; select a from u; copy t from stdin"), "G");
  EXPECT_EQ(a.ask(copy_done()), "C(COPY 1) T D(public.u=0) C(SELECT 1) G");
  EXPECT_EQ(a.ask(copy_data("x") + copy_done()), "C(COPY 1) Z(I)");
  EXPECT_EQ(world.data.versions["public.t"], 2);
  expect_in_step(world);
}

TEST(Copy, InByExtendedQueryAsLibpqDoes) {
  World world;
  Client& a = world.client();
  a.query("select a from t");
  // libpq sends the Sync with the Execute, and another one behind the end of the data.
  EXPECT_EQ(a.ask(parse("", kCopy) + bind() + describe() + execute() + testing::sync()), "1 2 n G");
  EXPECT_EQ(a.ask(copy_data("1\tx\n")), "");
  EXPECT_EQ(a.ask(copy_done() + testing::sync()), "C(COPY 1) Z(I)");
  EXPECT_EQ(a.query("select a from t"), kSelected);
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
  expect_in_step(world);
}

TEST(Copy, TheSyncBehindTheDataMayComeLater) {
  World world;
  Client& a = world.client();
  a.ask(parse("", kCopy) + bind() + execute() + testing::sync());
  EXPECT_EQ(a.ask(copy_done()), "C(COPY 1)");
  EXPECT_NE(a.session.server(), nullptr) << "its unit is not over";
  EXPECT_EQ(a.ask(testing::sync()), "Z(I)");
  expect_in_step(world);
}

TEST(Copy, InByExtendedQueryWithoutWaiting) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(parse("", kCopy) + bind() + execute() + testing::sync() + copy_data("x") +
                  testing::sync() + copy_done() + testing::sync() + unit("select a from t")),
            "1 2 G C(COPY 1) Z(I) 1 2 T D(public.t=1) C(SELECT 1) Z(I)");
  expect_in_step(world);
}

TEST(Copy, Trap05_AfterAnExtendedCopyWritesAreStillSettledByTheirOwnReadyForQuery) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  for (int i = 0; i < 3; ++i) {
    b.ask(parse("", kCopy) + bind() + execute() + testing::sync());
    b.ask(copy_done() + testing::sync());
  }
  b.query("begin");
  b.query("update t set a = 'x'");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=3) C(SELECT 1) Z(I)");
  b.query("commit");
  EXPECT_EQ(b.query("select fails from t"), "E(22012) Z(I)");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=4) C(SELECT 1) Z(I)");
  a.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
}

TEST(Copy, FailingInTheMiddle) {
  World world;
  Client& a = world.client();
  a.query(kCopy);
  EXPECT_EQ(a.ask(copy_data("this fails")), "E(22P04) Z(I)");
  EXPECT_EQ(a.ask(copy_data("more") + copy_done()), "");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  a.ask(parse("", kCopy) + bind() + execute() + testing::sync());
  EXPECT_EQ(a.ask(copy_data("this fails")), "E(22P04)");
  EXPECT_EQ(a.ask(copy_done() + testing::sync()), "Z(I)");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(a.query("copy t (fails) from stdin"), "E(22012) Z(I)");
  expect_in_step(world);
}

TEST(Copy, FailedByTheClient) {
  World world;
  Client& a = world.client();
  a.query(kCopy);
  EXPECT_EQ(a.ask(copy_data("x") + copy_fail()), "E(22P04) Z(I)");
  a.ask(parse("", kCopy) + bind() + execute() + testing::sync());
  EXPECT_EQ(a.ask(copy_fail() + testing::sync()), "E(22P04) Z(I)");
  expect_in_step(world);
}

TEST(Copy, LargeMessagesPassInParts) {
  World world;
  Client& a = world.client();
  a.query(kCopy);
  const std::string large = copy_data(std::string(300'000, 'x'));
  for (size_t at = 0; at < large.size(); at += 70'000) a.ask(large.substr(at, 70'000));
  EXPECT_EQ(a.ask(copy_done()), "C(COPY 1) Z(I)");
  expect_in_step(world);
}

TEST(Copy, Trap22_AClientThatVanishesInTheMiddle) {
  for (const int step : {0, 1, 2, 3}) {
    for (const bool simple : {true, false}) {
      World world;
      Client& a = world.client();
      const std::string begin =
          simple ? query(kCopy) : parse("", kCopy) + bind() + execute() + testing::sync();
      a.send(begin);
      if (step > 0) world.pump();
      if (step > 1) a.ask(copy_data("x"));
      if (step > 2) a.ask(copy_data(std::string(100'000, 'x')).substr(0, 50'000));
      a.vanish();
      EXPECT_EQ(world.data.versions["public.t"], 0) << step << simple;
      expect_in_step(world);
    }
  }
}

TEST(Copy, Trap05_AfterACopyWhoseClientHasGoneWritesAreSettledByTheirOwnReadyForQuery) {
  WorldOptions options = defaults();
  options.config.pool.size = 1;
  World world(options);
  Client& a = world.client();
  Client& b = world.client();
  b.query("select a from u");
  a.send(query(kCopy));
  a.vanish();  // before the server has said that it waits for data
  EXPECT_EQ(b.query("update u set a = 'x'"), "C(UPDATE 1) Z(I)");
  EXPECT_EQ(world.epochs.open_fences(), 0u);
  b.query("begin; select a from t");
  b.query("rollback");  // of nothing that was written
  EXPECT_EQ(b.query("select a from u"), "T D(public.u=1) C(SELECT 1) Z(I)");
}

TEST(Copy, CopyMessagesThatNoCopyWaitsForAreDropped) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.ask(copy_data("x") + copy_done() + copy_fail()), "");
  EXPECT_EQ(a.query("begin; update t set a = 'x'"), "C(BEGIN) C(UPDATE 1) Z(T)");
  EXPECT_EQ(a.ask(copy_data("x") + copy_done()), "");
  EXPECT_EQ(a.query("commit"), "C(COMMIT) Z(I)");
  expect_in_step(world);
}

TEST(Copy, InsideABlock) {
  World world;
  Client& a = world.client();
  Client& b = world.client();
  b.query("select a from t");
  a.query("begin");
  EXPECT_EQ(a.query(kCopy), "G");
  EXPECT_EQ(a.ask(copy_done()), "C(COPY 1) Z(T)");
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=1) C(SELECT 1) Z(T)");
  b.query("select a from t");
  EXPECT_EQ(world.hits(), 1u);
  a.query("commit");
  EXPECT_EQ(b.query("select a from t"), kSelected);
}

}  // namespace
}  // namespace pgrecall::session
