#include "pgrecall/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "pgrecall/base/assert.h"

namespace pgrecall::net {
namespace {

Result<uint16_t> parse_port(std::string_view digits, std::string_view whole) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return Error{fmt::format("\"{}\": the port must be a number from 0 to 65535", whole), ""};
  return port;
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text, uint16_t default_port) {
  Endpoint endpoint{std::string(text), default_port};
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos)
      return Error{fmt::format("\"{}\": the closing ] is missing", text), ""};
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':'))
      return Error{fmt::format("\"{}\": after ] only :port may follow", text), ""};
    endpoint.host = text.substr(1, close - 1);
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const size_t colon = text.rfind(':');
             colon != std::string_view::npos &&
             (text.starts_with('/') || text.find(':') == colon)) {  // two colons: a bare IPv6
    endpoint.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (endpoint.host.empty()) return Error{fmt::format("\"{}\": the host is missing", text), ""};
  if (has_port) {
    Result<uint16_t> number = parse_port(port, text);
    if (!number.ok()) return number.error();
    endpoint.port = *number;
  }
  return endpoint;
}

std::string Endpoint::socket_path() const {
  return fmt::format("{}/.s.PGSQL.{}", host, port);
}

std::string Endpoint::text() const {
  if (host.find(':') != std::string::npos && !is_unix()) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

Result<Address> Address::numeric(const Endpoint& endpoint) {
  if (endpoint.is_unix()) return unix_path(endpoint.socket_path());
  sockaddr_in v4{};
  if (inet_pton(AF_INET, endpoint.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    return from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  const size_t percent = endpoint.host.find('%');  // a scope: fe80::1%eth0
  if (percent != std::string::npos)
    v6.sin6_scope_id = if_nametoindex(endpoint.host.c_str() + percent + 1);
  if (inet_pton(AF_INET6, endpoint.host.substr(0, percent).c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    return from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  }
  return Error{fmt::format("\"{}\" is not a numeric address", endpoint.host), ""};
}

Result<Address> Address::unix_path(std::string_view path) {
  sockaddr_un un{};
  if (path.empty() || path.size() >= sizeof un.sun_path)
    return Error{fmt::format("the path of a unix socket has 1 to {} bytes: \"{}\"",
                             sizeof un.sun_path - 1, path),
                 ""};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  const size_t length = offsetof(sockaddr_un, sun_path) + path.size() + 1;
  return from(reinterpret_cast<const sockaddr*>(&un), static_cast<socklen_t>(length));
}

Address Address::from(const sockaddr* address, socklen_t length) {
  PGR_ASSERT(length <= sizeof(sockaddr_storage));
  Address result;
  std::memcpy(&result.storage_, address, length);
  result.length_ = length;
  return result;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(get())->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(get())->sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

bool Address::is_local() const {
  if (family() == AF_UNIX) return true;
  if (family() == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in*>(get())->sin_addr.s_addr) >> 24 == 127;
  if (family() != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(get())->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(get())->sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, port());
  }
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(get())->sin6_addr, text,
              sizeof text);
    return fmt::format("[{}]:{}", text, port());
  }
  if (family() != AF_UNIX || length_ <= offsetof(sockaddr_un, sun_path)) return "[unix]";
  return reinterpret_cast<const sockaddr_un*>(get())->sun_path;
}

}  // namespace pgrecall::net
