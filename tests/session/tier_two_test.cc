// Tier two in the hit path: when it is asked, what its answers are worth, who waits for them.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using Answers = std::vector<std::string>;

/// A store whose answers come when the test says so.
class FakeStore final : public cache::EntryStore {
 public:
  void get(const cache::CacheKeyView& key, Duration patience, GetCallback done) override {
    patiences.push_back(patience);
    ++gets;
    open.emplace_back(std::string(key.bytes), std::move(done));
    if (at_once) answer();
  }
  void put(const cache::CacheKeyView& key, std::string_view value, Duration life) override {
    ++puts;
    lives.push_back(life);
    values[std::string(key.bytes)] = value;
  }
  bool available() const override { return up; }
  uint64_t run_id() const override { return run; }

  /// Answers everything that was asked.
  void answer() {
    for (auto& [key, done] : std::exchange(open, {})) {
      const auto at = values.find(key);
      done(at == values.end() ? std::string() : at->second);
    }
  }

  std::map<std::string, std::string> values;
  std::vector<std::pair<std::string, GetCallback>> open;
  std::vector<Duration> lives;
  std::vector<Duration> patiences;
  int gets = 0;
  int puts = 0;
  bool at_once = false;
  bool up = true;
  uint64_t run = 7;
};

// The world builds its worker without a store and keeps it to itself; an explicit instantiation may
// name a private member.
WorkerContext& context_of(World& world);
template <auto Member>
struct Reach {
  friend WorkerContext& context_of(World& world) { return world.*Member; }
};
template struct Reach<&World::context_>;

constexpr std::string_view kRead = "select a from t";
constexpr std::string_view kRow0 = "T D(public.t=0) C(SELECT 1) Z(I)";
constexpr std::string_view kRow1 = "T D(public.t=1) C(SELECT 1) Z(I)";

class TierTwo : public ::testing::Test {
 protected:
  explicit TierTwo(WorldOptions options = defaults()) : world(std::move(options)) {
    context_of(world).store = &store;
  }

  /// Everything that is asked is answered, until nobody waits any more.
  void settle() {
    world.pump();
    while (!store.open.empty()) {
      store.answer();
      world.pump();
    }
  }
  std::string ask(Client& client, std::string_view bytes) {
    client.send(bytes);
    settle();
    return client.got();
  }
  std::string read(Client& client, std::string_view sql = kRead) { return ask(client, query(sql)); }
  void forget_tier_one() { world.shared().results.clear(); }
  uint64_t tier_two_hits() { return world.shared().stats.snapshot().hits_tier2; }

  FakeStore store;
  World world;
};

TEST_F(TierTwo, AnswersWhatTierOneForgot) {
  Client& a = world.client();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets, 1);
  EXPECT_EQ(store.puts, 1);
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(tier_two_hits(), 1u);
  EXPECT_EQ(world.asked(), Answers{std::string(kRead)});
  // From now on tier one has it again.
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets, 2);
  EXPECT_EQ(world.hits(), 2u);
  EXPECT_EQ(world.misses(), 1u);
}

TEST_F(TierTwo, TheValueIsWorthWaitingForAsLongAsPostgresqlTakes) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  read(a);
  ASSERT_EQ(store.patiences.size(), 2U);
  EXPECT_EQ(store.patiences[0], Duration::max()) << "nothing is known of this shape yet";
  EXPECT_LT(store.patiences[1], std::chrono::seconds(1));
}

TEST_F(TierTwo, AnswersFromWithinTheCall) {
  store.at_once = true;
  Client& a = world.client();
  EXPECT_EQ(a.query(kRead), kRow0);
  forget_tier_one();
  EXPECT_EQ(a.query(kRead), kRow0);
  EXPECT_EQ(tier_two_hits(), 1u);
  EXPECT_EQ(store.gets, 2);
}

TEST_F(TierTwo, TheClientWaitsWithoutAServer) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  world.pump();
  EXPECT_EQ(a.got(), "");
  EXPECT_EQ(a.session.server(), nullptr);
  // What the client sends meanwhile asks nothing twice.
  a.send(query("select a from u"));
  world.pump();
  EXPECT_EQ(store.gets, 2);
  settle();
  EXPECT_EQ(a.got(), std::string(kRow0) + " T D(public.u=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(store.gets, 3);
}

