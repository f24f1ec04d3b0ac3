// The digest of a catalog: row count and a sum over xmin of every system catalog that matters.
//
// Why xmin suffices. A row of a catalog changes only by a new version, written by the transaction
// whose id becomes its xmin; no visible row had that xmin before the transaction committed, and
// freezing keeps the raw value. A deleted row takes its term out of the sum. The exceptions are
// updates in place, which keep xmin: VACUUM and ANALYZE (relpages, reltuples, relfrozenxid,
// datfrozenxid, clearing relhasrules and kin) and CREATE INDEX (relhasindex) - just what must not
// count. The hash makes the sum of different ids equal by chance only: 2^-32 for one change.
#include <array>
#include <string>

#include "pgrecall/adapters/catalog_loader.h"

namespace pgrecall::adapters {
namespace {

/// `temp` and `temp_rel`: what belongs to the sessions. `skip`: that, and indexes and TOAST tables,
/// which come and go without meaning (REINDEX). Named by what is to be left out, since that is a
/// hash probe for each row, where naming what counts becomes an index scan for each relation.
constexpr std::string_view kHead =
    "WITH temp AS MATERIALIZED (SELECT oid FROM pg_namespace"
    " WHERE nspname LIKE 'pg\\_temp\\_%' OR nspname LIKE 'pg\\_toast\\_temp\\_%'),"
    " temp_rel AS MATERIALIZED (SELECT oid FROM pg_class"
    " WHERE relnamespace IN (SELECT oid FROM temp)),"
    " skip AS MATERIALIZED (SELECT oid FROM pg_class WHERE relkind IN ('i', 'I', 't')"
    " OR relnamespace IN (SELECT oid FROM temp))"
    " SELECT concat_ws(' '";

struct Part {
  std::string_view name;
  std::string_view source;  ///< what follows FROM
};

constexpr std::array<Part, 31> kParts = {{
    {"relation", "pg_class WHERE oid NOT IN (SELECT oid FROM skip)"},
    {"column", "pg_attribute WHERE attnum > 0 AND attrelid NOT IN (SELECT oid FROM skip)"},
    {"default", "pg_attrdef WHERE adrelid NOT IN (SELECT oid FROM temp_rel)"},
    {"constraint",
     "pg_constraint WHERE contype IN ('c', 'f', 'x') AND conrelid NOT IN (SELECT oid FROM "
     "temp_rel)"},
    {"inherits", "pg_inherits WHERE inhrelid NOT IN (SELECT oid FROM skip)"},
    {"partitioned", "pg_partitioned_table WHERE partrelid NOT IN (SELECT oid FROM temp_rel)"},
    {"index",
     "pg_index WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL"
     " OR indclass::oid[] && ARRAY(SELECT oid FROM pg_opclass WHERE oid >= 16384))"
     " AND indrelid NOT IN (SELECT oid FROM temp_rel)"},
    {"rule", "pg_rewrite WHERE ev_class NOT IN (SELECT oid FROM temp_rel)"},
    // Those of foreign keys are many, and come and go with the constraint.
    {"trigger",
     "pg_trigger WHERE (NOT tgisinternal OR tgfoid >= 16384 OR tgenabled <> 'O')"
     " AND tgrelid NOT IN (SELECT oid FROM temp_rel)"},
    {"policy", "pg_policy"},
    {"function", "pg_proc WHERE pronamespace NOT IN (SELECT oid FROM temp)"},
    {"aggregate", "pg_aggregate"},
    {"operator", "pg_operator WHERE oprnamespace NOT IN (SELECT oid FROM temp)"},
    {"opclass", "pg_opclass"},
    {"amproc", "pg_amproc"},
    {"amop", "pg_amop"},
    {"type", "pg_type WHERE typtype <> 'c' AND typnamespace NOT IN (SELECT oid FROM temp)"},
    {"enum", "pg_enum"},
    {"range", "pg_range"},
    {"cast", "pg_cast"},
    {"collation", "pg_collation"},
    {"language", "pg_language"},
    {"schema", "pg_namespace WHERE oid NOT IN (SELECT oid FROM temp)"},
    {"extension", "pg_extension"},
    {"member", "pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'"},
    {"ts_config", "pg_ts_config"},
    {"ts_map", "pg_ts_config_map"},
    {"ts_dict", "pg_ts_dict"},
    {"default_acl", "pg_default_acl"},
    {"event_trigger", "pg_event_trigger"},
    {"label", "pg_seclabel"},
}};

constexpr std::array<Part, 4> kSharedParts = {{
    {"shared_label", "pg_shseclabel"},
    {"database", "pg_database"},
    {"membership", "pg_auth_members"},
    {"setting", "pg_db_role_setting"},
}};

/// pg_authid is closed to all but superusers; the view pg_roles shows all of it save the password.
constexpr std::string_view kTail =
    ", 'role=' || (SELECT count(*) || ':' || coalesce(sum(hashtext(r::text)), 0) FROM pg_roles r),"
    " 'configured=' || pg_conf_load_time(), 'started=' || pg_postmaster_start_time(),"
    " 'timeline=' || CASE WHEN pg_is_in_recovery() THEN 'standby'"
    " ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END";

template <size_t N>
void append_parts(std::string& sql, const std::array<Part, N>& parts) {
  for (const Part& part : parts) {
    sql.append(", '").append(part.name).append("=' || (SELECT count(*) || ':' || ");
    sql.append("coalesce(sum(hashtext(xmin::text)), 0) FROM ").append(part.source).append(")");
  }
}

std::string shared_query(bool with_system_identifier) {
  std::string sql = "SELECT concat_ws(' '";
  append_parts(sql, kSharedParts);
  sql += kTail;
  if (with_system_identifier)
    sql += ", 'system=' || (SELECT system_identifier FROM pg_control_system())";
  return sql + ")";
}

std::string local_query() {
  std::string sql(kHead);
  append_parts(sql, kParts);
  return sql + ")";
}

Result<std::string> text_of(const Result<QueryResult>& result) {
  if (!result.ok()) return result.error();
  return std::string(result->text(0, 0));
}

}  // namespace

Result<std::string> shared_digest(ControlConnection& connection) {
  static const std::string kStrong = shared_query(true);
  static const std::string kWeak = shared_query(false);
  // A lost privilege fails when the plan starts, so it cannot be asked for in the same statement.
  const auto allowed = connection.query_prepared(
      "may_read_control_file", "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')");
  if (!allowed.ok()) return allowed.error();
  return text_of(allowed->boolean(0, 0) ? connection.query_prepared("shared_digest", kStrong)
                                        : connection.query_prepared("shared_digest_weak", kWeak));
}

Result<std::string> catalog_digest(ControlConnection& connection) {
  static const std::string kLocal = local_query();
  auto digest = text_of(connection.query_prepared("catalog_digest", kLocal));
  if (!digest.ok()) return digest;
  const auto shared = shared_digest(connection);
  if (!shared.ok()) return shared.error();
  return *digest + " " + *shared;
}

}  // namespace pgrecall::adapters
