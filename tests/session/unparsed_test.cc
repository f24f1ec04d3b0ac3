// Texts that are not parsed: too long, too deep, or of a newer grammar than ours.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;

constexpr std::string_view kRead = "select a from t";

std::string made_long(const std::string& sql) {
  return sql + " /* " + std::string(66'000, 'x') + " */";
}
std::string made_deep(const std::string& sql) {
  return sql + " where a = " + std::string(2'500, '(') + "1" + std::string(2'500, ')');
}

const std::string kUnparsed[] = {made_long("select a from u"), made_deep("select a from u"),
                                 "select a from u where a = 1_000",
                                 "select a is json from u where a = 0x1f"};

/// One read of `sql` by `client`, which then has no server connection of its own.
void expect_let_go(World& world, Client& client, const std::string& sql, bool extended) {
  const std::string shown = sql.substr(0, 60) + (extended ? " (extended)" : "");
  const std::string message = parse("", sql) + testing::bind() + execute() + sync();
  const std::string answer = extended ? client.ask(message) : client.query(sql);
  EXPECT_NE(answer.find("C(SELECT 1)"), std::string::npos) << shown << ": " << answer;
  EXPECT_EQ(client.session.pins(), 0u) << shown;
  EXPECT_EQ(world.leased(client), SIZE_MAX) << shown;
}

TEST(Unparsed, Case44_AReadThatIsNotParsedOutdatesNothingAndPinsNobody) {
  for (const std::string& sql : kUnparsed) {
    for (const bool extended : {false, true}) {
      World world;
      Client& a = world.client();
      Client& b = world.client();
      a.query(kRead);
      expect_let_go(world, b, sql, extended);
      EXPECT_EQ(a.query(kRead), "T D(public.t=0) C(SELECT 1) Z(I)");
      EXPECT_EQ(world.hits(), 1u) << sql.substr(0, 60);
    }
  }
}

/// It is one SELECT: nothing of the transaction is committed by it.
TEST(Unparsed, Case44_InATransactionItSettlesNothing) {
  for (const std::string& sql : kUnparsed) {
    World world;
    Client& a = world.client();
    Client& b = world.client();
    a.query(kRead);
    b.query("begin");
    b.query("update t set a = 'x'");
    b.query(sql);
    EXPECT_EQ(a.query(kRead), "T D(public.t=0) C(SELECT 1) Z(I)");
    EXPECT_EQ(world.hits(), 1u) << sql.substr(0, 60);
    b.query("commit");
    EXPECT_EQ(a.query(kRead), "T D(public.t=1) C(SELECT 1) Z(I)");
    EXPECT_EQ(b.session.pins(), 0u);
    EXPECT_EQ(world.leased(b), SIZE_MAX);
  }
}

TEST(Unparsed, Case07_WhatMayRunCodeOutdatesEverythingAndPins) {
  for (const std::string& sql :
       {made_long("select a from nowhere"), made_deep("select a from nowhere"),
        made_long("select u.touch from u"), std::string("select (1_000).touch from u")}) {
    World world;
    Client& a = world.client();
    Client& b = world.client();
    a.query(kRead);
    b.query(sql);
    EXPECT_NE(b.session.pins(), 0u) << sql.substr(0, 60);
    a.query(kRead);
    EXPECT_EQ(world.hits(), 0u) << sql.substr(0, 60);
  }
}

}  // namespace
}  // namespace pgrecall::session
