#include "sql/known_words.h"

#include <algorithm>

namespace pgrecall::sql {
namespace {

// clang-format off
constexpr std::string_view kFunctions[] = {
    "abbrev", "abs", "acos", "acosd", "acosh", "area", "array_agg", "array_append", "array_cat",
    "array_dims", "array_fill", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_json",
    "array_to_string", "array_to_tsvector", "array_upper", "ascii", "asin", "asind", "asinh",
    "atan", "atan2", "atan2d", "atand", "atanh", "avg", "bit_and", "bit_count", "bit_length",
    "bit_or", "bit_xor", "bool", "bool_and", "bool_or", "box", "broadcast", "btrim",
    "cardinality", "cbrt", "ceil", "ceiling", "center", "char_length", "character_length", "chr",
    "cidr", "circle", "concat", "concat_ws", "convert", "convert_from", "convert_to", "corr",
    "cos", "cosd", "cosh", "cot", "cotd", "count", "covar_pop", "covar_samp", "current_database",
    "current_schema", "current_schemas", "current_user", "date", "date_bin", "date_part",
    "date_trunc", "datemultirange", "daterange", "decode", "degrees", "dense_rank", "diagonal",
    "diameter", "div", "encode", "enum_first", "enum_last", "enum_range", "every", "exp",
    "factorial", "family", "first_value", "float4", "float8", "floor", "format", "gcd",
    "generate_series", "generate_subscripts", "get_bit", "get_byte", "get_current_ts_config",
    "getdatabaseencoding", "height", "host", "hostmask", "inet_merge", "inet_same_family",
    "initcap", "int2", "int4", "int4multirange", "int4range", "int8", "int8multirange",
    "int8range", "is_normalized", "isempty", "isfinite", "ishorizontal", "isparallel", "isperp",
    "isvertical", "json_agg", "json_array_elements", "json_array_elements_text",
    "json_array_length", "json_build_array", "json_build_object", "json_each", "json_each_text",
    "json_extract_path", "json_extract_path_text", "json_object", "json_object_agg",
    "json_object_keys", "json_strip_nulls", "json_to_tsvector", "json_typeof", "jsonb_agg",
    "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text",
    "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object",
    "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_match",
    "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_pretty",
    "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_typeof", "justify_days",
    "justify_hours", "justify_interval", "lag", "last_value", "lcm", "lead", "left", "length",
    "like_escape", "line", "ln", "log", "log10", "lower", "lower_inc", "lower_inf", "lpad",
    "lseg", "ltrim", "macaddr", "macaddr8", "make_date", "make_interval", "make_time",
    "make_timestamp", "make_timestamptz", "masklen", "max", "md5", "min", "min_scale", "mod",
    "mode", "money", "multirange", "name", "netmask", "network", "npoints", "nth_value", "ntile",
    "num_nonnulls", "num_nulls", "nummultirange", "numnode", "numrange", "octet_length", "oid",
    "overlaps", "overlay", "parse_ident", "path", "percent_rank", "percentile_cont",
    "percentile_disc", "phraseto_tsquery", "pi", "plainto_tsquery", "point", "polygon", "pow",
    "power",
    "quote_ident", "quote_literal", "quote_nullable", "radians", "radius", "range_agg",
    "range_intersect_agg", "range_merge", "rank", "regexp_count", "regexp_instr", "regexp_like",
    "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array",
    "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "repeat",
    "replace", "reverse", "round", "row_number", "row_to_json", "rpad", "rtrim", "scale",
    "session_user", "set_bit", "set_byte", "set_masklen", "setweight", "sha224", "sha256",
    "sha384", "sha512", "sign", "similar_escape", "similar_to_escape", "sin", "sind", "sinh",
    "slope", "split_part", "sqrt", "starts_with", "stddev", "stddev_pop", "stddev_samp",
    "string_agg", "string_to_array", "string_to_table", "strip", "strpos", "substr",
    "substring", "sum", "tan", "tand", "tanh", "text", "timestamptz", "timetz", "timezone",
    "to_ascii", "to_char", "to_date",
    "to_hex", "to_json", "to_jsonb", "to_number", "to_timestamp", "to_tsquery", "to_tsvector",
    "translate", "trim_array", "trim_scale", "trunc", "ts_delete", "ts_filter", "ts_headline",
    "ts_rank", "ts_rank_cd", "tsmultirange", "tsquery_phrase", "tsrange", "tstzmultirange",
    "tstzrange", "tsvector_to_array", "unistr", "unnest", "upper", "upper_inc", "upper_inf",
    "uuid_send", "var_pop", "var_samp", "variance", "version", "websearch_to_tsquery", "width",
    "width_bucket", "xid", "xml", "xml_is_well_formed", "xml_is_well_formed_content",
    "xml_is_well_formed_document", "xmlagg", "xmlcomment", "xpath", "xpath_exists",
};
// clang-format on

static_assert(std::is_sorted(std::begin(kFunctions), std::end(kFunctions)));

}  // namespace

bool is_known_read_only_function(std::string_view word) {
  return std::binary_search(std::begin(kFunctions), std::end(kFunctions), word);
}

}  // namespace pgrecall::sql
