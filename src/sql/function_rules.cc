#include "sql/function_rules.h"

#include <algorithm>

namespace pgrecall::sql {
namespace {

template <size_t N>
constexpr bool contains(const std::string_view (&sorted)[N], std::string_view name) {
  return std::binary_search(std::begin(sorted), std::end(sorted), name);
}

// STABLE functions of pg_catalog that depend on nothing but their arguments, the settings in the
// key (TimeZone, DateStyle, lc_*, encodings, search path, roles) and definitions that only DDL
// changes (enum labels, text search configurations). Not jsonb_path_*_tz: they turn a time into one
// with time zone, for which they look at the clock.
// clang-format off
constexpr std::string_view kStableAllowed[] = {
    "anytextcat", "array_to_json", "array_to_string", "concat", "concat_ws", "convert",
    "convert_from", "convert_to", "current_database", "current_schema", "current_schemas",
    "current_user", "date", "date_add", "date_cmp_timestamptz", "date_eq_timestamptz",
    "date_ge_timestamptz", "date_gt_timestamptz", "date_le_timestamptz", "date_lt_timestamptz",
    "date_ne_timestamptz", "date_part", "date_subtract", "date_trunc", "enum_first", "enum_last",
    "enum_range", "extract", "format", "generate_series", "get_current_ts_config",
    "getdatabaseencoding", "in_range", "interval_pl_timestamptz", "json_agg", "json_agg_strict",
    "json_build_array", "json_build_object", "json_object_agg", "json_object_agg_strict",
    "json_object_agg_unique", "json_object_agg_unique_strict", "json_to_tsvector", "jsonb_agg",
    "jsonb_agg_strict", "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg",
    "jsonb_to_tsvector", "length", "make_timestamptz", "money", "numeric", "overlaps",
    "pg_client_encoding", "phraseto_tsquery", "plainto_tsquery", "quote_literal", "quote_nullable",
    "row_to_json", "session_user", "textanycat", "time", "timestamp", "timestamp_cmp_timestamptz",
    "timestamp_eq_timestamptz", "timestamp_ge_timestamptz", "timestamp_gt_timestamptz",
    "timestamp_le_timestamptz", "timestamp_lt_timestamptz", "timestamp_ne_timestamptz",
    "timestamptz", "timestamptz_cmp_date", "timestamptz_cmp_timestamp", "timestamptz_eq_date",
    "timestamptz_eq_timestamp", "timestamptz_ge_date", "timestamptz_ge_timestamp",
    "timestamptz_gt_date", "timestamptz_gt_timestamp", "timestamptz_le_date",
    "timestamptz_le_timestamp", "timestamptz_lt_date", "timestamptz_lt_timestamp",
    "timestamptz_mi_interval", "timestamptz_ne_date", "timestamptz_ne_timestamp",
    "timestamptz_pl_interval", "timezone", "to_char", "to_date", "to_json", "to_jsonb", "to_number",
    "to_timestamp", "to_tsquery", "to_tsvector", "ts_headline", "ts_match_tq", "ts_match_tt",
    "websearch_to_tsquery", "xml", "xml_is_well_formed",
};

// "age" is here for its STABLE form of one argument; the one of two is IMMUTABLE.
// timetz(time) takes the offset of today from the clock.
constexpr std::string_view kClock[] = {
    "age", "clock_timestamp", "now", "statement_timestamp", "timeofday", "timetz",
    "transaction_timestamp",
};

// Built-ins that write, run a query or a user's code, or leave something on their connection. The
// last include all that take a type by its number or name and read a value of it: of a domain, that
// runs its checks.
constexpr std::string_view kRunsCode[] = {
    "array_in", "brin_desummarize_range", "brin_summarize_new_values", "brin_summarize_range",
    "cursor_to_xml", "cursor_to_xmlschema", "database_to_xml", "database_to_xml_and_xmlschema",
    "database_to_xmlschema", "domain_in", "lo_creat", "lo_create", "lo_from_bytea", "lo_import",
    "lo_put", "lo_truncate", "lo_truncate64", "lo_unlink", "lowrite", "multirange_in",
    "pg_backup_start", "pg_backup_stop", "pg_clear_attribute_stats", "pg_clear_relation_stats",
    "pg_copy_logical_replication_slot", "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
    "pg_extension_config_dump", "pg_import_system_collations", "pg_input_error_info",
    "pg_input_is_valid", "pg_logical_emit_message", "pg_nextoid", "pg_replication_origin_advance",
    "pg_replication_origin_create", "pg_replication_origin_drop",
    "pg_replication_origin_session_reset", "pg_replication_origin_session_setup",
    "pg_replication_origin_xact_reset", "pg_replication_origin_xact_setup",
    "pg_restore_attribute_stats", "pg_restore_relation_stats", "pg_start_backup", "pg_stop_backup",
    "pg_stop_making_pinned_objects", "pg_sync_replication_slots", "query_to_xml",
    "query_to_xml_and_xmlschema", "query_to_xmlschema", "range_in", "record_in", "schema_to_xml",
    "schema_to_xml_and_xmlschema", "schema_to_xmlschema", "table_to_xml",
    "table_to_xml_and_xmlschema", "table_to_xmlschema", "ts_rewrite", "ts_stat",
};

constexpr std::string_view kSessionLocks[] = {
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
};

constexpr std::string_view kTransactionLocks[] = {
    "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
};

constexpr std::string_view kVouched[] = {
    "bloom", "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn",
    "earthdistance", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_stat_statements",
    "pg_trgm", "pgcrypto", "postgis", "seg", "tsm_system_rows", "tsm_system_time", "unaccent",
    "uuid-ossp",
};

// STABLE functions of vouched extensions that depend on their arguments and on files only an
// administrator changes (unaccent.rules), or on settings of the session (pg_trgm's thresholds).
constexpr std::string_view kExtensionStable[] = {
    "unaccent",
};
constexpr std::string_view kExtensionReadsSetting[] = {
    "similarity_op", "strict_word_similarity_commutator_op", "strict_word_similarity_op",
    "word_similarity_commutator_op", "word_similarity_op",
};

constexpr std::string_view kKeepsType[] = {
    "any_value", "first_value", "lag", "last_value", "lead", "max", "min", "mode", "nth_value",
};

// They fill a row from text: input of its columns' types, which the statement need not name.
constexpr std::string_view kFillsRow[] = {
    "json_populate_record", "json_populate_recordset", "jsonb_populate_record",
    "jsonb_populate_record_valid", "jsonb_populate_recordset", "populate_record",
};

// Settings that are in every key, whatever the session did.
constexpr std::string_view kKeyedSettings[] = {
    "bytea_output", "client_encoding", "datestyle", "default_text_search_config",
    "extra_float_digits", "intervalstyle", "lc_messages", "lc_monetary", "lc_numeric", "lc_time",
    "search_path", "timezone", "xmlbinary", "xmloption",
};
// clang-format on

static_assert(std::is_sorted(std::begin(kStableAllowed), std::end(kStableAllowed)));
static_assert(std::is_sorted(std::begin(kClock), std::end(kClock)));
static_assert(std::is_sorted(std::begin(kRunsCode), std::end(kRunsCode)));
static_assert(std::is_sorted(std::begin(kSessionLocks), std::end(kSessionLocks)));
static_assert(std::is_sorted(std::begin(kTransactionLocks), std::end(kTransactionLocks)));
static_assert(std::is_sorted(std::begin(kVouched), std::end(kVouched)));
static_assert(std::is_sorted(std::begin(kExtensionReadsSetting), std::end(kExtensionReadsSetting)));
static_assert(std::is_sorted(std::begin(kKeepsType), std::end(kKeepsType)));
static_assert(std::is_sorted(std::begin(kFillsRow), std::end(kFillsRow)));
static_assert(std::is_sorted(std::begin(kKeyedSettings), std::end(kKeyedSettings)));

Verdict judge_built_in(const Function& function) {
  const std::string_view name = function.name;
  if (name == "pg_reload_conf") return Verdict::kCluster;
  // The seed lasts as long as the session, and nothing brings it to another connection.
  if (name == "set_config" || name == "setseed") return Verdict::kSetConfig;
  if (name == "current_setting") return Verdict::kCurrentSetting;
  if (contains(kSessionLocks, name)) return Verdict::kSessionLock;
  if (contains(kTransactionLocks, name)) return Verdict::kTransactionLock;
  if (name.starts_with("binary_upgrade_")) return Verdict::kRunsCode;
  // ts_rewrite(tsquery, tsquery, tsquery) is IMMUTABLE, the form that runs a query is not.
  if (function.volatility != 'i' && contains(kRunsCode, name)) return Verdict::kRunsCode;
  if (function.volatility == 'i') return Verdict::kSafe;
  // AT TIME ZONE looks at the clock for a time with time zone only (and was volatile before version
  // 15); whatever makes such values is refused elsewhere.
  if (name == "timezone") return Verdict::kSafe;
  if (contains(kClock, name)) return Verdict::kClock;
  if (function.volatility == 'v') return Verdict::kVolatile;
  return contains(kStableAllowed, name) ? Verdict::kSafe : Verdict::kUnlisted;
}

Verdict judge_vouched(const Function& function) {
  const std::string_view name = function.name;
  if (name == "set_limit") return Verdict::kSetConfig;  // pg_trgm's threshold, for the session
  // hstore's populate_record is labelled IMMUTABLE and turns text into dates, 'today' as well.
  if (name == "populate_record") return Verdict::kUnlisted;
  if (function.volatility == 'i') return Verdict::kSafe;
  // Only C code is vouched for when it is not IMMUTABLE: PostGIS has PL/pgSQL that runs DDL.
  if (function.language != "c" && function.language != "internal") return Verdict::kUserCode;
  if (function.volatility == 'v') return Verdict::kVolatile;
  if (contains(kExtensionStable, name)) return Verdict::kSafe;
  if (contains(kExtensionReadsSetting, name)) return Verdict::kReadsSetting;
  return Verdict::kUnlisted;
}

}  // namespace

Verdict judge_function(const Function& function) {
  if (function.kind == 'p') return Verdict::kUserCode;
  if (function.schema == kPgCatalogOid && function.oid < kFirstNormalOid) {
    return judge_built_in(function);
  }
  if (is_vouched_extension(function.extension)) return judge_vouched(function);
  return Verdict::kUserCode;
}

bool keeps_argument_type(std::string_view name) {
  return contains(kKeepsType, name);
}

bool fills_row(const Function& function) {
  return contains(kFillsRow, function.name);
}

bool is_keyed_setting(std::string_view folded_name) {
  return folded_name.find('.') != std::string_view::npos || contains(kKeyedSettings, folded_name);
}

bool is_vouched_extension(std::string_view name) {
  return contains(kVouched, name);
}

}  // namespace pgrecall::sql
