// SessionHost: what a session asks of the worker that runs it: the actions of the core.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/cache/entry_store.h"
#include "pgrecall/cache/single_flight.h"
#include "pgrecall/session/shared.h"
#include "pgrecall/session/statement_memo.h"
#include "pgrecall/upstream/server_connection.h"

namespace pgrecall::session {

class ClientSession;

/// What BackendKeyData shows: made by a CSPRNG, found again by a CancelRequest.
struct CancelKey {
  uint32_t process_id = 0;
  std::string secret;
};

/// Implemented by the worker. Nothing here calls the session back before it returns.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  /// Output has been appended: send it before the loop waits again.
  virtual void flush_later(ClientSession& session) = 0;
  /// Send what is left and close. The session is destroyed later, not from within this call.
  virtual void close_later(ClientSession& session) = 0;
  /// A server connection at once, or null: then `ClientSession::on_lease` or `on_no_lease` follows,
  /// unless `stop_waiting` is called first. `login`: a new one, to log in over.
  virtual upstream::ServerConnection* acquire(ClientSession& session, bool login) = 0;
  virtual void stop_waiting(ClientSession& session) = 0;
  virtual CancelKey register_cancel_key(ClientSession& session) = 0;
  /// A CancelRequest packet arrived.
  virtual void cancel(uint32_t process_id, std::string secret) = 0;
  /// Asks PostgreSQL to cancel what runs on this connection.
  virtual void cancel_server(upstream::ServerConnection& server) = 0;
  virtual void tell_joiners(std::vector<cache::JoinerId> joiners,
                            cache::CachedResultPtr result) = 0;
  /// Idle connections to a database that a statement is about to drop, rename or copy.
  virtual void vacate_database(std::string_view database, const upstream::ServerConnection& by) = 0;
  /// Nobody's statement is under way on it: has its defaults read again. It reports when it is
  /// ready.
  virtual void inspect_again(upstream::ServerConnection& server) = 0;
  /// Ask again for the session's input once this turn is over.
  virtual void resume_later(ClientSession& session) = 0;
};

/// What all sessions of one worker share; one thread.
struct WorkerContext {
  Shared& shared;
  SessionHost& host;
  const Clock& clock;
  uint32_t index = 0;
  stats::WorkerStats& stats;
  StatementMemo memo;
  cache::EntryStore* store = nullptr;  ///< tier two; null: none
  TimePoint (*precise_now)();          ///< for latencies only, never for decisions
  uint64_t random_state = 1;           ///< jitter of expiry times
};

}  // namespace pgrecall::session
