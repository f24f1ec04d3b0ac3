// Several clients on a few servers, every byte and every task in random order: no read may show a
// state older than what was committed when it was asked, nor one that never was.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
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
      if (one_in(250)) accident();
      world_.step(random_);
      look();
    }
    do {
      for (Actor& actor : actors_) send_some(actor, true);
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
  /// One statement of a client, answered by one ReadyForQuery.
  struct Ask {
    std::string sql;
    std::string reads;  ///< a table
    std::string wrote;
    int floor = 0;  ///< the version that `reads` had at least when this was asked
  };
  struct Actor {
    Client* client = nullptr;
    std::deque<Ask> asked;               ///< and not answered
    std::string unsent;                  ///< bytes of it that have not left the client
    bool block = false;                  ///< in an explicit transaction, as last told
    std::map<std::string, int> pending;  ///< own writes in it
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
    actor.asked.emplace_back().sql = "login";
    actor.client->send(startup({{"user", "alice"}, {"database", "site"}}));
  }

  void act() {
    Actor& actor = actors_[random_() % actors_.size()];
    if (!actor.unsent.empty()) return send_some(actor, one_in(2));
    if (!actor.asked.empty()) return;
    const size_t many = one_in(4) ? 2 + random_() % 3 : 1;
    for (size_t i = 0; i < many; ++i) ask(actor, choose(actor));
    send_some(actor, !one_in(4));
  }

  Ask choose(const Actor& actor) {
    const std::string table = kTables[random_() % 2];
    switch (random_() % 12) {
      case 0:
        // A slow one stays under its fence for long.
        return {"update " + table + " set a = " + (one_in(4) ? "sleeps" : "'x'"), "", table};
      case 1:
        if (actor.block && !one_in(4)) return {one_in(3) ? "rollback" : "commit", "", ""};
        return {actor.block ? "rollback" : "begin", "", ""};
      case 2:
        if (one_in(6)) return {"do 'bump t'", "", "t"};
        break;
      case 3:
        if (one_in(3)) return {"select fails from " + table, "", ""};
        if (one_in(6)) return {"alter table " + table + " add column z int", "", ""};
        break;
      case 4:
        if (!one_in(3)) break;
        return {"begin; update " + table + " set a = 'x'; commit", "", table};
      default:
        break;
    }
    ++totals_.reads;
    return {"select a from " + table, table, "", version(table)};
  }

  void ask(Actor& actor, const Ask& ask) {
    note(actor, "asks " + ask.sql);
    const bool extended = ask.sql.find(';') == std::string::npos && one_in(2);
    if (!extended) {
      actor.unsent += query(ask.sql);
    } else {
      // Bound long before it is executed, executed long before the Sync that commits it.
      actor.unsent += parse("", ask.sql) + bind() + describe() + (one_in(6) ? flush() : "");
      actor.unsent += execute() + (one_in(4) ? flush() : "") + testing::sync();
    }
    actor.asked.push_back(ask);
  }

  void send_some(Actor& actor, bool all) {
    if (actor.unsent.empty()) return;
    const size_t bytes = all ? actor.unsent.size() : 1 + random_() % actor.unsent.size();
    const std::string part = actor.unsent.substr(0, bytes);
    actor.unsent.erase(0, bytes);
    note(actor, "sends " + std::to_string(bytes) + " bytes");
    actor.client->send(part);
  }

  void note(const Actor& actor, const std::string& text) {
    story_ += "\n  " + std::to_string(&actor - actors_.data()) + " " + text;
  }

  /// Reads what has arrived; judges every answer that is complete.
  void look() {
    for (Actor& actor : actors_) {
      if (actor.client->closed) {
        come_back(actor);
        continue;
      }
      const std::string_view ready("Z\0\0\0\5", 5);
      std::string& inbox = actor.client->inbox;
      for (size_t at = inbox.find(ready); at != std::string::npos && at + 6 <= inbox.size();
           at = inbox.find(ready)) {
        judge(actor, read(inbox.substr(0, at + 6)), inbox[at + 5]);
        inbox.erase(0, at + 6);
        if (failed()) return;
      }
    }
  }

  void judge(Actor& actor, const std::string& got, char status) {
    note(actor, "got " + got);
    ASSERT_FALSE(actor.asked.empty()) << "an answer too many" << story_;
    const Ask ask = actor.asked.front();
    actor.asked.pop_front();
    const bool error = got.find("E(") != std::string::npos;
    if (!error && !ask.wrote.empty()) ++actor.pending[ask.wrote];
    if (!ask.reads.empty() && !error) {
      const size_t at = got.find('=');
      ASSERT_NE(at, std::string::npos) << got << story_;
      const int shown = std::atoi(got.c_str() + at + 1);
      const int own = actor.pending[ask.reads];
      ASSERT_GE(shown, ask.floor + own) << "stale" << story_;
      ASSERT_LE(shown, version(ask.reads) + own) << "never committed" << story_;
    }
    actor.block = status != 'I';
    if (actor.block) return;
    const bool rolled_back = error || got.find("C(ROLLBACK)") != std::string::npos;
    for (const auto& [table, count] : std::exchange(actor.pending, {})) {
      for (Ask& later : actor.asked) {
        if (!rolled_back && later.reads == table) later.floor += count;
      }
    }
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

  void accident() {
    Actor& actor = actors_[random_() % actors_.size()];
    const size_t server = world_.leased(*actor.client);
    switch (random_() % 5) {
      case 0:
        note(actor, "vanishes");
        actor.client->closed = true;
        return actor.client->session.on_client_end();
      case 1:
        note(actor, "cancels");
        return actor.client->session.on_cancel();
      case 2:
        story_ += "\n  the catalog changes";
        return world_.catalog_changes();
      default:
        if (server == SIZE_MAX) return;
        note(actor, "loses its server");
        return world_.kill(server, one_in(2) ? "57P01" : "");
    }
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
