#include "session/fake_postgres.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <utility>

#include "pgrecall/base/assert.h"
#include "pgrecall/wire/builder.h"
#include "pgrecall/wire/frontend.h"
#include "pgrecall/wire/startup.h"

namespace pgrecall::session::testing {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  return std::string(text);
}

std::string without_comments(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "--") i = std::min(text.find('\n', i), text.size());
    if (text.substr(i, 2) == "/*") i = std::min(text.find("*/", i) + 2, text.size());
    if (i < text.size()) out += text[i];
  }
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  std::string part;
  bool quoted = false;
  for (char c : text) {
    quoted = quoted != (c == '\'');
    if (c == ';' && !quoted) {
      parts.push_back(trimmed(std::exchange(part, {})));
    } else {
      part += c;
    }
  }
  parts.push_back(trimmed(part));
  std::erase(parts, "");
  return parts;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  for (char c : text) {
    const bool inside = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
    if (inside) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      out.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) out.push_back(word);
  return out;
}

std::string word(const std::vector<std::string>& list, size_t at) {
  return at < list.size() ? list[at] : std::string();
}

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string after(const std::vector<std::string>& list, std::string_view word) {
  const auto at = std::find(list.begin(), list.end(), word);
  return at == list.end() || at + 1 == list.end() ? std::string() : *(at + 1);
}

std::string unquoted(std::string text) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'') {
    text = text.substr(1, text.size() - 2);
  }
  return text;
}

bool ends_transaction(std::string_view sql) {
  const auto list = words(sql);
  if (list.empty()) return false;
  return list[0] == "commit" || list[0] == "end" || list[0] == "rollback";
}

const std::vector<std::string>& tables_of(const std::string& schema) {
  static const std::vector<std::string> kPublic = {"t", "u", "big"};
  static const std::vector<std::string> kTenant = {"t"};
  static const std::vector<std::string> kNone;
  if (schema == "public") return kPublic;
  if (schema == "tenant_a" || schema == "tenant_b") return kTenant;
  return kNone;
}

constexpr std::string_view kReported[] = {"application_name", "TimeZone"};

}  // namespace

void FakePostgres::receive(std::string_view bytes) {
  input_ += bytes;
  process();
}

void FakePostgres::process() {
  while (!sleeping_ && !ended_) {
    if (!started_) {
      std::string_view packet;
      if (wire::peek_startup(input_, &packet) != wire::Peek::kFrame) return;
      const std::string copy(packet);
      input_.erase(0, copy.size());
      startup(copy);
      continue;
    }
    wire::Frame frame;
    if (wire::peek_frame(input_, 1 << 30, &frame) != wire::Peek::kFrame) return;
    const std::string copy(frame.bytes);
    wire::peek_frame(copy, 1 << 30, &frame);
    handle(frame);
    if (sleeping_) return;  // the message is read again when it wakes
    input_.erase(0, copy.size());
  }
}

void FakePostgres::startup(std::string_view packet) {
  const auto message = wire::StartupMessage::decode(packet);
  PGR_ASSERT(message);
  started_ = true;
  for (const auto& [name, value] : message->parameters) {
    startup_[std::string(name)] = std::string(value);
  }
  defaults_ = {{"timezone", "UTC"},
               {"search_path", "public"},
               {"application_name", ""},
               {"role", "none"},
               {"datestyle", "ISO, MDY"}};
  for (const auto& [name, value] : startup_) {
    if (name != "user" && name != "database") defaults_[lower(name)] = value;
  }
  switch (login) {
    case Login::kTrust:
      return greet();
    case Login::kPassword:
      return wire::append_authentication_cleartext(out);
    case Login::kRefused:
      return wire::append_error(out, "FATAL", "28000", "no pg_hba.conf entry");
  }
}

void FakePostgres::greet() {
  logged_in_ = true;
  wire::append_authentication_ok(out);
  wire::append_parameter_status(out, "server_version", "15.4");
  for (std::string_view name : kReported) {
    reported_[std::string(name)] = setting(lower(name));
    wire::append_parameter_status(out, name, setting(lower(name)));
  }
  wire::append_backend_key_data(out, process_id_, "kkkk");
  wire::append_ready_for_query(out, 'I');
}

