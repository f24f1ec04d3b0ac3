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
  /// Comments gone, white space folded (a newline that joins two string literals is kept), every
  /// literal replaced: `?` for a number, `$?` kept apart for each string form. Two texts of one
  /// shape differ only in their literals.
  std::string shape;
  /// The literals in order, each with its kind and length, so that (shape, literals) determines the
  /// canonical statement and nothing else does.
  std::string literals;
  Hints hints;
  bool has_clock_word = false;   ///< a string literal contains now, today, tomorrow, yesterday ...
  bool multi_statement = false;  ///< a ';' is followed by another token
  bool non_ascii = false;
  uint32_t depth_max = 0;  ///< bound on the depth of the parse tree, from tokens alone
  uint32_t tokens = 0;
};

/// Never throws, never recurses; linear in the size of the text.
Canonical canonicalize(std::string_view text);

/// For text that libpg_query cannot parse: true if its tokens start with SELECT or WITH, hold no
/// writing or locking word, and every word followed by "(" is in `known_safe` (pg_catalog functions
/// that are not volatile). Such a text is a bypass, not a write.
bool tokens_prove_read_only(std::string_view text, bool (*known_safe)(std::string_view word));

/// True if a value given in text form may be read by the server as a moving date: it holds one of
/// now, today, tomorrow, yesterday (any case) as a word.
bool has_clock_word(std::string_view value);

}  // namespace pgrecall::sql
