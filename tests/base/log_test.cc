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

/// Anybody may send such a name before a login; JSON that is not UTF-8 is refused by its readers.
TEST(Log, ALineIsUtf8WhateverAValueHolds) {
  const auto escaped = [](std::string_view value) {
    const std::string json = render(Level::kInfo, Format::kJson, "x", {{"v", value}}, kTime);
    const std::string text = render(Level::kInfo, Format::kText, "x", {{"v", value}}, kTime);
    const std::string value_in_text = text.substr(text.find("v=\"") + 2);
    EXPECT_NE(json.find("\"v\":" + value_in_text + "}"), std::string::npos) << json << text;
    return value_in_text;
  };
  EXPECT_EQ(escaped("gr\u00fc\u00df \u6f22 \U0001f511"), "\"gr\u00fc\u00df \u6f22 \U0001f511\"");
  EXPECT_EQ(escaped("a\xff\xfe b"), "\"a\\ufffd\\ufffd b\"");
  EXPECT_EQ(escaped("cut \xe6\xbc"), "\"cut \\ufffd\\ufffd\"");
  EXPECT_EQ(escaped("\xc0\xaf"), "\"\\ufffd\\ufffd\"") << "too long a form";
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"") << "half of a pair";
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"") << "beyond the last";
  EXPECT_EQ(escaped("\u009b31m"), "\"\\u009b31m\"") << "a terminal would obey it";
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
