// Reads statements.txt: expectations and the SQL below them.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pgrecall/sql/analyzer.h"

namespace pgrecall::sql::testing {

struct StatementCase {
  int line = 0;
  int grammar = 0;  ///< the oldest that parses it
  int server = 0;   ///< the oldest server that knows it
  std::vector<std::string> expected;
  std::string sql;
};

/// Takes `@grammar=17` and `@server=17` out of the expectations.
inline void take_versions(StatementCase& test) {
  std::erase_if(test.expected, [&](const std::string& word) {
    if (!word.starts_with("@")) return false;
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    EXPECT_TRUE(equals != std::string::npos && (key == "@grammar" || key == "@server")) << word;
    (key == "@grammar" ? test.grammar : test.server) = std::stoi("0" + word.substr(equals + 1));
    return true;
  });
}

/// Those that the grammar built in can parse.
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
      take_versions(next);
      cases.push_back(std::move(next));
    } else if (!line.starts_with("#") && !line.empty() && !cases.empty()) {
      cases.back().sql += (cases.back().sql.empty() ? "" : "\n") + line;
    }
  }
  const size_t all = cases.size();
  std::erase_if(cases, [](const StatementCase& test) { return test.grammar > grammar_version(); });
  static bool printed = false;
  if (all > cases.size() && !std::exchange(printed, true)) {
    std::printf("%zu statements skipped: they need a newer grammar than that of version %d\n",
                all - cases.size(), grammar_version());
  }
  return cases;
}

}  // namespace pgrecall::sql::testing
