#include "pgrecall/config/url.h"

#include <charconv>
#include <optional>

namespace pgrecall::config {
namespace {

/// The parts of scheme://user:password@host:port/path?query, still encoded.
struct Parts {
  std::string_view scheme;
  std::string_view user;
  std::string_view password;
  std::string_view host;
  std::string_view port;
  std::string_view path;
  std::string_view query;
};

Error bad(std::string_view what) {
  // Never with the URL itself: it may hold a password.
  return Error{std::string(what), ""};
}

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0)
      return bad("a % in a URL must be followed by two hexadecimal digits other than 00");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/// Splits "host:port" with an optional bracketed address.
Status split_host(std::string_view text, std::string_view& host, std::string_view& port) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("an address in brackets has no \"]\"");
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (text.empty()) return Ok{};
    if (!text.starts_with(':')) return bad("after \"]\" only \":PORT\" may follow");
    port = text.substr(1);
    return Ok{};
  }
  const size_t colon = text.find(':');
  if (colon != text.rfind(':')) return bad("an IPv6 address must be in brackets: [::1]:6432");
  host = text.substr(0, colon);
  if (colon != std::string_view::npos) port = text.substr(colon + 1);
  return Ok{};
}

Result<Parts> split(std::string_view url) {
  Parts parts;
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return bad("there is no \"://\"");
  parts.scheme = url.substr(0, scheme_end);
  url.remove_prefix(scheme_end + 3);
  const size_t query = url.find('?');
  if (query != std::string_view::npos) {
    parts.query = url.substr(query + 1);
    url = url.substr(0, query);
  }
  // The last "@" before the path ends the login, so a password may hold one unencoded.
  const size_t at = url.rfind('@', url.find('/', url.find('@') + 1));
  if (at != std::string_view::npos) {
    const std::string_view login = url.substr(0, at);
    const size_t colon = login.find(':');
    parts.user = login.substr(0, colon);
    if (colon != std::string_view::npos) parts.password = login.substr(colon + 1);
    url.remove_prefix(at + 1);
  }
  const size_t slash = url.find('/');
  if (slash != std::string_view::npos) {
    parts.path = url.substr(slash);
    url = url.substr(0, slash);
  }
  const Status split_ok = split_host(url, parts.host, parts.port);
  if (!split_ok.ok()) return split_ok.error();
  return parts;
}

Result<uint16_t> port_of(std::string_view text) {
  const auto port = to_number<uint16_t>(text);
  if (!port || *port == 0) return bad("the port must be a number from 1 to 65535");
  return *port;
}

Status decode_into(std::string_view text, std::string& out) {
  Result<std::string> decoded = decode(text);
  if (!decoded.ok()) return decoded.error();
  out = std::move(*decoded);
  return Ok{};
}

/// The first error, or Ok.
template <typename... Rest>
Status all_of(const Status& first, const Rest&... rest) {
  if (!first.ok()) return first;
  if constexpr (sizeof...(rest) > 0)
    return all_of(rest...);
  else
    return Ok{};
}

}  // namespace

Result<PostgresUrl> parse_postgres_url(std::string_view text) {
  constexpr std::string_view kForm = "expected postgres://user:secret@host:5432/database";
  const Result<Parts> parts = split(text);
  if (!parts.ok()) return bad(std::string(kForm) + "; " + parts.error().message);
  if (parts->scheme != "postgres" && parts->scheme != "postgresql") return bad(kForm);
  PostgresUrl url;
  if (!parts->port.empty()) {
    const Result<uint16_t> port = port_of(parts->port);
    if (!port.ok()) return port.error();
    url.port = *port;
  }
  std::string_view host = parts->host;
  if (!parts->query.empty()) {
    if (!parts->query.starts_with("host=") || parts->query.find('&') != std::string_view::npos)
      return bad("the only parameter allowed in a postgres URL is \"host\"");
    host = parts->query.substr(5);
  }
  const std::string_view path = parts->path.empty() ? "" : parts->path.substr(1);
  const Status decoded =
      all_of(decode_into(host, url.host), decode_into(parts->user, url.user),
             decode_into(parts->password, url.password), decode_into(path, url.database));
  if (!decoded.ok()) return decoded.error();
  if (url.host.empty()) return bad(std::string(kForm) + "; the host is missing");
  return url;
}

Result<RedisUrl> parse_redis_url(std::string_view text) {
  constexpr std::string_view kForm =
      "expected redis://user:secret@host:6379/0 or unix://:secret@/path/to/socket?db=0";
  const Result<Parts> parts = split(text);
  if (!parts.ok()) return bad(std::string(kForm) + "; " + parts.error().message);
  if (parts->scheme == "rediss") return bad("rediss:// (TLS to Redis) is not built yet");
  const bool socket = parts->scheme == "unix";
  if (parts->scheme != "redis" && !socket) return bad(kForm);
  RedisUrl url;
  std::string_view number = parts->path.empty() ? "" : parts->path.substr(1);
  if (socket) {
    if (!parts->query.empty() && !parts->query.starts_with("db=")) return bad(kForm);
    number = parts->query.empty() ? "" : parts->query.substr(3);
  } else if (!parts->query.empty()) {
    return bad(kForm);
  }
  const Status decoded =
      all_of(decode_into(parts->user, url.user), decode_into(parts->password, url.password),
             decode_into(socket ? "" : parts->host, url.host),
             decode_into(socket ? parts->path : "", url.socket_path));
  if (!decoded.ok()) return decoded.error();
  if (url.host.empty() && url.socket_path.empty())
    return bad(std::string(kForm) + "; the host or path is missing");
  if (!parts->port.empty()) {
    const Result<uint16_t> port = port_of(parts->port);
    if (!port.ok()) return port.error();
    url.port = *port;
  }
  if (!number.empty()) {
    const auto database = to_number<uint32_t>(number);
    if (!database) return bad(std::string(kForm) + "; the database must be a number");
    url.database = *database;
  }
  return url;
}

Result<HostPort> parse_host_port(std::string_view text) {
  std::string_view host;
  std::string_view port;
  const Status split_ok = split_host(text, host, port);
  if (!split_ok.ok()) return split_ok.error();
  if (host.empty() || port.empty()) return bad("expected HOST:PORT, for example 127.0.0.1:6432");
  const Result<uint16_t> number = port_of(port);
  if (!number.ok()) return number.error();
  return HostPort{std::string(host), *number};
}

std::string mask_url(std::string_view url) {
  const size_t scheme_end = url.find("://");
  const size_t begin = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const size_t at = url.rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(url);
  const size_t colon = url.find(':', begin);
  if (colon == std::string_view::npos || colon > at) return std::string(url);
  return std::string(url.substr(0, colon + 1)) + "********" + std::string(url.substr(at));
}

}  // namespace pgrecall::config