void FakePostgres::handle(const wire::Frame& frame) {
  if (!logged_in_) {
    const auto password = wire::PasswordMessage::decode(frame.payload);
    if (password && password->password == "secret") return greet();
    return wire::append_error(out, "FATAL", "28P01", "password authentication failed");
  }
  if (copying_) return in_copy(frame);
  if (frame.type == wire::kSync) return sync();
  if (skipping_ || frame.type == wire::kFlush || wire::is_copy_type(frame.type)) return;
  if (frame.type == wire::kQuery) {
    if (sleeping_ || !statements_left_.empty()) return run_queue();
    const auto message = wire::Query::decode(frame.payload);
    return query(message ? message->sql : std::string_view("nonsense"));
  }
  if (frame.type == wire::kFunctionCall) {
    log.emplace_back("function call");
    out += std::string("V\0\0\0\10\xff\xff\xff\xff", 9);
    return ready();
  }
  if (frame.type != wire::kTerminate) extended(frame);
}

// ---- Simple queries ----

void FakePostgres::query(std::string_view text) {
  const std::string sql = without_comments(text);
  prepared_.erase("");
  portals_.erase("");
  if (words(sql).empty()) {
    if (!sql.empty()) log.emplace_back(sql);
    wire::append_empty_query_response(out);
    if (!block_) commit();
    return ready();
  }
  if (has(words(sql), "nonsense")) {
    log.emplace_back(sql);
    error({"42601", "syntax error"});
    return end_query(true);
  }
  const auto parts = split(sql);
  statements_left_.assign(parts.begin(), parts.end());
  many_ = parts.size() > 1;
  run_queue();
}

void FakePostgres::run_queue() {
  while (!statements_left_.empty()) {
    const std::string sql = statements_left_.front();
    const auto list = words(sql);
    if (list.empty()) {
      error({"42601", "syntax error"});
      return end_query(true);
    }
    if (has(list, "sleeps") && !std::exchange(woken_, false)) {
      if (std::exchange(cancelled_, false)) {
        error({"57014", "canceling statement due to user request"});
        return end_query(true);
      }
      sleeping_ = true;
      return;
    }
    if (list[0] == "copy" && has(list, "stdin") && !has(list, "fails") && !failed_) {
      log.push_back(sql);
      copying_ = true;
      copy_extended_ = false;
      out += std::string("G\0\0\0\7\0\0\0", 8);
      return;
    }
    const Outcome outcome = run(sql, {});
    if (outcome.failure) {
      error(*outcome.failure);
      return end_query(true);
    }
    if (outcome.selects) wire::append_row_description(out, std::vector<wire::ColumnSpec>{{"c"}});
    for (const std::string& row : outcome.rows) {
      wire::append_data_row(out, std::vector<std::optional<std::string_view>>{row});
    }
    wire::append_command_complete(out, outcome.tag);
    statements_left_.pop_front();
  }
  end_query(false);
}

void FakePostgres::end_query(bool error) {
  statements_left_.clear();
  if (error && block_) fail_block();
  if (!error && !block_) commit();
  if (error && !block_) roll_back();
  ready();
}

void FakePostgres::ready() {
  if (!block_) portals_.clear();
  for (std::string_view name : kReported) {
    std::string& told = reported_[std::string(name)];
    const std::string now = setting(lower(name));
    if (told == now) continue;
    told = now;
    wire::append_parameter_status(out, name, now);
  }
  wire::append_ready_for_query(out, status());
}

// ---- COPY ----

void FakePostgres::in_copy(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::kCopyData:
      if (frame.payload.find("fails") != std::string_view::npos) fail_copy();
      return;
    case wire::kCopyFail:
      return fail_copy();
    case wire::kCopyDone:
      copying_ = false;
      begin();
      ++pending_["public.t"];
      wire::append_command_complete(out, "COPY 1");
      if (copy_extended_) return;
      statements_left_.pop_front();
      return run_queue();
    case wire::kSync:
    case wire::kFlush:
      return;
    default:
      // Only its type has been read: the backend does not know where the next message begins.
      error({"08P01", "unexpected message type during COPY from stdin"});
      wire::append_error(out, "FATAL", "08P01", "protocol synchronization was lost");
      die();
  }
}

void FakePostgres::fail_copy() {
  copying_ = false;
  const Failure failure{"22P04", "extra data"};
  if (copy_extended_) return skip_after(failure);
  error(failure);
  end_query(true);
}

