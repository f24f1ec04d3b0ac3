// WriteTracker: rules 4, 5 and 6 of the freshness protocol for one server connection.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/invalidation/epoch_table.h"
#include "pgrecall/invalidation/prepared_transactions.h"
#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::invalidation {

/// Transaction commands. Only these produce the tags BEGIN, START TRANSACTION, COMMIT, ROLLBACK,
/// SAVEPOINT, RELEASE, PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED.
enum class Verb : uint8_t {
  kNone,
  kBegin,
  kCommit,  ///< COMMIT, END
  kRollback,
  kSavepoint,
  kRelease,
  kRollbackTo,
  kPrepareTransaction,
  kCommitPrepared,
  kRollbackPrepared,
  kUnknown  ///< unparsed text: may hold any number of transaction commands
};

/// What one statement may write and what it does to the transaction.
struct StatementWrites {
  /// Closure of the written relations; the database or shared dependency for opaque statements, DDL
  /// and cluster commands. Empty: proved to write nothing. For COMMIT PREPARED: what to take if the
  /// gid is unknown to this process (the database dependency).
  std::vector<DependencyId> ids;
  /// kDdl and kCluster are raised at once also inside a transaction (rule 9).
  sql::Effect effect = sql::Effect::kNone;
  bool self_committing = false;  ///< CALL, DO, CONCURRENTLY ...: an error proves nothing
  bool locks = false;            ///< FOR UPDATE, LOCK TABLE: counts for rule 6 only
  Verb verb = Verb::kNone;
  std::string gid;  ///< of the three two-phase commands
};

/// Where an ErrorResponse came from; decides what the server does next.
enum class ErrorScope : uint8_t {
  kQuery,  ///< a simple Query or FunctionCall: that message ends here with its ReadyForQuery
  /// As kQuery, and proved that no statement of it ran: the raw parser's error (42601 from
  /// scanner_yyerror, without context 'W' and without internal query 'q', which dynamic SQL has)
  /// and no CommandComplete before it. Counts for Verb::kUnknown only.
  kNotParsed,
  kExtended  ///< an extended-protocol message: the server skips everything up to the next Sync
};

/// What a ReadyForQuery settled.
struct Settled {
  bool committed_writes = false;  ///< some epochs advanced
  /// DDL or a cluster command was (or may have been) committed. The epochs have advanced, but the
  /// fence named here is still up: the caller owns it, re-reads the catalog, then calls
  /// `EpochTable::settle_committed` with it. 0: none.
  FenceToken catalog_fence = 0;
  std::vector<DependencyId> catalog_ids;  ///< what that fence is up on
};

/// Owned by the server connection, used by its thread. Pure: no I/O, no clock. It must be told of
/// *every* Query, Execute, Sync and FunctionCall sent on the connection, also of the proxy's own
/// (with no statements), before the bytes leave, and of every CommandComplete, ErrorResponse and
/// ReadyForQuery in order of arrival, before they are passed on.
///
/// What leaves between two ends (Sync, Query, FunctionCall) is one *unit*, answered by exactly one
/// ReadyForQuery; several units may be in flight. A write is raised before its bytes leave unless
/// the connection is surely inside an explicit transaction; then before the bytes that can commit
/// it. Raising early when in doubt is sound, and a ReadyForQuery of an open transaction lowers such
/// a fence again. Nothing is settled by anything but ReadyForQuery. If destroyed without `on_lost`
/// its fences stay up: never wrong, but nothing is cached until the process ends.
class WriteTracker {
 public:
  WriteTracker(EpochTable& table, PreparedTransactions& prepared);
  WriteTracker(const WriteTracker&) = delete;
  WriteTracker& operator=(const WriteTracker&) = delete;

  /// Before a simple Query leaves: its statements in order (one of Verb::kUnknown if the text could
  /// not be parsed). Ends a unit; also what was executed without Sync before it.
  void before_query(std::span<const StatementWrites> statements);
  /// Before an Execute leaves: the statement of its portal, each time.
  void before_execute(const StatementWrites& statement);
  /// Before a Sync leaves. Ends a unit.
  void before_sync();
  /// Before a FunctionCall leaves (normally opaque). Ends a unit.
  void before_function_call(const StatementWrites& statement);

