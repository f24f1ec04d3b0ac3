// Analyzer: SQL text to StatementAnalysis over a Catalog snapshot. The only user of libpg_query.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/catalog.h"
#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

/// Bounds that keep hostile SQL from the parser: longer or deeper text is never parsed.
struct ParseLimits {
  size_t text_bytes = 64 * 1024;
  uint32_t depth = 2000;
};

/// How names resolve for one session: schemas in order (pg_catalog is implied first unless listed,
/// temporary schemas are the session's business), and the effective role.
struct ResolveScope {
  std::vector<Oid> search_path;  ///< existing schemas in order, without pg_catalog if implied
  bool catalog_listed = false;   ///< pg_catalog appears in the path explicitly (at its place)
  Oid role = kInvalidOid;        ///< effective role
};

/// Parse trees reduced to what does not depend on catalog or path. Immutable, shareable.
class ParsedText;

/// Parses within the limits. Never fails: what cannot or must not be parsed becomes one statement
/// of kind kUnparsed with its reason. Must run on a thread with a stack of 64 MiB.
std::shared_ptr<const ParsedText> parse(std::string_view text, const ParseLimits& limits = {});

/// The major version of PostgreSQL whose grammar libpg_query brings.
int grammar_version();

/// Bytes held by a parsed text, for the bound of whoever keeps it.
size_t memory_bytes(const ParsedText& parsed);

/// Resolves names and closes read and write sets. `catalog` may be null: then nothing is cacheable
/// and every statement that is not session or transaction control is opaque or a bypass by tokens.
/// Returns one analysis per statement of the text, in order; an empty text has one of kind kEmpty.
/// In a text of several statements nothing is cacheable (kMultiStatement). Like `parse`, it needs a
/// stack of 64 MiB. Temporary objects are not in the catalog: while a session may own some, its
/// reads must bypass and its writes count as opaque, whatever this says.
std::vector<StatementAnalysis> resolve(const ParsedText& parsed, const Catalog* catalog,
                                       const ResolveScope& scope);

}  // namespace pgrecall::sql
