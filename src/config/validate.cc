#include <arpa/inet.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "config/options.h"
#include "config/parse.h"
#include "pgrecall/config/relation_pattern.h"
#include "pgrecall/config/url.h"

namespace pgrecall::config {
namespace {

/// A socket's path must fit sockaddr_un, and ".s.PGSQL.65535" follows the directory.
constexpr size_t kSocketDirBytesMax = 107 - 15;

bool same_address(const std::string& one, const std::string& other) {
  const auto any = [](const std::string& host) { return host == "0.0.0.0" || host == "::"; };
  const auto local = [](const std::string& host) {
    return host == "127.0.0.1" || host == "localhost" || host == "::1";
  };
  if (one == other) return true;
  if (any(one) || any(other)) return (any(one) || local(one)) && (any(other) || local(other));
  return one != "::1" && other != "::1" && local(one) && local(other);
}

/// Letters of other scripts included: the resolver decides.
bool is_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  });
}

/// A name, an IPv4 address, an IPv6 address with or without zone, or the path of a socket.
bool is_host(const std::string& text) {
  if (text.starts_with('/')) return true;
  if (text.find(':') == std::string::npos) return is_name(text);
  const size_t percent = text.find('%');
  in6_addr address;
  return inet_pton(AF_INET6, text.substr(0, percent).c_str(), &address) == 1 &&
         (percent == std::string::npos || is_name(std::string_view(text).substr(percent + 1)));
}

/// A host is shown in the log, in messages and by print-config, so no secret may stand in it; a URL
/// that was taken for one is not repeated.
void validate_hosts(Loading& loading) {
  const Config& config = loading.config;
  const std::pair<const char*, const std::string&> hosts[] = {
      {"listen.host", config.listen.host},
      {"admin.host", config.admin.host},
      {"upstream.host", config.upstream.host}};
  for (const auto& [path, host] : hosts) {
    if (is_host(host)) continue;
    loading.complain(path, fmt::format("{} must be a name, an address without port and brackets, "
                                       "or an absolute path",
                                       path));
  }
}

void validate_addresses(Loading& loading) {
  const Config& config = loading.config;
  const std::pair<const char*, const std::string*> required[] = {
      {"listen.host", &config.listen.host},
      {"admin.host", &config.admin.host},
      {"upstream.host", &config.upstream.host},
      {"upstream.user", &config.upstream.user},
      {"upstream.database", &config.upstream.database},
      {"redis.prefix", &config.redis.prefix}};
  for (const auto& [path, text] : required)
    if (text->empty()) loading.complain(path, fmt::format("{} must not be empty", path));

  if (config.listen.port == config.admin.port &&
      same_address(config.listen.host, config.admin.host))
    loading.complain("admin.port", fmt::format("admin.port and listen.port are both {} on one "
                                               "address; each needs its own",
                                               config.admin.port));
  if (config.listen.port == config.upstream.port &&
      same_address(config.listen.host, config.upstream.host))
    loading.complain("upstream.port",
                     fmt::format("upstream is {}:{}, where pgrecall itself listens",
                                 config.upstream.host, config.upstream.port));
  const std::string& dir = config.listen.unix_socket_dir;
  if (!dir.empty() && (dir.front() != '/' || dir.size() > kSocketDirBytesMax))
    loading.complain("listen.unix_socket_dir",
                     fmt::format("listen.unix_socket_dir: {} is not allowed; allowed: an absolute "
                                 "path of at most {} bytes",
                                 quote(dir), kSocketDirBytesMax));
}

void validate_not_built(Loading& loading) {
  const Config& config = loading.config;
  if (!config.upstream.replicas.empty())
    loading.complain("upstream.replica[0]", "replicas are not built yet");
  if (config.redis.url.empty()) return;
  const Result<RedisUrl> url = parse_redis_url(config.redis.url);
  if (!url.ok()) loading.complain("redis.url", "redis.url: " + url.error().message);
}

/// The checks of one rule, with its paths.
class RuleCheck {
 public:
  RuleCheck(Loading& loading, size_t index)
      : loading_(loading),
        rule_(loading.config.rules[index]),
        prefix_(fmt::format("rule[{}]", index)) {}

  void run() {
    validate_matches();
    validate_actions();
    validate_combinations();
  }

 private:
  bool given(std::string_view key) const {
    return loading_.lines.contains(fmt::format("{}.{}", prefix_, key));
  }

  void complain(std::string_view key, std::string_view message) {
    const std::string own = fmt::format("{}.{}", prefix_, key);
    loading_.complain(loading_.lines.contains(own) ? own : prefix_,
                      fmt::format("rule {}: {}", quote(rule_.name), message));
  }

  void validate_matches() {
    if (rule_.name.empty()) complain("name", "name must not be empty");
    if (given("tables") && rule_.tables.empty())
      complain("tables", "tables is empty, so the rule would match nothing");
    for (const std::string& text : rule_.tables) {
      if (!parse_relation_pattern(text))
        complain("tables", fmt::format("{} is not a table; allowed: \"t\" or \"schema.t\", parts "
                                       "with a dot in double quotes",
                                       quote(text)));
    }
    if (rule_.sql.empty()) return;
    const RE2 pattern(rule_.sql, RE2::Quiet);
    if (!pattern.ok())
      complain("sql", fmt::format("sql is not a regular expression (RE2): {}", pattern.error()));
  }

  void validate_actions() {
    constexpr std::string_view kActions[] = {"cache",        "ttl",       "jitter", "invalidate",
                                             "min_query_ms", "max_bytes", "redis",  "count"};
    const auto is_given = [this](std::string_view key) { return given(key); };
    if (std::none_of(std::begin(kActions), std::end(kActions), is_given))
      complain("name", fmt::format("it has no action; allowed: {}", fmt::join(kActions, ", ")));
  }

  void validate_combinations() {
    if (rule_.invalidate == RuleInvalidate::kTtlOnly && !given("ttl"))
      complain("invalidate", "invalidate = \"ttl-only\" needs a ttl");
    if (rule_.cache == false) {
      for (const std::string_view key : {"ttl", "jitter", "min_query_ms", "max_bytes", "redis"})
        if (given(key)) complain(key, fmt::format("{} has no meaning with cache = false", key));
      if (rule_.invalidate == RuleInvalidate::kTtlOnly)
        complain("invalidate", "invalidate = \"ttl-only\" contradicts cache = false");
    }
    if (rule_.count == CountMode::kExact) {
      for (const std::string_view key : {"min_rows", "max_error"})
        if (given(key)) complain(key, fmt::format("{} needs count = \"estimate\"", key));
    }
  }

  Loading& loading_;
  const Rule& rule_;
  std::string prefix_;
};

void validate_rules(Loading& loading) {
  std::set<std::string> names;
  for (size_t i = 0; i < loading.config.rules.size(); ++i) {
    RuleCheck(loading, i).run();
    const std::string& name = loading.config.rules[i].name;
    if (!names.insert(name).second)
      loading.complain(fmt::format("rule[{}]", i),
                       fmt::format("two rules are named {}", quote(name)));
  }
}

}  // namespace

void validate(Loading& loading) {
  validate_hosts(loading);
  validate_addresses(loading);
  validate_not_built(loading);
  const Cache& cache = loading.config.cache;
  if (cache.entry_max_bytes > cache.size_bytes)
    loading.complain("cache.entry_max", "cache.entry_max is larger than cache.size");
  validate_rules(loading);
}

}  // namespace pgrecall::config
