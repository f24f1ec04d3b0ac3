#include "adapters/libpq_message.h"

#include <gtest/gtest.h>

namespace pgrecall::adapters {
namespace {

std::string clean(std::string_view message) {
  return clean_libpq_message(message);
}

TEST(LibpqMessage, ARefusedConnectionIsItsReason) {
  EXPECT_EQ(clean("connection to server at \"127.0.0.1\", port 5432 failed: Connection refused\n"
                  "\tIs the server running on that host and accepting TCP/IP connections?\n"),
            "Connection refused");
  EXPECT_EQ(
      clean("connection to server on socket \"/run/pg/.s.PGSQL.5432\" failed: No such file or "
            "directory\n\tIs the server running locally and accepting connections on that "
            "socket?\n"),
      "No such file or directory");
  EXPECT_EQ(clean("could not connect to server: Connection refused\n\tIs the server running on "
                  "host \"h\" (::1) and accepting\n\tTCP/IP connections on port 5432?\n"),
            "Connection refused");
}

TEST(LibpqMessage, SeveralAttemptsShowEachReasonOnce) {
  const std::string v6 = "connection to server at \"localhost\" (::1), port 1 failed: ";
  const std::string v4 = "connection to server at \"localhost\" (127.0.0.1), port 1 failed: ";
  const std::string hint = "\tIs the server running on that host?\n";
  EXPECT_EQ(clean(v6 + "Connection refused\n" + hint + v4 + "Connection refused\n" + hint),
            "Connection refused");
  EXPECT_EQ(clean(v6 + "Network is unreachable\n" + hint + v4 + "Connection refused\n" + hint),
            "Network is unreachable; Connection refused");
}

TEST(LibpqMessage, AnErrorOfTheServerLosesCodeAndLocation) {
  EXPECT_EQ(clean("connection to server at \"h\" (10.0.0.1), port 5432 failed: FATAL:  28P01: "
                  "password authentication failed for user \"postgres\"\nLOCATION:  auth_failed, "
                  "auth.c:338\nconnection to server at \"h\" (10.0.0.1), port 5432 failed: FATAL:  "
                  "28P01: password authentication failed for user \"postgres\"\nLOCATION:  "
                  "auth_failed, auth.c:338\n"),
            "FATAL: password authentication failed for user \"postgres\"");
  EXPECT_EQ(clean("FATAL:  3D000: database \"a:  12345: b\" does not exist\n"),
            "FATAL: database \"a: 12345: b\" does not exist");
  EXPECT_EQ(clean("FATAL:  53300: no room\nDETAIL:  All 3\n  are taken.\nHINT:  Wait.\n"),
            "FATAL: no room DETAIL: All 3 are taken. HINT: Wait.");
}

TEST(LibpqMessage, IsOneLineWhateverComes) {
  EXPECT_EQ(clean("server closed the connection unexpectedly\n\tThis probably means the server "
                  "terminated abnormally\n\tbefore or while processing the request.\n"),
            "server closed the connection unexpectedly");
  EXPECT_EQ(clean(""), "");
  EXPECT_EQ(clean("\n\n"), "");
  EXPECT_EQ(clean("connection to server "), "connection to server");
  EXPECT_EQ(clean("FATAL:  "), "FATAL:");
  EXPECT_EQ(clean("FATAL:  28P01"), "FATAL: 28P01");
  EXPECT_EQ(clean("a\r\n b\x1b[31m\x7f\n"), "a b [31m");
}

TEST(LibpqMessage, AUrlGivenAsAHostNameShowsNoPassword) {
  EXPECT_EQ(clean("could not translate host name \"postgres://app:s3c/r@t@db:5432/x\" to address: "
                  "Name or service not known\n"),
            "could not translate host name \"postgres://app:********@db:5432/x\" to address: Name "
            "or service not known");
  EXPECT_EQ(clean("\"postgres://app:one@h\" and 'redis://:two@r'"),
            "\"postgres://app:********@h\" and 'redis://:********@r'");
  EXPECT_EQ(clean("see https://example.org: mail x@example.org"),
            "see https://example.org: mail x@example.org");
}

}  // namespace
}  // namespace pgrecall::adapters
