#include "pgrecall/admin/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "admin/http_client.h"

namespace pgrecall::admin {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class FakeProxy : public AdminSource {
 public:
  ProxyStatus status() override {
    ProxyStatus status;
    status.uptime_seconds = 12.5;
    status.pools.push_back({"app", "alice", 20, 3, 4, 1});
    for (uint64_t i = 0; i < more_rows; ++i) {
      status.pools.push_back({"app", "user" + std::to_string(i), 20});
      status.pinned.push_back({"app", "alice", "LISTEN", i, true});
      status.control.push_back({"db" + std::to_string(i), true, ""});
      status.estimates.push_back({"app", "t" + std::to_string(i)});
    }
    if (more_rows > 0) status.pools.back().waiting = 1;
    status.control.push_back({"app", false, "password authentication failed"});
    status.cache.mode = "on";
    status.redis.configured = true;
    status.redis.state = "open";
    status.redis.state_seconds = 3.5;
    status.redis.last_error = "Connection refused";
    status.redis.unawaited = 2;
    stats::LatencyHistogram took;
    took.record(2'000'000);
    took.add_to(status.redis.round_trip_ns);
    status.cache.bytes = 4096;
    status.freshness = {"none", 60, "wal_level is replica"};
    return status;
  }
  Readiness readiness() override { return {ready.load(), ready.load() ? "" : "starting"}; }
  Status invalidate_table(std::string_view database, std::string_view table) override {
    if (table == "public.gone") return Error{"there is no table public.gone", ""};
    invalidated = std::string(database) + "/" + std::string(table);
    return Ok{};
  }
  Status invalidate_all() override {
    invalidated = "all";
    return Ok{};
  }

  std::atomic<bool> ready{true};
  uint64_t more_rows = 0;
  std::string invalidated;
};

stats::StatsOptions options() {
  stats::StatsOptions options;
  options.bypass_names = {"none", "volatile_function"};
  return options;
}

class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest() : stats_(options()) {
    auto started = AdminServer::start("127.0.0.1", 0, stats_, proxy_);
    EXPECT_TRUE(started.ok());
    server_ = std::move(started).value();
  }

  HttpAnswer get(const std::string& path) { return http(server_->port(), "GET", path); }
  HttpAnswer post(const std::string& body,
                  std::vector<std::string> headers = {"Host: 127.0.0.1",
                                                      "Content-Type: application/json"}) {
    return http(server_->port(), "POST", "/api/invalidate", std::move(headers), body);
  }
  void count_some() {
    stats::WorkerStats& worker = stats_.worker(0);
    const uint32_t tables[] = {stats_.intern_table("app", "public.orders")};
    auto& shape = worker.fingerprint(
        stats_.intern_fingerprint("app", "select ? from orders where \xff", tables));
    for (int i = 0; i < 3; ++i) worker.hit(shape, stats::HitKind::kTier1, 2us, 4ms, 10);
    worker.miss(shape);
    worker.origin(shape, 4ms, 5ms);
    for (int i = 0; i < 4; ++i) worker.bypass(shape, 1);
  }

  stats::Stats stats_;
  FakeProxy proxy_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, HealthIsAlwaysOkAndReadinessSaysWhyNot) {
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 200);
  proxy_.ready = false;
  EXPECT_EQ(get("/healthz").status, 200);
  const HttpAnswer answer = get("/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(json::parse(answer.body)["why"], "starting");
}

