// Start-up, authentication and inspection of a server connection.
#include <charconv>
#include <utility>

#include "pgrecall/base/assert.h"
#include "pgrecall/upstream/pool.h"
#include "pgrecall/upstream/server_connection.h"
#include "pgrecall/wire/authentication.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/md5.h"
#include "pgrecall/wire/startup.h"

namespace pgrecall::upstream {
namespace {

/// Everything that decides what a statement means here before the client has changed anything. The
/// hash is over all visible settings, those of ALTER ROLE, DATABASE and SYSTEM included; custom
/// settings do not show, so those are taken that pg_db_role_setting names.
constexpr std::string_view kInspectionSql =
    "SELECT (SELECT d.oid FROM pg_catalog.pg_database d"
    " WHERE d.datname = pg_catalog.current_database()),"
    " (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user), current_user,"
    " pg_catalog.current_setting('search_path'),"
    " pg_catalog.current_setting('default_transaction_isolation'),"
    " pg_catalog.current_setting('standard_conforming_strings'),"
    " pg_catalog.current_setting('client_encoding'), pg_catalog.current_setting('TimeZone'),"
    " pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('server_version_num'),"
    " (SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', a.backend_start),"
    " 'YYYY-MM-DD HH24:MI:SS.US') FROM pg_catalog.pg_stat_activity a"
    " WHERE a.pid = pg_catalog.pg_backend_pid()),"
    " (SELECT pg_catalog.string_agg(s.name || '=' || s.kind || s.setting, pg_catalog.chr(1)"
    " ORDER BY s.name COLLATE \"C\") FROM (SELECT n.name, n.setting, CASE WHEN n.context <> 'user'"
    " THEN '#' WHEN n.source IN ('global', 'database', 'user', 'database user') THEN '!' ELSE '-'"
    " END AS kind FROM pg_catalog.pg_settings n WHERE n.context IN ('user', 'superuser')"
    " AND n.name NOT IN ('in_hot_standby', 'transaction_read_only', 'application_name',"
    " 'client_encoding') UNION SELECT k.name, pg_catalog.current_setting(k.name, true), '!'"
    " FROM pg_catalog.pg_db_role_setting c, LATERAL (SELECT pg_catalog.split_part(u, '=', 1) AS"
    " name FROM pg_catalog.unnest(c.setconfig) u) k WHERE k.name LIKE '%.%' AND NOT EXISTS (SELECT"
    " FROM pg_catalog.pg_settings n WHERE n.name = k.name) AND pg_catalog.current_setting(k.name,"
    " true) IS NOT NULL) s),"
    " (SELECT pg_catalog.md5(COALESCE(pg_catalog.string_agg(c.setdatabase::text || '.' ||"
    " c.setrole::text || '=' || c.setconfig::text, ',' ORDER BY c.setdatabase, c.setrole), ''))"
    " FROM pg_catalog.pg_db_role_setting c)";

uint64_t hash_text(uint64_t hash, std::string_view text) {
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3ULL;
  return (hash ^ 0xff) * 0x100000001b3ULL;
}

uint32_t to_u32(std::string_view text) {
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

void ServerConnection::start(std::optional<std::string> password, std::string nonce) {
  password_ = std::move(password);
  nonce_ = std::move(nonce);
  const wire::Parameter parameters[] = {{"user", user_name_}, {"database", database_}};
  wire::append_startup(output_, wire::kProtocol30, parameters);
  flush();
}

void ServerConnection::answer_authentication(std::string_view frame) {
  output_.append(frame);
  flush();
}

void ServerConnection::dispatch_login(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::kAuthentication:
      return handle_authentication(frame);
    case wire::kBackendKeyData: {
      const auto key = wire::BackendKeyData::decode(frame.payload);
      if (!key) return fail("malformed BackendKeyData");
      process_id_ = key->process_id;
      cancel_key_ = key->key;
      return;
    }
    case wire::kParameterStatus:
    case wire::kNoticeResponse:
    case wire::kNegotiateProtocolVersion:
      return;
    case wire::kErrorResponse:
      last_error_ = frame.payload;
      return fail("the login failed");
    case wire::kReadyForQuery:
      return inspect();
    default:
      return fail("unexpected message during login");
  }
}

void ServerConnection::handle_authentication(const wire::Frame& frame) {
  const auto code = wire::authentication_code(frame.payload);
  if (!code) return fail("malformed Authentication request");
  const auto kind = static_cast<wire::AuthenticationCode>(*code);
  if (kind == wire::AuthenticationCode::kOk) {
    if (scram_ && !scram_verified_)
      return fail("the server did not prove that it knows the secret");
    if (user_ != nullptr) user_->on_authentication(frame);
    return;
  }
  unchallenged_ = false;
  if (!password_) {
    if (user_ != nullptr) user_->on_authentication(frame);
    return;
  }
  if (kind == wire::AuthenticationCode::kCleartextPassword) {
    wire::append_password(output_, *password_);
  } else if (kind == wire::AuthenticationCode::kMd5Password) {
    const auto request = wire::AuthenticationMd5Password::decode(frame.payload);
    if (!request) return fail("malformed AuthenticationMD5Password");
    auto response =
        wire::md5_response(*password_, user_name_, {request->salt.data(), request->salt.size()});
    if (!response.ok()) return fail(response.error().message);
    wire::append_password(output_, *response);
  } else {
    return continue_scram(frame);
  }
  flush();
}

void ServerConnection::continue_scram(const wire::Frame& frame) {
  if (const auto offer = wire::AuthenticationSasl::decode(frame.payload)) {
    if (!offer->offers(wire::kScramSha256)) return fail("no known authentication mechanism");
    scram_ = std::make_unique<wire::ScramClient>(*password_, nonce_);
    auto first = scram_->client_first();
    if (!first.ok()) return fail(first.error().message);
    wire::append_sasl_initial_response(output_, wire::kScramSha256, *first);
    return flush();
  }
  const auto data = wire::AuthenticationData::decode(frame.payload);
  if (!data || !scram_) return fail("unexpected Authentication request");
  if (data->code == wire::AuthenticationCode::kSaslContinue) {
    auto response = scram_->client_final(data->data);
    if (!response.ok()) return fail(response.error().message);
    wire::append_sasl_response(output_, *response);
    return flush();
  }
  const Status verified = scram_->verify_server(data->data);
  if (!verified.ok()) return fail(verified.error().message);
  scram_verified_ = true;
}

void ServerConnection::inspect() {
  phase_ = Phase::kInspection;
  wire::append_query(output_, kInspectionSql);
  queue_.push(Reply::kQuery, Route::kSkip);
  flush();
}

void ServerConnection::inspect_again() {
  PGR_ASSERT(phase_ == Phase::kReady && queue_.empty());
  baseline_ = nullptr;
  applied.clear();
  statements.unnamed = 0;
  wire::append_query(output_, "RESET SESSION AUTHORIZATION; RESET ALL");
  queue_.push(Reply::kQuery, Route::kSkip);
  inspect();
}

void ServerConnection::dispatch_inspection(const wire::Frame& frame) {
  const Step step = queue_.on_message(frame.type);
  if (step.bad) return fail("unexpected message from the server");
  if (frame.type == wire::kDataRow) take_baseline(frame);
  if (frame.type == wire::kErrorResponse) {
    last_error_ = frame.payload;
    return fail("inspecting the connection failed");
  }
  if (frame.type != wire::kReadyForQuery || !queue_.empty()) return;
  if (!baseline_) return fail("inspecting the connection gave no row");
  phase_ = Phase::kReady;
  if (pool != nullptr) {
    pool_generation = pool->set_baseline(baseline_);
    pool->share(parameters_);
  }
  host_->server_ready(*this);
  if (user_ != nullptr)
    user_->on_server_ready(*this);
  else
    host_->server_idle(*this);
}

void ServerConnection::take_baseline(const wire::Frame& row) {
  const auto data = wire::DataRow::decode(row.payload);
  if (!data || data->columns.size() != 13) return;
  std::vector<std::string> values;
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto& column : data->columns) {
    values.emplace_back(column.value_or(std::string_view()));
    if (values.size() != 11) hash = hash_text(hash, values.back());
  }
  backend_start_ = values[10];
  // Thousands of clients may log in on connections of their own, and keep what theirs looked like.
  if (pool != nullptr) baseline_ = pool->baseline_like(hash, configuration);
  if (baseline_) return;
  auto baseline = std::make_shared<Baseline>();
  baseline->hash = hash;
  baseline->configuration = configuration;
  baseline->database_oid = to_u32(values[0]);
  baseline->role_oid = to_u32(values[1]);
  baseline->role_name = values[2];
  baseline->search_path = values[3];
  baseline->default_isolation = values[4];
  baseline->standard_conforming_strings = values[5];
  baseline->client_encoding = values[6];
  baseline->time_zone = values[7];
  baseline->in_recovery = values[8] == "t";
  baseline->server_version_num = static_cast<int>(to_u32(values[9]));
  baseline->defaults = parse_default_settings(values[11]);
  baseline_ = std::move(baseline);
}

}  // namespace pgrecall::upstream
