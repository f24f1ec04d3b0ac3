#include <fmt/format.h>

#include "pgrecall/config/command_line.h"

namespace pgrecall::config {
namespace {

std::string identifier(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

constexpr std::string_view kTemplate =
    R"(-- The control role of pgrecall: it reads catalog, statistics and the change feed. It is no
-- superuser and may not select from your tables (the change feed shows it the rows that are
-- written). Run this as an administrator, with a password of your own, and put the same into
-- [upstream] user and password.

CREATE ROLE {0} LOGIN PASSWORD 'choose-one';

-- Settings and statistics of all sessions: which settings apply to whom, whether a backend is gone.
GRANT pg_monitor TO {0};
GRANT pg_read_all_stats TO {0};
GRANT pg_read_all_settings TO {0};

-- The change feed is a temporary logical replication slot; it ends with the connection. Without
-- this, or with wal_level below "logical", pgrecall runs without a feed: entries then live at most
-- cache.max_age_without_feed. Managed servers have a role of their own for it instead, for example
-- GRANT rds_replication.
ALTER ROLE {0} REPLICATION;
-- ALTER SYSTEM SET wal_level = 'logical';  -- then restart the server

-- In each database that clients use, if CONNECT was taken from PUBLIC:
-- GRANT CONNECT ON DATABASE "name" TO {0};

-- Lets pgrecall end a backend whose write was left without an outcome, instead of waiting for it.
GRANT pg_signal_backend TO {0};
)";

}  // namespace

std::string setup_sql(const Config& config) {
  // A role for pgrecall alone is the point; the default user is the administrator.
  const bool is_default = config.upstream.user == Upstream{}.user;
  return fmt::format(kTemplate, identifier(is_default ? "pgrecall" : config.upstream.user));
}

}  // namespace pgrecall::config
