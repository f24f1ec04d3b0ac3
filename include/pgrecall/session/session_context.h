// SessionContext: everything about who asks, under which settings, that can change an answer.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pgrecall/sql/analyzer.h"
#include "pgrecall/upstream/server_connection.h"
#include "pgrecall/upstream/settings.h"

namespace pgrecall::session {

/// Immutable, interned: equal contexts have equal ids, and an id is never used for another context
/// in the life of the process. `text` is the full, structured form; it is what tier two compares.
struct SessionContext {
  uint64_t id = 0;
  std::string text;
  std::string search_path;   ///< as the server would show it
  std::string session_role;  ///< the login role, or what SET SESSION AUTHORIZATION made of it
  std::string role;          ///< effective: after SET ROLE
  uint32_t login_role_oid = 0;
  bool constant_settings = true;  ///< false: a setting's value is not known, nothing is cached
  bool standard_strings = true;   ///< standard_conforming_strings is on
  bool utf8 = true;               ///< client_encoding is UTF8
  bool read_committed = true;     ///< default_transaction_isolation
  bool cache_off = false;         ///< SET pgrecall.cache = off
  std::string application_name;   ///< for rules
};

/// What a server connection itself says about names and texts.
struct ServersView {
  std::string_view search_path, role, session_role, standard_strings, client_encoding;
};
/// True if names and texts mean on the server what they mean in `context`.
bool agrees(const SessionContext& context, const ServersView& server);

/// Process-wide; any thread. A context outlives its clients, so that answers are found again by the
/// next one; beyond `kContextsMax` those that nobody uses are forgotten.
class ContextTable {
 public:
  /// `by_application_name`: a rule asks for it, so it tells contexts apart.
  explicit ContextTable(bool by_application_name) : by_application_name_(by_application_name) {}

  /// `local` overlays `settings` (SET LOCAL).
  std::shared_ptr<const SessionContext> intern(const upstream::Baseline& baseline,
                                               std::string_view database, std::string_view user,
                                               const upstream::SettingMap& settings,
                                               const upstream::SettingMap& local);

 private:
  const bool by_application_name_;
  std::mutex mutex_;
  uint64_t next_id_ = 1;
  static constexpr size_t kContextsMax = 10'000;
  size_t sweep_at_ = kContextsMax;
  std::unordered_map<std::string, std::shared_ptr<const SessionContext>> contexts_;
};

/// True for settings that cannot change what a SELECT returns: names, time-outs, planner costs,
/// logging. Reviewed against PostgreSQL 15's pg_settings.
bool is_inert_setting(std::string_view name);

/// Resolves a search path over a catalog: existing schemas in order.
sql::ResolveScope resolve_scope(const SessionContext& context, const sql::Catalog& catalog);

}  // namespace pgrecall::session
