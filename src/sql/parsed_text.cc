#include "sql/parsed_text.h"

#include <pg_query.h>

#include <algorithm>
#include <unordered_map>

#include "pgrecall/sql/canonical.h"
#include "sql/grammar.h"
#include "sql/known_words.h"

namespace pgrecall::sql {
namespace {

constexpr size_t kMemoBytesMax = 8 * 1024 * 1024;
/// Texts of the catalog are long at times, and not those of a client.
constexpr ParseLimits kCatalogLimits{1024 * 1024, 2000};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

void fail(ParsedText& parsed, BypassReason reason, std::string_view text, std::string error) {
  parsed.failure = reason;
  parsed.error = std::move(error);
  TokenNames names;
  if (tokens_prove_read_only(text, &is_known_read_only_function, &names)) {
    parsed.token_names = std::move(names);
  }
}

/// True if set_config or current_setting is called anywhere, or JSON is read by a path: what they
/// do hangs on a literal.
bool minds_literals(const Node* node) {
  std::vector<const Message*> pending;
  if (const Message* message = inner(node)) pending.push_back(message);
  while (!pending.empty()) {
    const Message* next = pending.back();
    pending.pop_back();
    if (next->descriptor == &pg_query__func_call__descriptor) {
      const auto& call = *reinterpret_cast<const FuncCall*>(next);
      const std::string_view name = name_of(call.n_funcname, call.funcname).name;
      if (name == "set_config" || name == "current_setting") return true;
    } else if (newer_node(*next).has_path) {
      return true;
    }
    for_each_child(next, [&](const Message* child) { pending.push_back(child); });
  }
  return false;
}

/// libpg_query counts the range from the end of the statement before and gives length 0 to a last
/// statement without semicolon.
void add_statement(ParsedText& parsed, const PgQuery__RawStmt& raw) {
  ParsedStatement statement;
  statement.node = raw.stmt;
  size_t begin = raw.stmt_location > 0 ? static_cast<size_t>(raw.stmt_location) : 0;
  size_t end = raw.stmt_len > 0 ? begin + static_cast<size_t>(raw.stmt_len) : parsed.text.size();
  begin = std::min(begin, parsed.text.size());
  end = std::min(end, parsed.text.size());
  while (begin < end && is_space(parsed.text[begin])) ++begin;
  while (end > begin && is_space(parsed.text[end - 1])) --end;
  statement.location = static_cast<uint32_t>(begin);
  statement.length = static_cast<uint32_t>(end - begin);
  statement.minds_literals = minds_literals(statement.node);
  parsed.statements.push_back(statement);
}

void parse_into(ParsedText& parsed, std::string_view text) {
  parsed.text = text;
  PgQueryProtobufParseResult result = pg_query_parse_protobuf(parsed.text.c_str());
  if (result.error != nullptr) {
    fail(parsed, BypassReason::kUnparsed, text, result.error->message);
    pg_query_free_protobuf_parse_result(result);
    return;
  }
  auto* root = reinterpret_cast<PgQuery__ParseResult*>(protobuf_c_message_unpack(
      &pg_query__parse_result__descriptor, parsed.arena.allocator(), result.parse_tree.len,
      reinterpret_cast<const uint8_t*>(result.parse_tree.data)));
  pg_query_free_protobuf_parse_result(result);
  if (root == nullptr) {
    fail(parsed, BypassReason::kUnparsed, text, "the parse tree could not be unpacked");
    return;
  }
  for (size_t i = 0; i < root->n_stmts; ++i) add_statement(parsed, *root->stmts[i]);
}

}  // namespace

std::shared_ptr<const ParsedText> parse(std::string_view text, const ParseLimits& limits) {
  auto parsed = std::make_shared<ParsedText>();
  parsed->text_length = static_cast<uint32_t>(std::min<size_t>(text.size(), UINT32_MAX));
  if (text.size() > limits.text_bytes) {
    fail(*parsed, BypassReason::kTooLong, text, "longer than the parser is given");
    return parsed;
  }
  const Canonical canonical = canonicalize(text);
  if (!canonical.ok || text.find('\0') != std::string_view::npos) {
    fail(*parsed, BypassReason::kUnparsed, text, "the text cannot be scanned");
  } else if (canonical.depth_max > limits.depth) {
    fail(*parsed, BypassReason::kTooDeep, text, "nested deeper than the parser is given");
  } else {
    parse_into(*parsed, text);
  }
  return parsed;
}

size_t memory_bytes(const ParsedText& parsed) {
  return sizeof(ParsedText) + parsed.arena.bytes() + parsed.text.capacity() +
         parsed.error.capacity() + parsed.statements.capacity() * sizeof(ParsedStatement) +
         (parsed.token_names ? memory_bytes(*parsed.token_names) : 0);
}

std::shared_ptr<const ParsedText> parse_catalog_text(const std::string& text) {
  thread_local std::unordered_map<std::string, std::shared_ptr<const ParsedText>> memo;
  thread_local size_t memo_bytes = 0;
  auto found = memo.find(text);
  if (found != memo.end()) return found->second;
  std::shared_ptr<const ParsedText> parsed = parse(text, kCatalogLimits);
  if (parsed->statements.size() != 1) parsed = nullptr;
  if (memo_bytes > kMemoBytesMax) {
    memo.clear();
    memo_bytes = 0;
  }
  memo_bytes += text.size() + (parsed != nullptr ? memory_bytes(*parsed) : 0) + 128;
  memo.emplace(text, parsed);
  return parsed;
}

}  // namespace pgrecall::sql
