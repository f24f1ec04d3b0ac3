// One function per group of statements: each fills the analysis of the statements it knows.
#pragma once

#include <string_view>

#include "pgrecall/sql/statement_analysis.h"
#include "sql/facts.h"
#include "sql/name_scope.h"
#include "sql/parsed_text.h"
#include "sql/tree.h"

namespace pgrecall::sql {

/// One statement with what its names resolve in. `catalog` and `names` are null together.
struct StatementInput {
  const ParsedText& text;
  const ParsedStatement& statement;
  const Catalog* catalog = nullptr;
  const NameScope* names = nullptr;

  std::string_view slice() const { return text.slice(statement); }
};

/// Each returns false, with `out` untouched, for a statement that is not its own.
bool analyze_transaction(const Node& node, StatementAnalysis& out);
bool analyze_settings(const StatementInput& input, const Node& node, StatementAnalysis& out);
bool analyze_session(const StatementInput& input, const Node& node, StatementAnalysis& out);
bool analyze_data(const StatementInput& input, const Node& node, StatementAnalysis& out);
bool analyze_definition(const StatementInput& input, const Node& node, StatementAnalysis& out);

/// SELECT set_config(...) with constants and nothing else: a SET.
bool analyze_set_config(const StatementInput& input, const Node& node, StatementAnalysis& out);

/// A text without a parse tree, by its tokens (unparsed.cc). `names` is null without a catalog.
StatementAnalysis analyze_unparsed(const ParsedText& text, const NameScope* names);

/// Dispatches to the functions above; anything left over is opaque.
void analyze_node(const StatementInput& input, const Node* node, StatementAnalysis& out);

/// The query's effects and, for a SELECT, whether it may be cached.
void analyze_query(const StatementInput& input, const Node* query, StatementAnalysis& out,
                   const PgQuery__IntoClause* accounted_into = nullptr);

/// What the walk found, into `out`: effect, sets, reason, session effects.
void take_facts(Facts&& facts, StatementAnalysis& out);

/// Event triggers may run: anything may be written, and be left on the connection.
void add_event_triggers(StatementAnalysis& out);

/// A statement that no proof covers.
void set_opaque(StatementAnalysis& out, std::string_view detail);
/// A statement that writes nothing and is no cacheable read.
void set_harmless(StatementAnalysis& out, StatementKind kind);

}  // namespace pgrecall::sql
