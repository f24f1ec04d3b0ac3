// Shared: the process-wide services that sessions use. Made by the proxy, outlives all workers.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pgrecall/cache/entry_store.h"
#include "pgrecall/cache/result_cache.h"
#include "pgrecall/cache/single_flight.h"
#include "pgrecall/config/config.h"
#include "pgrecall/invalidation/epoch_table.h"
#include "pgrecall/invalidation/prepared_transactions.h"
#include "pgrecall/policy/rules.h"
#include "pgrecall/session/database_state.h"
#include "pgrecall/session/session_context.h"
#include "pgrecall/stats/stats.h"
#include "pgrecall/upstream/pool.h"

namespace pgrecall::session {

/// Estimated COUNTs, refreshed off the client's path. Any thread.
class CountPort {
 public:
  virtual ~CountPort() = default;
  /// True and the rows if a fresh enough estimate may be shown; else false, and one is asked for.
  /// `now`: of everything that the count reads. What was asked for under another one is not shown.
  virtual bool estimate(DatabaseState& database, sql::Oid relation, sql::Oid role,
                        const policy::Policy& policy, const invalidation::Stamp& now,
                        int64_t* rows) = 0;
};

/// One id per (text, parameter types), so that clients share prepared statements on servers. An id
/// is never used for another text. Any thread; bounded: a forgotten text gets a new id, and one
/// that is too long to be kept a new one each time.
class StatementNames {
 public:
  uint64_t id_of(std::string_view sql, std::string_view types);
  /// An id that nobody else gets.
  uint64_t fresh();

 private:
  static constexpr size_t kTextsMax = 100'000;
  static constexpr size_t kTextBytesMax = size_t{64} * 1024;
  static constexpr size_t kBytesMax = size_t{16} * 1024 * 1024;
  size_t bytes_ = 0;
  std::mutex mutex_;
  uint64_t next_ = 1;
  std::unordered_map<std::string, uint64_t> ids_;
};

/// Any thread; each member guards itself.
struct Shared {
  const config::Config& config;
  invalidation::EpochTable& epochs;
  invalidation::PreparedTransactions& prepared;
  cache::ResultCache& results;
  cache::SingleFlight& flights;
  DatabaseDirectory& databases;
  upstream::PoolDirectory& pools;
  ContextTable& contexts;
  stats::Stats& stats;
  CountPort& counts;
  std::shared_ptr<const policy::RuleSet> rules;  ///< fixed while the workers run
  std::atomic<config::CacheMode> mode;
  StatementNames statement_names;
  std::atomic<uint64_t> next_shape_id{1};
};

}  // namespace pgrecall::session
