// A small PostgreSQL for tests: one backend as a function from bytes to bytes. It knows
// transactions, savepoints, settings, prepared statements, portals and COPY, and answers a SELECT
// with what the answer depends on, so that a wrong one shows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/wire/frame.h"

namespace pgrecall::session::testing {

/// What all backends of one database share: how often each table was written.
struct FakeData {
  std::map<std::string, int> versions;
  std::string settings_hash = "aa";  ///< changes when somebody alters defaults
};

/// A SELECT of one table shows `schema.table=version`, then whatever differs from the defaults:
/// TimeZone, role, parameters, binary result format. The table `big` has three rows. A statement
/// with the word `fails` fails with 22012, one with `nonsense` does not parse, one with `sleeps`
/// waits for `wake` or `cancel`.
class FakePostgres {
 public:
  FakePostgres(FakeData& data, uint32_t process_id) : data_(data), process_id_(process_id) {}

  enum class Login { kTrust, kPassword, kRefused };
  Login login = Login::kTrust;

  /// What the client sent; the reply is in `out`.
  void receive(std::string_view bytes);
  std::string out;
  /// Everything asked for, in order: the text of each statement run, "parse NAME", "bind NAME" ...
  std::vector<std::string> log;

  bool sleeping() const { return sleeping_; }
  void wake();
  void cancel();
  /// The backend ends, and with it whatever it was about to do.
  void die();
  bool ended() const { return ended_; }
  /// A notice, a notification or the like, out of turn.
  void say(std::string_view bytes) { out += bytes; }
  uint32_t process_id() const { return process_id_; }
  char status() const { return block_ ? (failed_ ? 'E' : 'T') : 'I'; }
  size_t statements() const { return prepared_.size(); }
  const std::map<std::string, std::string>& startup_parameters() const { return startup_; }

 private:
  struct Settings {
    std::map<std::string, std::string> session;
    std::map<std::string, std::string> local;
  };
  struct Level {
    std::string name;
    Settings settings;
    std::map<std::string, int> pending;
  };
  struct Portal {
    std::string sql;
    std::string shown;  ///< parameters and formats
    size_t given = 0;
    bool started = false;
    bool done = false;
  };
  struct Failure {
    std::string sqlstate;
    std::string text;
  };
  struct Outcome {
    std::vector<std::string> rows;
    std::string tag;
    bool selects = false;
    std::optional<Failure> failure;
  };

  void process();
  void handle(const wire::Frame& frame);
  void startup(std::string_view packet);
  void greet();
  void query(std::string_view sql);
  void run_queue();
  void end_query(bool error);
  void extended(const wire::Frame& frame);
  void parse(const wire::Frame& frame);
  void bind(const wire::Frame& frame);
  void describe(const wire::Frame& frame);
  void execute(const wire::Frame& frame);
  void close(const wire::Frame& frame);
  void sync();
  void in_copy(const wire::Frame& frame);
  void fail_copy();

  Outcome run(const std::string& sql, const std::string& shown);
  Outcome what_is_left(const std::string& sql);
  Outcome run_transaction_command(const std::string& sql);
  Outcome select(const std::string& sql, const std::string& shown);
  Outcome change_setting(const std::string& sql);
  Outcome fail(std::string sqlstate, std::string text);
  void set(const std::string& name, const std::string& value, bool local);
  std::string setting(const std::string& name) const;
  void begin();
  void commit();
  void roll_back();
  void fail_block();
  void error(const Failure& failure);
  void skip_after(const Failure& failure);
  void ready();

  FakeData& data_;
  const uint32_t process_id_;
  std::string input_;
  bool started_ = false;
  bool logged_in_ = false;
  std::map<std::string, std::string> startup_;
  std::map<std::string, std::string> defaults_;
  std::map<std::string, std::string> reported_;
  Settings settings_;
  std::vector<Level> levels_;  ///< the transaction and its savepoints
  std::map<std::string, int> pending_;
  bool block_ = false;
  bool failed_ = false;
  std::set<std::string> temporary_;
  std::set<std::string> listening_;
  std::map<std::string, std::string> prepared_;
  std::map<std::string, Portal> portals_;
  std::deque<std::string> statements_left_;
  bool many_ = false;
  bool skipping_ = false;
  bool sleeping_ = false;
  bool woken_ = false;
  bool cancelled_ = false;
  bool ended_ = false;
  bool copying_ = false;
  bool copy_extended_ = false;
};

}  // namespace pgrecall::session::testing
