// The analyzer's table of statements once more, over the catalog that the loader reads from a real
// server with the schema of tests/sql/fixture/schema.sql.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "pgrecall/adapters/catalog_loader.h"
#include "sql/big_stack.h"
#include "sql/statement_check.h"
#include "support/test_postgres.h"

namespace pgrecall::adapters {
namespace {

ControlConnection connect(const support::TestPostgres& server, const std::string& database) {
  ControlOptions options;
  options.port = server.port();
  options.user = "postgres";
  options.database = database;
  auto connection = ControlConnection::connect(options);
  EXPECT_TRUE(connection.ok()) << (connection.ok() ? "" : connection.error().message);
  return std::move(connection).value();
}

void run(ControlConnection& connection, const std::string& sql) {
  const auto rows = connection.exec(sql);
  EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().message);
}

std::string read_schema() {
  std::ifstream file(PGRECALL_SOURCE_DIR "/tests/sql/fixture/schema.sql");
  EXPECT_TRUE(file.good());
  std::ostringstream text;
  text << "SET search_path = public;" << file.rdbuf();
  return text.str();
}

TEST(AnalyzerOnServer, TheTableOfStatementsHoldsOverALoadedCatalog) {
  const support::TestPostgres server;
  if (!server.running()) GTEST_SKIP() << server.problem();
  auto maintenance = connect(server, "postgres");
  run(maintenance, "CREATE DATABASE site");
  auto owner = connect(server, "site");
  run(owner, read_schema());
  auto control = connect(server, "site");
  const auto catalog = load_catalog(control);
  ASSERT_TRUE(catalog.ok()) << (catalog.ok() ? "" : catalog.error().message);
  int checked = 0;
  sql::testing::on_big_stack([&] {
    for (const sql::testing::StatementCase& test : sql::testing::read_statement_cases()) {
      const auto& words = test.expected;
      if (std::find(words.begin(), words.end(), sql::testing::kOnlyByHand) != words.end()) continue;
      sql::testing::check_case(test, **catalog);
      ++checked;
    }
  });
  EXPECT_GT(checked, 300);
}

}  // namespace
}  // namespace pgrecall::adapters
