// StatementAnalysis: everything the rest of pgrecall wants to know about one SQL statement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/catalog.h"

namespace pgrecall::sql {

enum class StatementKind : uint8_t {
  kEmpty,
  kSelect,  ///< SELECT, VALUES, TABLE, WITH ... SELECT (also when it writes)
  kInsert,
  kUpdate,
  kDelete,
  kMerge,
  kCopyFrom,
  kCopyTo,
  kTruncate,
  kLock,
  kBegin,  ///< BEGIN, START TRANSACTION
  kCommit,
  kRollback,
  kSavepoint,
  kRelease,
  kRollbackTo,
  kPrepareTransaction,
  kCommitPrepared,
  kRollbackPrepared,
  kSet,    ///< SET, SET LOCAL, SET TRANSACTION, SET ROLE ...
  kReset,  ///< RESET name, RESET ALL
  kShow,
  kDiscard,
  kDeclareCursor,
  kFetch,  ///< FETCH and MOVE
  kCloseCursor,
  kPrepare,
  kExecute,
  kDeallocate,
  kListen,
  kUnlisten,
  kNotify,
  kExplain,
  kMaintenance,  ///< ANALYZE, VACUUM, REINDEX, CHECKPOINT, CLUSTER, COMMENT: change nothing seen
  kDdl,
  kCall,
  kDo,
  kUnparsed,  ///< libpg_query refused it, or it was never parsed
  kOther,
};

/// What the statement can do to data and catalog that others see.
enum class Effect : uint8_t {
  kNone,     ///< proved to write nothing: reads, transaction and session commands
  kWrites,   ///< writes exactly `writes` (a closed set)
  kOpaque,   ///< not proved read-only, relations unknown: counts as a write of the whole database
  kDdl,      ///< changes the catalog or privileges of this database
  kCluster,  ///< roles, memberships, databases, ALTER SYSTEM: acts on every database
};

/// Why a read is not cached. The names are those of `bypasses` in /api/stats, in snake case.
enum class BypassReason : uint8_t {
  kNoBypass,
  kNotASelect,
  kMultiStatement,
  kVolatileFunction,
  kClockFunction,
  kClockLiteral,
  kUserFunction,
  kUnlistedStableFunction,
  kLockingClause,
  kWritesInside,
  kSystemCatalog,
  kSystemColumn,
  kTemporaryTable,
  kUnloggedTable,
  kForeignTable,
  kTableSample,
  kUnknownRelation,
  kUnknownFunction,
  kUnknownType,
  kUnreadableView,
  kUnreadablePolicy,
  kDateFromText,
  kNoRelation,  ///< a SELECT without FROM: nothing to be saved
  kUnparsed,
  kTooLong,
  kTooDeep,
  kNoCatalog,
  kStaleCatalog,
  // Reasons that depend on the session rather than on the statement:
  kCacheOff,
  kHintOff,
  kRule,
  kFence,
  kOwnWrites,
  kIsolation,
  kPinned,
  kUnsettledSettings,
  kEncoding,
  kOwed,  ///< something from a server is still owed to this client
  kRowLimit,
  kFailedTransaction,
  kNoControlRole,
  kTooLarge,
  kCursor,       ///< FETCH, or Execute of a portal that SQL declared
  kExecute,      ///< SQL EXECUTE of a prepared SELECT
  kInterrupted,  ///< cancelled while it waited, or a connection ended before the answer did
  kServerError,
  kCount
};
std::string_view bypass_reason_name(BypassReason reason);

/// One change of a run-time parameter. `statement` replays it: the text of the SET as the client
/// sent it, or an equivalent `SELECT set_config(...)`.
struct SettingChange {
  enum class Action : uint8_t { kSet, kReset, kResetAll };
  Action action = Action::kSet;
  std::string name;  ///< folded; "role", "session_authorization", "timezone", "search_path" ...
  bool local = false;
  std::string value;      ///< constants joined as the server would show them; empty if not constant
  std::string statement;  ///< replayable SQL, empty if it cannot be replayed (then the client pins)
};

/// What a statement may leave behind on its server connection beyond settings.
enum SessionEffect : uint32_t {
  kSessionNothing = 0,
  kSessionTemporary = 1U << 0,  ///< creates or may create temporary objects
  kSessionListen = 1U << 1,
  kSessionUnlistenAll = 1U << 2,
  kSessionHoldCursor = 1U << 3,    ///< DECLARE ... WITH HOLD
  kSessionAdvisoryLock = 1U << 4,  ///< session-level advisory lock
  kSessionPrepare = 1U << 5,       ///< SQL PREPARE
  kSessionDiscardAll = 1U << 6,
  kSessionDiscardTemp = 1U << 7,
  kSessionDiscardPlans = 1U << 8,
  kSessionDeallocate = 1U << 9,  ///< `name` says which; empty means ALL
  kSessionUnknown = 1U << 10,    ///< opaque code ran: anything may have changed unseen
  kSessionCloseAll = 1U << 11,   ///< CLOSE ALL
};

enum class Isolation : uint8_t {
  kUnspecified,
  kReadUncommitted,
  kReadCommitted,
  kRepeatableRead,
  kSerializable
};

/// Hints from comments: `/* pgrecall: ttl=30s */`, `/* pgrecall: off */`, `/* pgrecall: primary
/// */`.
struct Hints {
  bool off = false;
  bool primary = false;
  int64_t ttl_ms = -1;  ///< -1: none
};

/// The answer to a plain `SELECT COUNT(*) [AS x] FROM one_table`, for estimates.
struct PlainCount {
  Oid relation = kInvalidOid;  ///< kInvalidOid: the statement is not of this form
  std::string column_name;
};

/// Immutable, shared. Valid for one catalog version, one search path and one role; `writes` and
/// `reads` hold relation oids, closed under views, inheritance, foreign-key actions and policies.
struct StatementAnalysis {
  StatementKind kind = StatementKind::kUnparsed;
  Effect effect = Effect::kOpaque;
  bool cacheable = false;
  BypassReason reason = BypassReason::kUnparsed;  ///< why not cacheable
  std::string detail;                             ///< for people: which function, which relation

