// The URLs that configuration and command line take, and HOST:PORT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"

namespace pgrecall::config {

/// postgres://user:secret@host:port/database (also postgresql://); parts that are absent are empty
/// or 0. A socket directory is written %2Frun%2Fpostgresql or ?host=/run/postgresql.
struct PostgresUrl {
  std::string host;
  uint16_t port = 0;
  std::string user;
  std::string password;
  std::string database;
};
Result<PostgresUrl> parse_postgres_url(std::string_view url);

/// redis://user:secret@host:port/number or unix://:secret@/path/to/socket?db=number.
struct RedisUrl {
  std::string host;  ///< empty: `socket_path`
  uint16_t port = 6379;
  std::string socket_path;
  std::string user;  ///< empty: the default user
  std::string password;
  uint32_t database = 0;
};
Result<RedisUrl> parse_redis_url(std::string_view url);

struct HostPort {
  std::string host;  ///< without the brackets of an IPv6 address
  uint16_t port = 0;
};
/// HOST:PORT, [IPv6]:PORT. Both parts must be there.
Result<HostPort> parse_host_port(std::string_view text);

/// The URL with `********` in place of its password; any text may be given.
std::string mask_url(std::string_view url);

}  // namespace pgrecall::config