  /// The server has read the last Sync as part of a COPY: it ends nothing.
  void ignore_sync();

  void on_command_complete(std::string_view tag);
  void on_error(ErrorScope scope);
  /// Settles the oldest unit. When it returns, no later read can hit a state older than what this
  /// ReadyForQuery acknowledges: pass the ReadyForQuery on only then. `status` is 'I', 'T' or 'E'.
  Settled on_ready_for_query(char status);

  /// EOF, FATAL or a failed write. Returns the fences whose outcome is unknown. They stay up until
  /// the caller has shown that the backend (pid, start) is gone from the primary; then it calls
  /// `EpochTable::settle_committed` for each. The tracker is empty afterwards.
  std::vector<FenceToken> on_lost();

  /// Rule 6: the open transaction, or what is in flight, wrote, locked or was opaque.
  bool transaction_wrote() const;
  bool idle() const { return units_.empty(); }  ///< nothing in flight and nothing unsynced

 private:
  enum class InBlock : uint8_t { kNo, kMaybe, kYes };
  enum class End : uint8_t { kOpen, kSync, kOther };  ///< how a unit ended; kOpen: not yet

  /// One statement that writes, locks or is a transaction command; others leave no trace.
  struct Entry {
    std::vector<DependencyId> ids;
    FenceToken token = 0;
    Verb verb = Verb::kNone;
    bool self_committing = false;
    bool catalog = false;  ///< DDL, cluster command, or may hold one
    bool touches = false;  ///< counts for rule 6
    std::string gid;
    PreparedTransactions::ParkId parked = 0;
  };

  /// What the open transaction has done, as of the replies seen so far.
  struct Open {
    std::vector<DependencyId> ids;
    std::vector<DependencyId> catalog_ids;
    std::vector<FenceToken> held;  ///< DDL fences: up until the transaction ends
    bool touched = false;
  };

  struct Unit {
    std::vector<Entry> entries;
    size_t query_start = 0;  ///< entries from here on belong to the Query that ended the unit
    size_t passed = 0;       ///< entries before this one are accounted for in `open_`
    End end = End::kOpen;
    bool failed = false;
    bool completed = false;   ///< a statement of it has
    bool mismatched = false;  ///< a tag did not fit its transaction command
    // Collected while its replies arrive:
    std::vector<DependencyId> committed;
    std::vector<DependencyId> catalog_committed;
    std::vector<FenceToken> fall;  ///< fences that fall at ReadyForQuery
  };

  Unit& sending();
  void add(const StatementWrites& statement);
  bool repeats_last(const Entry& entry);
  void raise_for(Entry& entry);
  void end_unit(End end);
  static InBlock after(InBlock state, Verb verb);
  void reconsider_block(char status);
  std::vector<DependencyId> everything_unsettled() const;
  void skip_entry(Entry& entry);
  void skip_to_sync();
  static bool unknown(const Unit& unit);
  void on_verb_tag(Unit& unit, std::string_view tag);
  void apply_verb(Unit& unit, Entry& entry, std::string_view tag);
  void pass_until(Unit& unit, size_t index);
  void note_committed(Unit& unit);
  void end_open(Unit& unit);
  void finish_unit(Unit& unit, char status);
  Settled settle(const Unit& unit);
  void settle_at_complete(Unit& unit);
  void flush_deferred();

  EpochTable& table_;
  PreparedTransactions& prepared_;
  std::deque<Unit> units_;  ///< oldest first; only the last may be open
  Open open_;
  bool in_block_ = false;  ///< surely in an explicit transaction, as of the replies seen so far
  InBlock sending_in_block_ = InBlock::kNo;  ///< as of the bytes sent so far
  bool skipping_ = false;                    ///< the server discards messages until Sync
  std::vector<DependencyId> deferred_;       ///< only under a fault point
};

}  // namespace pgrecall::invalidation
