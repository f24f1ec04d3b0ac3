// Estimates for COUNT(*) of one table from what ANALYZE left: pure logic, no server.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pgrecall::policy {

/// Statistics of one table that holds rows: the table itself, or one leaf of a partitioned table.
struct CountSource {
  char kind = 'r';            ///< pg_class.relkind
  double reltuples = -1;      ///< at the last ANALYZE or VACUUM; -1 (0 before version 14): never
  int64_t relpages = 0;       ///< pages at that time
  int64_t current_pages = 0;  ///< pages now; -1 if unknown (the table is locked)
  int64_t changes = -1;       ///< rows inserted, updated and deleted since the last ANALYZE
  bool analyzed = false;      ///< the statistics collector knows when that was
  double age_s = 0;           ///< since then
};

/// What is known of the relation that the statement names, for the role that asks.
struct CountFacts {
  bool exists = false;
  char kind = 'r';         ///< pg_class.relkind
  char persistence = 'p';  ///< pg_class.relpersistence
  bool row_security = false;
  bool has_children = false;      ///< inheritance children; partitions are `sources`
  bool may_select = false;        ///< the role has SELECT on it and USAGE on its schema
  int64_t sampled_pages = 30000;  ///< pages that ANALYZE looks at: 300 x default_statistics_target
  std::vector<CountSource> sources;  ///< the table, or the leaves of a partitioned table
};

/// Why the exact query has to be asked.
enum class CountRefusal : uint8_t {
  kNone,
  kMissing,
  kNotATable,  ///< view, materialised view, foreign table, sequence; also a foreign partition
  kTemporary,
  kRowSecurity,
  kInheritance,
  kNoPrivilege,
  kLocked,
  kNeverAnalyzed,
  kStatisticsLost,  ///< a crash took the counters: changes since the last ANALYZE are unknown
  kFewRows,         ///< under min_rows
  kInaccurate,      ///< the stated error is above max_error
  kCount
};
std::string_view count_refusal_name(CountRefusal refusal);

/// Valid where `refusal` is kNone; `rows` and `error` are also set with kFewRows and kInaccurate.
struct CountEstimate {
  CountRefusal refusal = CountRefusal::kMissing;
  int64_t rows = 0;
  double error = 0;  ///< stated: share of `rows`
  double age_s = 0;  ///< of the oldest statistics used
};

/// Rows as the planner estimates them: reltuples, scaled by the present number of pages, summed
/// over partitions (table_block_relation_estimate_size in the server).
///
/// The stated error is the sampling error of ANALYZE, plus what changed since: each insert, update
/// and delete moves the count or the pages by one row at most, and pages that grew beyond the
/// counted changes count as change themselves. ANALYZE reads small tables whole; of larger ones it
/// reads `sampled_pages`, so with rows per page that deviate by up to their mean the error of the
/// sum is below 2 / sqrt(sampled_pages) in 95 of 100 cases.
CountEstimate estimate_count(const CountFacts& facts, int64_t min_rows, double max_error);

}  // namespace pgrecall::policy
