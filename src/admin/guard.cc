#include "admin/guard.h"

#include <arpa/inet.h>

#include <algorithm>

namespace pgrecall::admin {
namespace {

/// "name:port", "[address]:port" without port and brackets.
std::string host_part(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return std::string(end == std::string_view::npos ? authority : authority.substr(1, end - 1));
  }
  return std::string(authority.substr(0, authority.rfind(':')));
}

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool trusted(const std::string& bound_host, const std::string& host) {
  return is_address(host) || host == "localhost" || host == bound_host;
}

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type == "application/json";
}

}  // namespace

std::string refuse_get(const std::string& bound_host, const RequestOrigin& request) {
  if (!request.host || !is_loopback(bound_host)) return "";
  if (trusted(bound_host, host_part(*request.host))) return "";
  return "the Host header names neither an address nor this host";
}

std::string refuse_post(const std::string& bound_host, const RequestOrigin& request) {
  if (!is_json(request.content_type)) return "Content-Type must be application/json";
  if (!request.origin) return refuse_get(bound_host, request);
  constexpr std::string_view kScheme = "http://";
  const std::string_view origin = *request.origin;
  if (!origin.starts_with(kScheme) || !request.host ||
      origin.substr(kScheme.size()) != *request.host ||
      !trusted(bound_host, host_part(*request.host)))
    return "requests from pages of another origin are refused";
  return "";
}

}  // namespace pgrecall::admin
