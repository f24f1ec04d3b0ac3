// Canonical form of a SQL text by a scan of its tokens: shape, literals, hints. No parsing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

/// The scan stops with `ok == false` where PostgreSQL's scanner would raise an error or where the
/// text needs `standard_conforming_strings = off`; such a text has no canonical form.
struct Canonical {
  bool ok = false;
  /// Comments and trailing semicolons gone, white space folded, unquoted words in lower case
  /// (ASCII), every literal replaced: `?` for a number (`$i?` for 0x1F and 1_000, numbers from
  /// version 16 on), `$?` for '...', and `$e?`, `$b?`, `$x?`, `$u?`, `$d?` for E'', B'', X'', U&''
  /// and $$ strings; N'...' is `nchar $?`. A question mark of an operator is doubled (`??`, `??|`).
  /// Two texts of one shape differ only in their literals.
  std::string shape;
  /// The literals in order, each as a mark of its kind, its length (7 bits a byte, low bits first)
  /// and its text between the quotes as written, so that (shape, literals) determines the canonical
  /// statement and nothing else does. Pieces of a string that a newline joins have `'\n'` between.
  std::string literals;
  Hints hints;
  bool has_clock_word = false;   ///< `has_clock_word` of a string literal's value; any U&'...'
  bool multi_statement = false;  ///< a ';' is followed by another token
  bool non_ascii = false;
  /// Bound on the depth of the parse tree, from tokens alone: never below it. Some 20 to 60 for
  /// what an ORM writes; flat lists and chains of AND and OR do not add up.
  uint32_t depth_max = 0;
  uint32_t tokens = 0;
};

/// Never throws, never recurses; linear in the size of the text.
Canonical canonicalize(std::string_view text);

struct TokenNames;

/// For text that libpg_query cannot parse: true if its tokens start with SELECT or WITH, hold no
/// writing or locking word, and every word followed by "(" is in `known_safe` (pg_catalog functions
/// that are not volatile), unqualified or qualified by pg_catalog. `known_safe` gets the word in
/// lower case, or as quoted; it is not asked about reserved words and column name keywords, but
/// about every other word, also names of CTEs and aliases with a column list. What views, casts and
/// operators run is not seen: with `names`, whoever calls looks them up. Then words that newer
/// versions made a keyword (json_table, columns ...) are among the names called, and a text with
/// more names than a person would write, or with one that the server would cut off, is not proved.
bool tokens_prove_read_only(std::string_view text, bool (*known_safe)(std::string_view word),
                            TokenNames* names = nullptr);

/// True if a value given in text form may be read by the server as a moving date: it holds one of
/// now, today, tomorrow, yesterday (any case) as a word, where anything but an ASCII letter ends a
/// word; also behind the backslashes and quotes that array, range and record literals drop, and
/// whenever there is a `\u`, which may be a letter in JSON.
bool has_clock_word(std::string_view value);

}  // namespace pgrecall::sql
