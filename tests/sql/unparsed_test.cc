// Texts without a parse tree: too long, too deep, or of a newer grammar. Their tokens prove that
// they only read if nothing that they name runs code of users.
#include <gtest/gtest.h>

#include "pgrecall/sql/analyzer.h"
#include "sql/analyzer_fixture.h"
#include "sql/big_stack.h"

namespace pgrecall::sql::testing {
namespace {

constexpr Oid kPublic = 2200;

ResolveScope public_scope() {
  ResolveScope scope;
  scope.search_path = {kPublic};
  return scope;
}

StatementAnalysis analyze(const std::string& sql, const Catalog& catalog = fixture_catalog()) {
  const auto analyses = resolve(*parse(sql), &catalog, public_scope());
  EXPECT_EQ(analyses.size(), 1U);
  return analyses[0];
}

/// The same statement, longer than the parser is given; or deeper.
std::string made_long(const std::string& sql) {
  return sql + " /* " + std::string(66'000, 'x') + " */";
}
std::string made_deep(const std::string& sql) {
  return sql + " ORDER BY " + std::string(2'500, '(') + "1" + std::string(2'500, ')');
}

void expect_harmless(const std::string& sql, BypassReason reason, const Catalog& catalog) {
  const StatementAnalysis analysis = analyze(sql, catalog);
  const std::string shown = sql.substr(0, 120);
  EXPECT_EQ(analysis.kind, StatementKind::kUnparsed) << shown;
  EXPECT_EQ(analysis.effect, Effect::kNone) << shown << ": " << analysis.detail;
  EXPECT_EQ(analysis.session_effects, kSessionNothing) << shown;
  EXPECT_EQ(analysis.reason, reason) << shown;
  EXPECT_FALSE(analysis.cacheable) << shown;
}

void expect_opaque(const std::string& sql, const Catalog& catalog = fixture_catalog()) {
  const StatementAnalysis analysis = analyze(sql, catalog);
  const std::string shown = sql.substr(0, 120);
  EXPECT_EQ(analysis.effect, Effect::kOpaque) << shown;
  EXPECT_EQ(analysis.session_effects, kSessionUnknown) << shown;
}

constexpr const char* kReads[] = {
    "SELECT id, title FROM blog_post WHERE id IN (1, 2, 3)",
    "SELECT b.id, u.username FROM public.blog_post b, auth_user AS u WHERE b.author_id = u.id",
    "SELECT * FROM (blog_post b LEFT JOIN blog_comment c ON b.id = c.post_id), blog_tag",
    "SELECT * FROM v_post JOIN mv_count USING (id)",
    "WITH a AS (SELECT id FROM blog_post), b AS (SELECT id FROM a) SELECT * FROM b, a",
    "WITH RECURSIVE a AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM a) SELECT id FROM a",
    "SELECT extract(year FROM created), substring(title FROM 1 FOR 2), trim(both FROM body)"
    " FROM blog_post WHERE title IS NOT DISTINCT FROM body",
    "SELECT id FROM ONLY animal UNION SELECT id FROM cat WHERE name LIKE 'a%' AND id BETWEEN 1 AND "
    "2",
    "SELECT * FROM generate_series(1, 2) g, LATERAL (SELECT g.g, lower('X')) l(a, b)"};

TEST(Unparsed, AReadOfKnownThingsIsHarmless) {
  on_big_stack([] {
    for (const std::string sql : kReads) {
      if (sql.find("l(a, b)") != std::string::npos) continue;  // an alias with columns: not proved
      expect_harmless(made_long(sql), BypassReason::kTooLong, fixture_catalog());
      if (sql.find(" UNION ") == std::string::npos) {
        expect_harmless(made_deep(sql), BypassReason::kTooDeep, fixture_catalog());
      }
    }
  });
}

constexpr const char* kRunsCode[] = {
    // views, by any notation and at any place of a FROM list
    "SELECT * FROM v_log",
    "SELECT * FROM \"v_log\"",
    "SELECT * FROM V_Log",
    "SELECT * FROM public.v_log",
    "SELECT * FROM \"public\" . \"v_log\"",
    "SELECT * FROM U&\"v_log\"",
    "SELECT * FROM U&\"v\\005flog\"",
    "SELECT * FROM blog_post, v_log",
    "SELECT * FROM blog_post b JOIN v_log ON true",
    "SELECT * FROM (blog_post CROSS JOIN v_log)",
    "SELECT * FROM ONLY (v_log)",
    "SELECT (SELECT count(*) FROM v_log)",
    "SELECT 1 UNION TABLE v_log",
    "SELECT 1 WHERE EXISTS (TABLE v_log)",
    "SELECT * FROM v_broken",
    "WITH v_log AS (SELECT 1), x AS (SELECT * FROM public.v_log) SELECT * FROM x",
    "SELECT * FROM blog_post WHERE id IN (SELECT id FROM v_log)",
    // relations that the catalog does not know
    "SELECT * FROM nowhere",
    "SELECT * FROM blog_post, nowhere",
    "SELECT * FROM blog_post b LEFT JOIN nowhere n ON true",
    "SELECT * FROM pg_temp.blog_post",
    "SELECT * FROM tenant.nowhere",
    "SELECT * FROM (nowhere)",
    "WITH a AS (SELECT 1) SELECT * FROM nowhere",
    "WITH nowhere AS (SELECT * FROM nowhere) SELECT * FROM nowhere",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
    "SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) s, a",
    "SELECT 1 AS distinct FROM nowhere",
    "SELECT b.distinct FROM nowhere b",
    "SELECT values FROM nowhere",
    // policies, indexes and columns that run code
    "SELECT * FROM fn_docs",
    "SELECT * FROM t_coined",
    "SELECT * FROM t_ranked",
    "SELECT * FROM t_odd",
    "SELECT * FROM t_folded",
    // functions, also where a column might stand
    "SELECT log_it(1)",
    "SELECT public.log_it(1)",
    "SELECT b.log_it FROM blog_post b",
    "SELECT (b).log_it FROM blog_post b",
    "SELECT (b.*).\"log_it\" FROM blog_post b",
    "SELECT (ROW(1)).log_it",
    "SELECT ('0.5'::float8).setseed",
    "SELECT (1::bigint).pg_advisory_lock",
    "SELECT * FROM log_it(1)",
    "SELECT treat(1 AS pg_advisory_lock)",
    "SELECT treat(0.5 AS setseed)",
    "SELECT treat('SELECT 1' AS ts_stat)",
    // operators, types and casts of users
    "SELECT 1 <@@@> 2",
    "SELECT 1 OPERATOR(public.<@@@>) 2",
    "SELECT 'a@b'::email",
    "SELECT CAST('a@b' AS email)",
    "SELECT email 'a@b'",
    "SELECT 'a@b'::public.email",
    "SELECT '{a}'::email[]",
    "SELECT 'a'::\"email\"",
    "SELECT ('a'::text).email",
    "SELECT 1::minted",
    "SELECT 'low'::ranked",
    "SELECT '(1,a)'::t_email",
};

TEST(Unparsed, Case07_WhatALongTextRunsWithoutSayingSoMakesItOpaque) {
  on_big_stack([] {
    for (const char* sql : kRunsCode) expect_opaque(made_long(sql));
  });
}

TEST(Unparsed, Case07_ADeepTextIsJudgedLikeALongOne) {
  on_big_stack([] {
    for (const std::string sql : kRunsCode) {
      if (sql.find(" UNION ") == std::string::npos) expect_opaque(made_deep(sql));
    }
  });
}

/// Whatever the parser says to be opaque must not be proved harmless by tokens.
TEST(Unparsed, Case07_TheSameTextsAreOpaqueWhenParsed) {
  on_big_stack([] {
    for (const std::string sql : kRunsCode) {
      const StatementAnalysis parsed = analyze(sql);
      EXPECT_TRUE(parsed.effect == Effect::kOpaque || parsed.session_effects != kSessionNothing)
          << sql;
    }
  });
}

// Words of the grammar that are names as well, where the grammar allows it.
constexpr const char* kOddNames[] = {
    "SELECT substring(1)",
    "SELECT overlay(1)",
    "SELECT * FROM values",
    "SELECT * FROM recursive",
    "SELECT 'x'::join",
    "SELECT CAST('x' AS join)",
    "SELECT abs('x')",
    "SELECT t.abs FROM lower('x') t",
    "SELECT 1 AS from, twice 'x'",
    "SELECT DISTINCT ON (1) over(1)",
    "SELECT DISTINCT ON (1) filter(1)",
    "SELECT t.join_up FROM lower('x') t",
    "SELECT * FROM lower('x') t, coalesce(t.join_up, 1) c",
    "SELECT * FROM lower('x') t, greatest(1, t.join_up) c",
    "SELECT * FROM lower('x') tenant, coalesce(tenant.twice, 'x') c",
    "SELECT NULL::int = t.join_up FROM lower('x') t"};

TEST(Unparsed, Case07_WordsOfTheGrammarThatAreNamesAreJudged) {
  ResolveScope scope = public_scope();
  scope.search_path.push_back(catalog_with_odd_names().schema("tenant"));
  const auto effect = [&](const std::string& sql) {
    return resolve(*parse(sql), &catalog_with_odd_names(), scope).at(0).effect;
  };
  on_big_stack([&] {
    for (const std::string sql : kOddNames) {
      EXPECT_EQ(effect(sql), Effect::kOpaque) << sql;
      EXPECT_EQ(effect(made_long(sql)), Effect::kOpaque) << "long: " << sql;
    }
  });
}

/// A label takes the place of a keyword; behind it the FROM clause is still found.
TEST(Unparsed, Case07_LabelsThatLookLikeKeywordsHideNoFrom) {
  on_big_stack([] {
    for (const std::string sql :
         {"SELECT b.is distinct FROM nowhere b", "SELECT 1 AS as FROM nowhere",
          "SELECT b.not distinct FROM nowhere b", "SELECT 1 AS values FROM nowhere",
          "SELECT 1 AS is, 2 AS with FROM nowhere", "SELECT 1 AS from FROM nowhere"}) {
      expect_opaque(made_long(sql));
    }
    expect_harmless(made_long("SELECT 1 AS from, 2 AS select, 3 AS as FROM blog_post"),
                    BypassReason::kTooLong, fixture_catalog());
  });
}

TEST(Unparsed, WithoutACatalogNothingIsProved) {
  on_big_stack([] {
    const auto analyses = resolve(*parse(made_long("SELECT 1")), nullptr, {});
    EXPECT_EQ(analyses.at(0).effect, Effect::kOpaque);
    EXPECT_EQ(analyses.at(0).session_effects, kSessionUnknown);
  });
}

TEST(Unparsed, TooManyNamesOfWithAreNotProved) {
  on_big_stack([] {
    std::string text = "WITH a AS (SELECT 1)";
    for (int i = 0; i < 200000; ++i) text += ", a AS (SELECT b)";
    expect_opaque(text + " SELECT * FROM a");
  });
}

TEST(Unparsed, NamesThatTheServerReadsOtherwiseAreNotProved) {
  on_big_stack([] {
    const std::string cut(70, 'v');  // 63 bytes count
    expect_opaque(made_long("SELECT * FROM blog_post " + cut));
    expect_opaque(made_long("SELECT * FROM blog_post \"" + cut + "\""));
    expect_opaque(made_long("SELECT \xc3\x84 FROM blog_post"));
  });
}

// Statements of a newer grammar. With it they are parsed, without it they are not: harmless either
// way on a server that knows them.
constexpr const char* kNewer[] = {
    "SELECT JSON_ARRAY(1, 2)",
    "SELECT JSON_OBJECT('a' VALUE 1, 'b' VALUE (2) RETURNING jsonb)",
    "SELECT JSON_ARRAY(id, title RETURNING jsonb) FROM blog_post",
    "SELECT JSON_ARRAYAGG(title ORDER BY id ABSENT ON NULL) FROM blog_post",
    "SELECT JSON_OBJECTAGG(id VALUE title) FROM blog_post",
    "SELECT id FROM blog_post WHERE body IS JSON OBJECT",
    "SELECT JSON_VALUE(data, '$.a' DEFAULT 'x' ON EMPTY) FROM blog_post",
    "SELECT JSON_QUERY(data, '$.a' WITH WRAPPER), JSON_EXISTS(data, '$.b') FROM blog_post",
    "SELECT j.n FROM blog_post b, JSON_TABLE(b.data, '$[*]' COLUMNS (n int PATH '$.n')) j",
    "SELECT JSON_SCALAR(1), JSON_SERIALIZE('{}'), JSON('{}')"};

TEST(Unparsed, Case44_ANewerGrammarIsHarmlessOnANewerServer) {
  on_big_stack([] {
    for (const char* sql : kNewer) {
      const StatementAnalysis analysis = analyze(sql, fixture_catalog_of(170000));
      EXPECT_EQ(analysis.effect, Effect::kNone) << sql << ": " << analysis.detail;
      EXPECT_EQ(analysis.session_effects, kSessionNothing) << sql;
    }
  });
}

TEST(Unparsed, Case44_NewNumbersAreHarmlessOnAnyServer) {
  on_big_stack([] {
    for (const int version : {130000, 150000, 170000}) {
      const auto analysis =
          analyze("SELECT id, 0x1F, 1_000 FROM blog_post", fixture_catalog_of(version));
      EXPECT_EQ(analysis.effect, Effect::kNone) << version << ": " << analysis.detail;
      EXPECT_EQ(analysis.session_effects, kSessionNothing) << version;
    }
  });
}

/// To an older server they are functions, and users may have made some of these names.
TEST(Unparsed, Case44_ANewKeywordIsAFunctionToAnOlderServer) {
  on_big_stack([] {
    expect_opaque("SELECT JSON_ARRAY(1, 2)");
    expect_opaque("SELECT json_value('{}', '$.a')");
    expect_opaque("SELECT json_scalar(1)", fixture_catalog_of(160000));
    EXPECT_EQ(analyze("SELECT JSON_ARRAY(1, 2)", fixture_catalog_of(160000)).effect, Effect::kNone);
  });
}

TEST(Unparsed, Case44_ANewerGrammarHidesNoCode) {
  on_big_stack([] {
    const Catalog& server = fixture_catalog_of(170000);
    expect_opaque("SELECT JSON_ARRAY(log_it(1))", server);
    expect_opaque("SELECT JSON_OBJECT('a' VALUE b.log_it) FROM blog_post b", server);
    expect_opaque("SELECT JSON_ARRAYAGG(id) FROM v_log", server);
    expect_opaque("SELECT JSON_ARRAY(SELECT id FROM v_log)", server);
    expect_opaque("SELECT JSON_ARRAY(c) FROM t_coined", server);
    expect_opaque("SELECT JSON_ARRAYAGG(id) FILTER (WHERE log_it(id) = 1) FROM blog_post", server);
    expect_opaque("SELECT JSON_VALUE(data, '$.a' RETURNING email) FROM blog_post", server);
    expect_opaque("SELECT JSON_VALUE(data, '$.a' DEFAULT log_it(1) ON EMPTY) FROM blog_post",
                  server);
    expect_opaque("SELECT JSON_QUERY(data, '$.a' PASSING log_it(1) AS x) FROM blog_post", server);
    expect_opaque("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (e email PATH '$'))", server);
    expect_opaque(
        "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (n int PATH '$' DEFAULT log_it(1) ON EMPTY))",
        server);
    expect_opaque("SELECT 0x1F <@@@> 2", server);
    expect_opaque("SELECT log_it(1_000)", server);
  });
}

}  // namespace
}  // namespace pgrecall::sql::testing
