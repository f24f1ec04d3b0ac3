// What a server reported is kept, compared and shared.
#include "pgrecall/upstream/parameter_statuses.h"

#include <gtest/gtest.h>

#include "pgrecall/upstream/settings.h"

namespace pgrecall::upstream {
namespace {

TEST(ParameterStatusesTest, TheLastReportCounts) {
  ParameterStatuses shown;
  EXPECT_TRUE(shown.all().empty());
  EXPECT_TRUE(shown.set("TimeZone", "UTC"));
  EXPECT_TRUE(shown.set("DateStyle", "ISO, MDY"));
  EXPECT_FALSE(shown.set("TimeZone", "UTC"));
  EXPECT_TRUE(shown.set("TimeZone", "Asia/Tokyo"));
  const ParameterStatuses::List expected = {{"TimeZone", "Asia/Tokyo"}, {"DateStyle", "ISO, MDY"}};
  EXPECT_EQ(shown.all(), expected);
}

TEST(ParameterStatusesTest, ACopyDoesNotChangeWithItsOriginal) {
  ParameterStatuses server;
  server.set("TimeZone", "UTC");
  const ParameterStatuses client = server;
  EXPECT_EQ(&client.all(), &server.all()) << "copies share their list";
  server.set("TimeZone", "Asia/Tokyo");
  EXPECT_EQ(client.all().front().second, "UTC");
  EXPECT_FALSE(client.agree_with(server));
  server.set("TimeZone", "UTC");
  EXPECT_TRUE(client.agree_with(server));
}

TEST(ParameterStatusesTest, TheyAgreeInAnyOrderAndOnlyWhenAllIsEqual) {
  ParameterStatuses a, b, swapped, fewer;
  a.set("TimeZone", "UTC");
  a.set("role", "x");
  b.set("role", "x");
  b.set("TimeZone", "UTC");
  swapped.set("TimeZone", "x");
  swapped.set("role", "UTC");
  fewer.set("TimeZone", "UTC");
  EXPECT_TRUE(a.agree_with(b));
  EXPECT_FALSE(a.agree_with(swapped));
  EXPECT_FALSE(a.agree_with(fewer));
  EXPECT_TRUE(ParameterStatuses().agree_with(ParameterStatuses()));
}

TEST(ParameterStatusesTest, TheirNumberIsBounded) {
  ParameterStatuses shown;
  for (size_t i = 0; i < ParameterStatuses::kMax; ++i)
    EXPECT_TRUE(shown.set(std::to_string(i), "a"));
  EXPECT_FALSE(shown.set("more", "a"));
  EXPECT_TRUE(shown.set("0", "b"));
  EXPECT_EQ(shown.all().size(), ParameterStatuses::kMax);
}

TEST(SettingMapTest, ACopyDoesNotChangeWithItsOriginal) {
  SettingMap client;
  client.set({"timezone", "UTC", "SET timezone = 'UTC'"});
  SettingMap server = client;
  EXPECT_EQ(&server.all(), &client.all()) << "copies share their list";
  client.set({"role", "x", "SET ROLE x"});
  EXPECT_EQ(server.find("role"), nullptr);
  EXPECT_FALSE(server == client);
  client.erase("role");
  EXPECT_TRUE(server == client);
  client.erase("timezone");
  EXPECT_TRUE(client.empty());
  EXPECT_TRUE(client == SettingMap());
  EXPECT_NE(server.find("timezone"), nullptr);
}

}  // namespace
}  // namespace pgrecall::upstream
