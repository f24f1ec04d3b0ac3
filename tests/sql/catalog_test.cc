#include "pgrecall/sql/catalog.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pgrecall::sql {
namespace {

Relation relation(Oid oid, Oid schema, std::string name) {
  Relation result;
  result.oid = oid;
  result.schema = schema;
  result.name = std::move(name);
  return result;
}

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    catalog_.schemas = {{11, "pg_catalog"}, {2200, "public"}, {20000, "tenant"}};
    catalog_.relations.emplace(1, relation(1, 2200, "orders"));
    catalog_.relations.emplace(2, relation(2, 20000, "orders"));
    catalog_.relations.emplace(3, relation(3, 2200, "items"));
    Role role;
    role.oid = 10;
    role.name = "postgres";
    catalog_.roles.emplace(10, role);
    for (const Oid oid : {100U, 101U}) {
      Function function;
      function.oid = oid;
      function.schema = oid == 100 ? 11 : 2200;
      function.name = "lower";
      catalog_.functions.emplace(oid, function);
    }
    Operator plus;
    plus.oid = 500;
    plus.name = "+";
    catalog_.operators.emplace(500, plus);
    Type date;
    date.oid = 1082;
    date.name = "date";
    catalog_.types.emplace(1082, date);
    catalog_.index();
  }

  Catalog catalog_;
};

TEST_F(CatalogTest, FindsRelationsByOidAndBySchemaAndName) {
  ASSERT_NE(catalog_.relation(2), nullptr);
  EXPECT_EQ(catalog_.relation(2)->name, "orders");
  EXPECT_EQ(catalog_.relation(2200, "orders"), catalog_.relation(1));
  EXPECT_EQ(catalog_.relation(20000, "orders"), catalog_.relation(2));
  EXPECT_EQ(catalog_.relation(20000, "items"), nullptr);
  EXPECT_EQ(catalog_.relation(2200, "Orders"), nullptr);
  EXPECT_EQ(catalog_.relation(4), nullptr);
}

TEST_F(CatalogTest, FindsSchemasAndRolesByName) {
  EXPECT_EQ(catalog_.schema("tenant"), 20000U);
  EXPECT_EQ(catalog_.schema("nowhere"), kInvalidOid);
  EXPECT_EQ(catalog_.role("postgres"), 10U);
  EXPECT_EQ(catalog_.role("nobody"), kInvalidOid);
  ASSERT_NE(catalog_.role(10), nullptr);
  EXPECT_EQ(catalog_.role(11), nullptr);
}

TEST_F(CatalogTest, ListsEveryFunctionOperatorAndTypeOfAName) {
  EXPECT_EQ(catalog_.functions_named("lower").size(), 2U);
  EXPECT_TRUE(catalog_.functions_named("upper").empty());
  EXPECT_EQ(catalog_.operators_named("+").size(), 1U);
  EXPECT_EQ(catalog_.types_named("date").size(), 1U);
  EXPECT_TRUE(catalog_.types_named("dates").empty());
  ASSERT_NE(catalog_.function(101), nullptr);
  EXPECT_EQ(catalog_.function(102), nullptr);
}

TEST_F(CatalogTest, IndexesAgainAfterAChange) {
  catalog_.relations.erase(1);
  catalog_.relations.emplace(4, relation(4, 2200, "added"));
  catalog_.index();
  EXPECT_EQ(catalog_.relation(2200, "orders"), nullptr);
  EXPECT_NE(catalog_.relation(2200, "added"), nullptr);
}

}  // namespace
}  // namespace pgrecall::sql
