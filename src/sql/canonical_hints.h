// Hints in comments: `/* pgrecall: ttl=30s */`, `off`, `primary`.
#pragma once

#include <string_view>

#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

/// Adds what the body of one comment (without its delimiters) says to `hints`. A comment that does
/// not start with `pgrecall:` says nothing; unknown or malformed words are ignored. Of several ttl
/// the shortest counts.
void read_hints(std::string_view comment, Hints& hints);

}  // namespace pgrecall::sql
