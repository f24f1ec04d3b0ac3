// Nodes that only newer grammars of libpg_query have, seen the same way with each of them.
#pragma once

#include <string_view>

#include "sql/tree.h"

namespace pgrecall::sql {

/// What a node asks for beyond the visit of its children. Empty for every node of the oldest
/// grammar.
struct NewerNode {
  /// The word before its bracket, folded. A server that does not know the keyword calls a function.
  std::string_view keyword;
  int arguments = 0;                   ///< about as many: for forms that a function may have, too
  bool has_path = false;               ///< reads JSON by `path`
  const Node* path = nullptr;          ///< null: made of a column's name
  const TypeName* returned = nullptr;  ///< its value is made of JSON by a cast to this type
};
NewerNode newer_node(const Message& message);

/// A word that is a keyword before a bracket from that version on, and a function before. 0: never.
int keyword_since(std::string_view word);

/// True if no moving date can come out of a JSON path: it is a constant without methods that read
/// dates.
bool is_still_path(const Node* path);

}  // namespace pgrecall::sql
