// What the log says at the start: where everything is and which state it has.
#pragma once

#include <string>

#include "pgrecall/adapters/redis_store.h"
#include "pgrecall/config/config.h"

namespace pgrecall::proxy {

/// "host:port", "[address]:port", or the folder or file of a unix socket. Never a secret.
std::string place_of(const std::string& host, uint16_t port);
std::string place_of(const adapters::RedisOptions& redis);

/// Upstream, cache, Redis and feed, a line each. What changes later has lines of its own:
/// listeners, the control role's connection, Redis.
void announce(const config::Config& config, const adapters::RedisOptions* redis);
/// Last: whoever reads it may open the page.
void announce_admin(const config::Admin& admin);

}  // namespace pgrecall::proxy