TEST_F(TierTwo, EpochsAreCheckedAfterTheValueArrived) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  world.pump();
  world.outside_write("t");
  settle();
  EXPECT_EQ(a.got(), kRow1);
  EXPECT_EQ(tier_two_hits(), 0u);
  EXPECT_EQ(world.misses(), 2u);
  EXPECT_EQ(store.gets, 2) << "a miss asks once";
}

TEST_F(TierTwo, AWriteThroughTheProxyWhileTheValueTravels) {
  Client& a = world.client();
  Client& b = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  world.pump();
  EXPECT_EQ(b.query("update t set a = 'x'"), "C(UPDATE 1) Z(I)");
  settle();
  EXPECT_EQ(a.got(), kRow1);
  EXPECT_EQ(tier_two_hits(), 0u);
}

TEST_F(TierTwo, AFenceUpMakesItABypass) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  world.pump();
  const invalidation::DependencyId ids[] = {world.table_id("t")};
  const auto fence = world.epochs.raise(ids);
  settle();
  EXPECT_EQ(a.got(), kRow0);
  EXPECT_EQ(world.bypasses(sql::BypassReason::kFence), 1u);
  EXPECT_EQ(tier_two_hits(), 0u);
  world.epochs.settle_rolled_back(fence);
}

TEST_F(TierTwo, AnExpiredValueIsAMiss) {
  Client& a = world.client();
  read(a);
  ASSERT_EQ(store.lives.size(), 1u);
  EXPECT_GT(store.lives[0], Duration::zero());
  EXPECT_LE(store.lives[0], world.config.cache.max_age_without_feed);
  forget_tier_one();
  world.clock.set(world.clock.now() + store.lives[0]);
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(tier_two_hits(), 0u);
  EXPECT_EQ(world.misses(), 2u);
}

TEST_F(TierTwo, JoinersGetTheLeadersValue) {
  Client& a = world.client();
  Client& b = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  b.send(query(kRead));
  world.pump();
  EXPECT_EQ(store.gets, 2) << "only the leader asks";
  settle();
  EXPECT_EQ(a.got(), kRow0);
  EXPECT_EQ(b.got(), kRow0);
  EXPECT_EQ(world.asked().size(), 1u);
  EXPECT_EQ(tier_two_hits(), 1u);
  EXPECT_EQ(world.hits(), 2u);
}

TEST_F(TierTwo, JoinersOfAMissGetTheServersRows) {
  Client& a = world.client();
  Client& b = world.client();
  a.send(query(kRead));
  b.send(query(kRead));
  settle();
  EXPECT_EQ(a.got(), kRow0);
  EXPECT_EQ(b.got(), kRow0);
  EXPECT_EQ(store.gets, 1);
  EXPECT_EQ(world.asked().size(), 1u);
}

TEST_F(TierTwo, ALateAnswerToAClientThatLeftFallsThrough) {
  Client& a = world.client();
  Client& b = world.client();
  read(a);
  forget_tier_one();
  a.send(query(kRead));
  b.send(query(kRead));
  world.pump();
  a.vanish();
  settle();
  EXPECT_EQ(b.got(), kRow0);
  EXPECT_EQ(read(b), kRow0);
}

TEST_F(TierTwo, IsNotAskedInsideATransactionOnTheServer) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  EXPECT_EQ(read(a, "begin"), "C(BEGIN) Z(T)");
  EXPECT_EQ(read(a, "select a from u"), "T D(public.u=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(store.gets, 2) << "nothing had reached the server yet";
  ASSERT_NE(a.session.server(), nullptr);
  a.send(query(kRead));
  world.pump();
  EXPECT_TRUE(store.open.empty());
  EXPECT_EQ(a.got(), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(store.gets, 2);
  EXPECT_EQ(read(a, "commit"), "C(COMMIT) Z(I)");
}

TEST_F(TierTwo, IsAskedInsideATransactionThatHoldsNothing) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  EXPECT_EQ(read(a, "begin"), "C(BEGIN) Z(T)");
  EXPECT_EQ(read(a), "T D(public.t=0) C(SELECT 1) Z(T)");
  EXPECT_EQ(tier_two_hits(), 1u);
  EXPECT_EQ(a.session.server(), nullptr);
}

TEST_F(TierTwo, AnUnavailableStoreIsLeftAlone) {
  store.up = false;
  Client& a = world.client();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets + store.puts, 0);
  store.up = true;
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets, 1);
  EXPECT_EQ(store.puts, 1);
}

