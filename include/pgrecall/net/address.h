// Endpoint: where to connect to, as written. Address: the same, resolved to a socket address.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/result.h"

namespace pgrecall::net {

class Loop;

/// A value: a host name or numeric address with a port, or the folder of a unix socket (a host that
/// starts with '/', as in libpq), whose file is `<host>/.s.PGSQL.<port>`.
struct Endpoint {
  std::string host;
  uint16_t port = 0;

  /// Reads "host:port", "host", "[::1]:5432", "::1" (no port), "/dir", "/dir:5432".
  static Result<Endpoint> parse(std::string_view text, uint16_t default_port);
  bool is_unix() const { return !host.empty() && host.front() == '/'; }
  std::string socket_path() const;  ///< only of a unix endpoint
  std::string text() const;         ///< what `parse` reads
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// A value: an IPv4, IPv6 or unix socket address, as the kernel takes it.
class Address {
 public:
  Address() = default;
  /// A numeric IP address or a unix endpoint; a name is an error (see `resolve`).
  static Result<Address> numeric(const Endpoint& endpoint);
  static Result<Address> unix_path(std::string_view path);
  static Address from(const sockaddr* address, socklen_t length);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;  ///< 0 of a unix socket
  void set_port(uint16_t port);
  bool is_local() const;     ///< a unix socket or a loopback address
  std::string text() const;  ///< "127.0.0.1:5432", "[::1]:5432" or the path

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

/// A look-up under way. Owned by whoever asked; destroying it means that nobody is called.
class Resolution {
 public:
  ~Resolution();
  Resolution(const Resolution&) = delete;
  Resolution& operator=(const Resolution&) = delete;

 private:
  friend std::unique_ptr<Resolution> resolve(
      Loop& loop, const Endpoint& endpoint,
      std::function<void(Result<std::vector<Address>>)> callback);
  struct Request;
  Resolution() = default;
  std::shared_ptr<Request> request_;
};

/// Looks the host up without blocking the loop and calls back once, on the loop's thread, never
/// from within this call, with at least one address in the resolver's order or an error. Numeric
/// and unix endpoints take the same path without a look-up.
std::unique_ptr<Resolution> resolve(Loop& loop, const Endpoint& endpoint,
                                    std::function<void(Result<std::vector<Address>>)> callback);

}  // namespace pgrecall::net
