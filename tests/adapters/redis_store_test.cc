#include "pgrecall/adapters/redis_store.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "adapters/redis_process.h"
#include "net/support.h"
#include "pgrecall/cache/entry_codec.h"

namespace pgrecall::adapters {
namespace {

using namespace std::chrono_literals;
using net::testing::LoopTest;
using State = RedisStore::State;
using testing::RedisProcess;

cache::CacheKeyView key(std::string_view text) {
  return {cache::hash_key(text), text};
}

class RedisStoreTest : public LoopTest {
 protected:
  void SetUp() override {
    if (!RedisProcess::installed()) GTEST_SKIP() << "no redis-server on this machine";
  }

  static RedisOptions options_of(const RedisProcess& redis) {
    RedisOptions options;
    options.endpoint = {"127.0.0.1", redis.port()};
    options.timeout = 5s;  // a busy machine is no failure; tests of the timeout set their own
    options.connect_timeout = 20s;
    options.retry_min = 5ms;
    options.retry_max = 40ms;
    return options;
  }
  void open(RedisOptions options) {
    store_ = std::make_unique<RedisStore>(*loop, std::move(options));
  }
  /// Runs the loop until the store has been in this state.
  void await(State state) {
    bool reached = store_->state() == state;
    if (reached) return;
    store_->when_state_changes([&](State now) {
      if (now != state || reached) return;
      reached = true;
      loop->stop();
    });
    run();
    store_->when_state_changes(nullptr);
    ASSERT_TRUE(reached) << store_->last_error();
  }
  std::string get(std::string_view name) {
    std::optional<std::string> answer;
    bool inside = true;
    store_->get(key(name), Duration::max(), [&](std::string value) {
      answer = std::move(value);
      if (!inside) loop->stop();
    });
    inside = false;
    if (!answer) run();
    return answer.value_or("never called back");
  }
  /// Commands are answered in order, so a get proves that the put before it was done.
  void put(std::string_view name, std::string_view value) {
    store_->put(key(name), value, 60s);
    get(name);
  }

