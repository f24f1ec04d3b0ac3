#include "pgrecall/adapters/control_connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <utility>

#include "adapters/libpq_message.h"

namespace pgrecall::adapters {
namespace {

constexpr std::string_view kConnectionLost = "08006";

template <typename Number>
Number parse(std::string_view text) {
  Number value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  for (const std::string& text : texts) result.push_back(text.c_str());
  return result;
}

Rows to_rows(const QueryResult& result) {
  Rows rows(result.rows());
  for (size_t row = 0; row < rows.size(); ++row) {
    rows[row].resize(result.columns());
    for (size_t column = 0; column < rows[row].size(); ++column)
      if (!result.is_null(row, column)) rows[row][column] = std::string(result.text(row, column));
  }
  return rows;
}

Result<Rows> to_rows(const Result<QueryResult>& result) {
  if (!result.ok()) return result.error();
  return to_rows(result.value());
}

/// Waits until libpq can go on, as far as the time lasts.
bool await(PGconn* connection, PostgresPollingStatusType wanted,
           std::chrono::steady_clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      until - std::chrono::steady_clock::now());
  if (left.count() <= 0) return false;
  const short events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT;
  pollfd waiting{PQsocket(connection), events, 0};
  const int ready = poll(&waiting, 1, static_cast<int>(left.count()));
  return ready > 0 || (ready < 0 && errno == EINTR);
}

/// As PQconnectdbParams, but errors of the server show their SQLSTATE: libpq has no other way to
/// tell it of a connection that failed, and the words may be in any language.
PGconn* connect_verbosely(const char* const* names, const char* const* values, uint32_t timeout_s) {
  PGconn* connection = PQconnectStartParams(names, values, 0);
  if (connection == nullptr || PQstatus(connection) == CONNECTION_BAD) return connection;
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
    if (!await(connection, state, until)) break;
    state = PQconnectPoll(connection);
  }
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  return connection;
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

/// Of a message like "connection to ... failed: FATAL:  3D000: database ...": the first, since what
/// follows it may hold names that anybody chose.
Error connection_error(std::string_view where, std::string_view message) {
  Error error{std::string(where) + clean_libpq_message(message), std::string(kConnectionLost)};
  for (size_t at = message.find(":  "); at != std::string_view::npos;
       at = message.find(":  ", at + 1)) {
    const std::string_view code = message.substr(at + 3, 5);
    if (!is_sqlstate(code) || message.substr(at + 8, 2) != ": ") continue;
    error.sqlstate = code;
    break;
  }
  return error;
}

/// Whom the reason of a failure is about. The host may be a URL by mistake, so it is cleaned too.
std::string connection_text(const ControlOptions& options) {
  return clean_libpq_message("cannot connect to " + options.host + ":" +
                             std::to_string(options.port) + " as \"" + options.user + "\"") +
         ": ";
}

std::string session_settings(const ControlOptions& options) {
  return "SET search_path = pg_catalog; SET jit = off; SET client_min_messages = error;"
         "SET standard_conforming_strings = on; SET quote_all_identifiers = off;"
         "SET statement_timeout = " +
         std::to_string(options.statement_timeout_ms) +
         "; SET lock_timeout = " + std::to_string(options.lock_timeout_ms);
}

}  // namespace

void QueryResult::release(pg_result* result) {
  PQclear(result);
}

size_t QueryResult::rows() const {
  return static_cast<size_t>(PQntuples(result_.get()));
}

size_t QueryResult::columns() const {
  return static_cast<size_t>(PQnfields(result_.get()));
}

bool QueryResult::is_null(size_t row, size_t column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}

std::string_view QueryResult::text(size_t row, size_t column) const {
  const int r = static_cast<int>(row);
  const int c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<size_t>(PQgetlength(result_.get(), r, c))};
}

uint32_t QueryResult::oid(size_t row, size_t column) const {
  return parse<uint32_t>(text(row, column));
}

int64_t QueryResult::integer(size_t row, size_t column) const {
  return parse<int64_t>(text(row, column));
}

double QueryResult::real(size_t row, size_t column) const {
  return parse<double>(text(row, column));
}

char QueryResult::character(size_t row, size_t column) const {
  const std::string_view value = text(row, column);
  return value.empty() ? '\0' : value[0];
}

