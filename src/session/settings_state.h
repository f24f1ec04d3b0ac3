// SettingsState: the run-time parameters of one client, through transactions and savepoints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/statement_analysis.h"
#include "pgrecall/upstream/settings.h"

namespace pgrecall::session {

/// Owned by one session. `client` is what the client believes, `server` what the leased server
/// connection has; they differ only after a RESET that fell back to the server's default instead of
/// the client's start-up value, until the next synchronisation.
class SettingsState {
 public:
  struct Values {
    upstream::SettingMap client;
    upstream::SettingMap server;
    upstream::SettingMap local;     ///< SET LOCAL, gone with the transaction
    upstream::SettingMap shadowed;  ///< the client's, behind SET LOCAL ... TO DEFAULT
    friend bool operator==(const Values&, const Values&) = default;
  };

  const Values& values() const { return now_; }
  bool synchronised() const { return now_.client == now_.server; }
  /// SQL that makes it so, and another Query to precede it (empty: none): a whole Query is read
  /// under the settings that it finds, so those by which texts are read must not be another's.
  std::string take_reading_resets();
  std::string synchronisation() const;
  /// True if the server lost this setting (any case) of the client's and is to get it again.
  bool restores(std::string_view name) const;
  /// This setting (any case) is another until the transaction ends.
  bool is_local(std::string_view name) const;
  /// True if the client-visible values changed since the last call: the context must be made anew.
  bool take_changed();

  /// What the client asked for in its start-up packet: RESET returns to it.
  void set_startup(upstream::Setting setting);
  /// The server connection has the defaults `now`, the session began under `then`: what ALTER ROLE
  /// or ALTER DATABASE has changed in between is kept as if it had come in the start-up packet.
  void keep_defaults(const std::vector<upstream::DefaultSetting>& then,
                     const std::vector<upstream::DefaultSetting>& now);
  /// A lease: the connection now has what the client believes.
  void applied_to_server() { now_.server = now_.client; }
  /// The lease is on a connection with these settings, not yet synchronised.
  void server_has(const upstream::SettingMap& applied) {
    now_.server = applied == now_.client ? now_.client : applied;
  }

  /// A statement that changes settings has completed.
  void apply(const sql::SettingChange& change);
  void discard_all();

  void begin();      ///< a transaction starts
  void commit();     ///< SET LOCAL ends
  void roll_back();  ///< everything since `begin` ends
  void savepoint(std::string_view name);
  void release(std::string_view name);
  void roll_back_to(std::string_view name);
  bool has_savepoint(std::string_view name) const;
  bool in_transaction() const { return in_transaction_; }
  /// The end of the transaction, or of a part of it, changes what names or texts mean.
  bool end_changes_meaning() const;

 private:
  struct Savepoint {
    std::string name;
    Values values;
  };
  void erase(std::string_view name);
  void set(upstream::Setting setting, bool local);
  void keep_part(upstream::Setting& setting, bool local) const;
  void reset_locally(const std::string& name);

  upstream::SettingMap startup_;
  Values now_;
  Values at_begin_;
  std::vector<Savepoint> savepoints_;
  bool in_transaction_ = false;
  bool changed_ = true;
};

}  // namespace pgrecall::session
