// ParsedText: the parse trees of one text, or why it has none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pgrecall/sql/analyzer.h"
#include "sql/token_names.h"
#include "sql/tree.h"

namespace pgrecall::sql {

/// One statement of a text. `location` and `length` are its byte range without the semicolon.
struct ParsedStatement {
  const Node* node = nullptr;
  uint32_t location = 0;
  uint32_t length = 0;
  /// It names a setting or a JSON path by a literal. A matter of the text alone, so that it is the
  /// same with every catalog and with none.
  bool minds_literals = false;
};

/// Immutable once `parse` returned it; owns the trees (in its arena) and a copy of the text.
class ParsedText {
 public:
  Arena arena;
  std::string text;  ///< empty if the text was never parsed
  std::vector<ParsedStatement> statements;
  BypassReason failure = BypassReason::kNoBypass;  ///< kUnparsed, kTooLong, kTooDeep: no statements
  /// For failures: none if not even its tokens say that it only reads, as far as they can.
  std::optional<TokenNames> token_names;
  uint32_t text_length = 0;
  std::string error;  ///< for people: what the parser said

  std::string_view slice(const ParsedStatement& statement) const {
    return std::string_view(text).substr(statement.location, statement.length);
  }
};

/// Parses an expression or a query of the catalog (a view's body, a policy, a default). Kept by
/// text in a bounded memo of the calling thread, for the same view is met again and again. Null if
/// it cannot be parsed into exactly one statement.
std::shared_ptr<const ParsedText> parse_catalog_text(const std::string& text);

}  // namespace pgrecall::sql
