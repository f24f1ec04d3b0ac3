// Pool: the server connections of one database and user, exact for the whole process.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/base/ids.h"
#include "pgrecall/upstream/server_connection.h"

namespace pgrecall::upstream {

/// An idle server connection, by the worker that holds it.
struct ServerRef {
  uint32_t worker = 0;
  SlotId server;
  uint64_t generation = 0;  ///< of the pool, when the connection was last known to look as it does
  friend bool operator==(const ServerRef& a, const ServerRef& b) {
    return a.worker == b.worker && a.server == b.server;
  }
};

/// A client that waits for a server connection. `login` wants a new one, to log in over it.
struct Waiter {
  uint32_t worker = 0;
  SlotId session;
  uint64_t ticket = 0;  ///< tells one wait of a session from its next
  bool login = false;
};

/// What to do for somebody who asked, or for the next in line.
struct Grant {
  enum class Kind : uint8_t {
    kUse,      ///< `server` is yours
    kConnect,  ///< a place is reserved: open a connection
    kReplace,  ///< close `server` first; its place is reserved for the new one
    kWait,     ///< in line
    kLost,     ///< the pool has no connection and cannot make one without a client's login
    kFull,     ///< too many wait already
  };
  Kind kind = Kind::kWait;
  ServerRef server;
};

struct PoolNumbers {
  std::string database;
  std::string user;
  uint32_t connections = 0;  ///< places, those on their way included
  uint32_t opening = 0;      ///< of these: not logged in yet
  uint32_t idle = 0;
  uint32_t waiting = 0;
  uint32_t size_max = 0;
  uint64_t opened = 0;  ///< so far: logged in
  uint64_t closed = 0;  ///< of these
  uint64_t wait_timeouts = 0;
  std::chrono::milliseconds wait_max{0};  ///< the longest wait so far that has ended
};

/// Any thread; decides, never acts. A *place* is counted from `kConnect` or `kReplace` until
/// `closed`. Idle connections are taken last in, first out; waiters first come, first served.
class Pool {
 public:
  Pool(std::string database, std::string user, uint32_t size_max, uint32_t waiters_max);

  const std::string& database() const { return database_; }
  const std::string& user() const { return user_; }

  /// `may_connect`: this side can log in by itself (auth trust, or the server asked for nothing).
  Grant acquire(const Waiter& waiter, bool may_connect);
  /// A connection became idle. A grant other than kWait says what `next` is to do with it:
  /// kUse: it is theirs; kReplace: close it and let them connect in its place.
  Grant release(ServerRef server, Waiter* next);
  /// The connection that a place was reserved for has logged in.
  void opened();
  /// A connection is gone (or could not be opened). If somebody waits and may connect, kConnect.
  /// `was_open`: `opened` was called for it.
  Grant closed(ServerRef server, Waiter* next, bool was_open = true);
  /// The connection of a kReplace was closed for it. (If it ended by itself before, `closed` has
  /// given nothing away: its place was the new one's already.)
  void replaced(ServerRef server);
  /// The waiter does not wait any more. False if it was not in line (a grant is on its way).
  bool leave(const Waiter& waiter);
  /// A wait for a connection, in line or for one being opened, has ended after so long.
  void waited(std::chrono::milliseconds time, bool in_vain);
  /// Takes all idle connections, oldest first, keeping `keep` of them: they are to be closed.
  std::vector<ServerRef> take_idle(uint32_t keep);
  /// Takes this one if it is still idle.
  bool take_idle(ServerRef server);
  /// After a kLost: who else is in line must not wait for what does not come. kWait: nobody.
  Grant next_lost(Waiter* next);

  /// The look of a connection that has just been opened. Returns the generation it belongs to.
  uint64_t set_baseline(std::shared_ptr<const Baseline> baseline);
  std::shared_ptr<const Baseline> baseline() const;
  /// The one that all connections that look like this share; nullptr if none was seen yet.
  std::shared_ptr<const Baseline> baseline_like(uint64_t hash, uint64_t configuration) const;
  /// What the server reported to one more connection: shared with the others as far as it is equal.
  void share(ParameterStatuses& parameters);
  /// The server lets this user in without asking: the pool can grow by itself.
  void set_unchallenged(bool unchallenged);
  bool unchallenged() const;

  /// The server has let this user in, once at least.
  bool proven() const;

  /// Connections born under an older generation retire instead of becoming idle.
  uint64_t generation() const;
  void retire_if_replaceable();

  PoolNumbers numbers() const;

 private:
  Grant next_in_line(Waiter* next);
  Grant connect();
  Grant replace(ServerRef server);

  const std::string database_;
  const std::string user_;
  const uint32_t size_max_;
  const uint32_t waiters_max_;
  mutable std::mutex mutex_;
  uint32_t connections_ = 0;
  uint32_t opening_ = 0;  ///< of `connections_`
  uint64_t opened_ = 0;
  uint64_t closed_ = 0;
  uint64_t wait_timeouts_ = 0;
  std::chrono::milliseconds wait_max_{0};
  bool may_connect_ = false;
  bool unchallenged_ = false;
  uint64_t generation_ = 1;
  std::deque<ServerRef> idle_;             ///< oldest first
  std::vector<ServerRef> being_replaced_;  ///< their places are counted for others
  std::deque<Waiter> waiters_;
  std::shared_ptr<const Baseline> baseline_;
  ParameterStatuses parameters_;
};

/// All pools, made on demand. One that the server has let nobody in for is removed with the last
/// session and connection of it, for anybody can name anything; a proven one never. Any thread.
class PoolDirectory {
 public:
  PoolDirectory(uint32_t size_max, uint32_t waiters_max)
      : size_max_(size_max), waiters_max_(waiters_max) {}
  Pool& pool(std::string_view database, std::string_view user);
  /// For a session, until it calls `leave`.
  Pool& enter(std::string_view database, std::string_view user);
  void leave(const Pool& pool);
  /// A connection of that pool has ended, which may have been the last that it was kept for.
  void forget_unproven(const std::string& database, const std::string& user);
  /// The proven ones.
  std::vector<Pool*> all() const;
  size_t size() const;  ///< unproven ones included

 private:
  struct Place {
    std::unique_ptr<Pool> pool;
    size_t sessions = 0;
  };
  Place& place(std::string_view database, std::string_view user);  ///< with the mutex held
  void forget(const std::string& key);                             ///< with the mutex held

  const uint32_t size_max_;
  const uint32_t waiters_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Place> pools_;
};

}  // namespace pgrecall::upstream
