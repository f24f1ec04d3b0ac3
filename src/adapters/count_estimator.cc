#include "pgrecall/adapters/count_estimator.h"

#include <string>

namespace pgrecall::adapters {
namespace {

/// The relation first, then its descendants. pg_relation_size would wait for an ACCESS EXCLUSIVE
/// lock, so it is not asked where one is held or awaited. The last column is NULL where nothing was
/// ever analyzed, or where the counters were lost.
constexpr const char* kQuery =
    "WITH RECURSIVE tree AS (SELECT $1::oid AS oid UNION"
    " SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.oid),"
    " locked AS MATERIALIZED (SELECT relation FROM pg_locks WHERE locktype = 'relation'"
    "  AND mode = 'AccessExclusiveLock' AND database ="
    "  (SELECT oid FROM pg_database WHERE datname = current_database()))"
    " SELECT c.relkind, c.relpersistence, c.relrowsecurity,"
    " EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),"
    " has_table_privilege($2::oid, c.oid, 'SELECT')"
    "  AND has_schema_privilege($2::oid, c.relnamespace, 'USAGE'),"
    " 300 * current_setting('default_statistics_target')::bigint,"
    " c.reltuples, c.relpages,"
    " CASE WHEN c.relkind = 'r' AND c.oid NOT IN (SELECT relation FROM locked)"
    "  THEN pg_relation_size(c.oid) / current_setting('block_size')::int END,"
    " pg_stat_get_mod_since_analyze(c.oid),"
    " extract(epoch FROM now() - greatest(pg_stat_get_last_analyze_time(c.oid),"
    "  pg_stat_get_last_autoanalyze_time(c.oid)))"
    " FROM tree JOIN pg_class c ON c.oid = tree.oid ORDER BY c.oid <> $1::oid, c.oid";

policy::CountSource source_of(const QueryResult& result, size_t row) {
  policy::CountSource source;
  source.kind = result.character(row, 0);
  source.reltuples = result.real(row, 6);
  source.relpages = result.integer(row, 7);
  source.current_pages = result.is_null(row, 8) ? -1 : result.integer(row, 8);
  source.changes = result.is_null(row, 9) ? -1 : result.integer(row, 9);
  source.analyzed = !result.is_null(row, 10);
  source.age_s = result.real(row, 10);
  return source;
}

}  // namespace

Result<policy::CountFacts> count_facts(ControlConnection& connection, sql::Oid relation,
                                       sql::Oid role) {
  const auto result = connection.query_prepared("count_facts", kQuery,
                                                {std::to_string(relation), std::to_string(role)});
  if (!result.ok()) return result.error();
  policy::CountFacts facts;
  if (result->rows() == 0) return facts;
  facts.exists = true;
  facts.kind = result->character(0, 0);
  facts.persistence = result->character(0, 1);
  facts.row_security = result->boolean(0, 2);
  facts.has_children = facts.kind != 'p' && result->boolean(0, 3);
  facts.may_select = result->boolean(0, 4);
  facts.sampled_pages = result->integer(0, 5);
  for (size_t row = 0; row < result->rows(); ++row) {
    // Partitioned tables hold no rows themselves.
    if (result->character(row, 0) != 'p') facts.sources.push_back(source_of(*result, row));
  }
  return facts;
}

}  // namespace pgrecall::adapters
