// Several clients on a few servers, every byte and every task in random order: no read may show a
// state older than what was committed when it was asked, nor one that never was.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "pgrecall/base/fault.h"
#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;

constexpr const char* kTables[] = {"t", "u"};

struct Totals {
  uint64_t hits = 0;
  uint64_t reads = 0;
  uint64_t joins = 0;
};

class Crowd {
 public:
  Crowd(unsigned seed, Totals& totals) : random_(seed), world_(options(seed)), totals_(totals) {
    for (int i = 0; i < 4; ++i) join();
  }

  void run() {
    for (int i = 0; i < 400 && !failed(); ++i) {
      if (one_in(3)) act();
      if (one_in(20)) wake(false);
      if (one_in(150)) outside();
      if (one_in(250)) kill();
      world_.step(random_);
      look();
    }
    for (Actor& actor : actors_) end_unit(actor);
    do {
      while (world_.step(random_) && !failed()) look();
    } while (wake(true));
    look();
    for (Actor& actor : actors_) actor.client->vanish();
    do {
      world_.pump();
    } while (wake(true));  // a write runs to its end although its client has gone
    ASSERT_EQ(world_.epochs.open_fences(), 0u) << story_;
    ASSERT_EQ(world_.pool().numbers().idle, world_.pool().numbers().connections) << story_;
    totals_.hits += world_.hits();
  }

 private:
  struct Actor {
    Client* client = nullptr;
    bool busy = false;
    bool block = false;                  ///< in an explicit transaction
    std::map<std::string, int> pending;  ///< own writes in it
    std::string reads;                   ///< the table asked for, empty: none
    int floor = 0;                       ///< its version when it was asked for
    std::string wrote;
    bool owes_sync = false;
  };

  static WorldOptions options(unsigned seed) {
    WorldOptions made = defaults();
    made.config.pool.size = 1 + seed % 3;
    made.config.pool.lazy_begin = seed % 4 != 0;
    return made;
  }

  bool one_in(unsigned n) { return random_() % n == 0; }
  static bool failed() { return ::testing::Test::HasFatalFailure(); }
  int& version(const std::string& table) { return world_.data.versions["public." + table]; }

  void join() {
    Actor actor;
    actor.client = &world_.client();
    actors_.push_back(actor);
  }

  /// A login may have to wait for a server that others hold.
  void come_back(Actor& actor) {
    note(actor, "was closed: " + actor.client->got());
    actor = {};
    actor.client = &world_.stranger();
    actor.busy = true;
    actor.client->send(startup({{"user", "alice"}, {"database", "site"}}));
  }

  void act() {
    Actor& actor = actors_[random_() % actors_.size()];
    if (actor.busy) return end_unit(actor);
    actor.busy = true;
    actor.reads.clear();
    actor.wrote.clear();
    const std::string table = kTables[random_() % 2];
    switch (random_() % 12) {
      case 0:
        actor.wrote = table;
        // A slow one stays under its fence for long.
        return ask(actor, "update " + table + " set a = " + (one_in(4) ? "sleeps" : "'x'"));
      case 1:
        if (actor.block && !one_in(4)) return ask(actor, one_in(3) ? "rollback" : "commit");
        return ask(actor, actor.block ? "rollback" : "begin");
      case 2:
        if (!one_in(6)) break;
        actor.wrote = "t";
        return ask(actor, "do 'bump t'");
      case 3:
        if (!one_in(3)) break;
        return ask(actor, "select fails from " + table);
      case 4:
        if (!one_in(3) || actor.block) break;
        actor.wrote = table;
        return ask(actor, "begin; update " + table + " set a = 'x'; commit");
      default:
        break;
    }
    actor.reads = table;
    actor.floor = version(table);
    ++totals_.reads;
    ask(actor, "select a from " + table);
  }

  void ask(Actor& actor, const std::string& sql) {
    note(actor, "asks " + sql);
    const bool extended = sql.find(';') == std::string::npos && one_in(2);
    if (!extended) return actor.client->send(query(sql));
    const std::string whole = unit(sql);
    // Executed long before the Sync that commits it.
    actor.owes_sync = one_in(4);
    const size_t sync_bytes = testing::sync().size();
    actor.client->send(actor.owes_sync ? whole.substr(0, whole.size() - sync_bytes) + flush()
                                       : whole);
  }

