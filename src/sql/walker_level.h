// The stack of query levels inside a QueryWalker.
#pragma once

#include "sql/query_walker.h"

namespace pgrecall::sql {

/// Nodes between the root of a statement and a leaf; beyond it the stack would not be safe.
constexpr int kWalkDepthMax = 30000;
/// Views and policies within each other.
constexpr int kTextDepthMax = 64;

/// Makes `level` the innermost one for its lifetime.
class QueryWalker::LevelGuard {
 public:
  LevelGuard(Level*& current, Level& level) : current_(current) {
    level.outer = current;
    current = &level;
  }
  ~LevelGuard() { current_ = current_->outer; }
  LevelGuard(const LevelGuard&) = delete;
  LevelGuard& operator=(const LevelGuard&) = delete;

 private:
  Level*& current_;
};

}  // namespace pgrecall::sql