// ---- The extended protocol ----

void FakePostgres::extended(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::kParse:
      return parse(frame);
    case wire::kBind:
      return bind(frame);
    case wire::kDescribe:
      return describe(frame);
    case wire::kExecute:
      return execute(frame);
    case wire::kClose:
      return close(frame);
    default:
      error({"08P01", "invalid frontend message type"});
  }
}

void FakePostgres::skip_after(const Failure& failure) {
  error(failure);
  skipping_ = true;
  if (block_)
    fail_block();
  else
    roll_back();
}

/// What was set since the last savepoint is taken back at once.
void FakePostgres::fail_block() {
  failed_ = true;
  settings_ = levels_.back().settings;
}

void FakePostgres::parse(const wire::Frame& frame) {
  const auto message = wire::Parse::decode(frame.payload);
  if (!message) return skip_after({"08P01", "invalid message format"});
  const std::string name(message->statement);
  log.push_back("parse " + name);
  if (name.empty()) prepared_.erase("");
  if (has(words(message->sql), "nonsense")) return skip_after({"42601", "syntax error"});
  if (failed_ && !ends_transaction(message->sql)) return skip_after({"25P02", "aborted"});
  if (!name.empty() && prepared_.contains(name)) {
    return skip_after({"42P05", "prepared statement \"" + name + "\" already exists"});
  }
  prepared_[name] = trimmed(without_comments(message->sql));
  wire::append_parse_complete(out);
}

void FakePostgres::bind(const wire::Frame& frame) {
  const auto message = wire::Bind::decode(frame.payload);
  if (!message) return skip_after({"08P01", "invalid message format"});
  const std::string name(message->portal);
  log.push_back("bind " + std::string(message->statement));
  const auto statement = prepared_.find(std::string(message->statement));
  if (statement == prepared_.end()) {
    return skip_after(
        {"26000", "prepared statement \"" + std::string(message->statement) + "\" does not exist"});
  }
  if (failed_ && !ends_transaction(statement->second)) return skip_after({"25P02", "aborted"});
  if (!name.empty() && portals_.contains(name)) return skip_after({"42P03", "cursor exists"});
  Portal portal;
  portal.sql = statement->second;
  for (const auto& value : message->parameters) {
    portal.shown += " $" + std::string(value.value_or("NULL"));
  }
  if (message->result_formats.of(0) == wire::kBinaryFormat) portal.shown += " binary";
  portals_[name] = std::move(portal);
  wire::append_bind_complete(out);
}

void FakePostgres::describe(const wire::Frame& frame) {
  const auto message = wire::Describe::decode(frame.payload);
  if (!message) return skip_after({"08P01", "invalid message format"});
  const std::string name(message->name);
  std::string sql;
  if (message->kind == wire::kStatement) {
    const auto at = prepared_.find(name);
    if (at == prepared_.end()) {
      return skip_after({"26000", "prepared statement \"" + name + "\" does not exist"});
    }
    sql = at->second;
  } else {
    const auto at = portals_.find(name);
    if (at == portals_.end()) return skip_after({"34000", "no portal"});
    sql = at->second.sql;
  }
  if (failed_ && !ends_transaction(sql)) return skip_after({"25P02", "aborted"});
  if (message->kind == wire::kStatement) {
    const auto count = static_cast<size_t>(std::count(sql.begin(), sql.end(), '$'));
    wire::append_parameter_description(out, std::vector<uint32_t>(count, 25));
  }
  const auto list = words(sql);
  if (!list.empty() && (list[0] == "select" || list[0] == "show"))
    wire::append_row_description(out, std::vector<wire::ColumnSpec>{{"c"}});
  else
    wire::append_no_data(out);
}

