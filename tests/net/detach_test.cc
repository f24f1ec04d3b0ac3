// A connection moves between loops of different threads while its peer keeps sending.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "net/support.h"
#include "pgrecall/net/thread.h"

namespace pgrecall::net::testing {
namespace {

/// One worker: a loop on a thread of its own that can hold the travelling stream.
struct Worker : StreamHandler {
  explicit Worker(std::string name) {
    loop = Loop::create().value();
    Result<Thread> started = start_thread(std::move(name), 1024 * 1024, [this] { loop->run(); });
    PGR_ASSERT(started.ok());
    thread = std::move(*started);
  }
  ~Worker() override { PGR_ASSERT(stream == nullptr); }
  void stop() {
    loop->post([this] {
      stream.reset();
      loop->stop();
    });
    thread.join();
  }
  void take(int fd) {
    ++visits;
    bytes_this_visit = 0;
    stream = Stream::adopt(*loop, fd, *this);
  }
  void on_readable_bytes(std::string_view bytes) override {
    when_bytes(bytes);
    bytes_this_visit += bytes.size();
    if (bytes_this_visit < kBytesPerVisit || other == nullptr) return;
    const int fd = stream->detach();
    stream.reset();
    other->loop->post([to = other, fd] { to->take(fd); });
  }
  void on_writable_drained() override {}
  void on_end(int error) override { when_end(error); }

  static constexpr size_t kBytesPerVisit = 20'000;
  std::unique_ptr<Loop> loop;
  Thread thread;
  std::unique_ptr<Stream> stream;
  Worker* other = nullptr;
  int visits = 0;
  size_t bytes_this_visit = 0;
  std::function<void(std::string_view)> when_bytes;
  std::function<void(int)> when_end;
};

TEST(DetachTest, AConnectionMovesBetweenThreadsWithoutLosingAByte) {
  constexpr size_t kTotal = 16 * 1024 * 1024;
  const auto [ours, theirs] = tcp_pair();
  std::string received;
  std::atomic<int> ended{-1};
  Worker first("first"), second("second");
  first.other = &second;
  second.other = &first;
  for (Worker* worker : {&first, &second}) {
    worker->when_bytes = [&](std::string_view bytes) { received.append(bytes); };
    worker->when_end = [&](int error) {
      ended = error;
      ended.notify_all();
    };
  }
  first.loop->post([&, fd = ours] { first.take(fd); });
  for (size_t sent = 0; sent < kTotal;) {
    const std::string part = pattern(sent, 64 * 1024);
    size_t left = part.size();
    while (left > 0) {
      pollfd writable{theirs, POLLOUT, 0};
      ASSERT_EQ(::poll(&writable, 1, 60'000), 1) << "the reader stopped reading";
      const ssize_t count =
          ::send(theirs, part.data() + part.size() - left, left, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0 && errno == EAGAIN) continue;
      ASSERT_GT(count, 0);
      left -= static_cast<size_t>(count);
    }
    sent += part.size();
  }
  close(theirs);
  ended.wait(-1);
  first.stop();
  second.stop();
  EXPECT_EQ(ended, 0);
  EXPECT_GT(first.visits, 10);
  EXPECT_GT(second.visits, 10);
  EXPECT_TRUE(received == pattern(0, kTotal));
}

class ManyTest : public LoopTest {};

TEST_F(ManyTest, TwoThousandConnectionsEachGetTheirEcho) {
  constexpr size_t kConnections = 2'000;
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8'192);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GE(limit.rlim_cur, 2 * kConnections + 100) << "this machine allows too few descriptors";

  struct Echo {
    Recorder handler;
    std::unique_ptr<Stream> stream;
  };
  std::vector<std::unique_ptr<Echo>> servers, clients;
  auto listener = Listener::open_tcp(
      *loop, "127.0.0.1", 0,
      [&](Accepted accepted) {
        servers.push_back(std::make_unique<Echo>());
        Echo& echo = *servers.back();
        echo.handler.when_bytes = [&echo](std::string_view bytes) { echo.stream->write(bytes); };
        echo.stream = Stream::adopt(*loop, accepted.fd, echo.handler);
      },
      [](std::string_view text) { ADD_FAILURE() << text; });
  ASSERT_TRUE(listener.ok());
  const Address address = *Address::numeric({"127.0.0.1", (*listener)->port()});
  size_t answered = 0;
  for (size_t i = 0; i < kConnections; ++i) {
    clients.push_back(std::make_unique<Echo>());
    Echo& echo = *clients.back();
    echo.stream = Stream::connect(*loop, address, echo.handler);
    const std::string message = "message " + std::to_string(i);
    echo.stream->write(message);
    echo.handler.when_bytes = [&, message](std::string_view) {
      if (echo.handler.received == message && ++answered == kConnections) loop->stop();
    };
  }
  run();
  EXPECT_EQ(answered, kConnections);
  EXPECT_EQ(servers.size(), kConnections);
}

}  // namespace
}  // namespace pgrecall::net::testing
