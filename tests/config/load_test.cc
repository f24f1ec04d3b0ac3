#include "pgrecall/config/load.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace pgrecall::config {
namespace {

using namespace std::chrono_literals;

LoadResult load(std::string_view text, const Overrides& overrides = {}) {
  return load_text(text, "test.toml", overrides);
}

/// The one problem that `text` has, as shown to a person.
std::string problem_of(std::string_view text, const Overrides& overrides = {}) {
  const LoadResult result = load(text, overrides);
  EXPECT_EQ(result.problems.size(), 1U) << text << "\n" << result.message();
  return result.problems.empty() ? "" : result.problems.front().to_string();
}

void expect_problem(std::string_view text, std::string_view expected) {
  const std::string problem = problem_of(text);
  EXPECT_NE(problem.find(expected), std::string::npos) << text << "\n" << problem;
}

TEST(Load, NoFileMeansDefaults) {
  const LoadResult result = load_file("", {});
  ASSERT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(result.config.listen.port, 6432);
  EXPECT_EQ(result.config.admin.port, 6433);
  EXPECT_EQ(result.config.upstream.user, "postgres");
  EXPECT_EQ(result.config.pool.size, 20U);
  EXPECT_GE(result.config.workers, 1U);
  EXPECT_LE(result.config.workers, 4U);
}

TEST(Load, TheExampleFileHoldsTheDefaults) {
  const LoadResult example = load(example_file());
  ASSERT_TRUE(example.ok()) << example.message();
  EXPECT_EQ(print_config(example.config), print_config(load("").config));
}

TEST(Load, TheCommittedExampleIsTheGeneratedOne) {
  std::ifstream in(PGRECALL_SOURCE_DIR "/config/pgrecall.toml");
  std::stringstream committed;
  committed << in.rdbuf();
  EXPECT_EQ(committed.str(), example_file())
      << "regenerate: pgrecall print-config --example > config/pgrecall.toml";
}

TEST(Load, EveryKindOfValueIsRead) {
  const LoadResult result = load(R"(
workers = 3
[upstream]
host = "/run/postgresql"
[pool]
size = 5
mode = "session"
lazy_begin = false
wait_timeout = "250ms"
[cache]
mode = "observe"
size = "2GB"
entry_max = 65536
[counts]
max_error = 1
)");
  ASSERT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(result.config.workers, 3U);
  EXPECT_EQ(result.config.upstream.host, "/run/postgresql");
  EXPECT_EQ(result.config.pool.size, 5U);
  EXPECT_EQ(result.config.pool.mode, PoolMode::kSession);
  EXPECT_FALSE(result.config.pool.lazy_begin);
  EXPECT_EQ(result.config.pool.wait_timeout, 250ms);
  EXPECT_EQ(result.config.cache.mode, CacheMode::kObserve);
  EXPECT_EQ(result.config.cache.size_bytes, 2UL << 30);
  EXPECT_EQ(result.config.cache.entry_max_bytes, 65'536U);
  EXPECT_DOUBLE_EQ(result.config.counts.max_error, 1.0);
}

TEST(Load, RulesKeepTheirOrderAndTheirAbsentActions) {
  const LoadResult result = load(R"(
[[rule]]
name = "private"
tables = ["auth_user", "public.django_session"]
redis = false
[[rule]]
tables = ["events"]
invalidate = "ttl-only"
ttl = "30s"
jitter = 0.5
count = "estimate"
min_rows = 5
)");
  ASSERT_TRUE(result.ok()) << result.message();
  ASSERT_EQ(result.config.rules.size(), 2U);
  const Rule& first = result.config.rules[0];
  EXPECT_EQ(first.name, "private");
  EXPECT_EQ(first.redis, false);
  EXPECT_EQ(first.cache, std::nullopt);
  EXPECT_EQ(first.ttl, std::nullopt);
  const Rule& second = result.config.rules[1];
  EXPECT_EQ(second.name, "rule 2");
  EXPECT_EQ(second.invalidate, RuleInvalidate::kTtlOnly);
  EXPECT_EQ(second.ttl, 30'000ms);
  EXPECT_EQ(second.jitter, 0.5);
  EXPECT_EQ(second.count, CountMode::kEstimate);
  EXPECT_EQ(second.min_rows, 5);
}

TEST(Load, AMisspeltKeyNamesFileLineAndTheLikelyOne) {
  EXPECT_EQ(problem_of("[pool]\nsise = 20\n"),
            "test.toml:2: pool.sise is not an option (did you mean size?); allowed here: size, "
            "mode, wait_timeout, lazy_begin, idle_timeout, server_lifetime, "
            "prepared_statements_max");
  expect_problem("[lisen]\n", "did you mean listen?");
  expect_problem("[[rule]]\nname = \"x\"\ncache = true\ntable = [\"t\"]\n", "did you mean tables?");
}

TEST(Load, ABadValueNamesWhatIsAllowed) {
  EXPECT_EQ(problem_of("[cache]\nmode = \"fast\"\n"),
            "test.toml:2: cache.mode: \"fast\" is not allowed; allowed: \"on\", \"observe\" or "
            "\"off\"");
  expect_problem("[listen]\nport = 70000\n",
                 "70000 is not allowed; allowed: a whole number from 1");
  expect_problem("[listen]\nport = \"5432\"\n", "\"5432\" is not allowed; allowed: a whole number");
  expect_problem("[pool]\nsize = 1.5\n", "1.5 is not allowed");
  expect_problem("[pool]\nsize = [1]\n", "a list with something else than strings");
  expect_problem("[pool]\nwait_timeout = 30\n", "a duration from \"10ms\" to \"1d\"");
  expect_problem("[pool]\nwait_timeout = \"30 parsecs\"\n", "units ms, s, min, h, d");
  expect_problem("[cache]\nsize = \"lots\"\n", "a size from \"1MB\"");
  expect_problem("[counts]\nmax_error = nan\n", "a number from 0 to 1");
  expect_problem("[counts]\nmax_error = -0.1\n", "a number from 0 to 1");
}

TEST(Load, AllProblemsAreFoundAtOnceInOrderOfLines) {
  const LoadResult result = load("[pool]\nsize = 0\nmode = 3\n[counts]\nmax_error = 2.0\nx = 1\n");
  ASSERT_EQ(result.problems.size(), 4U) << result.message();
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(result.problems[i].line, (std::vector<int>{2, 3, 5, 6})[i]);
}

TEST(Load, SyntaxErrorsNameTheirLine) {
  const std::string problem = problem_of("[pool]\nsize = = 3\n");
  EXPECT_EQ(problem.rfind("test.toml:2: not valid TOML", 0), 0U) << problem;
  expect_problem("[pool]\nsize = 1\nsize = 2\n", "test.toml:3: not valid TOML");
}

TEST(Load, WhatIsNotBuiltYetIsRefusedByName) {
  expect_problem("[[upstream.replica]]\nhost = \"r\"\n", "test.toml:1: replicas are not built yet");
  expect_problem("[auth]\nmode = \"users\"\n", "\"users\" is not built yet");
  expect_problem("[auth]\nmode = \"auth_query\"\n", "\"auth_query\" is not built yet");
  expect_problem("[cache]\nverify = 0.0\n", "test.toml:2: cache.verify is not built yet");
  expect_problem("[feed]\nmax_lag = \"10s\"\n", "test.toml:2: feed.max_lag is not built yet");
  expect_problem("[feed]\nmode = \"auto\"\n",
                 "test.toml:2: feed.mode: \"auto\" is not built yet; allowed: \"off\"");
  EXPECT_TRUE(load("[feed]\nmode = \"off\"\n").ok());
  for (const char* key : {"stale_while_revalidate", "functions_read", "fingerprint", "replica"}) {
    expect_problem(std::string("[[rule]]\ncache = true\n") + key + " = \"30s\"\n",
                   std::string("rule.") + key + " is not built yet");
  }
}

TEST(Load, ImpossibleCombinationsAreRefused) {
  expect_problem("[admin]\nport = 6432\n", "each needs its own");
  expect_problem("[upstream]\nport = 6432\n", "where pgrecall itself listens");
  expect_problem("[cache]\nsize = \"2MB\"\nentry_max = \"3MB\"\n",
                 "test.toml:3: cache.entry_max is larger");
  expect_problem("[listen]\nhost = \"\"\n", "must not be empty");
  expect_problem("[listen]\nunix_socket_dir = \"run\"\n", "an absolute path");
  expect_problem("[redis]\nurl = \"http://x\"\n", "expected redis://");
  EXPECT_TRUE(load("[listen]\nhost=\"127.0.0.2\"\n[admin]\nport = 6432\n").ok());
}

/// A host is shown in the log, in messages and by print-config: no secret may come to stand there.
TEST(Load, AUrlIsNoHostAndItsPasswordIsNotRepeated) {
  for (const char* section : {"upstream", "listen", "admin"}) {
    for (const char* host :
         {"postgres://app:s3cret@db:5432/", "app:s3cret@db", "app:s3cret", "s3cret@db", "db:5432",
          "h/app?password=s3cret", "host=db password=s3cret", "[::1]", "::1:s3cret", " db"}) {
      const auto text = std::string("[") + section + "]\nhost = \"" + host + "\"\n";
      EXPECT_EQ(problem_of(text), std::string("test.toml:2: ") + section +
                                      ".host must be a name, an address without port and brackets, "
                                      "or an absolute path")
          << host;
    }
  }
  for (const char* host :
       {"/run/a@b", "db-1.example", "my_db", "10.0.0.1", "::1", "fe80::1%eth0", "\u00fc.example"}) {
    const LoadResult result = load(std::string("[upstream]\nhost = \"") + host + "\"\n");
    EXPECT_TRUE(result.ok()) << result.message();
  }
}

TEST(Load, ImpossibleRulesAreRefused) {
  expect_problem("[[rule]]\ntables = [\"t\"]\n", "test.toml:1: rule \"rule 1\": it has no action");
  expect_problem("[[rule]]\ninvalidate = \"ttl-only\"\n", "needs a ttl");
  expect_problem("[[rule]]\ncache = false\nttl = \"3s\"\n",
                 "ttl has no meaning with cache = false");
  expect_problem("[[rule]]\nttl = \"3s\"\nmin_rows = 3\n", "min_rows needs count = \"estimate\"");
  expect_problem("[[rule]]\ncache = true\ntables = []\n", "would match nothing");
  expect_problem("[[rule]]\ncache = true\ntables = [\"a.b.c\"]\n", "\"a.b.c\" is not a table");
  expect_problem("[[rule]]\ncache = true\nsql = \"(\"\n", "sql is not a regular expression");
  expect_problem("[[rule]]\nname=\"a\"\ncache = true\n[[rule]]\nname=\"a\"\ncache = true\n",
                 "test.toml:4: two rules are named \"a\"");
  expect_problem("[rule]\ncache = true\n", "write [[rule]]");
}

TEST(Load, AMissingFileIsOneProblem) {
  const LoadResult result = load_file("/nonexistent/pgrecall.toml", {});
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].to_string(),
            "/nonexistent/pgrecall.toml: cannot be opened: No such file or directory");
}

TEST(Load, TheCommandLineOverridesTheFile) {
  Overrides overrides;
  overrides.upstream = "postgres://bob:p%40ss@db.example:5433/app";
  overrides.listen = "[::]:7000";
  overrides.admin = "127.0.0.1:7001";
  overrides.redis = "redis://:r@cache:6379/2";
  overrides.workers = 7;
  const LoadResult result =
      load("workers = 2\n[upstream]\nhost = \"old\"\nconnect_timeout = \"9s\"\n", overrides);
  ASSERT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(result.config.upstream.host, "db.example");
  EXPECT_EQ(result.config.upstream.port, 5433);
  EXPECT_EQ(result.config.upstream.user, "bob");
  EXPECT_EQ(result.config.upstream.password, "p@ss");
  EXPECT_EQ(result.config.upstream.database, "app");
  EXPECT_EQ(result.config.upstream.connect_timeout, 9'000ms);
  EXPECT_EQ(result.config.listen.host, "::");
  EXPECT_EQ(result.config.listen.port, 7000);
  EXPECT_EQ(result.config.admin.port, 7001);
  EXPECT_EQ(result.config.redis.url, "redis://:r@cache:6379/2");
  EXPECT_EQ(result.config.workers, 7U);
}

TEST(Load, AUserOnTheCommandLineDoesNotGetThePasswordOfTheFile) {
  Overrides overrides;
  overrides.upstream = "postgres://bob@db/";
  const LoadResult result = load("[upstream]\nuser=\"alice\"\npassword=\"secret\"\n", overrides);
  EXPECT_EQ(result.config.upstream.user, "bob");
  EXPECT_EQ(result.config.upstream.password, "");
}

TEST(Load, ProblemsOfTheCommandLineSayWhichFlagAndNoSecret) {
  Overrides overrides;
  overrides.upstream = "mysql://u:topsecret@h/";
  const std::string problem = problem_of("", overrides);
  EXPECT_EQ(problem.rfind("command line: --upstream: expected postgres://", 0), 0U) << problem;
  EXPECT_EQ(problem.find("topsecret"), std::string::npos);
  overrides = {};
  overrides.replicas = {"postgres://r1/", "postgres://r2/"};
  EXPECT_EQ(problem_of("", overrides), "command line: replicas are not built yet");
  overrides = {};
  overrides.listen = "6432";
  EXPECT_NE(problem_of("", overrides).find("--listen: expected HOST:PORT"), std::string::npos);
}

TEST(Print, SecretsAreMasked) {
  const LoadResult result =
      load("[upstream]\npassword = \"pg-secret\"\n[redis]\nurl = \"redis://u:redis-secret@h/\"\n");
  ASSERT_TRUE(result.ok()) << result.message();
  const std::string text = print_config(result.config);
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  EXPECT_NE(text.find("password = \"********\""), std::string::npos);
  EXPECT_NE(text.find("url = \"redis://u:********@h/\""), std::string::npos);
}

TEST(Print, WhatIsPrintedLoadsAsTheSame) {
  const LoadResult first = load(R"(
workers = 2
[pool]
wait_timeout = "90s"
[cache]
size = "1536KB"
entry_max = "1025B"
[[rule]]
tables = ['"a.b".c', "s.t"]
sql = 'count\(\*\)'
ttl = "1500ms"
max_bytes = "10KB"
count = "estimate"
max_error = 0.125
)");
  ASSERT_TRUE(first.ok()) << first.message();
  const std::string text = print_config(first.config);
  const LoadResult second = load(text);
  ASSERT_TRUE(second.ok()) << second.message() << text;
  EXPECT_EQ(print_config(second.config), text);
  EXPECT_EQ(second.config.rules.at(0).tables, first.config.rules.at(0).tables);
  EXPECT_EQ(second.config.rules.at(0).sql, first.config.rules.at(0).sql);
  EXPECT_EQ(second.config.cache.entry_max_bytes, 1'025U);
}

TEST(Print, DocumentationNamesEveryOptionOfTheExample) {
  const std::string docs = docs_text();
  std::istringstream example(example_file());
  int count = 0;
  for (std::string line; std::getline(example, line);) {
    const size_t equals = line.find(" = ");
    if (line.empty() || line[0] == '#' || equals == std::string::npos) continue;
    EXPECT_NE(docs.find("| `" + line.substr(0, equals) + "` |"), std::string::npos) << line;
    ++count;
  }
  EXPECT_GT(count, 40);
}

TEST(Notes, SayWhatPassthroughAndOpenAddressesMean) {
  EXPECT_FALSE(notes(load("").config).empty());
  const auto trust = notes(load("[auth]\nmode=\"trust\"\n").config);
  EXPECT_TRUE(trust.empty());
  const auto open = notes(load("[auth]\nmode=\"trust\"\n[listen]\nhost=\"0.0.0.0\"\n").config);
  ASSERT_EQ(open.size(), 1U);
  EXPECT_NE(open[0].find("everyone may log in"), std::string::npos);
}

}  // namespace
}  // namespace pgrecall::config