void FakePostgres::execute(const wire::Frame& frame) {
  const auto message = wire::Execute::decode(frame.payload);
  if (!message) return skip_after({"08P01", "invalid message format"});
  const auto at = portals_.find(std::string(message->portal));
  if (at == portals_.end()) return skip_after({"34000", "no portal"});
  Portal& portal = at->second;
  const auto list = words(portal.sql);
  if (list.empty()) return wire::append_empty_query_response(out);
  if (has(list, "sleeps") && !std::exchange(woken_, false)) {
    if (std::exchange(cancelled_, false)) return skip_after({"57014", "canceled"});
    sleeping_ = true;
    return;
  }
  if (list[0] == "copy" && has(list, "stdin") && !has(list, "fails") && !failed_) {
    log.push_back(portal.sql);
    copying_ = copy_extended_ = true;
    out += std::string("G\0\0\0\7\0\0\0", 8);
    return;
  }
  if (failed_ && !ends_transaction(portal.sql)) return skip_after({"25P02", "aborted"});
  if (portal.done && list[0] != "select") return skip_after({"55000", "portal cannot be run"});
  const size_t given = portal.given;
  const Outcome outcome = run(portal.sql, portal.shown);
  if (outcome.failure) return skip_after(*outcome.failure);
  size_t last = outcome.rows.size();
  if (message->max_rows > 0) last = std::min(last, given + static_cast<size_t>(message->max_rows));
  for (size_t i = given; i < last; ++i) {
    wire::append_data_row(out, std::vector<std::optional<std::string_view>>{outcome.rows[i]});
  }
  // What ends a transaction has taken the portal with it.
  const auto still = portals_.find(std::string(message->portal));
  if (still != portals_.end()) {
    still->second.given = last;
    still->second.done = true;
  }
  const bool stopped = message->max_rows > 0 && last - given == size_t(message->max_rows);
  if (stopped) return wire::append_empty(out, wire::kPortalSuspended);
  wire::append_command_complete(
      out, outcome.selects && given > 0 ? "SELECT " + std::to_string(last - given) : outcome.tag);
}

void FakePostgres::close(const wire::Frame& frame) {
  const auto message = wire::Close::decode(frame.payload);
  if (!message) return skip_after({"08P01", "invalid message format"});
  log.push_back("close " + std::string(message->name));
  if (message->kind == wire::kStatement)
    prepared_.erase(std::string(message->name));
  else
    portals_.erase(std::string(message->name));
  wire::append_close_complete(out);
}

void FakePostgres::sync() {
  skipping_ = false;
  if (!block_) commit();
  ready();
}

// ---- Statements ----

FakePostgres::Outcome FakePostgres::fail(std::string sqlstate, std::string text) {
  Outcome outcome;
  outcome.failure = Failure{std::move(sqlstate), std::move(text)};
  return outcome;
}

/// The look-up of what pins a client: temporary objects, LISTEN, cursors, locks, PREPARE.
FakePostgres::Outcome FakePostgres::what_is_left(const std::string& sql) {
  const auto shown = [&](std::string_view view, bool is_left) {
    return sql.find(view) == std::string::npos || is_left ? "t" : "f";
  };
  const bool prepared = std::any_of(prepared_.begin(), prepared_.end(), [](const auto& entry) {
    return !entry.first.starts_with("pgr_");
  });
  std::vector<std::optional<std::string_view>> values = {
      shown("pg_my_temp_schema", !temporary_.empty()),
      shown("pg_listening_channels", !listening_.empty()), shown("pg_cursors", true),
      shown("pg_locks", true), shown("pg_prepared_statements", prepared)};
  wire::append_data_row(out, values);
  Outcome outcome;
  outcome.tag = "SELECT 1";
  return outcome;
}

