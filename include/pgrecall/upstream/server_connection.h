// ServerConnection: one connection to PostgreSQL as a state machine over bytes. No socket inside.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/base/ids.h"
#include "pgrecall/upstream/parameter_statuses.h"
#include "pgrecall/upstream/reply_queue.h"
#include "pgrecall/upstream/settings.h"
#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/scram.h"

namespace pgrecall::upstream {

class Pool;
class ServerConnection;

/// Note of the silent queries that set a connection up for its client; their failure is the
/// client's.
constexpr uint32_t kSettingsNote = UINT32_MAX - 1;
/// Note of the round trip that shows whether ReadyForQuery comes that nobody waits for (see
/// ReplyQueue::uncertain); until it is over nothing of the client's may begin.
constexpr uint32_t kProbeNote = UINT32_MAX - 2;
/// Note of the look-up of what still pins a client to the connection.
constexpr uint32_t kPinsNote = UINT32_MAX - 3;

/// What a fresh server connection of one database and user looks like: shared by all of the same
/// look, so that equal pointers or hashes mean equal defaults. Immutable.
struct Baseline {
  uint64_t hash = 0;           ///< over every setting the server showed
  uint64_t configuration = 0;  ///< the newest known of before it was asked for; not in the hash
  uint32_t database_oid = 0;
  uint32_t role_oid = 0;
  std::string role_name;
  std::string search_path;
  std::string default_isolation;
  std::string standard_conforming_strings;
  std::string client_encoding;
  std::string time_zone;
  std::vector<DefaultSetting> defaults;  ///< ordered by name
  bool in_recovery = false;
  int server_version_num = 0;
};

/// Who uses a server connection at the moment: a login or a client's session. Called on the
/// worker's thread; may release the connection from within any call.
class ServerUser {
 public:
  virtual ~ServerUser() = default;
  /// An Authentication request that this side cannot answer: relay it to the client.
  virtual void on_authentication(const wire::Frame& frame) = 0;
  /// Login and inspection are done: the connection can be used.
  virtual void on_server_ready(ServerConnection& server) = 0;
  /// One whole message, with its meaning. Bytes are valid during the call.
  virtual void on_reply(const Step& step, const wire::Frame& frame) = 0;
  /// A message too large to gather, in parts; `first` holds its header.
  virtual void on_reply_part(const Step& step, std::string_view bytes, bool first) = 0;
  /// Own bytes whose turn has come.
  virtual void on_own_reply(std::string bytes, uint32_t note) = 0;
  /// The connection is lost. `error` is the payload of the server's last FATAL ErrorResponse, or
  /// empty. The user must forget the connection.
  virtual void on_server_lost(std::string_view error) = 0;
};

/// Hears of everything sent on our own account and of every message, before the user does, for as
/// long as the connection lives. This is where the outcome of writes is followed.
class ServerObserver {
 public:
  virtual ~ServerObserver() = default;
  virtual void before_own_query() = 0;
  virtual void before_own_sync() = 0;
  virtual void on_message(const Step& step, const wire::Frame& frame) = 0;
  virtual void on_lost() = 0;
};

/// What the connection asks of the worker that owns it.
class ServerHost {
 public:
  virtual ~ServerHost() = default;
  /// Output has been appended: send it before the loop waits again.
  virtual void flush_later(ServerConnection& server) = 0;
  /// Login and inspection are done; its user hears of it next. From here on `observer` is needed.
  virtual void server_ready(ServerConnection&) {}
  /// Nobody uses it, nothing is owed, it is clean: it may go back to the pool.
  virtual void server_idle(ServerConnection& server) = 0;
  /// It must be closed; nothing is called for it afterwards.
  virtual void server_failed(ServerConnection& server, std::string_view why) = 0;
};

/// Which prepared statements of ours a server connection holds, least recently used first out.
class ServerStatements {
 public:
  bool contains(uint64_t id) { return index_.contains(id); }
  void touch(uint64_t id);
  void insert(uint64_t id);
  void erase(uint64_t id);
  void clear();
  size_t size() const { return index_.size(); }
  uint64_t oldest() const { return order_.front(); }

  static constexpr uint64_t kUnknown = UINT64_MAX;
  uint64_t unnamed = 0;  ///< what the unnamed statement is; 0: nothing

  /// A Parse whose fate is not known: it is closed before it is parsed again.
  void doubt(uint64_t id);
  /// What was parsed so far may have another result by now.
  void doubt_all();
  size_t doubtful() const { return doubtful_.size(); }
  bool take_doubt(uint64_t id) { return doubtful_.erase(id) > 0; }

 private:
  std::set<uint64_t> doubtful_;
  std::list<uint64_t> order_;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> index_;
};

/// Owned by one worker at a time; one thread. Knows nothing of SQL. States: login (start-up and
/// authentication), inspection (one Query of ours that reads the baseline), ready (leased or idle),
/// tidying (finishing what a client left behind), failed.
class ServerConnection {
 public:
  enum class Phase : uint8_t { kLogin, kInspection, kReady, kTidying, kFailed };
  /// Messages up to this size are gathered; larger ones of a streamable type pass in parts.
  static constexpr size_t kGatherBytes = 64 * 1024;
  /// The most any other message may have: a longer one ends the connection.
  static constexpr size_t kMessageBytesMax = 64 * 1024 * 1024;
  static constexpr size_t kDoubtfulMax = 1000;  ///< statements in doubt; beyond, it is cleaned