TEST_F(AdminServerTest, StatsHoldTheRatesAndTheReasons) {
  count_some();
  const HttpAnswer answer = get("/api/stats");
  EXPECT_TRUE(answer.has_header("Content-Type: application/json")) << answer.head;
  const json stats = json::parse(answer.body);
  EXPECT_EQ(stats["hits"], 3);
  EXPECT_EQ(stats["misses"], 1);
  EXPECT_EQ(stats["hit_rate"], 0.75);
  EXPECT_EQ(stats["read_hit_rate"], 0.375);
  EXPECT_EQ(stats["bypasses"], json({{"volatile_function", 4}}));
  EXPECT_EQ(stats["uptime_seconds"], 12.5);
  EXPECT_EQ(stats["version"], PGRECALL_VERSION);
  EXPECT_EQ(stats["freshness"]["feed"], "none");
  EXPECT_EQ(stats["freshness"]["max_age_without_feed_s"], 60.0);
  EXPECT_EQ(stats["freshness"]["why"], "wal_level is replica");
  EXPECT_EQ(stats["pools"][0]["user"], "alice");
  EXPECT_EQ(stats["control"][0]["error"], "password authentication failed");
  EXPECT_EQ(stats["redis"]["state"], "open");
  EXPECT_EQ(stats["redis"]["state_seconds"], 3.5);
  EXPECT_EQ(stats["redis"]["last_error"], "Connection refused");
  EXPECT_EQ(stats["redis"]["unawaited"], 2);
  EXPECT_EQ(stats["redis"]["round_trip"]["count"], 1);
  EXPECT_NEAR(stats["redis"]["round_trip"]["p50_us"].get<double>(), 2000, 50);
  EXPECT_EQ(stats["tables"][0]["table"], "public.orders");
  EXPECT_EQ(stats["tables"][0]["reads"], 8);
  EXPECT_EQ(stats["fingerprints"][0]["calls"], 8);
  EXPECT_EQ(stats["fingerprints"][0]["bypasses"]["volatile_function"], 4);
}

TEST_F(AdminServerTest, StatsOfAnIdleProxyAreCompleteToo) {
  const json stats = json::parse(get("/api/stats").body);
  EXPECT_EQ(stats["hits"], 0);
  EXPECT_EQ(stats["hit_rate"], 0.0);
  EXPECT_TRUE(stats["bypasses"].is_object());
  EXPECT_TRUE(stats["fingerprints"].is_array());
  EXPECT_TRUE(stats["tables"].is_array());
}

TEST_F(AdminServerTest, TopLimitsTheRows) {
  stats::WorkerStats& worker = stats_.worker(0);
  for (int i = 0; i < 5; ++i)
    worker.miss(worker.fingerprint(stats_.intern_fingerprint("a", std::to_string(i), {})));
  EXPECT_EQ(json::parse(get("/api/stats?top=2").body)["fingerprints"].size(), 2U);
  EXPECT_EQ(json::parse(get("/api/stats").body)["fingerprints"].size(), 5U);
  EXPECT_EQ(json::parse(get("/api/fingerprints").body)["fingerprints"].size(), 5U);
}