FakePostgres::Outcome FakePostgres::run(const std::string& sql, const std::string& shown) {
  if (sql.starts_with("SELECT (SELECT d.oid")) {
    Outcome outcome;
    std::string row = "inspection";
    std::vector<std::optional<std::string_view>> values = {
        "5",   "10", startup_["user"], defaults_["search_path"], "read committed",    "on", "UTF8",
        "UTC", "f",  "150004",         "2024-01-01 00:00:00+00", data_.settings_hash, "bb"};
    wire::append_data_row(out, values);
    outcome.tag = "SELECT 1";
    return outcome;
  }
  if (sql.find(" FROM pg_catalog.") != std::string::npos) return what_is_left(sql);
  log.push_back(sql);
  const auto list = words(sql);
  if (list.empty()) return fail("42601", "syntax error");
  if (failed_ && !ends_transaction(sql)) return fail("25P02", "current transaction is aborted");
  if (has(list, "fails")) return fail("22012", "division by zero");
  const std::string& verb = list[0];
  if (verb == "begin" || verb == "start" || verb == "commit" || verb == "end" ||
      verb == "rollback" || verb == "savepoint" || verb == "release") {
    return run_transaction_command(sql);
  }
  begin();
  if (verb == "select") return select(sql, shown);
  if (verb == "set" || verb == "reset" || verb == "discard" || verb == "show") {
    return change_setting(sql);
  }
  Outcome outcome;
  outcome.tag = verb == "insert" ? "INSERT 0 1" : verb == "update" ? "UPDATE 1" : "DELETE 1";
  std::string table = after(list, verb == "insert" ? "into" : verb == "update" ? "update" : "from");
  if (verb == "do") table = after(list, "bump");
  if (verb == "insert" || verb == "update" || verb == "delete" || verb == "do") {
    if (verb == "do") outcome.tag = "DO";
    if (table.find('.') == std::string::npos) table = "public." + table;
    ++pending_[table];
    return outcome;
  }
  if (verb == "create" && has(list, "temp")) temporary_.insert(after(list, "table"));
  if (verb == "drop") temporary_.erase(after(list, "table"));
  if (verb == "listen") listening_.insert(word(list, 1));
  if (verb == "unlisten" && list.size() == 1) listening_.clear();
  if (verb == "unlisten") listening_.erase(word(list, 1));
  if (verb == "prepare") {
    const size_t at = lower(sql).find(" as ");
    if (at == std::string::npos) return fail("42601", "syntax error");
    prepared_[word(list, 1)] = sql.substr(at + 4);
  }
  if (verb == "execute") {
    const auto at = prepared_.find(word(list, 1));
    if (at == prepared_.end()) return fail("26000", "prepared statement does not exist");
    return run(at->second, shown);
  }
  if (verb == "deallocate" && word(list, 1) == "all") prepared_.clear();
  if (verb == "deallocate" && word(list, 1) != "all" && prepared_.erase(word(list, 1)) == 0) {
    return fail("26000", "prepared statement \"" + word(list, 1) + "\" does not exist");
  }
  outcome.tag = verb;
  for (char& c : outcome.tag) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (verb == "create") outcome.tag = "CREATE TABLE";
  if (verb == "deallocate" && word(list, 1) == "all") outcome.tag = "DEALLOCATE ALL";
  return outcome;
}

FakePostgres::Outcome FakePostgres::run_transaction_command(const std::string& sql) {
  const auto list = words(sql);
  Outcome outcome;
  if (list[0] == "begin" || list[0] == "start") {
    begin();
    block_ = true;
    outcome.tag = list[0] == "begin" ? "BEGIN" : "START TRANSACTION";
    return outcome;
  }
  if (list[0] == "savepoint" || list[0] == "release") {
    if (!block_) return fail("25P01", "no transaction");
    if (list[0] == "savepoint") {
      levels_.push_back({word(list, 1), settings_, pending_});
      outcome.tag = "SAVEPOINT";
      return outcome;
    }
  }
  const bool to = list[0] == "rollback" && has(list, "to");
  if (list[0] == "release" || to) {
    if (!block_) return fail("25P01", "no transaction");
    size_t at = levels_.size();
    while (at > 1 && levels_[at - 1].name != list.back()) --at;
    if (at <= 1) return fail("3B001", "no such savepoint");
    if (to) {
      settings_ = levels_[at - 1].settings;
      pending_ = levels_[at - 1].pending;
      failed_ = false;
    }
    levels_.resize(to ? at : at - 1);
    outcome.tag = to ? "ROLLBACK" : "RELEASE";
    return outcome;
  }
  const bool commits = list[0] != "rollback" && !failed_;
  outcome.tag = commits ? "COMMIT" : "ROLLBACK";
  if (!block_) wire::append_notice(out, "WARNING", "25P01", "there is no transaction in progress");
  if (commits)
    commit();
  else
    roll_back();
  block_ = failed_ = false;
  portals_.clear();
  return outcome;
}

