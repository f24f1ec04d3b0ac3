#include "sql/canonical_depth.h"

#include <algorithm>
#include <limits>

namespace pgrecall::sql {

void DepthBound::bracket_open() {
  ++level_.chain;
  if (outer_.size() == kLevelsMax) overflow_ = true;
  if (overflow_) return;
  outer_.push_back(level_);
  level_ = Level{};
}

void DepthBound::bracket_close() {
  // A bracket too many is a syntax error, which no tree comes from.
  if (overflow_ || outer_.empty()) return;
  const uint32_t depth = depth_of_level() + kBracketCost;
  level_ = outer_.back();
  outer_.pop_back();
  level_.inside = std::max(level_.inside, depth);
}

void DepthBound::semicolon() {
  if (!outer_.empty()) {
    end_segment();  // CREATE RULE ... DO (a; b)
    return;
  }
  deepest_statement_ = std::max(deepest_statement_, depth_of_level());
  level_ = Level{};
}

void DepthBound::keyword(std::string_view word) {
  switch (word.size()) {
    case 2:
      if (word == "or" && !level_.has_case) end_segment();
      break;
    case 3:
      if (word != "and" || level_.has_case) break;
      if (level_.between > 0)
        --level_.between;
      else
        end_segment();
      break;
    case 4:
      if (word == "join") ++level_.spine;
      if (word == "case") level_.has_case = true;
      break;
    case 5:
      if (word == "union") ++level_.spine;
      break;
    case 6:
      if (word == "except") ++level_.spine;
      break;
    case 7:
      if (word == "between") ++level_.between;
      break;
    case 9:
      if (word == "intersect") ++level_.spine;
      break;
    default:
      break;
  }
}

void DepthBound::end_segment() {
  level_.deepest = std::max(level_.deepest, level_.chain + level_.inside);
  level_.chain = 0;
  level_.inside = 0;
  level_.between = 0;
  level_.has_case = false;
}

uint32_t DepthBound::depth_of_level() {
  end_segment();
  return level_.deepest + level_.spine;
}

uint32_t DepthBound::finish() {
  while (!overflow_ && !outer_.empty()) bracket_close();
  if (overflow_) return std::numeric_limits<uint32_t>::max();
  return std::max(deepest_statement_, depth_of_level()) + kStatementCost;
}

}  // namespace pgrecall::sql
