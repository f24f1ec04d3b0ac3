#include "session/read_words.h"

#include <gtest/gtest.h>

namespace pgrecall::session {
namespace {

TEST(ReadWords, Case53_ATextThatBeginsAsASelectIsARead) {
  for (const char* text :
       {"SELECT 1", "  select", "(select 1)", "((VALUES (1)))", "TABLE t",
        "/* a /* b */ c */ SELECT", "-- x\nSELECT", "WITH a AS (SELECT 1) SELECT 2",
        "with recursive a(x) as materialized (insert into t select 1 returning 1), "
        "\"delete\" as (select 1) (select 2)",
        "WITH a AS (SELECT (1)) TABLE a", "WITH \"insert"}) {
    EXPECT_TRUE(looks_like_read(text)) << text;
  }
}

TEST(ReadWords, Case53_OtherTextsAreNone) {
  for (const char* text :
       {"", "--", "/*", "INSERT INTO t SELECT 1", "selects", "EXPLAIN SELECT 1",
        "WITH a AS (SELECT 1) INSERT INTO t TABLE a",
        "with a as (select 1), b(x) as (select (2)) /* ) select */ update t set v = 1",
        "with a as (select 1) merge into t using a on true", "withal", "?"}) {
    EXPECT_FALSE(looks_like_read(text)) << text;
  }
}

}  // namespace
}  // namespace pgrecall::session
