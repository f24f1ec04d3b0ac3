// What the analysis found, for people: `pgrecall explain "SQL"` and the admin console.
#pragma once

#include <string>
#include <string_view>

#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

/// In snake case: "select", "copy_from" ...
std::string_view statement_kind_name(StatementKind kind);
/// In snake case: "none", "writes", "opaque", "ddl", "cluster".
std::string_view effect_name(Effect effect);

/// Lines of text that end in a newline: the kind, cacheable or why not, the relations read and
/// written by name, and what the statement does to its session. `catalog` may be null: then
/// relations show as oids.
std::string explain_analysis(const StatementAnalysis& analysis, const Catalog* catalog);

}  // namespace pgrecall::sql
