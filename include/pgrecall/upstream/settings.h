// SettingMap: run-time parameters that differ from a server connection's defaults, and how to get
// from one set of them to another.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgrecall::upstream {

struct Setting {
  std::string name;       ///< folded, as in pg_settings; also role and session_authorization
  std::string value;      ///< for the cache key; empty if it is not a constant
  std::string statement;  ///< SQL that establishes it again
  friend bool operator==(const Setting&, const Setting&) = default;
};

/// The value of a run-time parameter before the client has set anything.
struct DefaultSetting {
  std::string name;
  std::string value;
  bool fixed = false;     ///< by ALTER ROLE or ALTER DATABASE: of sessions that begin afterwards
  bool settable = false;  ///< by any user
};

/// Reads `name=<kind>value` items, ordered by name and separated by \x01, where <kind> is ! for one
/// that is fixed, - for one that follows the configuration, # for one that not everybody may set.
std::vector<DefaultSetting> parse_default_settings(std::string_view text);

/// A value, ordered by name. Two server connections whose maps are equal behave alike. Copies share
/// their list until one of them changes: every transaction remembers how it began.
class SettingMap {
 public:
  void set(Setting setting);
  void erase(std::string_view name);
  void clear() { settings_ = nullptr; }
  const Setting* find(std::string_view name) const;
  bool empty() const { return settings_ == nullptr; }
  const std::vector<Setting>& all() const { return settings_ ? *settings_ : kNone; }
  friend bool operator==(const SettingMap& a, const SettingMap& b) {
    return a.settings_ == b.settings_ || a.all() == b.all();
  }

 private:
  static const std::vector<Setting> kNone;
  std::shared_ptr<const std::vector<Setting>> settings_;  ///< nullptr instead of an empty list
};

/// SQL, one Query of several statements, that takes a server connection from `applied` to `wanted`;
/// empty if they are equal. Who logged in may set more than a role: roles are left before the
/// others and taken on after them, session_authorization first because it resets the role.
std::string settings_difference(const SettingMap& applied, const SettingMap& wanted);

/// `name = 'value'` as SQL, for values that come as plain text (start-up parameters).
std::string set_statement(std::string_view name, std::string_view value);
/// The same for the rest of the transaction.
std::string set_local_statement(std::string_view name, std::string_view value);
/// What DateStyle is after `value` was set where it was `old`: a part that is not named is kept.
std::string merged_datestyle(std::string_view old, std::string_view value);
/// A string literal that reads the same whatever standard_conforming_strings says.
std::string quote_literal(std::string_view text);
std::string quote_identifier(std::string_view text);

}  // namespace pgrecall::upstream
