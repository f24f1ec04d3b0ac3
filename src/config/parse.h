// From TOML text to a Config that is not validated yet.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/config/load.h"

namespace pgrecall::config {

/// What is loaded so far: the values, what is wrong, and where each option was given.
struct Loading {
  Config config;
  std::string file;
  std::vector<Problem> problems;
  std::map<std::string, int> lines;  ///< by path, "pool.size" or "rule[2].ttl"

  /// Where `path` was given: its line, or the command line, or nothing if it is a default.
  Problem problem_at(const std::string& path, std::string message) const;
  void complain(const std::string& path, std::string message) {
    problems.push_back(problem_at(path, std::move(message)));
  }
  std::vector<std::string> overridden;  ///< paths given on the command line
};

/// Unknown keys, wrong types and values out of bounds become problems.
void parse_toml(std::string_view text, Loading& into);
void apply_overrides(const Overrides& overrides, Loading& into);
/// Impossible combinations, and what each option's bounds cannot say.
void validate(Loading& loading);

}  // namespace pgrecall::config
