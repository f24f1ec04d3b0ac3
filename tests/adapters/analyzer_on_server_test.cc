// The analyzer's table of statements once more, over the catalog that the loader reads from a real
// server with the schema of tests/sql/fixture/schema.sql.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "pgrecall/adapters/catalog_loader.h"
#include "sql/big_stack.h"
#include "sql/statement_check.h"
#include "sql/statement_splicer.h"
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

/// How many variations of the statements are executed.
constexpr int kVariations = 4000;

/// Rows for foreign keys to act on.
constexpr const char* kRows =
    "INSERT INTO parent VALUES (1, 'a', 'x'), (2, 'b', 'y');"
    "INSERT INTO child_cascade VALUES (1, 1, 'n'); INSERT INTO grandchild VALUES (1, 1);"
    "INSERT INTO child_null VALUES (1, 1); INSERT INTO child_update VALUES (1, 'b');"
    "INSERT INTO tree VALUES (1, NULL), (2, 1); INSERT INTO watched_parent VALUES (1);"
    "INSERT INTO loop_a VALUES (1, NULL); INSERT INTO loop_b VALUES (1, 1);"
    "INSERT INTO events VALUES (1, '2023-05-05'), (2, '2024-02-02');"
    "INSERT INTO event_note VALUES (1, 1, '2023-05-05');"
    "INSERT INTO blog_post (id, title) VALUES (1000, 'x'); INSERT INTO blog_tag VALUES (1000, 'z');"
    "INSERT INTO animal VALUES (1, 'a'); INSERT INTO cat VALUES (2, 'b', 9);"
    "INSERT INTO auth_group VALUES (1000, 'g'); INSERT INTO metrics VALUES (3);";

/// Tables, views and materialised views that the transaction locked, and whether for writing.
constexpr const char* kLocks =
    "SELECT l.relation, bool_or(l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock',"
    " 'ExclusiveLock', 'AccessExclusiveLock'))::int FROM pg_locks l"
    " JOIN pg_class c ON c.oid = l.relation WHERE l.pid = pg_backend_pid()"
    " AND c.relkind IN ('r', 'p', 'v', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'"
    " GROUP BY l.relation";

/// One server and one catalog for all tests of the suite.
class AnalyzerOnServer : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new support::TestPostgres();
    if (!server_->running()) return;
    auto maintenance = connect(*server_, "postgres");
    run(maintenance, "CREATE DATABASE site");
    run(maintenance, "CREATE ROLE reader");
    auto owner = connect(*server_, "site");
    run(owner, read_schema() + kRows +
                   "GRANT USAGE ON SCHEMA tenant TO reader;"
                   "GRANT SELECT ON ALL TABLES IN SCHEMA public, tenant TO reader");
    auto control = connect(*server_, "site");
    auto catalog = load_catalog(control);
    ASSERT_TRUE(catalog.ok()) << (catalog.ok() ? "" : catalog.error().message);
    catalog_ = *catalog;
  }
  static void TearDownTestSuite() {
    catalog_ = nullptr;
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    if (!server_->running()) GTEST_SKIP() << server_->problem();
    ASSERT_NE(catalog_, nullptr);
  }

  static sql::ResolveScope public_scope() {
    sql::ResolveScope scope;
    scope.search_path = {catalog_->schema("public")};
    return scope;
  }
  static sql::StatementAnalysis analyze(const std::string& sql) {
    return sql::resolve(*sql::parse(sql), catalog_.get(), public_scope()).at(0);
  }

  /// Itself, or the root of its family, is in the set.
  static bool is_covered(sql::Oid oid, const std::vector<sql::Oid>& set) {
    if (std::find(set.begin(), set.end(), oid) != set.end()) return true;
    const sql::Relation* relation = catalog_->relation(oid);
    return relation != nullptr &&
           std::any_of(relation->parents.begin(), relation->parents.end(),
                       [&](sql::Oid parent) { return is_covered(parent, set); });
  }

  static support::TestPostgres* server_;
  static std::shared_ptr<const sql::Catalog> catalog_;
};

support::TestPostgres* AnalyzerOnServer::server_ = nullptr;
std::shared_ptr<const sql::Catalog> AnalyzerOnServer::catalog_;

