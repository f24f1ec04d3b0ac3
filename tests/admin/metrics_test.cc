#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "admin/render.h"
#include "admin/utf8.h"
#include "pgrecall/stats/stats.h"

namespace pgrecall::admin {
namespace {

using namespace std::chrono_literals;

/// A strict reader of the text format: every sample belongs to the family announced before it.
std::map<std::string, double> read_metrics(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> families;
  std::string family;
  const std::regex sample(
      R"re((pgrecall_[a-z0-9_]+)(\{([a-z_]+="(\\.|[^"\\])*",?)+\})? ([-+0-9.e]+|NaN|\+Inf))re");
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string hash;
    std::string word;
    if (line.rfind("# HELP ", 0) == 0) {
      words >> hash >> word >> family;
      EXPECT_TRUE(families.insert(family).second) << family << " is announced twice";
    } else if (line.rfind("# TYPE ", 0) == 0) {
      std::string named;
      std::string type;
      words >> hash >> word >> named >> type;
      EXPECT_EQ(named, family);
      EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
      const bool total = named.size() > 6 && named.substr(named.size() - 6) == "_total";
      EXPECT_EQ(total, type == "counter") << line;
    } else {
      std::smatch match;
      EXPECT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_EQ(match[1].str().rfind(family, 0), 0U) << line;
      const size_t space = line.rfind(' ');
      EXPECT_TRUE(samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second)
          << line;
    }
  }
  return samples;
}

TEST(Metrics, AreWellFormedAndHoldTheCounts) {
  stats::StatsOptions options;
  options.bypass_names = {"none", "fence"};
  stats::Stats stats(options);
  stats::WorkerStats& worker = stats.worker(0);
  const uint32_t tables[] = {stats.intern_table("app", "public.t")};
  auto& shape = worker.fingerprint(stats.intern_fingerprint("app", "s", tables));
  worker.hit(shape, stats::HitKind::kTier1, 3us, 1ms, 1);
  worker.hit(shape, stats::HitKind::kJoin, 30us, 1ms, 1);
  worker.bypass(shape, 1);
  ProxyStatus status;
  status.redis.configured = true;
  status.redis.state = "half-open";
  status.redis.unawaited = 7;
  status.pools.push_back({"app", "alice", 20, 3, 4});
  status.control.push_back({"app", true, ""});
  const auto samples = read_metrics(metrics_text(stats.snapshot(), status));
  EXPECT_EQ(samples.at("pgrecall_hits_total{tier=\"1\"}"), 1);
  EXPECT_EQ(samples.at("pgrecall_hits_total{tier=\"join\"}"), 1);
  EXPECT_EQ(samples.at("pgrecall_bypasses_total{reason=\"fence\"}"), 1);
  EXPECT_EQ(samples.at("pgrecall_hit_latency_seconds_count"), 2);
  EXPECT_EQ(samples.at("pgrecall_hit_latency_seconds_bucket{le=\"+Inf\"}"), 2);
  EXPECT_EQ(samples.at("pgrecall_hit_latency_seconds_bucket{le=\"4.096e-06\"}"), 1);
  EXPECT_NEAR(samples.at("pgrecall_hit_latency_seconds_sum"), 33e-6, 1e-9);
  EXPECT_EQ(samples.at("pgrecall_table_reads_total{database=\"app\",table=\"public.t\"}"), 3);
  EXPECT_EQ(samples.at("pgrecall_pool_connections{database=\"app\",user=\"alice\",state=\"idle\"}"),
            4);
  EXPECT_EQ(samples.at("pgrecall_redis_breaker{state=\"half-open\"}"), 1);
  for (const char* state : {"off", "closed", "open"})
    EXPECT_EQ(samples.at("pgrecall_redis_breaker{state=\"" + std::string(state) + "\"}"), 0);
  EXPECT_EQ(samples.at("pgrecall_redis_unawaited_total"), 7);
  EXPECT_EQ(samples.at("pgrecall_control_connected{database=\"app\"}"), 1);
}

TEST(Metrics, WithoutRedisTheBreakerIsOffAndNothingElseIsSaid) {
  const auto samples =
      read_metrics(metrics_text(stats::Stats(stats::StatsOptions{}).snapshot(), {}));
  EXPECT_EQ(samples.at("pgrecall_redis_breaker{state=\"off\"}"), 1);
  EXPECT_EQ(samples.count("pgrecall_redis_gets_total"), 0U);
}

TEST(Metrics, HistogramBucketsNeverFall) {
  stats::Stats stats(stats::StatsOptions{});
  stats::WorkerStats& worker = stats.worker(0);
  auto& shape = worker.fingerprint(0);
  for (auto latency = 100ns; latency < 40s; latency *= 3)
    worker.hit(shape, stats::HitKind::kTier1, latency, 0ns, 0);
  const stats::Snapshot snapshot = stats.snapshot();
  uint64_t previous = 0;
  for (unsigned power = 10; power <= 34; ++power) {
    const uint64_t below = snapshot.hit_latency_ns.count_below(uint64_t{1} << power);
    EXPECT_GE(below, previous);
    previous = below;
  }
  EXPECT_LE(previous, snapshot.hit_latency_ns.count);
}

TEST(Metrics, HostileNamesStayInsideTheirLabel) {
  stats::Stats stats(stats::StatsOptions{});
  const uint32_t table = stats.intern_table("a\"b\\c\nd", "evil\xff\"} 1\npgrecall_hits_total 9");
  stats.worker(0).table(table).writes.add();
  const std::string text = metrics_text(stats.snapshot(), {});
  read_metrics(text);
  EXPECT_EQ(text.find("\npgrecall_hits_total 9"), std::string::npos);
  EXPECT_NE(text.find("database=\"a\\\"b\\\\c\\nd\""), std::string::npos);
  EXPECT_EQ(valid_utf8(text), text);
}

TEST(Utf8, InvalidBytesAreReplacedOneByOne) {
  EXPECT_EQ(valid_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"),
            "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(valid_utf8("\xff"), bad);
  EXPECT_EQ(valid_utf8("\xC3"), bad);
  EXPECT_EQ(valid_utf8("\xC0\x80"), bad + bad);
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), bad + bad + bad);
  EXPECT_EQ(valid_utf8("\xF5\x80\x80\x80"), bad + bad + bad + bad);
}

}  // namespace
}  // namespace pgrecall::admin
