// Reads statements.txt: expectations and the SQL below them.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace pgrecall::sql::testing {

struct StatementCase {
  int line = 0;
  std::vector<std::string> expected;
  std::string sql;
};

inline std::vector<StatementCase> read_statement_cases() {
  std::ifstream file(PGRECALL_SOURCE_DIR "/tests/sql/statements.txt");
  EXPECT_TRUE(file.good());
  std::vector<StatementCase> cases;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.starts_with("--- ")) {
      StatementCase next;
      next.line = number;
      std::istringstream words(line.substr(4));
      for (std::string word; words >> word;) next.expected.push_back(word);
      cases.push_back(std::move(next));
    } else if (!line.starts_with("#") && !line.empty() && !cases.empty()) {
      cases.back().sql += (cases.back().sql.empty() ? "" : "\n") + line;
    }
  }
  return cases;
}

}  // namespace pgrecall::sql::testing
