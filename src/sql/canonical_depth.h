// DepthBound: an upper bound on the depth of a parse tree, from tokens alone.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sql/canonical_scanner.h"

namespace pgrecall::sql {

/// Fed with every token of a text, in order. Owned by one scan.
///
/// A path from the root to a leaf of the raw parse tree descends at most one node per token, apart
/// from a constant for each bracket and clause. So the tokens of one bracket level are counted, and
/// the count starts again only where PostgreSQL's grammar puts siblings in a flat list:
///   - at a comma and a semicolon;
///   - at AND and OR, which the grammar flattens, except the AND of a BETWEEN and anything in a
///     level that holds a CASE (what follows END may enclose what stands before).
/// Set operations and joins nest to the left over such lists, so their words count for the whole
/// level. What stands in a bracket is below all that its own segment holds on either side.
class DepthBound {
 public:
  void bracket_open();
  void bracket_close();
  void comma() { end_segment(); }
  void semicolon();
  /// `word` is in lower case.
  void word(std::string_view word) {
    ++level_.chain;
    // First letters of: and between case except intersect join or union.
    if (word.size() <= 9 && std::string_view("abceijou").find(word[0]) != std::string_view::npos)
      keyword(word);
  }
  void other() { ++level_.chain; }

  uint32_t finish();

 private:
  /// All counters are bounded by the tokens of the text, hence by its bytes.
  struct Level {
    uint32_t chain = 0;    ///< tokens of the current segment
    uint32_t inside = 0;   ///< deepest bracket of the current segment
    uint32_t deepest = 0;  ///< of the segments that ended
    uint32_t spine = 0;    ///< set operations and joins of this level
    uint32_t between = 0;  ///< BETWEEN whose AND is still to come
    bool has_case = false;
  };
  static constexpr uint32_t kBracketCost = 4;    ///< ResTarget, SubLink, SelectStmt and one spare
  static constexpr uint32_t kStatementCost = 8;  ///< EXPLAIN, DECLARE ..., AS, SELECT, AND, OR
  static constexpr size_t kLevelsMax = 16384;

  void keyword(std::string_view word);
  void end_segment();
  uint32_t depth_of_level();

  Level level_;
  std::vector<Level> outer_;
  uint32_t deepest_statement_ = 0;
  bool overflow_ = false;
};

}  // namespace pgrecall::sql
