// What is known of temporary relations and prepared statements from the text that made them.
#include "session/session_objects.h"

#include <gtest/gtest.h>

namespace pgrecall::session {
namespace {

using Created = SessionObjects::Created;

TextEntry entry(std::string_view sql) {
  TextEntry made;
  made.text = sql;
  made.canonical = sql::canonicalize(sql);
  return made;
}

sql::Catalog catalog() {
  sql::Catalog made;
  made.schemas[2200] = "public";
  sql::Relation hidden;
  hidden.oid = 20000;
  hidden.schema = 2200;
  hidden.name = "hidden";
  made.relations[hidden.oid] = hidden;
  made.index();
  return made;
}

using Names = std::vector<std::string>;

class Objects : public testing::Test {
 protected:
  Created create(std::string_view sql) { return objects.create(entry(sql), &known); }

  sql::Catalog known = catalog();
  SessionObjects objects;
};

TEST_F(Objects, PlainRelationsAreThoseThatNobodyGaveCodeTo) {
  EXPECT_EQ(create("CREATE TEMP TABLE One (a int, b text)"), Created::kPlain);
  EXPECT_EQ(create("create temporary table two as select 1"), Created::kPlain);
  EXPECT_EQ(create("create temp table if not exists three on commit drop as select 1"),
            Created::kPlain);
  EXPECT_EQ(create("create temp sequence s"), Created::kPlain);
  EXPECT_EQ(create("create or replace temp view v as select 1"), Created::kView);
  EXPECT_EQ(objects.plain(), (Names{"one", "two", "three", "v"}));
}

TEST_F(Objects, WhatIsNotUnderstoodIsNotPlain) {
  for (const char* sql :
       {"create temp table t (a int default f())", "create temp table t (like u)",
        "create temp table t (a int check (f(a)))", "create temp table t () inherits (u)",
        "create temp table \"T\" (a int)", "create temp table hidden (a int)",
        "create temp table pg_temp.t (a int)", "create temp recursive view t (a) as select 1",
        "select 1 into temp t", "create temp table t (a int); select 1", "create table t (a int)",
        "create function pg_temp.f() returns int language sql as 'select 1'"}) {
    EXPECT_EQ(create(sql), Created::kUnknown) << sql;
  }
  EXPECT_EQ(objects.create(entry("create temp table t (a int)"), nullptr), Created::kUnknown);
  EXPECT_TRUE(objects.plain().empty());
}

TEST_F(Objects, TheirNumberIsBounded) {
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(create("create temp table t" + std::to_string(i) + " (a int)"), Created::kPlain);
  }
  EXPECT_EQ(create("create temp table one_more (a int)"), Created::kUnknown);
}

TEST_F(Objects, NamesEndWithTheirTransaction) {
  create("create temp table kept (a int)");
  create("create temp table short (a int) on commit drop");
  objects.end_transaction(true);
  EXPECT_EQ(objects.plain(), (Names{"kept"}));
  create("create temp table undone (a int)");
  objects.roll_back_to();
  EXPECT_EQ(objects.plain(), (Names{"kept"}));
  create("create temp table undone (a int)");
  objects.end_transaction(false);
  EXPECT_EQ(objects.plain(), (Names{"kept"}));
}

TEST_F(Objects, OtherDefinitionsEndThem) {
  create("create temp table one (a int)");
  create("create temp table two (a int)");
  EXPECT_TRUE(objects.define(entry("create table elsewhere (a int)")));
  EXPECT_TRUE(objects.define(entry("drop table one")));
  EXPECT_EQ(objects.plain(), (Names{"two"}));
  EXPECT_FALSE(objects.define(entry("create rule r as on select to two do instead select f()")));
  EXPECT_TRUE(objects.plain().empty());
  create("create temp table two (a int)");
  EXPECT_FALSE(objects.define(entry("drop table two; alter view v rename to two")));
}

TEST(StatementAfterAs, IsWhatFollowsTheFirstAsOutsideParentheses) {
  EXPECT_EQ(statement_after_as("PREPARE p (int) AS SELECT 1 AS x"), " SELECT 1 AS x");
  EXPECT_EQ(statement_after_as("create temp view \"a as b\" (as_is) as(select 1)"), "(select 1)");
  EXPECT_EQ(statement_after_as("prepare alas\nas\nselect 1"), "\nselect 1");
}

TEST(StatementAfterAs, IsNotGuessed) {
  EXPECT_EQ(statement_after_as("prepare p /* as select 1 */ as select f()"), "");
  EXPECT_EQ(statement_after_as("prepare p -- as\nas select 1"), "");
  EXPECT_EQ(statement_after_as("create view v with (x = ' as ') as select 1"), "");
  EXPECT_EQ(statement_after_as("create view \"v"), "");
  EXPECT_EQ(statement_after_as("select 1"), "");
}

TEST(HasConstantArguments, KnowsNoFunctions) {
  for (const char* sql : {"execute p", "EXECUTE p (1, -2.5, 'a', E'b', $$c$$, NULL, true)"}) {
    EXPECT_TRUE(has_constant_arguments(entry(sql))) << sql;
  }
  for (const char* sql : {"execute p (f())", "execute p (a)", "execute p ((select 1))",
                          "execute p ('now'::timestamp)", "execute p (\"F\"())",
                          "execute p; select f()", "execute p (1 operator(s.+) 1)"}) {
    EXPECT_FALSE(has_constant_arguments(entry(sql))) << sql;
  }
}

TEST(WithoutRelations, KeepsTheStatementWhole) {
  EXPECT_EQ(without_relations("SELECT * FROM a -- b ;", {"a", "b"}),
            "WITH \"a\" AS (SELECT 1), \"b\" AS (SELECT 1) SELECT 1 FROM (SELECT * FROM a -- b\n)"
            " AS original");
}

}  // namespace
}  // namespace pgrecall::session
