// What only newer grammars have (grammar.h): constructors and queries of JSON, merge_action().
#include "sql/grammar.h"
#include "sql/query_walker.h"

namespace pgrecall::sql {
namespace {

/// Built-in types between which the server converts the parts of a JSON call unasked (pg_type.dat).
constexpr Oid kJsonParts[] = {17 /* bytea */, 25 /* text */, 114 /* json */, 1043 /* varchar */,
                              3802 /* jsonb */};

}  // namespace

void QueryWalker::newer(const Message& message) {
  const NewerNode node = newer_node(message);
  if (!node.keyword.empty()) keyword_call(node.keyword, node.arguments);
  // The server compares times with and without time zone there, and reads dates out of text.
  if (node.has_path && !is_still_path(node.path)) {
    facts_.refuse(BypassReason::kUnlistedStableFunction, in_context("a JSON path"));
  }
  if (node.returned == nullptr || !names_.type(*node.returned, facts_).is_clock_type) return;
  facts_.refuse(BypassReason::kDateFromText, in_context("RETURNING of a date type"));
}

void QueryWalker::keyword_call(std::string_view keyword, int arguments) {
  judge_json_casts();
  if (names_.catalog().server_version_num / 10000 >= keyword_since(keyword)) return;
  apply(names_.judge_call({{}, {}, keyword}, arguments, facts_), keyword);
}

void QueryWalker::judge_json_casts() {
  for (const Oid type : kJsonParts) {
    if (names_.catalog().code_casts_to(type)) return run_cast(in_context("a cast to a JSON type"));
  }
}

}  // namespace pgrecall::sql
