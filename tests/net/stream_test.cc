#include "pgrecall/net/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include <cerrno>

#include "net/support.h"

namespace pgrecall::net::testing {
namespace {

class StreamTest : public LoopTest {
 protected:
  /// A server that gives its one connection to `server`.
  uint16_t listen_for(Recorder& server) {
    auto opened = Listener::open_tcp(
        *loop, "127.0.0.1", 0,
        [this, &server](Accepted accepted) {
          server_stream = Stream::adopt(*loop, accepted.fd, server);
        },
        [](std::string_view text) { ADD_FAILURE() << text; });
    EXPECT_TRUE(opened.ok());
    listener = std::move(*opened);
    return listener->port();
  }
  static Address loopback(uint16_t port) { return *Address::numeric({"127.0.0.1", port}); }

  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> server_stream;
};

TEST_F(StreamTest, EchoesOverAConnectionOfItsOwnMaking) {
  Recorder server, client;
  const uint16_t port = listen_for(server);
  server.when_bytes = [&](std::string_view bytes) { server.write(*server_stream, bytes); };
  auto stream = Stream::connect(*loop, loopback(port), client);
  EXPECT_FALSE(stream->connected());
  client.write(*stream, "hello ");  // before the connection stands
  client.when_connected = [&] {
    EXPECT_TRUE(stream->connected());
    client.write(*stream, "world");
  };
  client.when_bytes = [&](std::string_view) {
    if (client.received.size() == 11) loop->stop();
  };
  run();
  EXPECT_EQ(client.received, "hello world");
  EXPECT_EQ(server.received, "hello world");
  EXPECT_FALSE(client.end.has_value());
}

TEST_F(StreamTest, ASlowReaderMakesOutputWaitAndLosesNothing) {
  const auto [ours, theirs] = tcp_pair(64 * 1024);
  constexpr size_t kTotal = 24 * 1024 * 1024, kPart = 1024 * 1024;
  Recorder writer, reader;
  auto out = Stream::adopt(*loop, ours, writer);
  auto in = Stream::adopt(*loop, theirs, reader);
  in->pause_reading();
  for (size_t sent = 0; sent < kTotal; sent += kPart) writer.write(*out, pattern(sent, kPart));
  EXPECT_GT(out->pending(), kTotal / 2);
  EXPECT_EQ(writer.drained, 0);
  reader.keep = false;
  std::string expected = pattern(0, kTotal);
  bool equal = true;
  size_t seen = 0;
  reader.when_bytes = [&](std::string_view bytes) {
    equal = equal && std::string_view(expected).substr(seen, bytes.size()) == bytes;
    seen += bytes.size();
    // The reader stalls at every step and goes on in a later turn.
    in->pause_reading();
    loop->post([&] { in->resume_reading(); });
    if (seen == kTotal) loop->stop();
  };
  loop->post([&] { in->resume_reading(); });
  run();
  EXPECT_TRUE(equal);
  EXPECT_EQ(seen, kTotal);
  EXPECT_EQ(out->pending(), 0u);
  EXPECT_EQ(writer.drained, 1);
}

TEST_F(StreamTest, DrainedIsCalledOncePerBacklogAndMayWriteAgain) {
  const auto [ours, theirs] = tcp_pair(32 * 1024);
  Recorder writer, reader;
  auto out = Stream::adopt(*loop, ours, writer);
  auto in = Stream::adopt(*loop, theirs, reader);
  reader.keep = false;
  const std::string block(8 * 1024 * 1024, 'x');
  writer.write(*out, block);
  ASSERT_GT(out->pending(), 0u);
  writer.when_drained = [&] {
    if (writer.drained == 1) {
      writer.write(*out, block);
      EXPECT_GT(out->pending(), 0u);
    }
  };
  reader.when_bytes = [&](std::string_view) {
    if (reader.received_bytes == 2 * block.size()) loop->stop();
  };
  run();
  EXPECT_EQ(writer.drained, 2);
}

TEST_F(StreamTest, NothingIsReadWhilePaused) {
  const auto [ours, theirs] = tcp_pair();
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  stream->pause_reading();
  ASSERT_EQ(::send(theirs, "later", 5, 0), 5);
  int turns = 0;
  std::function<void()> turn = [&] {
    EXPECT_EQ(handler.received, "");
    if (++turns < 20)
      loop->post(turn);
    else
      stream->resume_reading();
  };
  loop->post(turn);
  handler.when_bytes = [&](std::string_view) { loop->stop(); };
  run();
  EXPECT_EQ(turns, 20);
  EXPECT_EQ(handler.received, "later");
  close(theirs);
}

TEST_F(StreamTest, ARefusedConnectionEndsWithTheReason) {
  uint16_t port;
  {
    Recorder unused;
    port = listen_for(unused);
    listener.reset();
  }
  Recorder client;
  client.inside_call = true;
  auto stream = Stream::connect(*loop, loopback(port), client);
  client.inside_call = false;
  client.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(client.end, ECONNREFUSED);
  EXPECT_FALSE(client.connected);
}

TEST_F(StreamTest, AConnectThatFailsAtOnceIsToldLater) {
  Recorder client;
  client.inside_call = true;
  auto stream = Stream::connect(*loop, *Address::unix_path("/nonexistent/socket"), client);
  client.inside_call = false;
  EXPECT_FALSE(client.end.has_value());
  client.when_end = [&] {
    stream.reset();
    loop->stop();
  };
  run();
  EXPECT_EQ(client.end, ENOENT);
}

TEST_F(StreamTest, AFailingReconnectFromItsOwnEndDoesNotStarveTheLoop) {
  Recorder client;
  const Address nowhere = *Address::unix_path("/nonexistent/socket");
  std::unique_ptr<Stream> stream;
  int attempts = 0;
  client.when_end = [&] {
    ++attempts;
    client.end.reset();
    stream = Stream::connect(*loop, nowhere, client);
  };
  stream = Stream::connect(*loop, nowhere, client);
  auto timer = loop->make_timer([&] { loop->stop(); });
  timer->start(5ms);
  run();
  EXPECT_GT(attempts, 1);
}

TEST_F(StreamTest, DestroyedBeforeItsDueEndNobodyIsCalled) {
  Recorder client;
  auto stream = Stream::connect(*loop, *Address::unix_path("/nonexistent/socket"), client);
  auto other = Stream::connect(*loop, *Address::unix_path("/nonexistent/socket"), client);
  stream.reset();
  client.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(client.end, ENOENT);  // the other's; a second end would fail in the Recorder
}

TEST_F(StreamTest, AnOrderlyEndIsZero) {
  const auto [ours, theirs] = tcp_pair();
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  ASSERT_EQ(::send(theirs, "bye", 3, 0), 3);
  close(theirs);
  handler.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(handler.received, "bye");
  EXPECT_EQ(handler.end, 0);
}

TEST_F(StreamTest, AResetIsAnErrorAfterTheBytesBeforeIt) {
  const auto [ours, theirs] = tcp_pair();
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  ASSERT_EQ(::send(theirs, "last words", 10, 0), 10);
  reset(theirs);
  handler.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(handler.received, "last words");
  EXPECT_EQ(handler.end, ECONNRESET);
}

TEST_F(StreamTest, AFailedSendStillDeliversWhatThePeerHadSent) {
  const auto [ours, theirs] = tcp_pair();
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  handler.when_end = [&] { loop->stop(); };
  loop->post([&, peer = theirs] {
    ASSERT_EQ(::send(peer, "FATAL", 5, 0), 5);
    reset(peer);
    handler.write(*stream, "a query");  // fails: the reset is here already
    EXPECT_EQ(stream->pending(), 0u);
    handler.write(*stream, "another");
  });
  run();
  EXPECT_EQ(handler.received, "FATAL");
  ASSERT_TRUE(handler.end.has_value());
  EXPECT_NE(*handler.end, 0);
}

TEST_F(StreamTest, AFailedSendIsToldAlsoWhileReadingIsPaused) {
  const auto [ours, theirs] = tcp_pair();
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  stream->pause_reading();
  handler.when_end = [&] { loop->stop(); };
  loop->post([&, peer = theirs] {
    reset(peer);
    handler.write(*stream, "a query");
  });
  run();
  EXPECT_TRUE(handler.end == ECONNRESET || handler.end == EPIPE);
}

TEST_F(StreamTest, AResetEndsABacklogOfAPausedStream) {
  const auto [ours, theirs] = tcp_pair(32 * 1024);
  Recorder handler;
  auto stream = Stream::adopt(*loop, ours, handler);
  stream->pause_reading();
  handler.write(*stream, std::string(16 * 1024 * 1024, 'x'));
  ASSERT_GT(stream->pending(), 0u);
  handler.when_end = [&] { loop->stop(); };
  loop->post([peer = theirs] { reset(peer); });
  run();
  EXPECT_TRUE(handler.end == ECONNRESET || handler.end == EPIPE);
  EXPECT_EQ(handler.drained, 0);
}

TEST_F(StreamTest, MayBeDestroyedFromWithinEveryCallback) {
  {
    Recorder server, client;
    const uint16_t port = listen_for(server);
    auto stream = Stream::connect(*loop, loopback(port), client);
    client.write(*stream, "x");
    client.when_connected = [&] { stream.reset(); };
    server.when_end = [&] {
      server_stream.reset();
      loop->stop();
    };
    run();
    EXPECT_TRUE(client.connected);
    EXPECT_TRUE(server.end.has_value());
  }
  {
    const auto [ours, theirs] = tcp_pair();
    Recorder handler;
    auto stream = Stream::adopt(*loop, ours, handler);
    const std::string much(300 * 1024, 'x');
    auto peer = Stream::adopt(*loop, theirs, handler);
    peer->write(much);
    handler.when_bytes = [&](std::string_view) {
      stream.reset();
      peer.reset();
      loop->stop();
    };
    run();
    EXPECT_LE(handler.received_bytes, Stream::kReadBufferBytes);
  }
  {
    const auto [ours, theirs] = tcp_pair(32 * 1024);
    Recorder writer, reader;
    auto out = Stream::adopt(*loop, ours, writer);
    auto in = Stream::adopt(*loop, theirs, reader);
    writer.write(*out, std::string(8 * 1024 * 1024, 'x'));
    writer.when_drained = [&] { out.reset(); };
    reader.when_end = [&] {
      in.reset();
      loop->stop();
    };
    run();
    EXPECT_EQ(writer.drained, 1);
    EXPECT_EQ(reader.received_bytes, 8u * 1024 * 1024);
  }
}

TEST_F(StreamTest, ABusyPeerDoesNotStarveTheOthers) {
  const auto [flooded, flood] = tcp_pair();
  const auto [quiet, knock] = tcp_pair();
  Recorder busy, calm, source;
  auto busy_stream = Stream::adopt(*loop, flooded, busy);
  auto calm_stream = Stream::adopt(*loop, quiet, calm);
  auto source_stream = Stream::adopt(*loop, flood, source);
  busy.keep = false;
  constexpr size_t kFlood = 64 * 1024 * 1024;
  source.write(*source_stream, std::string(kFlood, 'f'));
  size_t busy_bytes_then = 0;
  busy.when_bytes = [&, peer = knock](std::string_view bytes) {
    if (busy.received_bytes == bytes.size()) {
      ASSERT_EQ(::send(peer, "!", 1, 0), 1);
    }
    if (busy.received_bytes == kFlood) loop->stop();
  };
  calm.when_bytes = [&](std::string_view) { busy_bytes_then = busy.received_bytes; };
  run();
  EXPECT_EQ(calm.received, "!");
  EXPECT_LT(busy_bytes_then, 16u * Stream::kReadBufferBytes);
  close(knock);
}

TEST_F(StreamTest, ShutdownAfterFlushSendsEverythingFirst) {
  const auto [ours, theirs] = tcp_pair(32 * 1024);
  Recorder writer, reader;
  auto out = Stream::adopt(*loop, ours, writer);
  auto in = Stream::adopt(*loop, theirs, reader);
  const size_t total = 8 * 1024 * 1024;
  writer.write(*out, pattern(0, total));
  reader.write(*in, "this is not delivered any more");
  out->shutdown_after_flush();
  writer.write(*out, "nor is this");
  int ends = 0;
  reader.when_end = [&] {
    in.reset();  // the peer closes in turn
    if (++ends == 2) loop->stop();
  };
  writer.when_end = [&] {
    out.reset();
    if (++ends == 2) loop->stop();
  };
  run();
  EXPECT_EQ(reader.received, pattern(0, total));
  EXPECT_EQ(reader.end, 0);
  EXPECT_EQ(writer.end, 0);
  EXPECT_EQ(writer.received, "");
  EXPECT_EQ(writer.drained, 0);
}

TEST_F(StreamTest, ShutdownAfterFlushEndsWhenThePeerDoesNotCloseOrDoesNotRead) {
  const auto [ours, theirs] = tcp_pair();
  Recorder patient;
  auto stream = Stream::adopt(*loop, ours, patient);
  stream->write("bye");
  stream->shutdown_after_flush(20ms);
  patient.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(patient.end, 0) << "everything had left";
  close(theirs);

  const auto [stalled, deaf] = tcp_pair(16 * 1024);
  Recorder stuck;
  auto stuck_stream = Stream::adopt(*loop, stalled, stuck);
  stuck_stream->write(std::string(16 * 1024 * 1024, 'x'));
  ASSERT_GT(stuck_stream->pending(), 0u);
  stuck_stream->shutdown_after_flush(20ms);
  stuck.when_end = [&] { loop->stop(); };
  run();
  EXPECT_EQ(stuck.end, ETIMEDOUT);
  close(deaf);
}

TEST_F(StreamTest, ShutdownWhileThePeerHasHalfClosedStillFlushes) {
  const auto [ours, theirs] = tcp_pair(32 * 1024);
  Recorder writer, reader;
  auto out = Stream::adopt(*loop, ours, writer);
  const size_t total = 8 * 1024 * 1024;
  writer.write(*out, std::string(total, 'x'));
  out->shutdown_after_flush();
  ::shutdown(theirs, SHUT_WR);
  std::unique_ptr<Stream> in;
  // Let the half-close be seen before anything is read.
  int turns = 0;
  std::function<void()> turn = [&, peer = theirs] {
    if (++turns < 10)
      loop->post(turn);
    else
      in = Stream::adopt(*loop, peer, reader);
  };
  loop->post(turn);
  reader.keep = false;
  int ends = 0;
  writer.when_end = [&] {
    out.reset();
    if (++ends == 2) loop->stop();
  };
  reader.when_end = [&] {
    if (++ends == 2) loop->stop();
  };
  run();
  EXPECT_EQ(reader.received_bytes, total);
  EXPECT_EQ(writer.end, 0);
}

TEST_F(StreamTest, TheHandlerCanBeReplaced) {
  const auto [ours, theirs] = tcp_pair();
  Recorder first, second;
  auto stream = Stream::adopt(*loop, ours, first);
  ASSERT_EQ(::send(theirs, "one", 3, 0), 3);
  first.when_bytes = [&, peer = theirs](std::string_view) {
    stream->set_handler(second);
    ASSERT_EQ(::send(peer, "two", 3, 0), 3);
  };
  second.when_bytes = [&](std::string_view) { loop->stop(); };
  run();
  EXPECT_EQ(first.received, "one");
  EXPECT_EQ(second.received, "two");
  close(theirs);
}

TEST_F(StreamTest, SocketsAreNotInheritedAndDoNotDelay) {
  Recorder server, client;
  const uint16_t port = listen_for(server);
  auto stream = Stream::connect(*loop, loopback(port), client);
  client.when_connected = [&] { client.write(*stream, "x"); };
  server.when_bytes = [&](std::string_view) { loop->stop(); };
  run();
  for (const int fd : {stream->fd(), server_stream->fd()}) {
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    int value = 0;
    socklen_t length = sizeof value;
    ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    EXPECT_EQ(value, 1);
    ASSERT_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length), 0);
    EXPECT_EQ(value, 1);
  }
}

}  // namespace
}  // namespace pgrecall::net::testing
