#include "pgrecall/upstream/settings.h"

#include <algorithm>
#include <utility>

namespace pgrecall::upstream {
namespace {

constexpr std::string_view kAuthorization = "session_authorization";
constexpr std::string_view kRole = "role";

std::string reset_statement(std::string_view name) {
  if (name == kAuthorization) return "RESET SESSION AUTHORIZATION";
  if (name == kRole) return "RESET ROLE";
  return "RESET " + quote_identifier(name);
}

void append_statement(std::string& sql, std::string_view statement) {
  if (!sql.empty()) sql += "; ";
  sql += statement;
}

/// A custom setting's name is two identifiers: a.b must not become "a.b".
std::string quote_parts(std::string_view name) {
  std::string quoted;
  size_t start = 0;
  while (true) {
    const size_t dot = name.find('.', start);
    quoted += '"';
    for (char c : name.substr(start, dot == std::string_view::npos ? dot : dot - start)) {
      if (c == '"') quoted += '"';
      quoted += c;
    }
    quoted += '"';
    if (dot == std::string_view::npos) return quoted;
    quoted += '.';
    start = dot + 1;
  }
}

/// set_config takes list settings (search_path) as one text, as start-up parameters do; SET would
/// quote the whole list as one name.
std::string set_config(std::string_view name, std::string_view value, std::string_view is_local) {
  std::string sql = "SELECT pg_catalog.set_config(" + quote_literal(name) + ", ";
  return sql.append(quote_literal(value)).append(", ").append(is_local) + ")";
}

}  // namespace

std::vector<DefaultSetting> parse_default_settings(std::string_view text) {
  std::vector<DefaultSetting> settings;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\x01'), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals + 1 >= item.size()) continue;
    const char kind = item[equals + 1];
    settings.push_back({std::string(item.substr(0, equals)), std::string(item.substr(equals + 2)),
                        kind == '!', kind != '#'});
  }
  return settings;
}

const std::vector<Setting> SettingMap::kNone;

void SettingMap::set(Setting setting) {
  std::vector<Setting> changed = all();
  auto at = std::lower_bound(changed.begin(), changed.end(), setting.name,
                             [](const Setting& a, const std::string& b) { return a.name < b; });
  if (at != changed.end() && at->name == setting.name)
    *at = std::move(setting);
  else
    changed.insert(at, std::move(setting));
  settings_ = std::make_shared<const std::vector<Setting>>(std::move(changed));
}

void SettingMap::erase(std::string_view name) {
  if (find(name) == nullptr) return;
  std::vector<Setting> changed = all();
  std::erase_if(changed, [&](const Setting& setting) { return setting.name == name; });
  if (changed.empty()) return clear();
  settings_ = std::make_shared<const std::vector<Setting>>(std::move(changed));
}

const Setting* SettingMap::find(std::string_view name) const {
  for (const Setting& setting : all()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::string settings_difference(const SettingMap& applied, const SettingMap& wanted) {
  const auto becomes = [](std::string_view name) {
    return name == kAuthorization || name == kRole;
  };
  std::string sql;
  for (const Setting& setting : applied.all()) {
    if (becomes(setting.name) || wanted.find(setting.name) != nullptr) continue;
    append_statement(sql, reset_statement(setting.name));
  }
  for (const Setting& setting : wanted.all()) {
    const Setting* before = applied.find(setting.name);
    if (becomes(setting.name) || (before != nullptr && *before == setting)) continue;
    // What the value does not name would be kept from the other client's.
    if (before != nullptr && setting.name == "datestyle")
      append_statement(sql, reset_statement(setting.name));
    append_statement(sql, setting.statement);
  }
  // Who logged in may set what a role that was taken on later may not.
  const bool others = !sql.empty();
  const auto equal = [&](std::string_view name) {
    const Setting* before = applied.find(name);
    const Setting* after = wanted.find(name);
    return before == nullptr || after == nullptr ? before == after : *before == *after;
  };
  const bool authorization_kept = equal(kAuthorization) && !others;
  const bool role_kept = equal(kRole) && authorization_kept;
  std::string first;
  if (!authorization_kept && applied.find(kAuthorization) != nullptr)
    append_statement(first, reset_statement(kAuthorization));
  const bool lets_go = others || (!role_kept && wanted.find(kRole) == nullptr);
  if (lets_go && applied.find(kRole) != nullptr) append_statement(first, reset_statement(kRole));
  if (others) append_statement(first, sql);
  for (const auto& [name, kept] :
       {std::pair{kAuthorization, authorization_kept}, std::pair{kRole, role_kept}}) {
    const Setting* setting = kept ? nullptr : wanted.find(name);
    if (setting != nullptr) append_statement(first, setting->statement);
  }
  return first;
}

std::string quote_literal(std::string_view text) {
  std::string quoted = text.find('\\') == std::string_view::npos ? "'" : " E'";
  for (char c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

std::string quote_identifier(std::string_view text) {
  return quote_parts(text);
}

std::string set_statement(std::string_view name, std::string_view value) {
  return set_config(name, value, "false");
}

std::string set_local_statement(std::string_view name, std::string_view value) {
  return set_config(name, value, "true");
}

}  // namespace pgrecall::upstream