TEST_F(AdminServerTest, TopLimitsEveryListAndSaysHowManyThereAre) {
  proxy_.more_rows = 10'000;
  stats::WorkerStats& worker = stats_.worker(0);
  for (int i = 0; i < 5; ++i) {
    const std::string name = std::to_string(i);
    const uint32_t tables[] = {stats_.intern_table("a", "public.t" + name)};
    worker.miss(worker.fingerprint(stats_.intern_fingerprint("a", name, tables)));
  }
  const json top = json::parse(get("/api/stats?top=2").body);
  const json all = json::parse(get("/api/stats").body);
  int lists = 0;
  for (const auto& [name, value] : all.items()) {
    if (!value.is_array()) continue;
    ++lists;
    EXPECT_EQ(top[name].size(), 2U) << name;
    EXPECT_EQ(top["rows"][name], value.size()) << name;
    EXPECT_EQ(all["rows"][name], value.size()) << name;
  }
  EXPECT_EQ(lists, 6);
  EXPECT_EQ(all["rows"]["pinned"], 10'000);
  EXPECT_EQ(top["pinned"][0]["seconds"], 9'999) << "the oldest first";
  EXPECT_EQ(top["control"][0]["connected"], false) << "what is wrong first";
  EXPECT_EQ(top["pools"][0]["waiting"], 1);
}

TEST_F(AdminServerTest, InvalidateTakesATableOrAll) {
  EXPECT_EQ(post(R"({"table": "public.orders"})").status, 200);
  EXPECT_EQ(proxy_.invalidated, "/public.orders");
  EXPECT_EQ(post(R"({"table": "public.orders", "database": "app"})").status, 200);
  EXPECT_EQ(proxy_.invalidated, "app/public.orders");
  EXPECT_EQ(post(R"({"all": true})").status, 200);
  EXPECT_EQ(proxy_.invalidated, "all");
  const HttpAnswer gone = post(R"({"table": "public.gone"})");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(json::parse(gone.body)["error"], "there is no table public.gone");
}

TEST_F(AdminServerTest, InvalidateRefusesWhatItDoesNotUnderstand) {
  for (const char* body :
       {"", "{", "[]", "{}", "3", R"({"table": 3})", R"({"all": false})",
        R"({"all": true, "table": "t"})", R"({"tabel": "t"})", R"({"all": true, "database": "d"})",
        R"({"table": "t", "database": 1})", R"({"table": "t", "x": 1})"}) {
    EXPECT_EQ(post(body).status, 400) << body;
  }
  EXPECT_EQ(post("{\"table\":\"" + std::string(70'000, 'x') + "\"}").status, 413);
  EXPECT_EQ(raw_http(server_->port(),
                     "POST /api/invalidate HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\n\r\n")
                .rfind("HTTP/1.1 411", 0),
            0U);
  EXPECT_EQ(proxy_.invalidated, "");
}

TEST_F(AdminServerTest, APageOfAnotherSiteCanNeitherChangeNorRead) {
  const std::string body = R"({"all": true})";
  const std::string json_type = "Content-Type: application/json";
  EXPECT_EQ(post(body, {"Host: 127.0.0.1", "Content-Type: text/plain"}).status, 403);
  EXPECT_EQ(post(body, {"Host: 127.0.0.1"}).status, 403);
  EXPECT_EQ(post(body, {"Host: 127.0.0.1", json_type, "Origin: http://evil.example"}).status, 403);
  EXPECT_EQ(post(body, {"Host: 127.0.0.1", json_type, "Origin: null"}).status, 403);
  // DNS rebinding: the foreign name points here, so origin and host agree.
  EXPECT_EQ(post(body, {"Host: evil.example", json_type, "Origin: http://evil.example"}).status,
            403);
  EXPECT_EQ(http(server_->port(), "GET", "/api/stats", {"Host: evil.example"}).status, 403);
  EXPECT_EQ(proxy_.invalidated, "");

  const std::string self = "127.0.0.1:" + std::to_string(server_->port());
  EXPECT_EQ(post(body, {"Host: " + self, json_type, "Origin: http://" + self}).status, 200);
  EXPECT_EQ(http(server_->port(), "GET", "/api/stats", {"Host: localhost:1"}).status, 200);
}

TEST_F(AdminServerTest, NothingButTheKnownPagesIsServed) {
  EXPECT_EQ(get("/nothing").status, 404);
  EXPECT_EQ(get("/../etc/passwd").status, 404);
  EXPECT_EQ(get("/api/invalidate").status, 404);
  EXPECT_EQ(raw_http(server_->port(), "nonsense\r\n\r\n").find("200"), std::string::npos);
}

TEST_F(AdminServerTest, TheDashboardUsesNoForeignAsset) {
  const HttpAnswer page = get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.has_header("Content-Type: text/html; charset=utf-8")) << page.head;
  EXPECT_NE(page.head.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
  for (const char* markup : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"})
    EXPECT_EQ(page.body.find(markup), std::string::npos) << markup << " would trust names";
  for (const char* shown : {"s.pinned", "s.redis", "s.pools", "s.control", "s.rows.pinned"})
    EXPECT_NE(page.body.find(shown), std::string::npos) << shown;
  EXPECT_NE(page.body.find("api/stats?top="), std::string::npos) << "rows without bound";
  EXPECT_NE(page.body.find("</html>"), std::string::npos);
}

TEST_F(AdminServerTest, ATakenPortIsOneClearError) {
  const auto second = AdminServer::start("127.0.0.1", server_->port(), stats_, proxy_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message,
            "admin port: cannot listen on 127.0.0.1:" + std::to_string(server_->port()) +
                ": Address already in use");
}

TEST_F(AdminServerTest, AnAddressThatIsNotOursIsOneClearError) {
  const auto other = AdminServer::start("192.0.2.1", 0, stats_, proxy_);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("192.0.2.1"), std::string::npos);
}

TEST_F(AdminServerTest, ThePortIsFreeAgainAfterTheEnd) {
  const uint16_t port = server_->port();
  server_.reset();
  auto again = AdminServer::start("127.0.0.1", port, stats_, proxy_);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(http(port, "GET", "/healthz").status, 200);
}

TEST_F(AdminServerTest, ManyAtOnceAreAllAnswered) {
  count_some();
  // The library makes its statics at the first one: a thread sanitizer does not see how.
  ASSERT_EQ(get("/healthz").status, 200);
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 50; ++i)
    clients.emplace_back([&] {
      if (get("/api/stats").status == 200) ++answered;
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered.load(), 50);
}

}  // namespace
}  // namespace pgrecall::admin