  std::unique_ptr<RedisStore> store_;
};

TEST_F(RedisStoreTest, AValueComesBackUntilItExpires) {
  RedisProcess redis;
  open(options_of(redis));
  EXPECT_FALSE(store_->available());
  EXPECT_EQ(get("early"), "") << "before the connection stands everything is a miss";
  await(State::kReady);
  EXPECT_NE(store_->run_id(), 0U);
  EXPECT_EQ(get("one"), "");
  const std::string value("va\0lue\r\n", 8);
  put("one", value);
  EXPECT_EQ(get("one"), value);
  EXPECT_EQ(get("two"), "");
  EXPECT_NE(redis.command("KEYS pgrecall:e1:*").find("*1\r\n"), std::string::npos);
  store_->put(key("brief"), "x", 1ms);
  while (!get("brief").empty()) {
  }
  EXPECT_EQ(store_->stats().timeouts, 0U);
  EXPECT_EQ(store_->stats().errors, 0U);
}

TEST_F(RedisStoreTest, LogsInSelectsTheDatabaseAndSpeaksOverAUnixSocket) {
  RedisProcess redis(
      {"--user", "cache", "on", ">s3cret", "~site:*", "+get", "+set", "+select", "+info"});
  RedisOptions options = options_of(redis);
  options.socket_path = redis.socket_path();
  options.endpoint.port = 1;  // not used
  options.user = "cache";
  options.password = "s3cret";
  options.database = 3;
  options.prefix = "site";
  open(std::move(options));
  await(State::kReady);
  put("one", "value");
  EXPECT_EQ(get("one"), "value");
  EXPECT_NE(redis.command("INFO keyspace").find("db3:keys=1"), std::string::npos);
}

TEST_F(RedisStoreTest, Trap29_AWrongPasswordIsOneReasonForPeopleAndAMissForClients) {
  RedisProcess redis({"--requirepass", "right"});
  RedisOptions options = options_of(redis);
  options.password = "wr0ng-secret";
  open(std::move(options));
  await(State::kWaiting);
  EXPECT_NE(store_->last_error().find("WRONGPASS"), std::string::npos) << store_->last_error();
  EXPECT_EQ(store_->last_error().find("wr0ng-secret"), std::string::npos);
  EXPECT_EQ(get("one"), "");
  await(State::kConnecting);
  await(State::kWaiting);
  open(options_of(redis));  // none at all
  await(State::kWaiting);
  EXPECT_NE(store_->last_error().find("NOAUTH"), std::string::npos) << store_->last_error();
}

TEST_F(RedisStoreTest, AServerThatKnowsNoLoginDoesNotEchoThePassword) {
  RedisProcess redis({"--rename-command", "AUTH", ""});
  RedisOptions options = options_of(redis);
  for (const char* user : {"", "cache-user"}) {
    options.user = user;
    options.password = "pass w0rd" + std::string(200, 'x');  // more than Redis repeats
    open(options);
    await(State::kWaiting);
    EXPECT_NE(store_->last_error().find("unknown command"), std::string::npos)
        << store_->last_error();
    EXPECT_EQ(store_->last_error().find("w0rd"), std::string::npos) << store_->last_error();
  }
}

TEST_F(RedisStoreTest, Trap29_AfterAStopTheStoreReturnsOnItsOwnAndEmpty) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  put("one", "value");
  const uint64_t first_life = store_->run_id();
  redis.stop();
  await(State::kWaiting);
  EXPECT_EQ(store_->run_id(), 0U);
  EXPECT_EQ(get("one"), "");
  store_->put(key("one"), "lost", 60s);
  await(State::kConnecting);
  await(State::kWaiting);
  redis.start();
  await(State::kReady);
  EXPECT_NE(store_->run_id(), first_life);
  EXPECT_EQ(get("one"), "");
  put("one", "again");
  EXPECT_EQ(get("one"), "again");
}

TEST_F(RedisStoreTest, Trap29_ACommandInFlightWhenRedisDiesIsAMiss) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  redis.signal(SIGSTOP);
  int misses = 0;
  for (int i = 0; i < 10; ++i) {
    store_->get(key("one"), Duration::max(), [&](const std::string& value) {
      EXPECT_EQ(value, "");
      if (++misses == 10) loop->stop();
    });
  }
  redis.stop();
  run();
  EXPECT_EQ(misses, 10);
}

TEST_F(RedisStoreTest, Trap29_APausedRedisCostsOneTimeoutAndComesBackByItself) {
  RedisProcess redis;
  RedisOptions options = options_of(redis);
  options.timeout = 300ms;
  options.connect_timeout = 500ms;
  open(std::move(options));
  await(State::kReady);
  put("one", "value");
  redis.signal(SIGSTOP);
  EXPECT_EQ(get("one"), "");
  EXPECT_EQ(store_->stats().timeouts, 1U);
  EXPECT_EQ(store_->state(), State::kWaiting) << "the breaker is open";
  EXPECT_EQ(store_->stats().errors, 0U) << "one event, one figure";
  const uint64_t gets = store_->stats().gets;
  EXPECT_EQ(get("one"), "");
  EXPECT_EQ(store_->stats().gets, gets) << "a miss at once, nothing was sent";
  await(State::kConnecting);
  await(State::kWaiting);  // the kernel accepts for a stopped process, the login is not answered
  EXPECT_EQ(store_->stats().timeouts, 1U) << "connect_timeout is not redis.timeout";
  EXPECT_EQ(store_->stats().errors, 1U) << "a connection that failed";
  redis.signal(SIGCONT);
  await(State::kReady);
  EXPECT_EQ(get("one"), "value");
}