TEST_F(AnalyzerOnServer, TheTableOfStatementsHoldsOverALoadedCatalog) {
  int checked = 0;
  int skipped = 0;
  const int version = catalog_->server_version_num / 10000;
  sql::testing::on_big_stack([&] {
    for (const sql::testing::StatementCase& test : sql::testing::read_statement_cases()) {
      const auto& words = test.expected;
      if (std::find(words.begin(), words.end(), sql::testing::kOnlyByHand) != words.end()) continue;
      if (test.server > version) {
        ++skipped;
        continue;
      }
      sql::testing::check_case(test, *catalog_);
      ++checked;
    }
  });
  EXPECT_GT(checked, 300);
  if (skipped > 0) {
    std::printf("%d statements skipped: they need a newer server than version %d\n", skipped,
                version);
  }
}

/// Statements that take part in the test below: those that may run inside a transaction block.
bool shows_its_locks(const sql::StatementAnalysis& analysis) {
  using sql::StatementKind;
  switch (analysis.kind) {
    case StatementKind::kSelect:
    case StatementKind::kInsert:
    case StatementKind::kUpdate:
    case StatementKind::kDelete:
    case StatementKind::kMerge:
    case StatementKind::kTruncate:
    case StatementKind::kDeclareCursor:
    case StatementKind::kOther:
      return analysis.effect == sql::Effect::kNone || analysis.effect == sql::Effect::kWrites;
    case StatementKind::kExplain:  // planning locks as well, but writes nothing
      return analysis.effect == sql::Effect::kWrites;
    default:
      return false;
  }
}

struct Executed {
  int reads = 0;
  int writes = 0;
};

/// Runs `sql` in a transaction and compares its locks with its analysis.
void check_locks(ControlConnection& control, const std::string& sql,
                 const sql::StatementAnalysis& analysis, const sql::Catalog& catalog,
                 bool (*is_covered)(sql::Oid, const std::vector<sql::Oid>&), Executed& executed) {
  // Policies apply to those who are not superusers.
  const char* begin = analysis.cacheable ? "BEGIN; SET LOCAL ROLE reader; " : "BEGIN; ";
  const bool ran = control.exec(begin + sql + "\n").ok();
  const auto locks = ran ? control.exec(kLocks) : Result<Rows>(Rows{});
  run(control, "ROLLBACK");
  if (!ran || !locks.ok()) return;  // parameters, casts of data that is not there ...
  executed.reads += analysis.cacheable ? 1 : 0;
  executed.writes += analysis.effect == sql::Effect::kWrites ? 1 : 0;
  for (const auto& row : *locks) {
    const auto oid = static_cast<sql::Oid>(std::stoul(row.at(0).value()));
    const bool writes = row.at(1).value() == "1";
    if (!writes && !analysis.cacheable) continue;
    EXPECT_TRUE(is_covered(oid, writes ? analysis.writes : analysis.reads))
        << sql << (writes ? " writes " : " reads ") << catalog.relation(oid)->name;
  }
}

TEST_F(AnalyzerOnServer, WhatTheServerLocksIsInTheReadAndWriteSets) {
  auto control = connect(*server_, "site");
  run(control, "SET search_path = public; SET app.tenant = 'a'");
  Executed executed;
  sql::testing::on_big_stack([&] {
    for (const sql::testing::StatementCase& test : sql::testing::read_statement_cases()) {
      const sql::StatementAnalysis analysis = analyze(test.sql);
      if (!shows_its_locks(analysis)) continue;
      check_locks(control, test.sql, analysis, *catalog_, &is_covered, executed);
    }
  });
  EXPECT_GT(executed.reads, 60);
  EXPECT_GT(executed.writes, 40);
}

TEST_F(AnalyzerOnServer, WhatTheServerLocksForVariationsIsInTheReadAndWriteSets) {
  auto control = connect(*server_, "site");
  run(control, "SET search_path = public; SET app.tenant = 'a'; SET statement_timeout = 300");
  Executed executed;
  sql::testing::on_big_stack([&] {
    sql::testing::Splicer splicer(11);
    for (int i = 0; i < kVariations; ++i) {
      const std::string sql = splicer.next();
      const auto analyses = sql::resolve(*sql::parse(sql), catalog_.get(), public_scope());
      if (analyses.size() != 1 || !shows_its_locks(analyses[0])) continue;
      check_locks(control, sql, analyses[0], *catalog_, &is_covered, executed);
    }
  });
  std::printf("%d reads and %d writes executed\n", executed.reads, executed.writes);
  EXPECT_GT(executed.reads, 50);
  EXPECT_GT(executed.writes, 50);
}

}  // namespace
}  // namespace pgrecall::adapters
