// Listener: the sockets clients connect to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/result.h"
#include "pgrecall/net/address.h"
#include "pgrecall/net/loop.h"

namespace pgrecall::net {

/// A new connection. Whoever is called owns `fd` (non-blocking, close-on-exec) from then on and
/// usually gives it to `Stream::adopt` on the loop of its choice.
struct Accepted {
  int fd = -1;
  std::string peer;       ///< "10.0.0.7:51234", or "[unix]"
  bool is_local = false;  ///< over a unix socket or a loopback address
  bool is_unix = false;
};

struct ListenerOptions {
  int backlog = 4096;
  bool reuse_port = false;  ///< SO_REUSEPORT, for the hand-over between two processes
};

/// One listening place, with one socket per address of the host. Owned by its user; lives on one
/// loop's thread; destroying it (not from within its callbacks) closes the sockets and removes the
/// unix socket's file. At most
/// `kAcceptsPerEvent` connections are taken per turn and socket. Out of file descriptors, it stops
/// accepting, says so once, and tries again each `kRetry`.
class Listener {
 public:
  static constexpr int kAcceptsPerEvent = 64;
  static constexpr Duration kRetry = std::chrono::milliseconds(200);
  using AcceptCallback = std::function<void(Accepted)>;
  using ProblemCallback = std::function<void(std::string_view)>;  ///< a sentence for the log

  /// `host` is a name, an address, or "*" for every IPv4 and IPv6 address. Looks names up at once
  /// (blocking: call it at start). Port 0 takes a free one. One failing address is a problem as
  /// long as another works.
  static Result<std::unique_ptr<Listener>> open_tcp(Loop& loop, const std::string& host,
                                                    uint16_t port, AcceptCallback accept,
                                                    ProblemCallback problem,
                                                    ListenerOptions options = {});
  /// Listens on `<folder>/.s.PGSQL.<port>`. A file left by a dead process is replaced; one that
  /// answers is an error.
  static Result<std::unique_ptr<Listener>> open_unix(Loop& loop, const std::string& folder,
                                                     uint16_t port, AcceptCallback accept,
                                                     ProblemCallback problem,
                                                     ListenerOptions options = {});
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  uint16_t port() const { return port_; }
  std::vector<std::string> addresses() const;  ///< what it listens on, for the log

 private:
  struct Socket;
  Listener(Loop& loop, AcceptCallback accept, ProblemCallback problem);
  static void on_poll(void* owner, int status, int events);
  Status add_socket(const Address& address, const ListenerOptions& options);
  void accept_some(Socket& socket);
  void out_of_descriptors(int error);
  void watch_all();

  Loop& loop_;
  AcceptCallback accept_;
  ProblemCallback problem_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::unique_ptr<Timer> retry_timer_;
  std::string unix_file_;
  uint16_t port_ = 0;
  bool out_of_descriptors_ = false;  ///< and said so
};

}  // namespace pgrecall::net
