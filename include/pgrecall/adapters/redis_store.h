// RedisStore: tier two in Redis. One connection per worker, pipelined, behind a circuit breaker.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "pgrecall/base/clock.h"
#include "pgrecall/cache/entry_store.h"
#include "pgrecall/net/address.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/net/stream.h"

namespace pgrecall::adapters {

class RedisReplies;
struct RedisReply;

struct RedisOptions {
  net::Endpoint endpoint;   ///< unless `socket_path` is set
  std::string socket_path;  ///< of a unix socket
  std::string user;         ///< empty: the default user
  std::string password;     ///< empty: no AUTH
  uint32_t database = 0;
  std::string prefix = "pgrecall";                     ///< names the deployment
  Duration timeout = std::chrono::milliseconds(50);    ///< of one command
  Duration connect_timeout = std::chrono::seconds(1);  ///< look-up, connect, AUTH, SELECT, INFO
  Duration retry_min = std::chrono::milliseconds(100);
  Duration retry_max = std::chrono::seconds(5);
  size_t commands_max = 4096;                   ///< in flight; beyond, a get is a miss
  size_t pending_bytes_max = 16 * 1024 * 1024;  ///< unsent; beyond, likewise
  size_t value_bytes_max = 16 * 1024 * 1024;
};

/// Each event counts once. What is not even sent (breaker open, queue full, value too large) does
/// not count.
struct RedisStoreStats {
  uint64_t gets = 0;       ///< look-ups sent
  uint64_t puts = 0;       ///< values that Redis said it stored
  uint64_t timeouts = 0;   ///< times a get or put was not answered within `timeout`
  uint64_t unawaited = 0;  ///< gets that were given up before the answer or the time-out came
  uint64_t errors = 0;     ///< error replies; connections that failed or broke for another reason
};

/// Owned by its worker, used on the worker's loop only, destroyed before the loop; then nobody who
/// still waits is called. Connects on its own and for ever. A callback must not destroy it.
///
/// The breaker: while no connection is ready every get is a miss at once, from within the call. An
/// unanswered command ends the connection, and everything that waits on it is a miss: that costs
/// one timeout. Then a new connection is tried after a pause that doubles from `retry_min` to
/// `retry_max`, until commands are answered again. Nothing is ever sent twice. Bounded in commands
/// and bytes.
///
/// Time is counted in looks at the socket, `look_` apart: however long this thread was busy or not
/// scheduled, that is one look. What has arrived is read before a command counts as unanswered. A
/// get whose caller lost patience is a miss; its answer is still awaited, for the breaker alone.
/// See docs/adr/022-redis-timeout.md.
///
/// A key is stored under `<prefix>:e1:<128-bit hash>`; the value holds the full key
/// (entry_codec.h).
class RedisStore final : public cache::EntryStore, private net::StreamHandler {
 public:
  enum class State : uint8_t {
    kWaiting,     ///< the breaker is open: until the next try
    kConnecting,  ///< half open: connecting, logging in
    kReady        ///< the breaker is closed: in use
  };

  RedisStore(net::Loop& loop, RedisOptions options);
  ~RedisStore() override;
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  void get(const cache::CacheKeyView& key, Duration patience, GetCallback done) override;
  void put(const cache::CacheKeyView& key, std::string_view value, Duration time_to_live) override;
  bool available() const override { return state_ == State::kReady; }
  uint64_t run_id() const override { return run_id_; }

  State state() const { return state_; }
  /// Called after every change of state; must not destroy the store.
  void when_state_changes(std::function<void(State)> listener) { listener_ = std::move(listener); }
  /// Called for every answer to a get or put with the time it took, that of a busy thread included.
  void when_answered(std::function<void(Duration)> listener) {
    when_answered_ = std::move(listener);
  }
  const std::string& last_error() const { return last_error_; }  ///< for people
  RedisStoreStats stats() const { return stats_; }

 private:
  /// One command in flight; replies come in order.
  struct Command {
    enum class Kind : uint8_t { kLogin, kInfo, kGet, kPut };
    Kind kind;
    uint64_t given_up_at;  ///< the look at which its caller goes on without it
    uint64_t late_at;      ///< the look at which it counts as unanswered
    TimePoint asked_at;
    GetCallback done;  ///< null: nobody waits
  };

  void on_connected() override;
  void on_readable_bytes(std::string_view bytes) override;
  void on_writable_drained() override {}
  void on_end(int error) override;

  void connect();
  void connect_to(const net::Address& address);
  std::string entry_key(const cache::CacheKeyView& key) const;
  bool has_room(size_t bytes) const;
  void enqueue(Command::Kind kind, Duration timeout, Duration patience, GetCallback done);
  uint64_t look_after(Duration wait) const;
  void flush_at_end_of_turn();
  void flush();
  void on_reply(RedisReply reply);
  void on_login_reply(Command::Kind kind, const RedisReply& reply);
  void on_entry_reply(Command& command, RedisReply& reply);
  void on_timer();
  void on_look();
  void give_up_impatient();
  void change_state(State state);
  void fail(std::string why);
  void give_up(std::string why);

  net::Loop& loop_;
  const RedisOptions options_;
  State state_ = State::kWaiting;
  const Duration look_;                ///< from one look at the commands to the next
  std::unique_ptr<net::Timer> timer_;  ///< next try, name look-up or next look
  uint64_t looks_ = 0;
  std::unique_ptr<net::Resolution> resolution_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<RedisReplies> replies_;
  std::deque<Command> commands_;
  std::string out_;  ///< leaves at the end of this turn
  bool flush_due_ = false;
  Duration retry_after_;
  size_t tries_ = 0;  ///< picks the next of several addresses
  uint64_t run_id_ = 0;
  std::string last_error_;
  RedisStoreStats stats_;
  std::function<void(State)> listener_;
  std::function<void(Duration)> when_answered_;
  std::shared_ptr<RedisStore*> self_;  ///< for deferred tasks: they hold it weakly
};

}  // namespace pgrecall::adapters
