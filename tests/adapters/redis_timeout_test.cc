// What counts as a time-out of Redis: its silence, never the time in which this thread was busy.
// Redis is played on the store's own loop, so a stall of the machine delays both alike.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>

#include "net/support.h"
#include "pgrecall/adapters/redis_store.h"

namespace pgrecall::adapters {
namespace {

using namespace std::chrono_literals;
using State = RedisStore::State;

/// Answers INFO at once, and each GET when the test says so.
class PlayedRedis final : private net::StreamHandler {
 public:
  explicit PlayedRedis(net::Loop& loop) : loop_(loop) {
    auto listener = net::Listener::open_tcp(
        loop, "127.0.0.1", 0, [this](net::Accepted client) { accept(client.fd); },
        [](std::string_view) {});
    PGR_ASSERT(listener.ok());
    listener_ = std::move(*listener);
  }

  uint16_t port() const { return listener_->port(); }
  void answer(std::string_view value) {
    stream_->write("$" + std::to_string(value.size()) + "\r\n" + std::string(value) + "\r\n");
  }

  std::function<void()> when_asked;  ///< a GET was read

 private:
  void accept(int fd) { stream_ = net::Stream::adopt(loop_, fd, *this); }
  void on_readable_bytes(std::string_view bytes) override {
    read_ += bytes;
    for (size_t end = 0; (end = read_.find("\r\n")) != std::string::npos;) {
      const std::string line = read_.substr(0, end);
      read_.erase(0, end + 2);
      if (line == "INFO") answer("run_id:1");
      if (line == "GET" && when_asked) when_asked();
    }
  }
  void on_writable_drained() override {}
  void on_end(int) override {}

  net::Loop& loop_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Stream> stream_;
  std::string read_;
};

class RedisTimeoutTest : public net::testing::LoopTest {
 protected:
  void open(Duration timeout) {
    RedisOptions options;
    options.endpoint = {"127.0.0.1", redis_.port()};
    options.timeout = timeout;
    options.connect_timeout = 20s;
    options.retry_min = 60s;
    options.retry_max = 60s;
    store_ = std::make_unique<RedisStore>(*loop, options);
    store_->when_state_changes([this](State state) {
      if (state != State::kConnecting) loop->stop();
    });
    run();
    ASSERT_EQ(store_->state(), State::kReady) << store_->last_error();
  }
  void get(std::string_view name, std::optional<std::string>* answer,
           Duration patience = Duration::max()) {
    store_->get({cache::hash_key(name), name}, patience, [this, answer](std::string value) {
      *answer = std::move(value);
      loop->stop();
    });
  }

  PlayedRedis redis_{*loop};
  std::unique_ptr<RedisStore> store_;
};

TEST_F(RedisTimeoutTest, TimeInWhichThisThreadWasBusyIsNotRedissSilence) {
  for (const bool before_it_left : {true, false}) {
    open(100ms);
    auto later = loop->make_timer([this] { redis_.answer("value"); });
    redis_.when_asked = [&] { later->start(20ms); };
    std::optional<std::string> answer;
    const auto be_busy = [this] { loop->defer([] { usleep(300'000); }); };
    if (before_it_left) be_busy();  // what is deferred first runs before the command leaves
    get("one", &answer);
    if (!before_it_left) be_busy();
    run();
    EXPECT_EQ(answer, "value") << "busy " << (before_it_left ? "before" : "after")
                               << " the command left";
    EXPECT_EQ(store_->stats().timeouts, 0U);
  }
}

TEST_F(RedisTimeoutTest, AnAnswerThatIsThereWhenTheTimeIsUpIsNoTimeout) {
  int written_in_time = 0;
  for (int at_tick = 1; at_tick <= 12; ++at_tick) {
    open(1ms);
    std::optional<std::string> answer;
    int tick = 0;
    bool written = false;
    // Each turn takes longer than any timer waits, so this timer and the store's are due together,
    // this one first: the answer is written after the last look at the socket.
    auto player = loop->make_timer([&] {
      if (++tick == at_tick && store_->available()) {
        redis_.answer("value");
        written = true;
      }
      loop->defer([] { usleep(8'000); });
    });
    redis_.when_asked = [&] { player->start(0ms, 1ms); };
    get("one", &answer);
    run();
    if (!written) continue;  // the time was up before
    ++written_in_time;
    EXPECT_EQ(answer, "value") << "written at tick " << at_tick;
    EXPECT_EQ(store_->stats().timeouts, 0U) << "written at tick " << at_tick;
  }
  EXPECT_GT(written_in_time, 0);
}

TEST_F(RedisTimeoutTest, SilenceOpensTheBreaker) {
  open(10ms);
  std::optional<std::string> answer;
  get("one", &answer);
  run();
  EXPECT_EQ(answer, "");
  EXPECT_EQ(store_->stats().timeouts, 1U);
  EXPECT_EQ(store_->state(), State::kWaiting);
  EXPECT_EQ(store_->last_error(), "Redis did not answer a command in time");
}

TEST_F(RedisTimeoutTest, WhoLosesPatienceGoesOnAndTheBreakerStaysClosed) {
  open(30s);
  int asked = 0;
  redis_.when_asked = [&] { ++asked; };
  std::optional<std::string> first, second;
  get("one", &first, 10ms);
  run();
  EXPECT_EQ(first, "");
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(store_->state(), State::kReady);
  EXPECT_EQ(store_->stats().unawaited, 1U);
  EXPECT_EQ(store_->stats().timeouts, 0U);
  first.reset();
  redis_.when_asked = [&] {
    redis_.answer("late");
    redis_.answer("value");
  };
  get("two", &second);
  run();
  EXPECT_EQ(second, "value") << "the late answer belongs to nobody";
  EXPECT_EQ(first, std::nullopt) << "called back twice";
}

}  // namespace
}  // namespace pgrecall::adapters