TEST_F(TierTwo, AValueOfAnotherProcessIsAMiss) {
  Client& a = world.client();
  read(a);
  forget_tier_one();
  store.run = 8;
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(tier_two_hits(), 0u);
  EXPECT_EQ(world.misses(), 2u);
}

TEST_F(TierTwo, APoisonedValueIsAMiss) {
  Client& a = world.client();
  read(a);
  ASSERT_EQ(store.values.size(), 1u);
  std::string& value = store.values.begin()->second;
  const std::string good = value;
  for (const std::string& bad :
       {std::string("x"), good.substr(0, good.size() - 1), good + "x",
        std::string(good).replace(good.find("public.t=0"), 10, "public.t=9")}) {
    value = bad;
    forget_tier_one();
    EXPECT_EQ(read(a), kRow0);
    EXPECT_EQ(tier_two_hits(), 0u);
  }
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(tier_two_hits(), 1u) << "the last miss put a good one";
}

TEST_F(TierTwo, AValueUnderAnotherKeyIsAMiss) {
  Client& a = world.client();
  read(a);
  read(a, "select a from u");
  ASSERT_EQ(store.values.size(), 2u);
  std::swap(store.values.begin()->second, store.values.rbegin()->second);
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(tier_two_hits(), 0u);
}

TEST_F(TierTwo, KeysTellContextsLiteralsParametersAndFormatsApart) {
  Client& a = world.client();
  Client& b = world.client({{"TimeZone", "Asia/Tokyo"}});
  const std::string one = "select a from t where id = $1";
  EXPECT_EQ(read(a), kRow0);
  EXPECT_NE(read(b), kRow0);
  read(a, "select a from t where id = 1");
  read(a, "select a from t where id = 2");
  read(a, "select a from t order by 1");
  read(a, "select a from t order by 2");
  const std::string parameter_1 = ask(a, unit(one, {{"1"}}));
  const std::string parameter_2 = ask(a, unit(one, {{"2"}}));
  const std::string binary_2 = ask(a, unit(one, {{"2"}, "", true}));
  EXPECT_NE(parameter_1, parameter_2);
  EXPECT_NE(parameter_2, binary_2);
  EXPECT_EQ(store.values.size(), 9u);
  EXPECT_EQ(tier_two_hits(), 0u);
  forget_tier_one();
  EXPECT_EQ(ask(a, unit(one, {{"1"}})), parameter_1);
  EXPECT_EQ(ask(a, unit(one, {{"2"}})), parameter_2);
  EXPECT_EQ(ask(a, unit(one, {{"2"}, "", true})), binary_2);
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(read(a, "SELECT  a  FROM t -- the same"), kRow0);
  EXPECT_EQ(tier_two_hits(), 4u);
  EXPECT_EQ(store.values.size(), 9u);
}

TEST_F(TierTwo, AnAnswerThatLacksTheDescriptionIsAMiss) {
  Client& a = world.client();
  const std::string bare = parse("", kRead) + bind() + execute() + sync();
  const std::string first = ask(a, bare);
  forget_tier_one();
  EXPECT_EQ(ask(a, bare), first);
  EXPECT_EQ(tier_two_hits(), 1u);
  forget_tier_one();
  EXPECT_EQ(ask(a, unit(kRead)), "1 2 " + std::string(kRow0));
  EXPECT_EQ(tier_two_hits(), 1u);
}

TEST_F(TierTwo, ObserveNeitherAsksNorPuts) {
  world.shared().mode = config::CacheMode::kObserve;
  Client& a = world.client();
  EXPECT_EQ(read(a), kRow0);
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets + store.puts, 0);
}

class TierTwoUnderARule : public TierTwo {
 protected:
  static WorldOptions options() {
    WorldOptions options = defaults();
    config::Rule rule;
    rule.tables = {"t"};
    rule.redis = false;
    options.config.rules = {rule};
    return options;
  }
  TierTwoUnderARule() : TierTwo(options()) {}
};

TEST_F(TierTwoUnderARule, WhatIsKeptOutIsNeitherPutNorAskedFor) {
  Client& a = world.client();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(world.hits(), 1u);
  forget_tier_one();
  EXPECT_EQ(read(a), kRow0);
  EXPECT_EQ(store.gets + store.puts, 0);
  read(a, "select a from u");
  EXPECT_EQ(store.gets, 1);
  EXPECT_EQ(store.puts, 1);
}

}  // namespace
}  // namespace pgrecall::session
