#include "pgrecall/base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

namespace pgrecall::log {
namespace {

constexpr std::string_view kTime = "2024-01-02T03:04:05.006Z";

TEST(Log, TextLineHoldsTimeLevelMessageAndFields) {
  EXPECT_EQ(render(Level::kInfo, Format::kText, "pool full", {{"database", "app"}, {"waiting", 3}},
                   kTime),
            "2024-01-02T03:04:05.006Z info  pool full database=app waiting=3");
}

TEST(Log, TextValueThatNeedsQuotesHasThem) {
  EXPECT_EQ(
      render(Level::kWarn, Format::kText, "x", {{"why", "no \"slot\""}, {"empty", ""}}, kTime),
      "2024-01-02T03:04:05.006Z warn  x why=\"no \\\"slot\\\"\" empty=\"\"");
}

TEST(Log, NoValueCanForgeASecondLine) {
  for (const Format format : {Format::kText, Format::kJson}) {
    const std::string line =
        render(Level::kError, format, "a\nb", {{"user", "eve\r\n2024 info  forged"}}, kTime);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(line.find('\r'), std::string::npos);
  }
}

TEST(Log, JsonLineKeepsNumbersAndBooleansBare) {
  EXPECT_EQ(render(Level::kInfo, Format::kJson, "up",
                   {{"port", 6432}, {"tls", false}, {"h", "a\\"}}, kTime),
            "{\"time\":\"2024-01-02T03:04:05.006Z\",\"level\":\"info\",\"message\":\"up\","
            "\"port\":6432,\"tls\":false,\"h\":\"a\\\\\"}");
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  testing::internal::CaptureStderr();
  configure(Level::kWarn, Format::kText);
  info("quiet line");
  warn("loud line", {{"n", 1}});
  configure(Level::kInfo, Format::kText);
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_EQ(out.find("quiet line"), std::string::npos);
  EXPECT_NE(out.find("warn  loud line n=1\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace pgrecall::log
