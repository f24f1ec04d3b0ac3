#include <fmt/format.h>

#include <algorithm>

#include "config/options.h"
#include "config/parse.h"
#include "pgrecall/config/url.h"

namespace pgrecall::config {
namespace {

constexpr std::string_view kCommandLine = "command line";

void complain(Loading& into, std::string_view flag, const Error& error) {
  into.problems.push_back(
      {std::string(kCommandLine), 0, fmt::format("{}: {}", flag, error.message)});
}

template <typename T>
void set(Loading& into, std::string_view path, T& target, T value) {
  target = std::move(value);
  into.overridden.emplace_back(path);
}

void apply_upstream(const std::string& text, Loading& into) {
  Result<PostgresUrl> url = parse_postgres_url(text);
  if (!url.ok()) return complain(into, "--upstream", url.error());
  Upstream& upstream = into.config.upstream;
  set(into, "upstream.host", upstream.host, std::move(url->host));
  if (url->port != 0) set(into, "upstream.port", upstream.port, url->port);
  // A password in the file belongs to the user in the file.
  if (!url->user.empty()) {
    set(into, "upstream.user", upstream.user, std::move(url->user));
    set(into, "upstream.password", upstream.password, std::move(url->password));
  }
  if (!url->database.empty())
    set(into, "upstream.database", upstream.database, std::move(url->database));
}

template <typename Section>
void apply_address(std::string_view flag, std::string_view section, const std::string& text,
                   Section& target, Loading& into) {
  Result<HostPort> address = parse_host_port(text);
  if (!address.ok()) return complain(into, flag, address.error());
  set(into, fmt::format("{}.host", section), target.host, std::move(address->host));
  set(into, fmt::format("{}.port", section), target.port, address->port);
}

void apply_replicas(const std::vector<std::string>& urls, Loading& into) {
  if (urls.empty()) return;
  std::vector<Replica> replicas;
  for (const std::string& text : urls) {
    Result<PostgresUrl> url = parse_postgres_url(text);
    if (!url.ok()) return complain(into, "--replica", url.error());
    const uint16_t port = url->port == 0 ? Replica{}.port : url->port;
    replicas.push_back({std::move(url->host), port});
  }
  set(into, "upstream.replica[0]", into.config.upstream.replicas, std::move(replicas));
}

}  // namespace

Problem Loading::problem_at(const std::string& path, std::string message) const {
  if (std::find(overridden.begin(), overridden.end(), path) != overridden.end())
    return {std::string(kCommandLine), 0, std::move(message)};
  const auto found = lines.find(path);
  return {file, found == lines.end() ? 0 : found->second, std::move(message)};
}

void apply_overrides(const Overrides& overrides, Loading& into) {
  if (!overrides.upstream.empty()) apply_upstream(overrides.upstream, into);
  if (!overrides.listen.empty())
    apply_address("--listen", "listen", overrides.listen, into.config.listen, into);
  if (!overrides.admin.empty())
    apply_address("--admin", "admin", overrides.admin, into.config.admin, into);
  if (!overrides.redis.empty()) set(into, "redis.url", into.config.redis.url, overrides.redis);
  apply_replicas(overrides.replicas, into);
  if (overrides.workers != 0) set(into, "workers", into.config.workers, overrides.workers);
}

}  // namespace pgrecall::config
