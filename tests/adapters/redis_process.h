// A real redis-server for one test, on a free loopback port and a unix socket.
#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "pgrecall/base/assert.h"

namespace pgrecall::adapters::testing {

inline uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  PGR_ASSERT(bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  PGR_ASSERT(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

/// Ends with its owner, by pid. Nothing is kept on disk.
class RedisProcess {
 public:
  explicit RedisProcess(std::vector<std::string> more = {}) : more_(std::move(more)) {
    char folder[] = "/tmp/pgrecall-redis-XXXXXX";
    PGR_ASSERT(mkdtemp(folder) != nullptr);
    folder_ = folder;
    port_ = free_port();
    start();
  }
  ~RedisProcess() {
    stop();
    std::filesystem::remove_all(folder_);
  }
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  static bool installed() { return access("/usr/bin/redis-server", X_OK) == 0; }
  uint16_t port() const { return port_; }
  std::string socket_path() const { return folder_ + "/redis.sock"; }
  void signal(int number) const { PGR_ASSERT(kill(pid_, number) == 0); }

  /// Starts it, on the same port if it ran before, with nothing in it.
  void start() {
    std::vector<std::string> arguments = {"redis-server",
                                          "--port",
                                          std::to_string(port_),
                                          "--bind",
                                          "127.0.0.1",
                                          "--save",
                                          "",
                                          "--dir",
                                          folder_,
                                          "--unixsocket",
                                          socket_path(),
                                          "--logfile",
                                          folder_ + "/log"};
    arguments.insert(arguments.end(), more_.begin(), more_.end());
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = fork();
    PGR_ASSERT(pid_ >= 0);
    if (pid_ == 0) {
      execv("/usr/bin/redis-server", pointers.data());
      _exit(127);
    }
    await_answer();
  }

  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  /// Sends one inline command on a connection of its own and returns the start of the answer.
  std::string command(const std::string& line) const {
    const int fd = connect_once();
    if (fd < 0) return "";
    const std::string text = line + "\r\n";
    char buffer[4096];
    ssize_t count = -1;
    if (write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()))
      count = read(fd, buffer, sizeof buffer);
    close(fd);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : "";
  }

 private:
  int connect_once() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_path().c_str(), sizeof address.sun_path - 1);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    return -1;
  }

  void await_answer() const {
    for (int tries = 0; tries < 3000; ++tries) {
      PGR_ASSERT(waitpid(pid_, nullptr, WNOHANG) == 0);  // it has not ended
      if (!command("PING").empty()) return;
      usleep(10'000);
    }
    PGR_ASSERT(!"redis-server did not answer in half a minute");
  }

  std::vector<std::string> more_;
  std::string folder_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace pgrecall::adapters::testing
