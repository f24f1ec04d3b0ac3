// Units, URLs, relation patterns, suggestions and the command line.
#include <gtest/gtest.h>

#include "config/suggest.h"
#include "config/units.h"
#include "pgrecall/config/command_line.h"
#include "pgrecall/config/relation_pattern.h"
#include "pgrecall/config/url.h"

namespace pgrecall::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, DurationsAreAWholeNumberAndAUnit) {
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("30 s"), 30'000ms);
  EXPECT_EQ(parse_duration("10min"), 600'000ms);
  EXPECT_EQ(parse_duration("2h"), 7'200'000ms);
  EXPECT_EQ(parse_duration("0s"), 0ms);
  for (const char* bad :
       {"", "30", "s", "-1s", "1.5s", "30sec", "99999999999999999999s", "9999999999999d", "30s "})
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(Units, SizesCountInPowersOf1024) {
  EXPECT_EQ(parse_size("1KB"), 1'024U);
  EXPECT_EQ(parse_size("1kB"), 1'024U);
  EXPECT_EQ(parse_size("64KiB"), 65'536U);
  EXPECT_EQ(parse_size("256MB"), 256UL << 20);
  EXPECT_EQ(parse_size("7B"), 7U);
  for (const char* bad : {"", "256", "1mb", "1TB", "-1MB", "99999999999999GB"})
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
}

TEST(Units, PrintingChoosesTheLargestWholeUnit) {
  EXPECT_EQ(format_duration(90'000ms), "90s");
  EXPECT_EQ(format_duration(3'600'000ms), "1h");
  EXPECT_EQ(format_duration(0ms), "0s");
  EXPECT_EQ(format_size(1'536), "1536B");
  EXPECT_EQ(format_size(64UL << 10), "64KB");
}

TEST(Url, OfPostgresIsDecodedPartByPart) {
  const auto url = parse_postgres_url("postgresql://al%20ice:p%40%2Fs@db.example:5433/my%20app");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_EQ(url->user, "al ice");
  EXPECT_EQ(url->password, "p@/s");
  EXPECT_EQ(url->host, "db.example");
  EXPECT_EQ(url->port, 5433);
  EXPECT_EQ(url->database, "my app");
}

TEST(Url, OfPostgresMayLeavePartsOut) {
  const auto url = parse_postgres_url("postgres://127.0.0.1");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_EQ(url->host, "127.0.0.1");
  EXPECT_EQ(url->port, 0);
  EXPECT_EQ(url->user + url->password + url->database, "");
  EXPECT_EQ(parse_postgres_url("postgres://u@[::1]:1/")->host, "::1");
  EXPECT_EQ(parse_postgres_url("postgres:///app?host=/run/pg")->host, "/run/pg");
  EXPECT_EQ(parse_postgres_url("postgres://%2Frun%2Fpg/app")->host, "/run/pg");
  EXPECT_EQ(parse_postgres_url("postgres://u:p@ss@h/app")->password, "p@ss");
}

TEST(Url, BadOnesAreErrorsWithoutTheirSecret) {
  for (const char* bad :
       {"", "db:5432", "http://u:hidden@h/", "postgres://u:hidden@/app", "postgres://u:hidden@h:0/",
        "postgres://u:hidden@h:70000/", "postgres://u:hidden@h:x/", "postgres://u:hidden%zz@h/",
        "postgres://u:hidden%@h/", "postgres://u:hidden%00@h/", "postgres://u:hidden@::1/",
        "postgres://u:hidden@[::1/", "postgres://u:hidden@[::1]x/",
        "postgres://u:hidden@h/a?sslmode=require"}) {
    const auto url = parse_postgres_url(bad);
    ASSERT_FALSE(url.ok()) << bad;
    EXPECT_EQ(url.error().message.find("hidden"), std::string::npos) << url.error().message;
  }
}

TEST(Url, OfRedisHasHostOrSocket) {
  const auto tcp = parse_redis_url("redis://app:secret@cache:6380/3");
  ASSERT_TRUE(tcp.ok()) << tcp.error().message;
  EXPECT_EQ(tcp->host, "cache");
  EXPECT_EQ(tcp->port, 6380);
  EXPECT_EQ(tcp->user, "app");
  EXPECT_EQ(tcp->password, "secret");
  EXPECT_EQ(tcp->database, 3U);
  EXPECT_EQ(parse_redis_url("redis://localhost")->port, 6379);
  const auto socket = parse_redis_url("unix://:secret@/run/redis.sock?db=2");
  ASSERT_TRUE(socket.ok()) << socket.error().message;
  EXPECT_EQ(socket->socket_path, "/run/redis.sock");
  EXPECT_EQ(socket->password, "secret");
  EXPECT_EQ(socket->database, 2U);
  for (const char* bad : {"rediss://h", "redis://", "redis://h/x", "redis://h?a=1", "unix://",
                          "tcp://h", "redis://h:0"})
    EXPECT_FALSE(parse_redis_url(bad).ok()) << bad;
}

TEST(Url, HostAndPortAreBothNeeded) {
  EXPECT_EQ(parse_host_port("0.0.0.0:6432")->port, 6432);
  EXPECT_EQ(parse_host_port("[::1]:6432")->host, "::1");
  for (const char* bad : {"", "6432", ":6432", "localhost", "localhost:", "::1:6432", "h:99999"})
    EXPECT_FALSE(parse_host_port(bad).ok()) << bad;
}

TEST(Url, MaskingHidesThePasswordOnly) {
  EXPECT_EQ(mask_url("redis://u:p@h:1/0"), "redis://u:********@h:1/0");
  EXPECT_EQ(mask_url("redis://u:p@x@h"), "redis://u:********@h");
  EXPECT_EQ(mask_url("redis://h:1/0"), "redis://h:1/0");
  EXPECT_EQ(mask_url(""), "");
}

TEST(RelationPattern, IsOneOrTwoParts) {
  EXPECT_EQ(parse_relation_pattern("t")->name, "t");
  EXPECT_EQ(parse_relation_pattern("t")->schema, "");
  EXPECT_EQ(parse_relation_pattern("s.t")->schema, "s");
  EXPECT_EQ(parse_relation_pattern("\"a.b\".\"c\"\"d\"")->schema, "a.b");
  EXPECT_EQ(parse_relation_pattern("\"a.b\".\"c\"\"d\"")->name, "c\"d");
  for (const char* bad : {"", ".", "a.", ".b", "a.b.c", "\"a", "a\"b", "\"\"", "\"a\"b"})
    EXPECT_EQ(parse_relation_pattern(bad), std::nullopt) << bad;
}

TEST(RelationPattern, ABareNameMatchesInAnySchema) {
  EXPECT_TRUE(parse_relation_pattern("t")->matches("any", "t"));
  EXPECT_TRUE(parse_relation_pattern("s.t")->matches("s", "t"));
  EXPECT_FALSE(parse_relation_pattern("s.t")->matches("other", "t"));
  EXPECT_FALSE(parse_relation_pattern("t")->matches("t", "u"));
  EXPECT_FALSE(parse_relation_pattern("T")->matches("s", "t"));
}

TEST(Suggest, OnlyWhatIsNear) {
  const std::vector<std::string_view> allowed = {"size", "mode", "wait_timeout"};
  EXPECT_EQ(closest("sise", allowed), "size");
  EXPECT_EQ(closest("timeout", allowed), "wait_timeout");
  EXPECT_EQ(closest("unrelated", allowed), "");
  EXPECT_EQ(closest(std::string(100'000, 's'), allowed), "");
}

template <typename... Arguments>
CommandLine parse(Arguments... arguments) {
  const char* const argv[] = {"pgrecall", arguments...};
  return parse_command_line(static_cast<int>(std::size(argv)), argv);
}

TEST(CommandLine, WithoutACommandRuns) {
  const CommandLine line = parse("--config", "a.toml", "--workers", "2", "--fault", "no-raise",
                                 "--fault", "no-advance", "--replica", "postgres://r/");
  EXPECT_EQ(line.command, Command::kRun);
  EXPECT_EQ(line.config_path, "a.toml");
  EXPECT_EQ(line.overrides.workers, 2U);
  EXPECT_EQ(line.faults, (std::vector<std::string>{"no-raise", "no-advance"}));
  EXPECT_EQ(line.overrides.replicas.size(), 1U);
}

TEST(CommandLine, OptionsMayStandBeforeOrAfterTheCommand) {
  EXPECT_EQ(parse("check-config", "--config", "a.toml").config_path, "a.toml");
  EXPECT_EQ(parse("--config", "a.toml", "check-config").command, Command::kCheckConfig);
  EXPECT_EQ(parse("print-config").command, Command::kPrintConfig);
  EXPECT_TRUE(parse("print-config", "--example").print_example);
  EXPECT_EQ(parse("setup-sql").command, Command::kSetupSql);
}

TEST(CommandLine, CheckConfigTakesAFileEitherWayAndNotTwo) {
  const CommandLine line = parse("check-config", "a.toml", "--redis", "redis://h/");
  EXPECT_EQ(line.command, Command::kCheckConfig);
  EXPECT_EQ(line.config_path, "a.toml");
  EXPECT_EQ(line.overrides.redis, "redis://h/");
  EXPECT_EQ(parse("check-config").config_path, "");
  EXPECT_EQ(parse("check-config", "a.toml", "--config", "b.toml").exit_code, 2);
  EXPECT_EQ(parse("--config", "b.toml", "check-config", "a.toml").exit_code, 2);
  EXPECT_EQ(parse("check-config", "a.toml", "b.toml").exit_code, 2);
  EXPECT_EQ(parse("print-config", "a.toml").exit_code, 2);
}

/// What a script passes whose variable is not set: neither the defaults nor nothing is meant.
TEST(CommandLine, AnEmptyValueIsRefused) {
  EXPECT_EQ(parse("check-config", "").exit_code, 2);
  for (const char* option : {"--config", "--upstream", "--listen", "--admin", "--redis"}) {
    const CommandLine line = parse(option, "", "check-config");
    EXPECT_EQ(line.exit_code, 2) << option;
    EXPECT_NE(line.text.find("must not be empty"), std::string::npos) << line.text;
  }
}

TEST(CommandLine, CheckConfigSaysWhatItChecked) {
  EXPECT_EQ(what_was_checked(parse("check-config", "a.toml")), "checked a.toml");
  EXPECT_EQ(what_was_checked(parse("--config", "a.toml", "check-config", "--workers", "2")),
            "checked a.toml and --workers");
  EXPECT_EQ(what_was_checked(parse("check-config")),
            "checked the defaults; no file was read (name one: check-config FILE)");
  EXPECT_EQ(what_was_checked(parse("check-config", "--upstream", "postgres://u:hidden@h/",
                                   "--redis", "redis://h/", "--listen", "h:1", "--admin", "h:2",
                                   "--replica", "postgres://r/", "--replica", "postgres://s/")),
            "checked the defaults and --upstream, --listen, --admin, --redis, --replica; no file "
            "was read (name one: check-config FILE)");
}

TEST(CommandLine, HelpOfExplainSaysThatItConnects) {
  EXPECT_NE(parse("explain", "--help").text.find("connects to the server of --upstream"),
            std::string::npos)
      << parse("explain", "--help").text;
  EXPECT_NE(parse("--help").text.find("connects to the server"), std::string::npos);
}

TEST(CommandLine, ExplainTakesAStatementAndADatabase) {
  const CommandLine line =
      parse("explain", "select 1", "--database", "app", "--upstream", "postgres://h/");
  EXPECT_EQ(line.command, Command::kExplain);
  EXPECT_EQ(line.explain_sql, "select 1");
  EXPECT_EQ(line.explain_database, "app");
  EXPECT_EQ(line.overrides.upstream, "postgres://h/");
  EXPECT_EQ(parse("explain").exit_code, 2);
}

TEST(CommandLine, HelpAndVersionEndWellAndNonsenseDoesNot) {
  EXPECT_EQ(parse("--help").command, Command::kExit);
  EXPECT_EQ(parse("--help").exit_code, 0);
  EXPECT_NE(parse("--help").text.find("--upstream"), std::string::npos);
  EXPECT_EQ(parse("--version").text, "pgrecall " PGRECALL_VERSION "\n");
  EXPECT_EQ(parse("--wrkers", "3").exit_code, 2);
  EXPECT_EQ(parse("--workers", "65").exit_code, 2);
  EXPECT_EQ(parse("print-config", "setup-sql").exit_code, 2);
}

/// A URL without its flag, a flag that is misspelt, a URL where another value belongs.
TEST(CommandLine, AMistakeNeverRepeatsASecret) {
  const auto expect_no_secret = [](const CommandLine& line, std::string_view shown) {
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_EQ(line.text.find("topsecret"), std::string::npos) << line.text;
    EXPECT_NE(line.text.find(shown), std::string::npos) << line.text;
  };
  const char* const url = "postgres://u:topsecret@h/";
  expect_no_secret(parse(url), "postgres://********");
  expect_no_secret(parse("check-config", "a.toml", url), "postgres://********");
  expect_no_secret(parse("--upstrem=postgres://u:topsecret@h/"), "--upstrem=");
  expect_no_secret(parse("--upstrem", url), "--upstrem");
  expect_no_secret(parse("--workers", url), "--workers");
  expect_no_secret(parse("--workers=postgres://u:topsecret@h/"), "--workers");
  expect_no_secret(parse("u:topsecret@h"), "********");
  expect_no_secret(parse("host=h password=topsecret"), "host=");
  expect_no_secret(parse("--password", "topsecret"), "--password");
  expect_no_secret(parse("--password=topsecret"), "--password");
  expect_no_secret(parse("-wtopsecret"), "-w");
  EXPECT_NE(parse("chek-config").text.find("chek-config"), std::string::npos);
  EXPECT_NE(parse("check-config", "a.toml", "b.toml").text.find("b.toml"), std::string::npos);
}

TEST(SetupSql, NamesTheConfiguredRoleQuoted) {
  Config config;
  EXPECT_NE(setup_sql(config).find("CREATE ROLE \"pgrecall\" LOGIN"), std::string::npos);
  config.upstream.user = "we\"ird";
  config.upstream.password = "never-printed";
  EXPECT_NE(setup_sql(config).find("GRANT pg_monitor TO \"we\"\"ird\";"), std::string::npos);
  EXPECT_EQ(setup_sql(config).find("never-printed"), std::string::npos);
}

}  // namespace
}  // namespace pgrecall::config