TEST_F(RedisStoreTest, ASlowTurnOfTheLoopIsNoTimeout) {
  RedisProcess redis;
  RedisOptions options = options_of(redis);
  options.timeout = 100ms;
  open(std::move(options));
  await(State::kReady);
  int answers = 0;
  for (int i = 0; i < 2; ++i) {
    store_->get(key("one"), Duration::max(), [&](const std::string&) { ++answers; });
    // The command leaves at the end of this turn; the next turn begins long after its deadline.
    loop->defer([] { usleep(300'000); });
    auto stop = loop->make_timer([&] { loop->stop(); });
    while (answers <= i && store_->available()) {
      stop->start(1ms);
      run();
    }
  }
  EXPECT_EQ(store_->stats().timeouts, 0U);
  EXPECT_EQ(answers, 2);
}

TEST_F(RedisStoreTest, Trap29_AFullRedisRefusesValuesButStillAnswers) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  put("one", "value");
  EXPECT_EQ(store_->stats().puts, 1U);
  redis.command("CONFIG SET maxmemory 1");
  put("two", "value");
  EXPECT_EQ(store_->stats().errors, 1U);
  EXPECT_EQ(store_->stats().puts, 1U) << "a value that Redis refused is not stored";
  EXPECT_TRUE(store_->available());
  EXPECT_EQ(get("one"), "value");
  EXPECT_EQ(get("two"), "");
}

TEST_F(RedisStoreTest, Trap29_AServerThatBecameAReplicaIsLeft) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  redis.command("REPLICAOF 127.0.0.1 1");
  store_->put(key("one"), "value", 60s);
  await(State::kWaiting);
  EXPECT_NE(store_->last_error().find("READONLY"), std::string::npos) << store_->last_error();
  EXPECT_EQ(store_->stats().errors, 1U) << "the reply and the loss are one event";
  redis.command("REPLICAOF NO ONE");
  await(State::kReady);
  put("one", "value");
  EXPECT_EQ(get("one"), "value");
}

TEST_F(RedisStoreTest, Trap29_APoisonedValueIsAMissBehindTheCodec) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  invalidation::EpochTable table(1000);
  const std::array<const invalidation::EpochSlot*, 1> slots = {table.slot(1)};
  cache::CachedResult result;
  ASSERT_TRUE(invalidation::EpochTable::stamp(slots, &result.stamp));
  result.bytes = std::string("C\0\0\0\x0dSELECT 0\0", 14);
  result.expires_at = TimePoint(1000s);
  const cache::StoreIdentity identity{.generation = 7, .run_id = store_->run_id()};
  const cache::TwoClocks now{TimePoint(10s), 1'700'000'000'000'000};
  put("one", cache::encode_entry(key("one"), result, identity, now));
  auto verdict = [&] {
    return cache::decode_entry(key("one"), get("one"), identity, now, table).verdict;
  };
  EXPECT_EQ(verdict(), cache::EntryVerdict::kGood);
  const std::string name = [&] {
    const std::string keys = redis.command("KEYS *");
    const size_t at = keys.find("pgrecall:");
    return keys.substr(at, keys.find("\r\n", at) - at);
  }();
  redis.command("SETRANGE " + name + " 40 zz");
  EXPECT_EQ(verdict(), cache::EntryVerdict::kBad);
  redis.command("SET " + name + " nonsense");
  EXPECT_EQ(verdict(), cache::EntryVerdict::kBad);
  redis.command("DEL " + name);
  EXPECT_EQ(verdict(), cache::EntryVerdict::kBad);
  redis.command("LPUSH " + name + " wrong-type");
  EXPECT_EQ(verdict(), cache::EntryVerdict::kBad);
  EXPECT_TRUE(store_->available()) << "a wrong value is no reason to leave";
}

TEST_F(RedisStoreTest, CommandsAndBytesAreBounded) {
  RedisProcess redis;
  RedisOptions options = options_of(redis);
  options.commands_max = 4;
  options.value_bytes_max = 1000;
  open(std::move(options));
  await(State::kReady);
  int at_once = 0;
  int later = 0;
  bool inside = true;
  for (int i = 0; i < 10; ++i) {
    store_->get(key("one"), Duration::max(), [&](const std::string&) {
      ++(inside ? at_once : later);
      if (at_once + later == 10) loop->stop();
    });
  }
  inside = false;
  run();
  EXPECT_EQ(at_once, 6);
  EXPECT_EQ(later, 4);
  EXPECT_EQ(store_->stats().gets, 4U) << "the others were not sent";
  put("big", std::string(1001, 'x'));
  EXPECT_EQ(store_->stats().puts, 0U);
  EXPECT_EQ(get("big"), "");
  put("fits", std::string(1000, 'x'));
  EXPECT_EQ(get("fits").size(), 1000U);
}

TEST_F(RedisStoreTest, LargeValuesAndManyCommandsKeepTheirOrder) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  std::vector<std::string> values;
  for (int i = 0; i < 20; ++i) {
    values.push_back(std::string(static_cast<size_t>(i) * 50'000, static_cast<char>('a' + i)) +
                     "end");
    store_->put(key(std::to_string(i)), values.back(), 60s);
  }
  int seen = 0;
  for (int i = 0; i < 20; ++i) {
    store_->get(key(std::to_string(i)), Duration::max(), [&, i](const std::string& value) {
      EXPECT_TRUE(value == values[static_cast<size_t>(i)]) << i;
      if (++seen == 20) loop->stop();
    });
  }
  run();
  EXPECT_EQ(seen, 20);
}

TEST_F(RedisStoreTest, FiguresCountWhatHappenedOnceEach) {
  RedisProcess redis;
  open(options_of(redis));
  EXPECT_EQ(get("early"), "");
  store_->put(key("early"), "value", 60s);
  EXPECT_EQ(store_->stats().gets, 0U) << "no connection stood";
  await(State::kReady);
  put("one", "value");
  EXPECT_EQ(store_->stats().gets, 1U);
  EXPECT_EQ(store_->stats().puts, 1U);
  EXPECT_EQ(store_->stats().errors, 0U);
  redis.stop();
  await(State::kWaiting);
  EXPECT_EQ(store_->stats().errors, 1U) << "a connection that broke";
  await(State::kConnecting);
  await(State::kWaiting);
  EXPECT_EQ(store_->stats().errors, 2U) << "a connection that failed";
  EXPECT_EQ(store_->stats().timeouts, 0U);
}

TEST_F(RedisStoreTest, ALoginThatIsRefusedIsOneError) {
  RedisProcess redis({"--requirepass", "right"});
  RedisOptions options = options_of(redis);
  options.password = "wrong";
  open(std::move(options));
  await(State::kWaiting);
  EXPECT_EQ(store_->stats().errors, 1U);
}

TEST_F(RedisStoreTest, NobodyIsCalledOnceTheStoreIsDestroyed) {
  RedisProcess redis;
  open(options_of(redis));
  await(State::kReady);
  store_->get(key("one"), Duration::max(),
              [](const std::string&) { ADD_FAILURE() << "called after its end"; });
  store_.reset();
  auto stop = loop->make_timer([&] { loop->stop(); });
  stop->start(1ms);
  run();
}

TEST_F(RedisStoreTest, NoServerAtAllIsRetriedForEver) {
  RedisOptions options;
  options.endpoint = {"127.0.0.1", testing::free_port()};
  options.retry_min = 1ms;
  options.retry_max = 4ms;
  open(std::move(options));
  for (int i = 0; i < 5; ++i) {
    await(State::kWaiting);
    EXPECT_EQ(store_->last_error(), "Connection refused");
    await(State::kConnecting);
  }
  RedisOptions unresolvable;
  unresolvable.socket_path = "/nonexistent/redis.sock";
  open(std::move(unresolvable));
  await(State::kWaiting);
  EXPECT_EQ(get("one"), "");
}

}  // namespace
}  // namespace pgrecall::adapters