  void end_unit(Actor& actor) {
    if (!std::exchange(actor.owes_sync, false)) return;
    note(actor, "ends its unit");
    actor.client->send(testing::sync());
  }

  void note(const Actor& actor, const std::string& text) {
    story_ += "\n  " + std::to_string(&actor - actors_.data()) + " " + text;
  }

  /// Reads what has arrived; judges what is complete.
  void look() {
    for (Actor& actor : actors_) {
      if (actor.client->closed) {
        come_back(actor);
        continue;
      }
      if (!actor.busy || actor.client->inbox.size() < 6) continue;
      const std::string& inbox = actor.client->inbox;
      const std::string_view end = std::string_view(inbox).substr(inbox.size() - 6);
      if (end.substr(0, 5) != std::string_view("Z\0\0\0\5", 5)) continue;
      judge(actor, actor.client->got(), end.back());
      if (failed()) return;
    }
  }

  void judge(Actor& actor, const std::string& got, char status) {
    note(actor, "got " + got);
    actor.busy = false;
    const bool error = got.find("E(") != std::string::npos;
    if (!error && !actor.wrote.empty() && status != 'I') ++actor.pending[actor.wrote];
    if (!actor.reads.empty() && !error) {
      const size_t at = got.find('=');
      ASSERT_NE(at, std::string::npos) << got << story_;
      const int shown = std::atoi(got.c_str() + at + 1);
      const int own = actor.pending[actor.reads];
      ASSERT_GE(shown, actor.floor + own) << "stale: seed story" << story_;
      ASSERT_LE(shown, version(actor.reads) + own) << "never committed" << story_;
    }
    actor.block = status != 'I';
    if (!actor.block) actor.pending.clear();
  }

  /// Lets slow statements go on: one of them, or all.
  bool wake(bool all) {
    bool woken = false;
    for (size_t i = 0; i < world_.servers_made() && (all || !woken); ++i) {
      if (!world_.server(i).sleeping()) continue;
      world_.wake(i);
      woken = true;
    }
    return woken;
  }

  void outside() {
    const std::string table = kTables[random_() % 2];
    story_ += "\n  outside writes " + table;
    world_.outside_write(table);
  }

  void kill() {
    Actor& actor = actors_[random_() % actors_.size()];
    const size_t server = world_.leased(*actor.client);
    if (server == SIZE_MAX) return;
    note(actor, "loses its server");
    world_.kill(server, one_in(2) ? "57P01" : "");
  }

  std::mt19937 random_;
  World world_;
  Totals& totals_;
  std::vector<Actor> actors_;
  std::string story_;
};

TEST(Freshness, NoReadIsOlderThanWhatWasCommittedWhenItWasAsked) {
  Totals totals;
  const char* asked = std::getenv("PGRECALL_TEST_SEEDS");
  const unsigned seeds = asked == nullptr ? 400 : static_cast<unsigned>(std::atoi(asked));
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Crowd(seed, totals).run();
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_GT(totals.hits, totals.reads / 10);
}

#ifdef PGRECALL_FAULTS
/// Rules 1 to 6, broken in turn: each must show as a stale read, or this test proves nothing. Not
/// here: a join that is not checked, for then the leader's fill is refused and nobody is shown it.
TEST(Freshness, ABrokenRuleIsFound) {
  for (const Fault broken :
       {Fault::kFillIgnoresEpoch, Fault::kFillIgnoresFence, Fault::kHitIgnoresFence,
        Fault::kHitIgnoresEpoch, Fault::kNoRaise, Fault::kNoAdvance, Fault::kSettleAtComplete,
        Fault::kAckBeforeAdvance, Fault::kOpaqueIsRead, Fault::kHitInOwnTransaction}) {
    fault_mask = 1U << static_cast<unsigned>(broken);
    bool found = false;
    for (unsigned seed = 1; seed <= 400 && !found; ++seed) {
      ::testing::TestPartResultArray results;
      {
        ::testing::ScopedFakeTestPartResultReporter reporter(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
        Totals totals;
        Crowd(seed, totals).run();
      }
      found = results.size() > 0;
    }
    fault_mask = 0;
    EXPECT_TRUE(found) << fault_name(broken);
  }
}
#endif

}  // namespace
}  // namespace pgrecall::session
