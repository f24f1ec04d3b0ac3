// What the tests of net share: a guarded loop, a recording handler, raw sockets.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pgrecall/net/listener.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/net/stream.h"

namespace pgrecall::net::testing {

using namespace std::chrono_literals;

/// Runs a loop until `loop->stop()`; a test that hangs fails instead.
class LoopTest : public ::testing::Test {
 protected:
  LoopTest() {
    Result<std::unique_ptr<Loop>> created = Loop::create();
    PGR_ASSERT(created.ok());
    loop = std::move(*created);
  }

  void run() { run(*loop); }
  static void run(Loop& which) {
    auto guard = which.make_timer([&which] {
      ADD_FAILURE() << "the awaited event did not come in a minute";
      which.stop();
    });
    guard->start(60s);
    which.run();
  }

  std::unique_ptr<Loop> loop;
};

/// Records everything; hooks run after recording and may destroy the stream.
struct Recorder : StreamHandler {
  void on_connected() override {
    EXPECT_FALSE(connected);
    EXPECT_FALSE(inside_call);
    connected = true;
    if (when_connected) when_connected();
  }
  void on_readable_bytes(std::string_view bytes) override {
    EXPECT_FALSE(bytes.empty());
    EXPECT_FALSE(end.has_value()) << "bytes after the end";
    EXPECT_FALSE(inside_call) << "called from within a call to the stream";
    received_bytes += bytes.size();
    if (keep) received.append(bytes);
    if (when_bytes) when_bytes(bytes);
  }
  void on_writable_drained() override {
    EXPECT_FALSE(end.has_value());
    EXPECT_FALSE(inside_call);
    ++drained;
    if (when_drained) when_drained();
  }
  void on_end(int error) override {
    EXPECT_FALSE(end.has_value()) << "a second end";
    EXPECT_FALSE(inside_call);
    end = error;
    if (when_end) when_end();
  }
  /// Writes, and proves that nothing is called back meanwhile.
  void write(Stream& stream, std::string_view bytes) {
    inside_call = true;
    stream.write(bytes);
    inside_call = false;
  }

  std::function<void()> when_connected, when_drained, when_end;
  std::function<void(std::string_view)> when_bytes;
  std::string received;
  size_t received_bytes = 0;
  std::optional<int> end;
  int drained = 0;
  bool connected = false;
  bool keep = true;
  bool inside_call = false;
};

/// Two connected non-blocking TCP sockets over loopback.
inline std::pair<int, int> tcp_pair(int receive_buffer_bytes = 0) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer_bytes > 0)
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  PGR_ASSERT(bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
  PGR_ASSERT(listen(listener, 1) == 0);
  PGR_ASSERT(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  PGR_ASSERT(connect(ours, reinterpret_cast<sockaddr*>(&address), length) == 0);
  const int theirs = accept(listener, nullptr, nullptr);
  PGR_ASSERT(theirs >= 0);
  close(listener);
  return {ours, theirs};
}

/// Closes with a reset instead of an orderly end.
inline void reset(int fd) {
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
}

/// Bytes whose order is visible: the same pattern from the same offset.
inline std::string pattern(size_t offset, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(((offset + i) * 2654435761U) >> 13);
  return text;
}

}  // namespace pgrecall::net::testing
