// Random conversations, through the proxy and on a direct connection: the bytes must be the same,
// although another client changes settings, statements and data on the same server connections in
// between, and although most reads are answered from memory.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;

class Script {
 public:
  /// Half of the scripts do nothing that pins a client, so that most of their reads are cacheable.
  explicit Script(unsigned seed) : random_(seed), mild_(seed % 2 == 0) {}

  size_t below(size_t bound) { return random_() % bound; }
  bool one_in(unsigned n) { return random_() % n == 0; }

  /// One thing that a client sends without waiting, and its description.
  struct Step {
    std::string bytes;
    std::string text;
    bool waits = false;  ///< may end with messages that nobody flushes
  };

  Step step() {
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        return simple(read());
      case 3:
        return simple(write());
      case 4:
      case 5:
        return simple(transaction());
      case 6:
        return simple(setting());
      case 7:
        return simple(mild_ ? read() : other());
      case 8:
        return simple(mild_ ? read() : read() + "; " + write() + "; " + read());
      case 9:
        return whole_unit();
      default:
        return some_messages();
    }
  }

  Step end_unit() { return {sync(), "Sync"}; }

 private:
  template <size_t N>
  std::string pick(const char* const (&list)[N]) {
    return list[below(N)];
  }

  std::string read() {
    return pick({"select a from t", "select a from t", "select a from u", "select a from big",
                 "select a from t where id = 1", "SELECT a  FROM t -- x", "select fails from t",
                 "select a from nope", "nonsense", "", ";", "select 1"});
  }
  std::string write() {
    if (mild_) return pick({"update t set a = 'x'", "insert into u values (1)"});
    return pick({"update t set a = 'x'", "insert into u values (1)", "delete from big",
                 "update t set a = fails", "update tenant_a.t set a = 'y'", "do 'bump t'"});
  }
  std::string transaction() {
    return pick({"begin", "begin", "BEGIN", "start transaction", "commit", "commit", "rollback",
                 "savepoint s1", "savepoint s2", "rollback to s1", "release s1", "rollback to s2",
                 "commit; begin"});
  }
  std::string setting() {
    if (mild_) return plain_setting();
    return pick({"set timezone = 'UTC'", "set timezone = 'Asia/Tokyo'",
                 "set local timezone = 'Europe/Paris'", "reset timezone", "reset all",
                 "set search_path = tenant_a", "set search_path = 'tenant_b'",
                 "set local search_path = tenant_a", "reset search_path", "discard all",
                 "set role bob", "reset role", "show timezone",
                 "select set_config('timezone', 'America/Lima', false)",
                 "select set_config('search_path', 'tenant_b', true)",
                 "set timezone = 'Asia/Tokyo'; select fails from t",
                 "begin; set timezone = 'Africa/Cairo'; select a from t"});
  }
  /// Without RESET, which a start-up value replaces only at the end of a unit.
  std::string plain_setting() {
    return pick({"set timezone = 'Asia/Tokyo'", "set local timezone = 'Europe/Paris'",
                 "set search_path = tenant_a", "set role bob", "show timezone"});
  }
  std::string other() {
    return pick({"prepare p1 as select a from t", "execute p1", "deallocate p1", "deallocate all",
                 "deallocate s1", "create temp table u", "listen c", "do 'bump u'"});
  }

  Step simple(const std::string& sql) { return {query(sql), "Query(" + sql + ")"}; }

  Step whole_unit() {
    const std::string sql = one_in(3) ? write() : one_in(4) ? transaction() : read();
    return {unit(sql, {.parameters = {}, .binary = one_in(4)}), "unit(" + sql + ")"};
  }

  std::string statement_name() { return pick({"", "", "s1", "s2", "s3", "s4"}); }
  std::string portal_name() { return pick({"", "", "", "c1"}); }

  /// Extended messages in no particular order, with or without a Sync behind them.
  Step some_messages() {
    Step step;
    const auto add = [&](std::string bytes, const std::string& text) {
      step.bytes += bytes;
      step.text += (step.text.empty() ? "" : "+") + text;
    };
    for (size_t i = 1 + below(6); i > 0; --i) {
      const std::string name = statement_name();
      const std::string portal = portal_name();
      switch (below(9)) {
        case 0:
        case 1: {
          const std::string sql = one_in(4) ? write() : one_in(5) ? plain_setting() : read();
          add(parse(name, sql), "Parse " + name + "(" + sql + ")");
          break;
        }
        case 2:
        case 3:
          add(bind(name, {.parameters = {}, .portal = portal}), "Bind " + name + ">" + portal);
          break;
        case 4:
        case 5: {
          const int32_t rows = one_in(3) ? static_cast<int32_t>(1 + below(3)) : 0;
          add(execute(rows, portal), "Execute " + portal + std::to_string(rows));
          break;
        }
        case 6:
          if (one_in(2))
            add(describe(portal), "Describe >" + portal);
          else
            add(describe_statement(name), "Describe " + name);
          break;
        case 7:
          if (one_in(2))
            add(close_statement(name), "Close " + name);
          else
            add(close_portal(portal), "Close >" + portal);
          break;
        default:
          if (one_in(2))
            add(flush(), "Flush");
          else
            add(sync(), "Sync");
      }
    }
    if (!one_in(3))
      add(sync(), "Sync");
    else
      step.waits = true;
    return step;
  }

  std::mt19937 random_;
  bool mild_;
};

