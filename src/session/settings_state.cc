#include "session/settings_state.h"

#include <algorithm>
#include <utility>

namespace pgrecall::session {
namespace {

std::string folded(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return lower;
}

/// DateStyle knows this word; the server would take its own default for the client's.
bool is_default(const sql::SettingChange& change) {
  return change.action == sql::SettingChange::Action::kSet && change.name == "datestyle" &&
         folded(change.value) == "default";
}

}  // namespace

bool SettingsState::take_changed() {
  return std::exchange(changed_, false);
}

bool SettingsState::restores(std::string_view name) const {
  if (synchronised()) return false;
  const std::string lower = folded(name);
  // Who is asked about hangs on the role.
  const std::string setting = lower == "is_superuser" ? "role" : lower;
  const upstream::Setting* local = now_.local.find(setting);
  const upstream::Setting* initial = startup_.find(setting);
  if (local != nullptr && initial != nullptr && local->value != initial->value) return false;
  const upstream::Setting* wanted = now_.client.find(setting);
  const upstream::Setting* there = now_.server.find(setting);
  return wanted != nullptr && (there == nullptr || !(*wanted == *there));
}

bool SettingsState::is_local(std::string_view name) const {
  return now_.local.find(folded(name)) != nullptr;
}

void SettingsState::set_startup(upstream::Setting setting) {
  startup_.set(setting);
  now_.client.set(std::move(setting));
  changed_ = true;
}

void SettingsState::keep_defaults(const std::vector<upstream::DefaultSetting>& then,
                                  const std::vector<upstream::DefaultSetting>& now) {
  auto at = now.begin();
  for (const upstream::DefaultSetting& old : then) {
    while (at != now.end() && at->name < old.name) ++at;
    const bool known = at != now.end() && at->name == old.name;
    if (known && (at->value == old.value || (!at->fixed && !old.fixed))) continue;
    if (!old.settable || startup_.find(old.name) != nullptr) continue;
    upstream::Setting setting{old.name, old.value, upstream::set_statement(old.name, old.value)};
    if (now_.client.find(old.name) == nullptr) now_.client.set(setting);
    startup_.set(std::move(setting));
    changed_ = true;
  }
}

void SettingsState::erase(std::string_view name) {
  now_.local.erase(name);
  now_.shadowed.erase(name);
  now_.server.erase(name);
  if (const upstream::Setting* initial = startup_.find(name))
    now_.client.set(*initial);
  else
    now_.client.erase(name);
}

void SettingsState::apply(const sql::SettingChange& change) {
  changed_ = true;
  if (is_default(change)) return change.local ? reset_locally(change.name) : erase(change.name);
  switch (change.action) {
    case sql::SettingChange::Action::kResetAll: {
      // session_authorization and role are not touched by RESET ALL (GUC_NO_RESET_ALL).
      std::vector<std::string> names;
      for (const auto& setting : now_.client.all()) names.push_back(setting.name);
      for (const auto& setting : now_.local.all()) names.push_back(setting.name);
      for (const auto& setting : now_.shadowed.all()) names.push_back(setting.name);
      for (const std::string& name : names) {
        if (name != "role" && name != "session_authorization") erase(name);
      }
      return;
    }
    case sql::SettingChange::Action::kReset:
      if (change.local) return reset_locally(change.name);
      if (change.name == "session_authorization") erase("role");
      return erase(change.name);
    case sql::SettingChange::Action::kSet:
      break;
  }
  upstream::Setting setting{change.name, change.value, change.statement};
  if (change.name == "datestyle") keep_part(setting, change.local);
  set(std::move(setting), change.local);
}

void SettingsState::keep_part(upstream::Setting& setting, bool local) const {
  const upstream::Setting* old = now_.local.find(setting.name);
  if (old == nullptr) old = now_.client.find(setting.name);
  if (old == nullptr || setting.value.empty()) return;
  setting.value = upstream::merged_datestyle(old->value, setting.value);
  setting.statement = local ? upstream::set_local_statement(setting.name, setting.value)
                            : upstream::set_statement(setting.name, setting.value);
}

void SettingsState::set(upstream::Setting setting, bool local) {
  const bool ends_role = setting.name == "session_authorization";
  if (local) {
    if (ends_role) now_.local.set({"role", "none", "SET LOCAL ROLE none"});
    return now_.local.set(std::move(setting));
  }
  if (ends_role) {
    erase("role");
    // Not the one of the start-up packet either.
    if (now_.client.find("role") != nullptr) set({"role", "none", "SET ROLE none"}, false);
  }
  now_.local.erase(setting.name);
  now_.shadowed.erase(setting.name);
  now_.server.set(setting);
  now_.client.set(std::move(setting));
}

/// The server falls back to its default, and has the client's value again when the transaction
/// ends. If the client is to have its start-up value, the server is given both.
void SettingsState::reset_locally(const std::string& name) {
  now_.local.erase(name);
  if (name == "session_authorization") {
    // The role falls back, too, or to none: that is for each minor release of PostgreSQL to say.
    reset_locally("role");
    if (startup_.find("role") == nullptr) now_.local.set({"role", "", "SET LOCAL role TO DEFAULT"});
  }
  if (const upstream::Setting* initial = startup_.find(name)) {
    now_.local.set({name, initial->value, upstream::set_local_statement(name, initial->value)});
    now_.server.set({name, "", ""});  // neither that nor nothing
    return;
  }
  const upstream::Setting* session = now_.client.find(name);
  if (session == nullptr) return;
  now_.shadowed.set(*session);
  now_.client.erase(name);
  now_.server.erase(name);
}

std::string SettingsState::take_reading_resets() {
  std::string sql;
  for (const std::string_view name : {"client_encoding", "standard_conforming_strings"}) {
    const upstream::Setting* there = now_.server.find(name);
    const upstream::Setting* wanted = now_.client.find(name);
    if (there == nullptr || (wanted != nullptr && *wanted == *there)) continue;
    sql += sql.empty() ? "RESET " : "; RESET ";
    sql += name;
    now_.server.erase(name);
  }
  return sql;
}

std::string SettingsState::synchronisation() const {
  std::string sql = upstream::settings_difference(now_.server, now_.client);
  // What is given back here would hide what the transaction has set for itself.
  for (const upstream::Setting& setting : now_.local.all()) sql += "; " + setting.statement;
  return sql;
}

bool SettingsState::end_changes_meaning() const {
  constexpr std::string_view kNames[] = {"backslash_quote",
                                         "client_encoding",
                                         "role",
                                         "row_security",
                                         "search_path",
                                         "session_authorization",
                                         "standard_conforming_strings"};
  const auto differs = [&](std::string_view name) {
    if (now_.local.find(name) != nullptr || now_.shadowed.find(name) != nullptr) return true;
    const upstream::Setting* now = now_.client.find(name);
    const upstream::Setting* then = at_begin_.client.find(name);
    return now == nullptr || then == nullptr ? now != then : !(*now == *then);
  };
  return in_transaction_ && std::any_of(std::begin(kNames), std::end(kNames), differs);
}

void SettingsState::discard_all() {
  now_.local.clear();
  now_.shadowed.clear();
  now_.server.clear();
  now_.client = startup_;
  changed_ = true;
}

void SettingsState::begin() {
  if (in_transaction_) return;
  in_transaction_ = true;
  at_begin_ = now_;
  savepoints_.clear();
}

void SettingsState::commit() {
  in_transaction_ = false;
  savepoints_.clear();
  changed_ = changed_ || !now_.local.empty() || !now_.shadowed.empty();
  now_.local.clear();
  const upstream::SettingMap shadowed = std::exchange(now_.shadowed, {});
  for (const upstream::Setting& setting : shadowed.all()) {
    now_.server.set(setting);
    now_.client.set(setting);
  }
}

void SettingsState::roll_back() {
  if (in_transaction_ && !(now_ == at_begin_)) {
    now_ = at_begin_;
    changed_ = true;
  }
  commit();
}

void SettingsState::savepoint(std::string_view name) {
  if (in_transaction_) savepoints_.push_back({std::string(name), now_});
}

bool SettingsState::has_savepoint(std::string_view name) const {
  return std::any_of(savepoints_.begin(), savepoints_.end(),
                     [&](const Savepoint& savepoint) { return savepoint.name == name; });
}

void SettingsState::release(std::string_view name) {
  for (size_t i = savepoints_.size(); i-- > 0;) {
    if (savepoints_[i].name != name) continue;
    savepoints_.resize(i);
    return;
  }
}

void SettingsState::roll_back_to(std::string_view name) {
  for (size_t i = savepoints_.size(); i-- > 0;) {
    if (savepoints_[i].name != name) continue;
    savepoints_.resize(i + 1);
    if (!(now_ == savepoints_[i].values)) changed_ = true;
    now_ = savepoints_[i].values;
    return;
  }
}

}  // namespace pgrecall::session
