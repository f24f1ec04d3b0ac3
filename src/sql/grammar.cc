// The one file that minds which grammar libpg_query brings.
#include "sql/grammar.h"

#include <pg_query.h>

#include <algorithm>

#include "pgrecall/sql/analyzer.h"

namespace pgrecall::sql {
namespace {

struct Keyword {
  std::string_view word;
  int since;
};

// Keywords of SQL/JSON that a bracket may follow; "value" and kin stand inside such a call.
constexpr Keyword kKeywords[] = {
    {"columns", 17},     {"json", 17},           {"json_array", 16},     {"json_arrayagg", 16},
    {"json_exists", 17}, {"json_object", 16},    {"json_objectagg", 16}, {"json_query", 17},
    {"json_scalar", 17}, {"json_serialize", 17}, {"json_table", 17},     {"json_value", 17},
    {"key", 16},         {"merge_action", 17},   {"passing", 17},        {"value", 16},
};

bool contains_word(std::string_view text, std::string_view word) {
  const auto equal = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; };
  return std::search(text.begin(), text.end(), word.begin(), word.end(), equal) != text.end();
}

#if PG_VERSION_NUM >= 170000

const TypeName* type_of(const PgQuery__JsonOutput* output) {
  return output != nullptr ? output->type_name : nullptr;
}

const PgQuery__JsonOutput* output_of(const PgQuery__JsonAggConstructor* constructor) {
  return constructor != nullptr ? constructor->output : nullptr;
}

template <typename Struct>
const Struct& as(const Message& message) {
  return reinterpret_cast<const Struct&>(message);
}

NewerNode json_function(const PgQuery__JsonFuncExpr& call) {
  NewerNode node;
  switch (call.op) {
    case PG_QUERY__JSON_EXPR_OP__JSON_EXISTS_OP:
      node.keyword = "json_exists";
      break;
    case PG_QUERY__JSON_EXPR_OP__JSON_QUERY_OP:
      node.keyword = "json_query";
      break;
    case PG_QUERY__JSON_EXPR_OP__JSON_VALUE_OP:
      node.keyword = "json_value";
      break;
    default:
      node.keyword = "json_table";
      break;
  }
  node.arguments = 2;
  node.has_path = true;
  node.path = call.pathspec;
  node.returned = type_of(call.output);
  return node;
}

NewerNode json_constructor(const Message& message) {
  const ProtobufCMessageDescriptor* kind = message.descriptor;
  if (kind == &pg_query__json_object_constructor__descriptor) {
    const auto& call = as<PgQuery__JsonObjectConstructor>(message);
    return {"json_object", static_cast<int>(call.n_exprs), false, nullptr, type_of(call.output)};
  }
  if (kind == &pg_query__json_array_constructor__descriptor) {
    const auto& call = as<PgQuery__JsonArrayConstructor>(message);
    return {"json_array", static_cast<int>(call.n_exprs), false, nullptr, type_of(call.output)};
  }
  if (kind == &pg_query__json_array_query_constructor__descriptor) {
    const auto& call = as<PgQuery__JsonArrayQueryConstructor>(message);
    return {"json_array", 1, false, nullptr, type_of(call.output)};
  }
  if (kind == &pg_query__json_object_agg__descriptor) {
    const auto& call = as<PgQuery__JsonObjectAgg>(message);
    return {"json_objectagg", 1, false, nullptr, type_of(output_of(call.constructor))};
  }
  if (kind == &pg_query__json_array_agg__descriptor) {
    const auto& call = as<PgQuery__JsonArrayAgg>(message);
    return {"json_arrayagg", 1, false, nullptr, type_of(output_of(call.constructor))};
  }
  if (kind == &pg_query__json_parse_expr__descriptor) {
    return {"json", 1, false, nullptr, type_of(as<PgQuery__JsonParseExpr>(message).output)};
  }
  if (kind == &pg_query__json_scalar_expr__descriptor) {
    const auto& call = as<PgQuery__JsonScalarExpr>(message);
    return {"json_scalar", 1, false, nullptr, type_of(call.output)};
  }
  if (kind == &pg_query__json_serialize_expr__descriptor) {
    const auto& call = as<PgQuery__JsonSerializeExpr>(message);
    return {"json_serialize", 1, false, nullptr, type_of(call.output)};
  }
  return {};
}

#endif

}  // namespace

int grammar_version() {
  return PG_VERSION_NUM / 10000;
}

#if PG_VERSION_NUM >= 170000

NewerNode newer_node(const Message& message) {
  const ProtobufCMessageDescriptor* kind = message.descriptor;
  if (kind == &pg_query__json_func_expr__descriptor) {
    return json_function(as<PgQuery__JsonFuncExpr>(message));
  }
  if (kind == &pg_query__json_table__descriptor) {
    const auto& table = as<PgQuery__JsonTable>(message);
    return {"json_table", 2, true, table.pathspec != nullptr ? table.pathspec->string : nullptr,
            nullptr};
  }
  if (kind == &pg_query__json_table_column__descriptor) {
    const auto& column = as<PgQuery__JsonTableColumn>(message);
    NewerNode node;
    node.has_path = column.pathspec != nullptr;
    node.path = node.has_path ? column.pathspec->string : nullptr;
    node.returned = column.type_name;
    return node;
  }
  if (kind == &pg_query__merge_support_func__descriptor) return {"merge_action"};
  return json_constructor(message);
}

#else

NewerNode newer_node(const Message&) {
  return {};
}

#endif

int keyword_since(std::string_view word) {
  const auto* found = std::lower_bound(
      std::begin(kKeywords), std::end(kKeywords), word,
      [](const Keyword& keyword, std::string_view wanted) { return keyword.word < wanted; });
  return found != std::end(kKeywords) && found->word == word ? found->since : 0;
}

/// A method's name can be written with escapes, and a comment may stand before its bracket.
bool is_still_path(const Node* path) {
  std::string_view text;
  while (path != nullptr && path->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
    path = path->type_cast->arg;
  }
  if (!constant_string(path, text)) return false;
  if (text.find('(') == std::string_view::npos) return true;
  return text.find('\\') == std::string_view::npos && !contains_word(text, "date") &&
         !contains_word(text, "time");
}

}  // namespace pgrecall::sql