Result<ControlConnection> ControlConnection::connect(const ControlOptions& options) {
  const std::string port = std::to_string(options.port);
  const std::string timeout = std::to_string(options.connect_timeout_s);
  // Keepalives end a call whose server vanished: statement_timeout is kept by the server alone.
  const std::array<std::pair<const char*, const char*>, 13> settings = {{
      {"host", options.host.c_str()},
      {"port", port.c_str()},
      {"user", options.user.c_str()},
      {"password", options.password.c_str()},
      {"dbname", options.database.c_str()},
      {"connect_timeout", timeout.c_str()},
      {"application_name", options.application_name.c_str()},
      {"sslmode", options.sslmode.empty() ? nullptr : options.sslmode.c_str()},
      {"client_encoding", "UTF8"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "30000"},
  }};
  std::vector<const char*> names, values;
  for (const auto& [name, value] : settings) {
    if (value == nullptr) continue;
    names.push_back(name);
    values.push_back(value);
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  // No expansion of dbname: a database may be called "host=x".
  ControlConnection connection(
      connect_verbosely(names.data(), values.data(), options.connect_timeout_s));
  if (!connection.connected()) {
    const std::string_view message = PQerrorMessage(connection.connection_.get());
    return connection_error(connection_text(options),
                            message.empty() ? "timeout expired" : message);
  }
  const auto configured = connection.exec(session_settings(options));
  if (!configured.ok()) return configured.error();
  return connection;
}

void ControlConnection::finish(pg_conn* connection) {
  PQfinish(connection);
}

bool ControlConnection::connected() const {
  return PQstatus(connection_.get()) == CONNECTION_OK;
}

int ControlConnection::server_version_num() const {
  return PQserverVersion(connection_.get());
}

int ControlConnection::backend_pid() const {
  return PQbackendPID(connection_.get());
}

Result<QueryResult> ControlConnection::checked(pg_result* raw) {
  QueryResult result(raw);
  const ExecStatusType status = PQresultStatus(raw);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
    return result;
  const char* sqlstate = raw != nullptr ? PQresultErrorField(raw, PG_DIAG_SQLSTATE) : nullptr;
  const char* primary = raw != nullptr ? PQresultErrorField(raw, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
  return Error{
      clean_libpq_message(primary != nullptr ? primary : PQerrorMessage(connection_.get())),
      sqlstate != nullptr ? std::string(sqlstate) : std::string(kConnectionLost)};
}

Result<Rows> ControlConnection::exec(const std::string& sql) {
  return to_rows(checked(PQexec(connection_.get(), sql.c_str())));
}

Result<Rows> ControlConnection::exec(const std::string& sql,
                                     const std::vector<std::string>& parameters) {
  return to_rows(query(sql, parameters));
}

Result<QueryResult> ControlConnection::query(const std::string& sql,
                                             const std::vector<std::string>& parameters) {
  return checked(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(parameters.size()),
                              nullptr, pointers(parameters).data(), nullptr, nullptr, 0));
}

Result<QueryResult> ControlConnection::query_prepared(const std::string& name,
                                                      const std::string& sql,
                                                      const std::vector<std::string>& parameters) {
  if (!prepared_.contains(name)) {
    const auto planned =
        checked(PQprepare(connection_.get(), name.c_str(), sql.c_str(), 0, nullptr));
    if (!planned.ok()) return planned.error();
    prepared_.insert(name);
  }
  return checked(PQexecPrepared(connection_.get(), name.c_str(),
                                static_cast<int>(parameters.size()), pointers(parameters).data(),
                                nullptr, nullptr, 0));
}

namespace {

constexpr const char* kBackendStart =
    "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    " FROM pg_stat_activity WHERE pid = $1::int";

}  // namespace

Result<std::optional<std::string>> backend_start(ControlConnection& connection, int pid) {
  const auto found =
      connection.query_prepared("backend_start", kBackendStart, {std::to_string(pid)});
  if (!found.ok()) return found.error();
  if (found->rows() == 0 || found->is_null(0, 0)) return std::optional<std::string>();
  return std::optional<std::string>(found->text(0, 0));
}

Result<bool> backend_gone(ControlConnection& connection, int pid, std::string_view backend_start) {
  const auto found =
      connection.query_prepared("backend_start", kBackendStart, {std::to_string(pid)});
  if (!found.ok()) return found.error();
  // Everybody sees the pids of all backends; the start of a foreign one is NULL without privilege.
  if (found->rows() == 0) return true;
  return !found->is_null(0, 0) && found->text(0, 0) != backend_start;
}

}  // namespace pgrecall::adapters
