// The table of statements (statements.txt) over the fixture catalog.
#include <gtest/gtest.h>

#include "sql/analyzer_fixture.h"
#include "sql/big_stack.h"
#include "sql/statement_check.h"

namespace pgrecall::sql::testing {
namespace {

TEST(Analyzer, TheTableOfStatementsIsAnalysedAsItSays) {
  on_big_stack([] {
    const std::vector<StatementCase> cases = read_statement_cases();
    EXPECT_GE(cases.size(), 150U);
    for (const StatementCase& test : cases) {
      const bool newer = test.server * 10000 > fixture_catalog().server_version_num;
      check_case(test, newer ? fixture_catalog_of(test.server * 10000) : fixture_catalog());
    }
  });
}

}  // namespace
}  // namespace pgrecall::sql::testing
