#include "adapters/redis_protocol.h"

#include <gtest/gtest.h>

namespace pgrecall::adapters {
namespace {

TEST(RedisProtocol, FormatsAnyBytes) {
  std::string out = "before";
  append_command(out, {"SET", std::string_view("a\0\r\n", 4), ""});
  EXPECT_EQ(out, "before*3\r\n$3\r\nSET\r\n$4\r\n" + std::string("a\0\r\n", 4) + "\r\n$0\r\n\r\n");
}

TEST(RedisProtocol, ReadsEveryKindOfReplyAtEverySplitPoint) {
  const std::string stream =
      "+OK\r\n:42\r\n$-1\r\n$5\r\nva\r\nl\r\n-ERR no such thing\r\n$0\r\n\r\n";
  for (size_t split = 0; split <= stream.size(); ++split) {
    RedisReplies replies(1000);
    std::vector<RedisReply> seen;
    for (std::string_view part :
         {std::string_view(stream).substr(0, split), std::string_view(stream).substr(split)}) {
      if (!part.empty()) replies.feed(part);
      for (;;) {
        Result<std::optional<RedisReply>> reply = replies.next();
        ASSERT_TRUE(reply.ok()) << split;
        if (!reply->has_value()) break;
        seen.push_back(std::move(**reply));
      }
    }
    ASSERT_EQ(seen.size(), 6U) << split;
    EXPECT_EQ(seen[0].kind, RedisReply::Kind::kStatus);
    EXPECT_EQ(seen[1].number, 42);
    EXPECT_EQ(seen[2].kind, RedisReply::Kind::kNil);
    EXPECT_EQ(seen[3].text, "va\r\nl");
    EXPECT_EQ(seen[4].kind, RedisReply::Kind::kError);
    EXPECT_EQ(seen[4].text, "ERR no such thing");
    EXPECT_EQ(seen[5].kind, RedisReply::Kind::kString);
  }
}

TEST(RedisProtocol, Trap29_WhatWeNeverAskForIsAnError) {
  for (const char* bytes :
       {"*2\r\n+a\r\n+b\r\n", "*1000000000\r\n", "*0\r\n", "$99999999999999999999\r\n", "$-2\r\n",
        "HTTP/1.1 400 Bad Request\r\n", ":1x\r\n", "\r\n", ",1.5\r\n", "#t\r\n",
        "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", ">1\r\n+a\r\n"}) {
    RedisReplies replies(1000);
    replies.feed(bytes);
    EXPECT_FALSE(replies.next().ok()) << bytes;
    EXPECT_FALSE(replies.next().ok()) << "nothing can be read after an error";
  }
}

TEST(RedisProtocol, AReplyAboveTheBoundIsAnErrorBeforeItIsComplete) {
  RedisReplies replies(1000);
  replies.feed("$1000000000\r\n");
  ASSERT_TRUE(replies.next().ok());
  replies.feed(std::string(900, 'x'));
  ASSERT_TRUE(replies.next().ok());
  replies.feed(std::string(200, 'x'));
  EXPECT_FALSE(replies.next().ok());
}

}  // namespace
}  // namespace pgrecall::adapters
