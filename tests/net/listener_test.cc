#include "pgrecall/net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "net/support.h"

namespace pgrecall::net::testing {
namespace {

class ListenerTest : public LoopTest {
 protected:
  ListenerTest() {
    char name[] = "/tmp/pgrecall_net_XXXXXX";
    folder = mkdtemp(name);
  }
  ~ListenerTest() override {
    for (const Accepted& one : accepted) close(one.fd);
    std::filesystem::remove_all(folder);
  }
  Result<std::unique_ptr<Listener>> open_tcp(const std::string& host, uint16_t port) {
    return Listener::open_tcp(*loop, host, port, on_accept, on_problem);
  }
  Result<std::unique_ptr<Listener>> open_unix(uint16_t port) {
    return Listener::open_unix(*loop, folder, port, on_accept, on_problem);
  }
  static int connect_to(const Address& address) {
    const int fd = socket(address.family(), SOCK_STREAM, 0);
    if (::connect(fd, address.get(), address.length()) == 0) return fd;
    close(fd);
    return -1;
  }

  std::string folder;
  std::vector<Accepted> accepted;
  std::vector<std::string> problems;
  Listener::AcceptCallback on_accept = [this](Accepted one) {
    accepted.push_back(std::move(one));
    loop->stop();
  };
  Listener::ProblemCallback on_problem = [this](std::string_view text) {
    problems.emplace_back(text);
  };
};

TEST_F(ListenerTest, TellsWhoConnected) {
  auto listener = open_tcp("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  ASSERT_NE((*listener)->port(), 0);
  const int fd = connect_to(*Address::numeric({"127.0.0.1", (*listener)->port()}));
  ASSERT_GE(fd, 0);
  run();
  ASSERT_EQ(accepted.size(), 1u);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length), 0);
  EXPECT_EQ(accepted[0].peer, Address::from(reinterpret_cast<sockaddr*>(&own), length).text());
  EXPECT_TRUE(accepted[0].is_local);
  EXPECT_FALSE(accepted[0].is_unix);
  EXPECT_NE(fcntl(accepted[0].fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted[0].fd, F_GETFD) & FD_CLOEXEC, 0);
  close(fd);
}

TEST_F(ListenerTest, AStarListensOnBothFamiliesAtOnePort) {
  auto listener = open_tcp("*", 0);
  ASSERT_TRUE(listener.ok());
  const uint16_t port = (*listener)->port();
  int connected = 0;
  for (const char* host : {"127.0.0.1", "::1"}) {
    const int fd = connect_to(*Address::numeric({host, port}));
    if (fd < 0 && std::string_view(host) == "::1") {
      std::printf("this machine has no IPv6: only IPv4 was tested\n");
      continue;
    }
    ASSERT_GE(fd, 0) << host;
    run();
    ++connected;
    close(fd);
  }
  EXPECT_EQ(accepted.size(), static_cast<size_t>(connected));
  EXPECT_EQ((*listener)->addresses().size(), static_cast<size_t>(connected));
}

TEST_F(ListenerTest, ListensOnANameAndRefusesAnUnknownOne) {
  auto listener = open_tcp("localhost", 0);
  ASSERT_TRUE(listener.ok());
  EXPECT_GE((*listener)->addresses().size(), 1u);
  auto unknown = open_tcp("no-such-host.invalid", 0);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("no-such-host.invalid"), std::string::npos);
}

TEST_F(ListenerTest, APortInUseIsAClearError) {
  auto first = open_tcp("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  auto second = open_tcp("127.0.0.1", (*first)->port());
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("EADDRINUSE"), std::string::npos);
  EXPECT_NE(second.error().message.find("127.0.0.1:"), std::string::npos);
}

TEST_F(ListenerTest, AUnixSocketIsOpenToAllAndRemovedAtTheEnd) {
  auto listener = open_unix(6432);
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  const std::string path = folder + "/.s.PGSQL.6432";
  struct stat status = {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0777U);
  const int fd = connect_to(*Address::unix_path(path));
  ASSERT_GE(fd, 0);
  run();
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_TRUE(accepted[0].is_unix);
  EXPECT_TRUE(accepted[0].is_local);
  EXPECT_EQ(accepted[0].peer, "[unix]");
  close(fd);
  listener = Error{};
  EXPECT_NE(stat(path.c_str(), &status), 0);
}

TEST_F(ListenerTest, AStaleUnixSocketIsReplacedAndALiveOneIsNot) {
  const std::string path = folder + "/.s.PGSQL.6432";
  {
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    const Address address = *Address::unix_path(path);
    ASSERT_EQ(bind(dead, address.get(), address.length()), 0);
    close(dead);  // the file stays, as after a kill
  }
  auto listener = open_unix(6432);
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  auto second = open_unix(6432);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("another process listens"), std::string::npos);
  const int fd = connect_to(*Address::unix_path(path));
  EXPECT_GE(fd, 0) << "the first listener still answers";
  close(fd);
}

TEST_F(ListenerTest, DoesNotRemoveAFileThatIsNotASocket) {
  const std::string path = folder + "/.s.PGSQL.6432";
  close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  auto listener = open_unix(6432);
  ASSERT_FALSE(listener.ok());
  EXPECT_TRUE(std::filesystem::exists(path));
}

// Nothing here touches a polymorphic object: to check its type, the undefined-behaviour sanitizer
// would open a pipe.
TEST(ListenerLimitTest, OutOfDescriptorsItSaysSoOnceAndRecovers) {
  const std::unique_ptr<Loop> loop = Loop::create().value();
  size_t accepted = 0;
  std::vector<std::string> problems;
  auto listener = Listener::open_tcp(
      *loop, "127.0.0.1", 0,
      [&](Accepted one) {
        close(one.fd);
        if (++accepted == 2) loop->stop();
      },
      [&](std::string_view text) { problems.emplace_back(text); });
  ASSERT_TRUE(listener.ok());
  const Address address = *Address::numeric({"127.0.0.1", (*listener)->port()});
  int clients[2];
  for (int& fd : clients) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(connect(fd, address.get(), address.length()), 0);
  }
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(clients[1]) + 1;  // every descriptor below is taken
  // Through two retries nothing is accepted; then descriptors are there again.
  size_t accepted_before_relief = 99;
  int restored = -1;
  auto relief = loop->make_timer([&] {
    accepted_before_relief = accepted;
    restored = setrlimit(RLIMIT_NOFILE, &before);
  });
  auto guard = loop->make_timer([&] { loop->stop(); });
  relief->start(Listener::kRetry * 5 / 2);
  guard->start(60s);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  loop->run();
  ASSERT_EQ(restored, 0);
  EXPECT_EQ(accepted_before_relief, 0u);
  EXPECT_EQ(accepted, 2u);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("EMFILE"), std::string::npos);
  for (const int fd : clients) close(fd);
}

}  // namespace
}  // namespace pgrecall::net::testing
