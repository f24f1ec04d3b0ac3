#include "pgrecall/config/load.h"

namespace pgrecall::config {
namespace {

bool loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

void add_passthrough(std::vector<std::string>& into) {
  into.emplace_back(
      "auth.mode = \"passthrough\": PostgreSQL sees the address of pgrecall, so its pg_hba.conf "
      "decides by that address; a login that it lets in without a challenge is relayed to loopback "
      "clients only.");
  into.emplace_back(
      "auth.mode = \"passthrough\": channel binding (SCRAM-SHA-256-PLUS) is not offered to "
      "clients.");
  into.emplace_back(
      "auth.mode = \"passthrough\": a pool grows by logins only; a client whose pool is lost is "
      "closed with 57P01 and logs in again.");
}

}  // namespace

std::vector<std::string> notes(const Config& config) {
  std::vector<std::string> into;
  if (config.auth.mode == AuthMode::kPassthrough) add_passthrough(into);
  if (config.auth.mode == AuthMode::kTrust && !loopback(config.listen.host))
    into.emplace_back(
        "auth.mode = \"trust\" on an address that others can reach: everyone may log in as "
        "anyone.");
  if (!loopback(config.admin.host))
    into.emplace_back("admin.host is not a loopback address: the admin port asks for no password.");
  if (config.pool.mode == PoolMode::kSession)
    into.emplace_back(
        "pool.mode = \"session\": a client keeps its server connection, so pool.size bounds the "
        "clients of one user and database that can work at one time.");
  if (config.cache.mode != CacheMode::kOn)
    into.emplace_back("cache.mode is not \"on\": every read goes to PostgreSQL.");
  return into;
}

}  // namespace pgrecall::config