FakePostgres::Outcome FakePostgres::select(const std::string& sql, const std::string& shown) {
  const auto list = words(sql);
  Outcome outcome;
  outcome.selects = true;
  outcome.tag = "SELECT 1";
  if (sql.find("set_config(") != std::string::npos) {
    const size_t first = sql.find('\'');
    const size_t second = sql.find('\'', first + 1);
    const size_t third = sql.find('\'', second + 1);
    const size_t fourth = sql.find('\'', third + 1);
    const std::string value = sql.substr(third + 1, fourth - third - 1);
    set(lower(sql.substr(first + 1, second - first - 1)), value, has(list, "true"));
    outcome.rows = {value};
    return outcome;
  }
  std::string table = after(list, "from");
  if (table.empty()) {
    outcome.rows = {list.size() > 1 ? list[1] : ""};
    return outcome;
  }
  std::string found = table.find('.') == std::string::npos ? "" : table;
  if (temporary_.contains(table)) found = "temp." + table;
  for (const std::string& schema : words(setting("search_path"))) {
    if (found.empty() && has(tables_of(schema), table)) found = schema + "." + table;
  }
  if (found.empty()) return fail("42P01", "relation \"" + table + "\" does not exist");
  const auto pending = pending_.find(found);
  const int version = data_.versions[found] + (pending == pending_.end() ? 0 : pending->second);
  std::string row = found + "=" + std::to_string(version) + shown;
  if (setting("timezone") != "UTC") row += " " + setting("timezone");
  if (setting("role") != "none") row += " as " + setting("role");
  outcome.rows = {row};
  if (table == "big") {
    outcome.rows = {row, row + "#2", row + "#3"};
    outcome.tag = "SELECT 3";
  }
  if (has(list, "wide")) outcome.rows[0] += std::string(100'000, 'w');
  return outcome;
}

void FakePostgres::set(const std::string& name, const std::string& value, bool local) {
  if (local) {
    settings_.local[name] = value;
    return;
  }
  settings_.session[name] = value;
  settings_.local.erase(name);
}

std::string FakePostgres::setting(const std::string& name) const {
  for (const auto* map : {&settings_.local, &settings_.session, &defaults_}) {
    const auto at = map->find(name);
    if (at != map->end()) return at->second;
  }
  return {};
}

FakePostgres::Outcome FakePostgres::change_setting(const std::string& sql) {
  const auto list = words(sql);
  Outcome outcome;
  if (list[0] == "show") {
    outcome.selects = true;
    outcome.rows = {setting(word(list, 1))};
    outcome.tag = "SHOW";
    return outcome;
  }
  if (list[0] == "discard") {
    if (block_ || many_) return fail("25001", "DISCARD ALL cannot run inside a transaction");
    settings_ = {};
    levels_.clear();
    prepared_.clear();
    temporary_.clear();
    listening_.clear();
    outcome.tag = "DISCARD ALL";
    return outcome;
  }
  outcome.tag = list[0] == "set" ? "SET" : "RESET";
  if (list[0] == "reset") {
    if (word(list, 1) == "all") {
      const std::string role = settings_.session["role"];
      settings_ = {};
      if (!role.empty()) settings_.session["role"] = role;
    } else {
      settings_.session.erase(word(list, 1));
      settings_.local.erase(word(list, 1));
    }
    return outcome;
  }
  const bool local = word(list, 1) == "local";
  const std::string name = word(list, local ? 2 : 1);
  if (name == "transaction") return outcome;
  const size_t at = lower(sql).find(name) + name.size();
  std::string value = trimmed(sql.substr(at));
  if (value.starts_with("=")) value = value.substr(1);
  if (lower(value).starts_with("to ")) value = value.substr(3);
  set(name, unquoted(value), local);
  return outcome;
}

// ---- Transactions ----

void FakePostgres::begin() {
  if (levels_.empty()) levels_.push_back({"", settings_, {}});
}

void FakePostgres::commit() {
  for (const auto& [table, count] : pending_) data_.versions[table] += count;
  pending_.clear();
  settings_.local.clear();
  levels_.clear();
}

void FakePostgres::roll_back() {
  if (!levels_.empty()) settings_ = levels_.front().settings;
  pending_.clear();
  settings_.local.clear();
  levels_.clear();
}

void FakePostgres::error(const Failure& failure) {
  wire::append_error(out, "ERROR", failure.sqlstate, failure.text);
}

void FakePostgres::wake() {
  PGR_ASSERT(std::exchange(sleeping_, false));
  woken_ = true;
  process();
}

void FakePostgres::die() {
  ended_ = true;
  sleeping_ = false;
}

void FakePostgres::cancel() {
  if (!std::exchange(sleeping_, false)) return;
  cancelled_ = true;
  process();
}

}  // namespace pgrecall::session::testing
