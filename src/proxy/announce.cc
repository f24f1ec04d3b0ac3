#include "proxy/announce.h"

#include "pgrecall/base/log.h"
#include "proxy/names.h"

namespace pgrecall::proxy {

std::string place_of(const std::string& host, uint16_t port) {
  if (host.starts_with('/')) return host;
  const std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return text + ":" + std::to_string(port);
}

std::string place_of(const adapters::RedisOptions& redis) {
  if (!redis.socket_path.empty()) return redis.socket_path;
  return place_of(redis.endpoint.host, redis.endpoint.port);
}

void announce(const config::Config& config, const adapters::RedisOptions* redis) {
  log::info("pgrecall starts", {{"version", PGRECALL_VERSION}, {"workers", config.workers}});
  log::info("upstream", {{"address", place_of(config.upstream.host, config.upstream.port)},
                         {"control_role", config.upstream.user},
                         {"database", config.upstream.database}});
  log::info("cache", {{"mode", mode_name(config.cache.mode)},
                      {"size_mb", config.cache.size_bytes >> 20},
                      {"rules", config.rules.size()}});
  if (redis == nullptr) {
    log::info("redis", {{"state", "not configured"}});
  } else {
    log::info("redis", {{"state", "connecting"},
                        {"address", place_of(*redis)},
                        {"timeout_ms", config.redis.timeout.count()}});
  }
  const auto age =
      std::chrono::duration_cast<std::chrono::seconds>(config.cache.max_age_without_feed);
  log::info("change feed: none; writes past pgrecall are seen within max_age_without_feed",
            {{"max_age_without_feed_s", age.count()}});
}

void announce_admin(const config::Admin& admin) {
  log::info("admin", {{"url", "http://" + place_of(admin.host, admin.port) + "/"}});
}

}  // namespace pgrecall::proxy
