#include "pgrecall/upstream/settings.h"

#include <gtest/gtest.h>

#include <random>

namespace pgrecall::upstream {
namespace {

Setting setting(const std::string& name, const std::string& value) {
  return {name, value, "SET " + name + " = '" + value + "'"};
}

SettingMap map(std::initializer_list<Setting> settings) {
  SettingMap out;
  for (const Setting& one : settings) out.set(one);
  return out;
}

TEST(SettingMap, HoldsOneValueByNameInOrder) {
  SettingMap settings;
  settings.set(setting("timezone", "UTC"));
  settings.set(setting("datestyle", "ISO"));
  settings.set(setting("timezone", "Asia/Tokyo"));
  ASSERT_EQ(settings.all().size(), 2u);
  EXPECT_EQ(settings.all().front().name, "datestyle");
  ASSERT_NE(settings.find("timezone"), nullptr);
  EXPECT_EQ(settings.find("timezone")->value, "Asia/Tokyo");
  EXPECT_EQ(settings.find("nope"), nullptr);
  settings.erase("timezone");
  settings.erase("nope");
  EXPECT_EQ(settings.find("timezone"), nullptr);
}

TEST(SettingMap, TheOrderOfSettingDoesNotMatter) {
  EXPECT_EQ(map({setting("a", "1"), setting("b", "2")}),
            map({setting("b", "2"), setting("a", "1")}));
}

TEST(SettingsDifference, IsEmptyBetweenEquals) {
  const SettingMap settings = map({setting("a", "1")});
  EXPECT_EQ(settings_difference(settings, settings), "");
  EXPECT_EQ(settings_difference({}, {}), "");
}

TEST(SettingsDifference, SetsWhatIsMissingAndResetsWhatIsTooMuch) {
  EXPECT_EQ(settings_difference(map({setting("a", "1"), setting("b", "1")}),
                                map({setting("b", "2"), setting("c", "3")})),
            "RESET \"a\"; SET b = '2'; SET c = '3'");
}

TEST(SettingsDifference, CustomNamesAreTwoIdentifiers) {
  EXPECT_EQ(settings_difference(map({setting("app.tenant", "1")}), {}), "RESET \"app\".\"tenant\"");
}

TEST(SettingsDifference, RoleAndAuthorizationHaveResetsOfTheirOwn) {
  EXPECT_EQ(settings_difference(map({setting("role", "bob")}), {}), "RESET ROLE");
  EXPECT_EQ(settings_difference(map({setting("session_authorization", "bob")}), {}),
            "RESET SESSION AUTHORIZATION");
}

TEST(SettingsDifference, AuthorizationComesFirstAndTheRoleIsSetAgainAfterIt) {
  const Setting role = setting("role", "bob");
  const Setting carol = {"session_authorization", "carol", "SET SESSION AUTHORIZATION carol"};
  EXPECT_EQ(settings_difference(map({role}), map({role, carol})),
            "SET SESSION AUTHORIZATION carol; SET role = 'bob'");
  EXPECT_EQ(settings_difference(map({role, carol}), map({role})),
            "RESET SESSION AUTHORIZATION; SET role = 'bob'");
}

TEST(SettingsDifference, WhoLoggedInSetsWhatTheRoleMayNot) {
  const Setting role = setting("role", "bob");
  const Setting carol = {"session_authorization", "carol", "SET SESSION AUTHORIZATION carol"};
  const Setting a = setting("a", "1");
  const Setting z = setting("z", "1");
  EXPECT_EQ(settings_difference({}, map({a, role, carol, z})),
            "SET a = '1'; SET z = '1'; SET SESSION AUTHORIZATION carol; SET role = 'bob'");
  EXPECT_EQ(settings_difference(map({a, role, carol}), map({role, z})),
            "RESET SESSION AUTHORIZATION; RESET ROLE; RESET \"a\"; SET z = '1'; SET role = 'bob'");
}

TEST(SettingsDifference, APartOfADateStyleIsNotCompletedByWhatWasThere) {
  EXPECT_EQ(
      settings_difference(map({setting("datestyle", "DMY")}), map({setting("datestyle", "ISO")})),
      "RESET \"datestyle\"; SET datestyle = 'ISO'");
}

/// What a server makes of such a text, as far as it was built from our statements.
SettingMap apply(SettingMap settings, std::string sql) {
  sql += "; ";
  size_t at = 0;
  for (size_t end = sql.find("; "); end != std::string::npos;
       at = end + 2, end = sql.find("; ", at)) {
    const std::string one = sql.substr(at, end - at);
    if (one.empty()) continue;
    if (one == "RESET ROLE") {
      settings.erase("role");
    } else if (one.starts_with("RESET SESSION")) {
      settings.erase("session_authorization");
      settings.erase("role");
    } else if (one.starts_with("RESET")) {
      settings.erase(one.substr(7, one.size() - 8));
    } else {
      const size_t equals = one.find(" = ");
      const std::string name = one.substr(4, equals - 4);
      if (name == "session_authorization") settings.erase("role");
      settings.set(setting(name, one.substr(equals + 4, one.size() - equals - 5)));
    }
  }
  return settings;
}

TEST(SettingsDifference, LeadsFromAnyMapToAnyOther) {
  std::mt19937 random(1);
  const auto any = [&] {
    SettingMap settings;
    for (const char* name : {"a", "b", "c", "role", "session_authorization"}) {
      if (random() % 2 == 0) settings.set(setting(name, std::to_string(random() % 3)));
    }
    return settings;
  };
  for (int i = 0; i < 5000; ++i) {
    const SettingMap from = any();
    const SettingMap to = any();
    const std::string sql = settings_difference(from, to);
    ASSERT_EQ(apply(from, sql), to) << sql;
  }
}

TEST(Quoting, SurvivesEveryQuoteAndBackslash) {
  EXPECT_EQ(quote_literal("plain"), "'plain'");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\b"), " E'a\\\\b'");
  EXPECT_EQ(quote_literal("a\\' --"), " E'a\\\\'' --'");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(set_statement("search_path", "\"$user\", public"),
            "SELECT pg_catalog.set_config('search_path', '\"$user\", public', false)");
}

}  // namespace
}  // namespace pgrecall::upstream
