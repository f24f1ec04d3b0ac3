// ControlConnection: a blocking libpq connection for the control plane (catalog, lag, estimates).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/result.h"

struct pg_conn;
struct pg_result;

namespace pgrecall::adapters {

struct ControlOptions {
  std::string host = "127.0.0.1";  ///< name, address or the folder of a unix socket
  uint16_t port = 5432;
  std::string user = "postgres";
  std::string password;
  std::string database = "postgres";
  std::string sslmode;  ///< libpq's words; empty: libpq's default
  std::string application_name = "pgrecall";
  uint32_t connect_timeout_s = 5;
  uint32_t statement_timeout_ms = 30000;
  uint32_t lock_timeout_ms = 1000;
};

/// The rows of one statement. Owns libpq's result; views live as long as it does.
class QueryResult {
 public:
  explicit QueryResult(pg_result* result) : result_(result, &release) {}

  size_t rows() const;
  size_t columns() const;
  bool is_null(size_t row, size_t column) const;
  std::string_view text(size_t row, size_t column) const;  ///< empty for NULL
  /// 0 where the text is not a number.
  uint32_t oid(size_t row, size_t column) const;
  int64_t integer(size_t row, size_t column) const;
  double real(size_t row, size_t column) const;
  bool boolean(size_t row, size_t column) const { return text(row, column) == "t"; }
  char character(size_t row, size_t column) const;  ///< the first byte, or a zero byte

 private:
  static void release(pg_result* result);
  std::unique_ptr<pg_result, void (*)(pg_result*)> result_;
};

using Rows = std::vector<std::vector<std::optional<std::string>>>;

/// Owned and used by one control thread; every call blocks, for at most the timeouts of the
/// options. The session speaks UTF8, its search_path is pg_catalog alone (so that names in the
/// results of pg_get_expr and pg_get_viewdef are qualified) and jit is off.
///
/// An error of the server carries its SQLSTATE, also where it refuses the connection; one that is
/// lost or could not be made is 08006, and `connected()` is
/// false from then on. To connect again is the caller's business.
class ControlConnection {
 public:
  static Result<ControlConnection> connect(const ControlOptions& options);

  bool connected() const;
  int server_version_num() const;  ///< as in SHOW server_version_num, for example 150018
  int backend_pid() const;

  /// Runs one or several statements (simple query) and returns the rows of the last one.
  Result<Rows> exec(const std::string& sql);
  /// Runs one statement with text parameters $1, $2 ...
  Result<Rows> exec(const std::string& sql, const std::vector<std::string>& parameters);
  /// As above, without copying the rows.
  Result<QueryResult> query(const std::string& sql,
                            const std::vector<std::string>& parameters = {});
  /// Plans the statement once per connection, under a name.
  Result<QueryResult> query_prepared(const std::string& name, const std::string& sql,
                                     const std::vector<std::string>& parameters = {});

 private:
  explicit ControlConnection(pg_conn* connection) : connection_(connection, &finish) {}
  static void finish(pg_conn* connection);
  Result<QueryResult> checked(pg_result* raw);

  std::unique_ptr<pg_conn, void (*)(pg_conn*)> connection_;
  std::set<std::string, std::less<>> prepared_;
};

/// When the backend `pid` started, in a text that is the same whoever asks; nothing if there is no
/// such backend or the control role may not see it (it needs pg_read_all_stats, or the same user).
Result<std::optional<std::string>> backend_start(ControlConnection& connection, int pid);

/// True if the backend that `backend_start` told apart is known to have ended: no backend has that
/// pid, or the one that has it started at another time. A backend leaves pg_stat_activity after
/// its transaction has ended, so what it could commit is committed by then. A pid whose start is
/// hidden from the control role may be the same backend: that is not gone.
Result<bool> backend_gone(ControlConnection& connection, int pid, std::string_view backend_start);

}  // namespace pgrecall::adapters