/// The same conversation on a direct connection.
class Direct {
 public:
  explicit Direct(const std::map<std::string, std::string>& parameters) : fake_(data, 1) {
    fake_.receive(startup(parameters));
    fake_.out.clear();
  }
  std::string ask(std::string_view bytes) {
    fake_.receive(bytes);
    return std::exchange(fake_.out, {});
  }
  char status() const { return fake_.status(); }
  FakeData data;

 private:
  FakePostgres fake_;
};

/// Somebody else on the same pool; leaves no transaction open and writes where the direct world is
/// told.
void disturb(Script& script, Client& other, FakeData& direct) {
  switch (script.below(6)) {
    case 0:
      other.query("set timezone = 'Pacific/Fiji'");
      break;
    case 1:
      other.query("reset all");
      break;
    case 2:
      other.ask(parse("s1", "select a from u") + bind("s1") + execute() + sync());
      break;
    case 3:
      other.query("update u set a = 'z'");
      ++direct.versions["public.u"];
      break;
    case 4:
      other.query("set search_path = tenant_b");
      other.query("select a from t");
      break;
    default:
      other.query("begin");
      other.query("select a from t");
      other.query("set local timezone = 'Pacific/Apia'");
      other.query("rollback");
  }
}

struct Totals {
  uint64_t hits = 0;
  uint64_t misses = 0;
};

void converse(unsigned seed, bool every_byte, Totals* totals) {
  Script script(seed);
  WorldOptions options = defaults();
  options.every_byte = every_byte;
  options.config.pool.lazy_begin = seed % 5 != 0;
  World world(options);
  std::map<std::string, std::string> parameters = {{"user", "alice"}, {"database", "site"}};
  if (script.one_in(3)) parameters["TimeZone"] = "Europe/Oslo";
  if (script.one_in(4)) parameters["search_path"] = "tenant_a";
  Client& client = world.client(parameters);
  Client& other = world.client();
  Direct direct(parameters);
  std::string so_far;
  std::string got;
  std::string expected;
  // What is not flushed or synced may be answered later, but nothing else instead.
  const auto compare = [&](const Script::Step& step) {
    client.send(step.bytes);
    world.pump();
    got += client.take();
    expected += direct.ask(step.bytes);
    so_far += "\n  " + step.text;
    if (!step.waits || !expected.starts_with(got)) {
      ASSERT_EQ(testing::read(got), testing::read(expected)) << "seed " << seed << so_far;
    }
    if (got.size() == expected.size()) {
      so_far += "\n    " + testing::read(got);
      got.clear();
      expected.clear();
    }
  };
  for (size_t i = 5 + script.below(25); i > 0; --i) {
    compare(script.step());
    if (::testing::Test::HasFatalFailure()) return;
    if (script.one_in(3)) disturb(script, other, direct.data);
  }
  compare(script.end_unit());
  totals->hits += world.hits();
  totals->misses += world.misses();
}

TEST(Transparency, RandomConversationsLookAsOnADirectConnection) {
  Totals totals;
  // PGRECALL_TEST_SEEDS asks for more than a quick run has time for.
  const char* asked = std::getenv("PGRECALL_TEST_SEEDS");
  const unsigned seeds = asked == nullptr ? 3000 : static_cast<unsigned>(std::atoi(asked));
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    converse(seed, false, &totals);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(totals.hits, seeds / 4);
  EXPECT_GT(totals.misses, seeds / 4);
}

TEST(Transparency, Trap27_ByteByByteAsWell) {
  Totals totals;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    converse(seed, true, &totals);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(totals.hits, 30u);
}

}  // namespace
}  // namespace pgrecall::session
