#include "pgrecall/adapters/count_estimator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "support/test_postgres.h"

namespace pgrecall::adapters {
namespace {

using policy::CountEstimate;
using policy::CountRefusal;

class CountEstimatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!server_.running()) GTEST_SKIP() << server_.problem();
    control_ = std::make_unique<ControlConnection>(connect());
  }

  ControlConnection connect() {
    ControlOptions options;
    options.port = server_.port();
    auto connection = ControlConnection::connect(options);
    EXPECT_TRUE(connection.ok()) << connection.error().message;
    return std::move(connection).value();
  }

  void run(const std::string& sql) {
    const auto rows = control_->exec(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << (rows.ok() ? "" : rows.error().message);
  }

  /// By a session that has ended, so that its counters are reported.
  void run_elsewhere(const std::string& sql) {
    int pid = 0;
    std::optional<std::string> start;
    {
      auto other = connect();
      const auto rows = other.exec(sql);
      EXPECT_TRUE(rows.ok()) << sql << ": " << (rows.ok() ? "" : rows.error().message);
      pid = other.backend_pid();
      start = backend_start(other, pid).value();
    }
    ASSERT_TRUE(start.has_value());
    while (!backend_gone(*control_, pid, *start).value()) {
    }
  }

  sql::Oid oid(const std::string& query) {
    const auto rows = control_->query(query);
    EXPECT_TRUE(rows.ok()) << query;
    return rows.ok() ? rows->oid(0, 0) : 0;
  }

  CountEstimate estimate(const std::string& table, const std::string& role = "postgres") {
    const auto facts = count_facts(*control_, oid("SELECT 'public." + table + "'::regclass::oid"),
                                   oid("SELECT oid FROM pg_roles WHERE rolname = '" + role + "'"));
    EXPECT_TRUE(facts.ok()) << (facts.ok() ? "" : facts.error().message);
    return facts.ok() ? policy::estimate_count(*facts, 1000, 0.02) : CountEstimate{};
  }

  /// Up to version 14 a process of its own collects statistics, so they are seen a little later.
  CountEstimate estimate_until(CountRefusal expected, const std::string& table) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    CountEstimate found = estimate(table);
    while (found.refusal != expected && std::chrono::steady_clock::now() < deadline)
      found = estimate(table);
    EXPECT_EQ(found.refusal, expected) << policy::count_refusal_name(found.refusal);
    return found;
  }

  support::TestPostgres server_{{"autovacuum = off"}};
  std::unique_ptr<ControlConnection> control_;
};

TEST_F(CountEstimatorTest, EstimatesPlainAndPartitionedTables) {
  run_elsewhere(
      "CREATE TABLE public.t (a int); INSERT INTO public.t SELECT generate_series(1, 20000)");
  EXPECT_EQ(estimate("t").refusal, CountRefusal::kNeverAnalyzed);
  run_elsewhere("ANALYZE public.t");
  EXPECT_EQ(estimate_until(CountRefusal::kNone, "t").rows, 20000);

  run_elsewhere(
      "CREATE TABLE public.p (a int) PARTITION BY RANGE (a);"
      "CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (5000)"
      " PARTITION BY RANGE (a);"
      "CREATE TABLE public.p11 PARTITION OF public.p1 FOR VALUES FROM (0) TO (5000);"
      "CREATE TABLE public.p2 PARTITION OF public.p FOR VALUES FROM (5000) TO (90000);"
      "CREATE TABLE public.p3 PARTITION OF public.p FOR VALUES FROM (90000) TO (90001);"
      "INSERT INTO public.p SELECT generate_series(1, 20000)");
  run_elsewhere("ANALYZE public.p");
  const CountEstimate found = estimate_until(CountRefusal::kNone, "p");
  EXPECT_EQ(found.rows, 20000);
  EXPECT_GE(found.age_s, 0);
}

TEST_F(CountEstimatorTest, SeesChangesSinceTheLastAnalyze) {
  run_elsewhere(
      "CREATE TABLE public.t (a int); INSERT INTO public.t SELECT generate_series(1, 20000)");
  run_elsewhere("ANALYZE public.t");
  estimate_until(CountRefusal::kNone, "t");
  run_elsewhere("DELETE FROM public.t WHERE a > 10000");
  EXPECT_GT(estimate_until(CountRefusal::kInaccurate, "t").error, 0.4);
  run_elsewhere("TRUNCATE public.t");
  EXPECT_EQ(estimate("t").refusal, CountRefusal::kFewRows);
}

TEST_F(CountEstimatorTest, RefusesWhatMustBeCountedExactly) {
  run_elsewhere(
      "CREATE TABLE public.t (a int); INSERT INTO public.t SELECT generate_series(1, 20000);"
      "CREATE VIEW public.v AS SELECT * FROM public.t; CREATE ROLE stranger; CREATE ROLE guest;"
      "GRANT SELECT ON public.t TO guest; CREATE TABLE public.child () INHERITS (public.t);"
      "CREATE TABLE public.secret AS TABLE public.t;"
      "ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY");
  run_elsewhere("ANALYZE");
  EXPECT_EQ(estimate("v").refusal, CountRefusal::kNotATable);
  EXPECT_EQ(estimate("secret").refusal, CountRefusal::kRowSecurity);
  EXPECT_EQ(estimate("t").refusal, CountRefusal::kInheritance);
  run("DROP TABLE public.child");
  estimate_until(CountRefusal::kNone, "t");
  EXPECT_EQ(estimate("t", "stranger").refusal, CountRefusal::kNoPrivilege);
  EXPECT_EQ(estimate("t", "guest").refusal, CountRefusal::kNone);
  run("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
  EXPECT_EQ(estimate("t", "guest").refusal, CountRefusal::kNoPrivilege);
  const auto missing = count_facts(*control_, 999999, 10);
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(policy::estimate_count(*missing, 1, 1).refusal, CountRefusal::kMissing);
}

TEST_F(CountEstimatorTest, DoesNotWaitForALockedTable) {
  run_elsewhere(
      "CREATE TABLE public.t (a int); INSERT INTO public.t SELECT generate_series(1, 20000)");
  run_elsewhere("ANALYZE public.t");
  estimate_until(CountRefusal::kNone, "t");
  auto locker = connect();
  ASSERT_TRUE(locker.exec("BEGIN; LOCK TABLE public.t").ok());
  EXPECT_EQ(estimate("t").refusal, CountRefusal::kLocked);
  ASSERT_TRUE(locker.exec("COMMIT").ok());
  EXPECT_EQ(estimate("t").refusal, CountRefusal::kNone);
}

}  // namespace
}  // namespace pgrecall::adapters
