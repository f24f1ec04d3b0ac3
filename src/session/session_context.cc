#include "pgrecall/session/session_context.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace pgrecall::session {
namespace {

constexpr auto kInertSettings = std::to_array<std::string_view>({
    "application_name",
    "client_connection_check_interval",
    "commit_delay",
    "commit_siblings",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "debug_pretty_print",
    "debug_print_parse",
    "debug_print_plan",
    "debug_print_rewritten",
    "effective_cache_size",
    "effective_io_concurrency",
    "enable_bitmapscan",
    "enable_gathermerge",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "from_collapse_limit",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "jit_above_cost",
    "join_collapse_limit",
    "lock_timeout",
    "log_duration",
    "log_error_verbosity",
    "log_min_duration_statement",
    "log_min_error_statement",
    "log_min_messages",
    "log_statement",
    "maintenance_work_mem",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "random_page_cost",
    "seq_page_cost",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "track_activities",
    "track_counts",
    "track_functions",
    "track_io_timing",
    "work_mem",
});
static_assert(std::is_sorted(kInertSettings.begin(), kInertSettings.end()));

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

bool is_utf8(std::string_view encoding) {
  const std::string name = folded(encoding);
  return name == "utf8" || name == "utf-8" || name == "unicode";
}

bool is_on(std::string_view value) {
  const std::string name = folded(value);
  return name == "on" || name == "true" || name == "yes" || name == "1";
}

bool is_read_committed(std::string_view value) {
  const std::string name = folded(value);
  return name == "read committed" || name == "read uncommitted";
}

/// Length-prefixed, so that no two different contexts have the same text.
void append_part(std::string& text, std::string_view part) {
  text += std::to_string(part.size());
  text += ':';
  text += part;
}

void apply(SessionContext& context, const upstream::Setting& setting) {
  const std::string& name = setting.name;
  const std::string& value = setting.value;
  if (value.empty() && !setting.statement.empty() && name != "search_path") {
    context.constant_settings = context.constant_settings && setting.statement.empty();
  }
  if (name == "search_path")
    context.search_path = value;
  else if (name == "role")
    context.role = value.empty() || value == "none" ? context.session_role : value;
  else if (name == "session_authorization")
    context.session_role = context.role = value;
  else if (name == "standard_conforming_strings")
    context.standard_strings = is_on(value);
  else if (name == "client_encoding")
    context.utf8 = is_utf8(value);
  else if (name == "default_transaction_isolation")
    context.read_committed = is_read_committed(value);
  else if (name == "transaction_isolation")
    context.read_committed = is_read_committed(value);
  else if (name == "pgrecall.cache")
    context.cache_off = !value.empty() && !is_on(value);
  else if (name == "application_name")
    context.application_name = value;
}

/// A name of the path as the server keeps it (NAMEDATALEN, in UTF-8; no character is cut in two).
std::string clipped(std::string name) {
  constexpr size_t kNameMax = 63;
  if (name.size() <= kNameMax) return name;
  size_t end = kNameMax;
  while (end > 0 && (name[end] & 0xC0) == 0x80) --end;
  name.resize(end);
  return name;
}

/// As SplitIdentifierString does (varlena.c). `vertical_tab`: a blank from version 16 on.
std::vector<std::string> split_path(std::string_view path, bool vertical_tab) {
  const std::string_view blanks = vertical_tab ? " \t\n\r\f\v" : " \t\n\r\f";
  const auto is_blank = [&](char c) { return blanks.find(c) != std::string_view::npos; };
  std::vector<std::string> names;
  size_t i = 0;
  const auto skip_blanks = [&] {
    while (i < path.size() && is_blank(path[i])) ++i;
  };
  while (true) {
    skip_blanks();
    if (i >= path.size()) return names;
    std::string name;
    if (path[i] == '"') {
      for (++i; i < path.size(); ++i) {
        if (path[i] == '"') {
          if (i + 1 >= path.size() || path[i + 1] != '"') break;
          ++i;
        }
        name += path[i];
      }
      ++i;
    } else {
      while (i < path.size() && path[i] != ',' && !is_blank(path[i])) name += path[i++];
      name = folded(name);
    }
    names.push_back(clipped(std::move(name)));
    skip_blanks();
    if (i < path.size() && path[i] == ',')
      ++i;
    else if (i < path.size())
      return names;  // not a list: the server refuses it as well
  }
}

}  // namespace

bool is_inert_setting(std::string_view name) {
  return std::binary_search(kInertSettings.begin(), kInertSettings.end(), name);
}

bool agrees(const SessionContext& context, const ServersView& server) {
  return split_path(context.search_path, false) == split_path(server.search_path, false) &&
         context.role == server.role && context.session_role == server.session_role &&
         context.standard_strings == is_on(server.standard_strings) &&
         context.utf8 == is_utf8(server.client_encoding);
}

std::shared_ptr<const SessionContext> ContextTable::intern(const upstream::Baseline& baseline,
                                                           std::string_view database,
                                                           std::string_view user,
                                                           const upstream::SettingMap& settings,
                                                           const upstream::SettingMap& local) {
  auto context = std::make_shared<SessionContext>();
  context->search_path = baseline.search_path;
  context->session_role = context->role = baseline.role_name;
  context->login_role_oid = baseline.role_oid;
  context->standard_strings = is_on(baseline.standard_conforming_strings);
  context->utf8 = true;  // the start-up packet carries no encoding; see below
  if (!is_utf8(baseline.client_encoding)) context->utf8 = false;
  context->read_committed = is_read_committed(baseline.default_isolation);

  std::string& text = context->text;
  append_part(text, database);
  append_part(text, user);
  append_part(text, std::to_string(baseline.database_oid));
  append_part(text, std::to_string(baseline.role_oid));
  append_part(text, std::to_string(baseline.hash));
  append_part(text, baseline.client_encoding);
  upstream::SettingMap all = settings;
  for (const upstream::Setting& setting : local.all()) all.set(setting);
  if (const auto* authorization = all.find("session_authorization"))
    apply(*context, *authorization);
  for (const upstream::Setting& setting : all.all()) {
    if (setting.name != "session_authorization") apply(*context, setting);
    if (is_inert_setting(setting.name)) continue;
    append_part(text, setting.name);
    append_part(text, setting.value.empty() ? setting.statement : setting.value);
  }
  // Rules may ask for it, so an analysis is shared only between clients of one name.
  append_part(text, by_application_name_ ? context->application_name : std::string());

  std::lock_guard lock(mutex_);
  if (auto found = contexts_.find(text); found != contexts_.end()) return found->second;
  if (contexts_.size() >= sweep_at_) {
    std::erase_if(contexts_, [](const auto& entry) { return entry.second.use_count() == 1; });
    sweep_at_ = std::max(kContextsMax, contexts_.size() * 2);
  }
  context->id = next_id_++;
  contexts_[text] = context;
  return context;
}

sql::ResolveScope resolve_scope(const SessionContext& context, const sql::Catalog& catalog) {
  sql::ResolveScope scope;
  scope.role = catalog.role(context.role);
  const bool vertical_tab = catalog.server_version_num >= 160000;
  for (const std::string& name : split_path(context.search_path, vertical_tab)) {
    const sql::Oid schema = catalog.schema(name == "$user" ? context.role : name);
    // What the role may not use is passed over (pg_catalog: put in front, as if not listed).
    if (schema == sql::kInvalidOid || !catalog.may_use(scope.role, schema)) continue;
    if (name == "pg_catalog") scope.catalog_listed = true;
    scope.search_path.push_back(schema);
  }
  return scope;
}

}  // namespace pgrecall::session
