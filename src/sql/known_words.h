// Functions that may stand in a text that was never parsed and is still a plain read.
#pragma once

#include <string_view>

namespace pgrecall::sql {

/// True for the functions of pg_catalog of which no form is volatile, runs a query given as text or
/// takes a lock. `word` is folded to lower case.
bool is_known_read_only_function(std::string_view word);

}  // namespace pgrecall::sql
