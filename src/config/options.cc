#include "config/options.h"

#include <array>

namespace pgrecall::config {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kPoolModes[] = {"transaction", "session"};
constexpr std::string_view kAuthModes[] = {"passthrough", "trust"};
constexpr std::string_view kAuthModesNotBuilt[] = {"users", "auth_query"};
constexpr std::string_view kCacheModes[] = {"on", "observe", "off"};
constexpr std::string_view kFeedModes[] = {"off"};
constexpr std::string_view kFeedModesNotBuilt[] = {"auto"};
constexpr std::string_view kLogLevels[] = {"debug", "info", "warn", "error"};
constexpr std::string_view kLogFormats[] = {"text", "json"};
constexpr std::string_view kInvalidates[] = {"table", "ttl-only"};
constexpr std::string_view kCountModes[] = {"exact", "estimate"};

template <typename Enum>
Field choice(Enum& value, Names names) {
  static_assert(sizeof(Enum) == 1);
  return Choice{reinterpret_cast<uint8_t*>(&value), names};
}

constexpr double kSecond = 1'000;
constexpr double kMinute = 60 * kSecond;
constexpr double kHour = 60 * kMinute;
constexpr double kDay = 24 * kHour;
constexpr double kKb = 1'024;
constexpr double kMb = 1'024 * kKb;
constexpr double kGb = 1'024 * kMb;

constexpr Section kSections[] = {
    {"", ""},
    {"listen", "Where clients connect."},
    {"admin", "Health, metrics, JSON and the dashboard over HTTP. Keep it on a private address."},
    {"upstream", "The PostgreSQL server behind pgrecall, and the control role that watches it."},
    {"pool", "Server connections."},
    {"auth", "Who may log in."},
    {"cache", "What is remembered, how much of it and for how long."},
    {"redis",
     "A second tier of memory for this process; entries of another or an earlier run are never "
     "served."},
    {"feed", "How writes past pgrecall are learned of."},
    {"counts", "Estimated COUNT(*); used only where a rule says count = \"estimate\"."},
    {"log", "Lines on stderr."},
    {"limits", "Bounds. What exceeds one ends with a clear error or is forwarded uncached."},
};

constexpr NotBuilt kNotBuilt[] = {
    {"admin", "users"},          {"auth", "users_file"},
    {"auth", "query"},           {"cache", "verify"},
    {"feed", "max_lag"},         {"redis", "coherence"},
    {"redis", "pushed_max_lag"}, {"rule", "stale_while_revalidate"},
    {"rule", "functions_read"},  {"rule", "fingerprint"},
    {"rule", "replica"},         {"rule", "lazy_begin"},
};

const Option<Config> kOptions[] = {
    {{.name = "workers",
      .max = 64,
      .sentence = "Threads that serve clients; 0: one per core, at most 4."},
     [](Config& c) -> Field { return &c.workers; }},

    {{.section = "listen",
      .name = "host",
      .sentence = "Address for clients, IPv4 or IPv6; \"0.0.0.0\" or \"::\" for all."},
     [](Config& c) -> Field { return &c.listen.host; }},
    {{.section = "listen", .name = "port", .min = 1, .max = 65'535, .sentence = "Port of clients."},
     [](Config& c) -> Field { return &c.listen.port; }},
    {{.section = "listen",
      .name = "unix_socket_dir",
      .sentence = "Directory for a unix socket named .s.PGSQL.<port>; empty: none."},
     [](Config& c) -> Field { return &c.listen.unix_socket_dir; }},

    {{.section = "admin", .name = "host", .sentence = "The only address the admin port binds to."},
     [](Config& c) -> Field { return &c.admin.host; }},
    {{.section = "admin", .name = "port", .min = 1, .max = 65'535, .sentence = "Port for HTTP."},
     [](Config& c) -> Field { return &c.admin.port; }},

    {{.section = "upstream",
      .name = "host",
      .sentence = "Name or address of the primary, or the directory of its unix socket."},
     [](Config& c) -> Field { return &c.upstream.host; }},
    {{.section = "upstream",
      .name = "port",
      .min = 1,
      .max = 65'535,
      .sentence = "Port of the primary."},
     [](Config& c) -> Field { return &c.upstream.port; }},
    {{.section = "upstream",
      .name = "user",
      .sentence = "The control role, which reads catalog, feed and lag; without a working one "
                  "nothing is cached."},
     [](Config& c) -> Field { return &c.upstream.user; }},
    {{.section = "upstream",
      .name = "password",
      .secret = Secret::kWhole,
      .sentence = "Password of the control role."},
     [](Config& c) -> Field { return &c.upstream.password; }},
    {{.section = "upstream",
      .name = "database",
      .sentence = "Database where the control role logs in first."},
     [](Config& c) -> Field { return &c.upstream.database; }},
    {{.section = "upstream",
      .name = "connect_timeout",
      .min = 10,
      .max = kHour,
      .sentence = "Longest wait for a connection to the primary."},
     [](Config& c) -> Field { return &c.upstream.connect_timeout; }},

    {{.section = "pool",
      .name = "size",
      .min = 1,
      .max = 10'000,
      .sentence = "Server connections per database and user, for the whole process."},
     [](Config& c) -> Field { return &c.pool.size; }},
    {{.section = "pool",
      .name = "mode",
      .sentence = "When a client gives its server connection back: at the end of each transaction "
                  "or of its session."},
     [](Config& c) -> Field { return choice(c.pool.mode, kPoolModes); }},
    {{.section = "pool",
      .name = "wait_timeout",
      .min = 10,
      .max = kDay,
      .sentence = "Longest wait of a client for a server connection."},
     [](Config& c) -> Field { return &c.pool.wait_timeout; }},
    {{.section = "pool",
      .name = "lazy_begin",
      .sentence = "Answer BEGIN and SAVEPOINT locally until a statement needs the server; now() in "
                  "such a block starts then."},
     [](Config& c) -> Field { return &c.pool.lazy_begin; }},
    {{.section = "pool",
      .name = "idle_timeout",
      .min = kSecond,
      .max = 30 * kDay,
      .sentence = "Close a server connection that was idle for this long."},
     [](Config& c) -> Field { return &c.pool.idle_timeout; }},
    {{.section = "pool",
      .name = "server_lifetime",
      .min = kSecond,
      .max = 30 * kDay,
      .sentence = "Close a server connection of this age once no client uses it."},
     [](Config& c) -> Field { return &c.pool.server_lifetime; }},
    {{.section = "pool",
      .name = "prepared_statements_max",
      .min = 1,
      .max = 100'000,
      .sentence = "Prepared statements kept on one server connection."},
     [](Config& c) -> Field { return &c.pool.prepared_statements_max; }},

    {{.section = "auth",
      .name = "mode",
      .sentence = "passthrough: PostgreSQL decides each login. trust: everyone may log in to "
                  "pgrecall as anyone, for tests and private networks.",
      .not_built = kAuthModesNotBuilt},
     [](Config& c) -> Field { return choice(c.auth.mode, kAuthModes); }},
    {{.section = "auth",
      .name = "login_timeout",
      .min = 100,
      .max = kHour,
      .sentence = "Longest time from connect to the end of login."},
     [](Config& c) -> Field { return &c.auth.login_timeout; }},

    {{.section = "cache",
      .name = "mode",
      .sentence = "observe: everything is forwarded and would-be hits are counted. off: everything "
                  "is forwarded."},
     [](Config& c) -> Field { return choice(c.cache.mode, kCacheModes); }},
    {{.section = "cache",
      .name = "size",
      .min = kMb,
      .max = 1'024 * kGb,
      .sentence = "Memory for results, bookkeeping included."},
     [](Config& c) -> Field { return &c.cache.size_bytes; }},
    {{.section = "cache",
      .name = "entry_max",
      .min = kKb,
      .max = kGb,
      .sentence = "Larger results are streamed through and not stored."},
     [](Config& c) -> Field { return &c.cache.entry_max_bytes; }},
    {{.section = "cache",
      .name = "max_age",
      .min = 100,
      .max = 30 * kDay,
      .sentence = "Longest life of an entry, however fresh; a rule's ttl replaces it."},
     [](Config& c) -> Field { return &c.cache.max_age; }},
    {{.section = "cache",
      .name = "max_age_without_feed",
      .min = 100,
      .max = kDay,
      .sentence = "Longest life of an entry while writes past pgrecall cannot be seen."},
     [](Config& c) -> Field { return &c.cache.max_age_without_feed; }},
    {{.section = "cache",
      .name = "memo_size",
      .min = kMb,
      .max = 64 * kGb,
      .sentence = "Memory for what was learned about statement texts, so that none is analysed "
                  "twice."},
     [](Config& c) -> Field { return &c.cache.memo_size_bytes; }},

    {{.section = "redis",
      .name = "url",
      .secret = Secret::kUrlPassword,
      .sentence = "redis://user:secret@host:6379/0 or unix://:secret@/path?db=0; empty: the cache "
                  "lives in the process."},
     [](Config& c) -> Field { return &c.redis.url; }},
    {{.section = "redis",
      .name = "prefix",
      .sentence = "Begins the name of every key, so that others can use the same Redis."},
     [](Config& c) -> Field { return &c.redis.prefix; }},
    {{.section = "redis",
      .name = "timeout",
      .min = 1,
      .max = kMinute,
      .sentence =
          "After this long without an answer Redis is bypassed until it answers again. A read goes "
          "on to PostgreSQL sooner: after the time that PostgreSQL usually takes for its shape, "
          "and "
          "up to 10 ms more. While that time is not known, a read waits this long."},
     [](Config& c) -> Field { return &c.redis.timeout; }},

    {{.section = "feed",
      .name = "mode",
      .sentence = "off: nothing tells of writes past pgrecall, so every entry lives at most "
                  "cache.max_age_without_feed. A feed is not built yet.",
      .not_built = kFeedModesNotBuilt},
     [](Config& c) -> Field { return choice(c.feed.mode, kFeedModes); }},
    {{.section = "feed",
      .name = "catalog_interval",
      .min = 10,
      .max = kHour,
      .sentence = "How often catalog and privileges are compared with what is known."},
     [](Config& c) -> Field { return &c.feed.catalog_interval; }},

    {{.section = "counts",
      .name = "refresh",
      .min = 100,
      .max = kDay,
      .sentence = "How often table sizes and statistics are read."},
     [](Config& c) -> Field { return &c.counts.refresh; }},
    {{.section = "counts",
      .name = "min_rows",
      .max = 1e15,
      .sentence = "Smaller tables are counted exactly."},
     [](Config& c) -> Field { return &c.counts.min_rows; }},
    {{.section = "counts",
      .name = "max_error",
      .max = 1,
      .sentence = "A larger stated error, as a share of the count, means an exact count."},
     [](Config& c) -> Field { return &c.counts.max_error; }},

    {{.section = "log", .name = "level", .sentence = "The least that is logged."},
     [](Config& c) -> Field { return choice(c.log.level, kLogLevels); }},
    {{.section = "log", .name = "format", .sentence = "Lines for people or for machines."},
     [](Config& c) -> Field { return choice(c.log.format, kLogFormats); }},

    {{.section = "limits",
      .name = "clients",
      .min = 1,
      .max = 1'000'000,
      .sentence = "Client connections at one time."},
     [](Config& c) -> Field { return &c.limits.clients; }},
    {{.section = "limits",
      .name = "query_bytes",
      .min = kKb,
      .max = kGb,
      .sentence = "Longest message that a client may send, COPY data apart."},
     [](Config& c) -> Field { return &c.limits.query_bytes; }},
    {{.section = "limits",
      .name = "parse_bytes",
      .min = kKb,
      .max = kMb,
      .sentence =
          "Longer statements are never parsed and never remembered; they count as possible writes, "
          "unless they are SELECTs of nothing but what is known to write nothing."},
     [](Config& c) -> Field { return &c.limits.parse_bytes; }},
    {{.section = "limits",
      .name = "parse_depth",
      .min = 10,
      .max = 10'000,
      .sentence = "More deeply nested statements are never parsed either."},
     [](Config& c) -> Field { return &c.limits.parse_depth; }},
    {{.section = "limits",
      .name = "client_statements",
      .min = 1,
      .max = 1'000'000,
      .sentence = "Prepared statements of one client."},
     [](Config& c) -> Field { return &c.limits.client_statements; }},
    {{.section = "limits",
      .name = "fingerprints",
      .min = 1,
      .max = 100'000,
      .sentence = "Query shapes with statistics of their own; further ones count as \"other\"."},
     [](Config& c) -> Field { return &c.limits.fingerprints; }},
    {{.section = "limits",
      .name = "tables",
      .min = 1,
      .max = 1'000'000,
      .sentence = "Tables with statistics of their own; further ones count as \"other\"."},
     [](Config& c) -> Field { return &c.limits.tables; }},
    {{.section = "limits",
      .name = "drain_timeout",
      .max = kDay,
      .sentence = "How long SIGTERM waits for transactions to end."},
     [](Config& c) -> Field { return &c.limits.drain_timeout; }},
};

const Option<Rule> kRuleOptions[] = {
    {{.section = "rule", .name = "name", .sentence = "For error messages and explain."},
     [](Rule& r) -> Field { return &r.name; }},
    {{.section = "rule",
      .name = "tables",
      .sentence = "Matches by relation: \"t\" in any schema, \"schema.t\" exactly. A rule that "
                  "loosens needs all relations of a statement listed, any other rule one."},
     [](Rule& r) -> Field { return &r.tables; }},
    {{.section = "rule",
      .name = "sql",
      .sentence = "Matches statements whose text, without comments and with ? for each literal, "
                  "contains this regular expression (RE2)."},
     [](Rule& r) -> Field { return &r.sql; }},
    {{.section = "rule", .name = "user", .sentence = "Matches this user."},
     [](Rule& r) -> Field { return &r.user; }},
    {{.section = "rule", .name = "database", .sentence = "Matches this database."},
     [](Rule& r) -> Field { return &r.database; }},
    {{.section = "rule", .name = "application_name", .sentence = "Matches this application_name."},
     [](Rule& r) -> Field { return &r.application_name; }},
    {{.section = "rule",
      .name = "cache",
      .sentence = "false: never cached. true: cached although a later rule says no."},
     [](Rule& r) -> Field { return &r.cache; }},
    {{.section = "rule",
      .name = "ttl",
      .min = 1,
      .max = 365 * kDay,
      .sentence = "Longest life of an entry; writes still take effect at once."},
     [](Rule& r) -> Field { return &r.ttl; }},
    {{.section = "rule",
      .name = "jitter",
      .max = 1,
      .sentence = "Share of the ttl that is taken off at random, so that entries do not expire "
                  "together (0.2 without a rule)."},
     [](Rule& r) -> Field { return &r.jitter; }},
    {{.section = "rule",
      .name = "invalidate",
      .sentence = "ttl-only: writes to these tables do not end an entry, only its ttl does."},
     [](Rule& r) -> Field { return choice(r.invalidate, kInvalidates); }},
    {{.section = "rule",
      .name = "min_query_ms",
      .max = 3'600'000,
      .sentence = "Results that PostgreSQL gave faster than this are not stored."},
     [](Rule& r) -> Field { return &r.min_query_ms; }},
    {{.section = "rule",
      .name = "max_bytes",
      .min = 1,
      .max = kGb,
      .sentence = "Larger results are not stored."},
     [](Rule& r) -> Field { return &r.max_bytes; }},
    {{.section = "rule",
      .name = "redis",
      .sentence = "false: kept in this process and out of Redis."},
     [](Rule& r) -> Field { return &r.redis; }},
    {{.section = "rule",
      .name = "count",
      .sentence = "estimate: SELECT COUNT(*) FROM a large table is answered from statistics."},
     [](Rule& r) -> Field { return choice(r.count, kCountModes); }},
    {{.section = "rule",
      .name = "min_rows",
      .max = 1e15,
      .sentence = "As counts.min_rows, for this rule."},
     [](Rule& r) -> Field { return &r.min_rows; }},
    {{.section = "rule",
      .name = "max_error",
      .max = 1,
      .sentence = "As counts.max_error, for this rule."},
     [](Rule& r) -> Field { return &r.max_error; }},
};

const Option<Replica> kReplicaOptions[] = {
    {{.section = "upstream.replica", .name = "host", .sentence = "Name or address of a replica."},
     [](Replica& r) -> Field { return &r.host; }},
    {{.section = "upstream.replica",
      .name = "port",
      .min = 1,
      .max = 65'535,
      .sentence = "Port of the replica."},
     [](Replica& r) -> Field { return &r.port; }},
};

}  // namespace

std::span<const Option<Config>> options() {
  return kOptions;
}

std::span<const Option<Rule>> rule_options() {
  return kRuleOptions;
}

std::span<const Option<Replica>> replica_options() {
  return kReplicaOptions;
}

std::span<const Section> sections() {
  return kSections;
}

std::span<const NotBuilt> options_not_built() {
  return kNotBuilt;
}

}  // namespace pgrecall::config
