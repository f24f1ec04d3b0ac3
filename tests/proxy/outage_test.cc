#include "proxy/outage.h"

#include <gtest/gtest.h>

#include "proxy/redis_report.h"

namespace pgrecall::proxy {
namespace {

TEST(Outage, IsSaidOncePerChangeAndReasonNotPerAttempt) {
  Outage peer;
  EXPECT_TRUE(peer.lost("refused")) << "never there: that is worth a line, too";
  EXPECT_FALSE(peer.lost("refused"));
  EXPECT_TRUE(peer.lost("wrong password"));
  EXPECT_FALSE(peer.lost("refused")) << "the two alternate";
  EXPECT_TRUE(peer.back());
  EXPECT_FALSE(peer.back());
  EXPECT_TRUE(peer.lost("refused"));
  EXPECT_TRUE(peer.back());
}

TEST(Outage, ThereFromTheBeginningIsSaidOnce) {
  Outage peer;
  EXPECT_TRUE(peer.back());
  EXPECT_FALSE(peer.back());
}

TEST(Outage, EverNewReasonsAreBounded) {
  Outage peer;
  size_t lines = 0;
  for (int i = 0; i < 1000; ++i) lines += peer.lost("attempt " + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(lines, Outage::kReasonsMax);
}

TEST(RedisReport, IsOneLineForAllWorkers) {
  testing::internal::CaptureStderr();
  RedisReport report("cache:6379", 3);
  for (size_t worker = 0; worker < 3; ++worker) report.in_use(worker);
  for (size_t worker = 0; worker < 3; ++worker) report.lost(worker, "it is gone");
  for (size_t worker = 0; worker < 3; ++worker) report.lost(worker, "it is gone");
  for (size_t worker = 0; worker < 3; ++worker) report.in_use(worker);
  const std::string log = testing::internal::GetCapturedStderr();
  size_t lines = 0;
  for (const char c : log) lines += c == '\n' ? 1 : 0;
  EXPECT_EQ(lines, 3U) << log;
  EXPECT_NE(log.find("reason=\"it is gone\""), std::string::npos) << log;
}

}  // namespace
}  // namespace pgrecall::proxy