  std::vector<Oid> reads;         ///< closed set, sorted; also policy relations
  std::vector<Oid> policy_reads;  ///< the part of `reads` that rules must not loosen
  std::vector<Oid> named;         ///< relations as named in the statement, for rules
  std::vector<Oid> schemas;       ///< schemas whose contents decided a name
  std::vector<Oid> writes;        ///< closed set, sorted; for effect kWrites

  uint32_t session_effects = kSessionNothing;  ///< SessionEffect bits
  std::vector<SettingChange> settings;
  std::string name;  ///< cursor, prepared statement, savepoint or channel name, folded

  bool locks = false;  ///< FOR UPDATE and kin, LOCK TABLE
  bool transaction_read_only = false;
  bool and_chain = false;        ///< COMMIT/ROLLBACK AND CHAIN
  bool plain_begin = false;      ///< BEGIN without any mode
  bool snapshot_import = false;  ///< SET TRANSACTION SNAPSHOT
  bool self_committing = false;  ///< CALL, DO, CONCURRENTLY, VACUUM ...: an error proves nothing
  bool on_conflict_do_nothing = false;
  Isolation isolation = Isolation::kUnspecified;  ///< of BEGIN, SET TRANSACTION, characteristics
  bool literal_sensitive = true;  ///< false: another text of the same shape has the same analysis
  bool uses_clock = false;        ///< now() and kin
  /// The closure reads settings by name (current_setting, pg_trgm's thresholds ...): custom
  /// settings of the session must be part of the key.
  bool reads_custom_settings = false;
  /// Byte range of the statement in its text. The only statement of a text that is not
  /// `literal_sensitive` has {0, UINT32_MAX}, for its length depends on its literals.
  uint32_t location = 0;
  uint32_t length = 0;
  PlainCount plain_count;
};

}  // namespace pgrecall::sql
