// TrackedWrites: follows the outcome of every write on one server connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/invalidation/write_tracker.h"
#include "pgrecall/session/database_state.h"
#include "pgrecall/session/statement_memo.h"
#include "pgrecall/upstream/pool.h"
#include "pgrecall/upstream/server_connection.h"

namespace pgrecall::session {

/// What the names in a client's statements stand for.
enum class Names : uint8_t {
  kKnown,      ///< what its context says
  kTemporary,  ///< or a temporary table of its own
  kHidden,     ///< code that nobody has read may have changed the path, the role, how text is read
};

/// Owned by its ServerConnection, on that connection's thread. The session announces statements
/// through `before_*`; everything the server says passes through `on_message` before the client
/// can see it.
class TrackedWrites final : public upstream::ServerObserver {
 public:
  TrackedWrites(upstream::ServerConnection& server, DatabaseDirectory& databases,
                invalidation::EpochTable& epochs, invalidation::PreparedTransactions& prepared,
                upstream::PoolDirectory& pools);
  ~TrackedWrites() override;

  /// Statements of clients are counted in `stats`, those of their writes as what they came to.
  void before_query(const std::vector<Plan>& plans, Names names, stats::WorkerStats& stats);
  /// No `stats`: a Parse or a Bind, which may run code but is no statement.
  void before_execute(const Plan& plan, Names names, stats::WorkerStats* stats = nullptr);
  void before_sync();
  void before_function_call(DatabaseState& database, stats::WorkerStats& stats);

  void before_own_query() override;
  void before_own_sync() override;
  void on_message(const upstream::Step& step, const wire::Frame& frame) override;
  void on_lost() override;

  /// Rule 6: the open transaction wrote, locked or ran something opaque.
  bool transaction_wrote() const { return tracker_.transaction_wrote(); }

 private:
  static void count(const Plan& plan, const invalidation::StatementWrites& writes,
                    stats::WorkerStats& stats);
  invalidation::StatementWrites note(const Plan& plan, Names names);
  void on_error(const upstream::Step& step, std::string_view payload);
  void on_ready(char status);
  bool met_definitions() const;
  std::vector<invalidation::DependencyId> not_foreseen() const;
  void advance_constraint(std::string_view payload);
  void advance_family(const sql::Catalog& catalog, const sql::Relation& relation,
                      std::vector<invalidation::DependencyId>& ids) const;

  upstream::ServerConnection& server_;
  DatabaseState& database_;
  DatabaseDirectory& databases_;
  invalidation::EpochTable& epochs_;
  upstream::PoolDirectory& pools_;
  const invalidation::EpochSlot& definitions_;  ///< moved by DDL
  invalidation::WriteTracker tracker_;
  bool suspects_catalog_ = false;  ///< something in flight may change a catalog unseen
  uint64_t write_version_ = 0;     ///< the oldest catalog that a write under way was planned with
  bool watches_definitions_ = false;  ///< since the first statement of the open transaction
  uint64_t definitions_then_ = 0;
  bool defines_ = false;       ///< the open transaction has changed definitions
  bool cluster_wide_ = false;  ///< something in flight acts on every database
};

}  // namespace pgrecall::session