  ServerConnection(ServerHost& host, std::string database, std::string user);
  ~ServerConnection();  ///< the observer goes first: it may ask whose outcome is now unknown

  std::unique_ptr<ServerObserver> observer;  ///< set once, before `start`
  SlotId id;
  Pool* pool = nullptr;
  uint64_t pool_generation = 0;
  TimePoint born{};
  TimePoint idle_since{};

  const std::string& database() const { return database_; }
  const std::string& user_name() const { return user_name_; }
  Phase phase() const { return phase_; }
  bool ready() const { return phase_ == Phase::kReady || phase_ == Phase::kTidying; }
  void set_host(ServerHost& host) { host_ = &host; }
  ServerUser* user() const { return user_; }
  void set_user(ServerUser* user) { user_ = user; }

  /// Sends the start-up packet: database and user only. With a password known it answers the
  /// server itself; else Authentication requests go to the user.
  void start(std::optional<std::string> password, std::string nonce);
  /// Nobody's statement is under way: goes back to its defaults and asks for them again, since the
  /// server has read its configuration anew. What its user had set is not applied any more.
  void inspect_again();
  /// The client's answer in a relayed login.
  void answer_authentication(std::string_view frame);
  /// True if the server let this connection in without asking for anything.
  bool unchallenged() const { return unchallenged_; }

  void on_bytes(std::string_view bytes);
  void on_end();

  /// Appends a message that expects `reply`; the caller encodes it into `output()`.
  std::string& output() { return output_; }
  void expect(Reply reply, Route route, uint32_t note = 0) { queue_.push(reply, route, note); }
  void flush() { host_->flush_later(*this); }
  ReplyQueue& queue() { return queue_; }
  /// Sends a Query of our own whose answer is swallowed.
  void query_silently(std::string_view sql, uint32_t note = 0);

  /// Ends a user's time: waits for what is owed, rolls back an open transaction (also the implicit
  /// one of messages without a Sync), cleans if asked, and reports `server_idle`.
  void tidy(bool clean);

  /// The server ended it without saying why, or because another backend crashed.
  bool lost_unexpectedly() const { return lost_unexpectedly_; }
  /// Gives it up in whatever state it is.
  void abandon() { fail("given up"); }

  char status() const { return status_; }  ///< of the last ReadyForQuery
  const std::shared_ptr<const Baseline>& baseline() const { return baseline_; }
  const std::string& backend_start() const { return backend_start_; }
  uint32_t process_id() const { return process_id_; }
  const std::string& cancel_key() const { return cancel_key_; }
  const ParameterStatuses& parameters() const { return parameters_; }

  uint64_t configuration = 0;  ///< the newest that is known when it is inspected
  SettingMap applied;          ///< settings that differ from the baseline
  ServerStatements statements;
  uint64_t statements_version = 0;  ///< the catalog version they were prepared under
  bool needs_cleaning = false;  ///< something opaque ran: DISCARD ALL before anybody else gets it
  uint32_t cancels_open = 0;    ///< cancel requests under way: not to be given to another
  bool cancel_happened = false;
  void cancel_finished();

 private:
  void process();
  bool process_one();  ///< false if more bytes are needed
  void begin_stream(const wire::FrameHeader& header);
  void dispatch(const wire::Frame& frame);
  void dispatch_login(const wire::Frame& frame);
  void dispatch_inspection(const wire::Frame& frame);
  void dispatch_ready(const wire::Frame& frame);
  void dispatch_tidying(const wire::Frame& frame, const Step& step);
  void after_step();
  void handle_authentication(const wire::Frame& frame);
  void continue_scram(const wire::Frame& frame);
  void inspect();
  void take_baseline(const wire::Frame& row);
  void remember_parameter(const wire::Frame& frame);
  void continue_tidying();
  void fail(std::string_view why);

  static constexpr uint32_t kCleaningNote = UINT32_MAX;

  ServerHost* host_;
  ServerUser* user_ = nullptr;
  std::string database_;
  std::string user_name_;
  Phase phase_ = Phase::kLogin;
  std::string input_;            ///< an unfinished message
  std::string_view input_view_;  ///< what is being handled
  std::string output_;
  ReplyQueue queue_;
  Step stream_step_;
  size_t stream_left_ = 0;
  char status_ = 'I';
  bool unchallenged_ = true;
  bool relayed_ = false;
  std::optional<std::string> password_;
  std::string nonce_;
  std::unique_ptr<wire::ScramClient> scram_;
  bool scram_verified_ = false;
  std::shared_ptr<const Baseline> baseline_;
  std::string backend_start_;
  uint32_t process_id_ = 0;
  std::string cancel_key_;
  ParameterStatuses parameters_;
  std::string last_error_;
  bool lost_unexpectedly_ = false;
};

}  // namespace pgrecall::upstream
