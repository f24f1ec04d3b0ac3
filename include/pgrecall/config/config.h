// Config: every option of pgrecall as plain values. The rest of the program reads only this.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgrecall::config {

using std::chrono::milliseconds;

enum class PoolMode : uint8_t { kTransaction, kSession };
enum class AuthMode : uint8_t { kPassthrough, kTrust };
enum class CacheMode : uint8_t { kOn, kObserve, kOff };
enum class FeedMode : uint8_t { kOff };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };
enum class RuleInvalidate : uint8_t { kTable, kTtlOnly };
enum class CountMode : uint8_t { kExact, kEstimate };

struct Listen {
  std::string host = "127.0.0.1";
  uint16_t port = 6432;
  std::string unix_socket_dir;  ///< empty: no unix socket
};

struct Admin {
  std::string host = "127.0.0.1";
  uint16_t port = 6433;
};

struct Replica {
  std::string host;
  uint16_t port = 5432;
};

struct Upstream {
  std::string host = "127.0.0.1";  ///< name, address, or a directory that starts with '/'
  uint16_t port = 5432;
  std::string user = "postgres";  ///< the control role
  std::string password;
  std::string database = "postgres";  ///< where the control role logs in first
  milliseconds connect_timeout{5'000};
  std::vector<Replica> replicas;
};

struct Pool {
  uint32_t size = 20;  ///< server connections per database and user, exact for the process
  PoolMode mode = PoolMode::kTransaction;
  milliseconds wait_timeout{30'000};
  bool lazy_begin = true;
  milliseconds idle_timeout{600'000};
  milliseconds server_lifetime{3'600'000};
  uint32_t prepared_statements_max = 200;  ///< per server connection
};

struct Auth {
  AuthMode mode = AuthMode::kPassthrough;
  milliseconds login_timeout{30'000};
};

struct Cache {
  CacheMode mode = CacheMode::kOn;
  size_t size_bytes = 256UL << 20;
  size_t entry_max_bytes = 1UL << 20;
  milliseconds max_age{3'600'000};
  milliseconds max_age_without_feed{60'000};
  size_t memo_size_bytes = 64UL << 20;  ///< all memos from text to analysis together
};

struct Redis {
  std::string url;  ///< empty: the cache lives in the process
  std::string prefix = "pgrecall";
  milliseconds timeout{1'000};  ///< of silence, before the breaker opens
};

struct Feed {
  FeedMode mode = FeedMode::kOff;
  milliseconds catalog_interval{1'000};
};

struct Counts {
  milliseconds refresh{30'000};
  int64_t min_rows = 100'000;
  double max_error = 0.02;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

struct Limits {
  uint32_t clients = 10'000;
  size_t query_bytes = 64UL << 20;     ///< one frontend message
  size_t parse_bytes = 64UL << 10;     ///< longer text is never parsed
  uint32_t parse_depth = 2'000;        ///< deeper text is never parsed
  uint32_t client_statements = 5'000;  ///< prepared statements of one client
  uint32_t fingerprints = 2'000;       ///< query shapes with statistics of their own
  uint32_t tables = 5'000;             ///< tables with statistics of their own
  milliseconds drain_timeout{30'000};  ///< after SIGTERM
};

/// One `[[rule]]` as written. `policy::RuleSet` compiles it. Absent actions change nothing.
struct Rule {
  std::string name;  ///< "rule N" if the file gives none
  std::vector<std::string> tables;
  std::string sql;  ///< regular expression on the shape of the statement
  std::string user;
  std::string database;
  std::string application_name;
  std::optional<bool> cache;
  std::optional<milliseconds> ttl;
  std::optional<double> jitter;  ///< share of the ttl, 0 to 1
  RuleInvalidate invalidate = RuleInvalidate::kTable;
  std::optional<int64_t> min_query_ms;
  std::optional<size_t> max_bytes;
  std::optional<bool> redis;
  CountMode count = CountMode::kExact;
  std::optional<int64_t> min_rows;
  std::optional<double> max_error;
};

/// A value: copied, compared and read by any thread once loaded. `Config{}` holds the defaults;
/// bounds, units and sentences are in the option table (src/config/options.cc).
struct Config {
  uint32_t workers = 0;  ///< 0 in the file means one per core, at most 4; `load` resolves it
  Listen listen;
  Admin admin;
  Upstream upstream;
  Pool pool;
  Auth auth;
  Cache cache;
  Redis redis;
  Feed feed;
  Counts counts;
  Log log;
  Limits limits;
  std::vector<Rule> rules;
};

}  // namespace pgrecall::config
