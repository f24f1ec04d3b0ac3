// The bound on the depth of a parse tree, held against the trees that libpg_query builds.
#include <gtest/gtest.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "pgrecall/sql/canonical.h"

namespace pgrecall::sql {
namespace {

constexpr uint32_t kDepthLimit = 2000;  // ParseLimits::depth
constexpr size_t kTextLimit = 64 * 1024;
constexpr size_t kStackBytes = 64 * 1024 * 1024;

void run(void* argument) {
  (*static_cast<std::function<void()>*>(argument))();
}

/// Runs `task` on a thread with the stack that parsing threads have.
void on_parser_stack(std::function<void()> task) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStackBytes), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* argument) -> void* {
                  run(argument);
                  return nullptr;
                },
                &task),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

std::string repeat(const std::string& piece, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += piece;
  return text;
}

/// Nodes on the deepest path of the tree; every node is two JSON objects, {"A_Expr":{...}}. -1 if
/// the text does not parse.
int tree_depth(const std::string& text) {
  const PgQueryParseResult result = pg_query_parse(text.c_str());
  int depth = 0, deepest = result.error != nullptr ? -1 : 0;
  bool quoted = false;
  for (const char* at = deepest < 0 ? "" : result.parse_tree; *at != '\0'; ++at) {
    if (*at == '\\') {
      ++at;
    } else if (*at == '"') {
      quoted = !quoted;
    } else if (!quoted && *at == '{') {
      deepest = std::max(deepest, (++depth + 1) / 2);
    } else if (!quoted && *at == '}') {
      --depth;
    }
  }
  pg_query_free_parse_result(result);
  return deepest;
}

struct Form {
  std::string name;
  std::function<std::string(size_t)> text;
};

/// Every way to nest that the grammar has, as a function of how deep.
std::vector<Form> nesting_forms() {
  const auto chain = [](std::string head, std::string piece, std::string tail = "") {
    return [=](size_t n) { return head + repeat(piece, n) + tail; };
  };
  const auto nest = [](std::string head, std::string open, std::string middle, std::string close,
                       std::string tail = "") {
    return [=](size_t n) { return head + repeat(open, n) + middle + repeat(close, n) + tail; };
  };
  return {
      {"plus", chain("select 1", "+1")},
      {"concatenation", chain("select a", "||b")},
      {"named operator", chain("select a", " operator(pg_catalog.+) b")},
      {"minus sign", chain("select ", "- ", "1")},
      {"prefix operator", chain("select ", "@ ", "1")},
      {"not", chain("select ", "not ", "a")},
      {"cast", chain("select 1", "::int")},
      {"collate", chain("select a", " collate \"C\"")},
      {"time zone", chain("select a", " at time zone 'x'")},
      {"subscript", chain("select a", "[1]")},
      {"field", chain("select (a)", ".b")},
      {"parentheses", nest("select ", "(", "1", ")")},
      {"parentheses around sums", nest("select ", "(1+", "1", ")")},
      {"sums around parentheses", nest("select ", "(", "1", ")+1+1")},
      {"function", nest("select ", "f(", "1", ")")},
      {"second argument", nest("select ", "f(1,", "1", ")")},
      {"array", nest("select array", "[", "1", "]")},
      {"array of arrays", nest("select ", "array[", "1", "]")},
      {"row", nest("select ", "row(", "1", ")")},
      {"implicit row", nest("select ", "(1,", "1", ")")},
      {"in", nest("select ", "1 in (", "1", ")")},
      {"case when", nest("select ", "case when ", "a", " then 1 end")},
      {"case else", nest("select ", "case when a and b then 1 else ", "a", " end")},
      {"case operand", nest("select ", "case ", "a", " when 1 then 2 end")},
      {"case and sums", nest("select ", "case when a.end and ", "a", " and c then 1 end+1+1+1")},
      {"sublink", nest("select ", "(select ", "1", ")")},
      {"sublink in list", nest("select ", "(select a, b, ", "1", ")")},
      {"exists", nest("select 1 where ", "exists(select 1 from t where ", "true", ")")},
      {"exists and",
       nest("select 1 where ", "a or b and exists(select 1 where a or c and ", "true", ")")},
      {"any", nest("select ", "1 = any(select ", "1", ")")},
      {"array sublink", nest("select ", "array(select ", "1", ")")},
      {"from", nest("", "select * from (", "select 1", ") a")},
      {"from second", nest("", "select * from t, (", "select 1", ") a")},
      {"lateral", nest("", "select * from t, lateral (", "select 1", ") a")},
      {"with", nest("", "with a as (", "select 1", ") select 1")},
      {"values", nest("", "values ((", "1", "))")},
      {"values sublink", nest("", "values (1, (", "select 1", "))")},
      {"union", chain("select 1", " union all select 1")},
      {"union of lists", chain("select a, b", " union select c, d")},
      {"intersect", chain("select 1", " intersect select 1")},
      {"except in brackets", nest("", "(", "select 1", " except select 1)")},
      {"deep first of a union", nest("", "(", "select a, b", ") union select 1, 2")},
      {"join", chain("select * from a", " join b on x and y")},
      {"cross join", chain("select * from a", " cross join b")},
      {"natural join", chain("select * from a", " natural join b")},
      {"right nested join", nest("select * from a ", "join b ", "join c on true", " on true")},
      {"join in brackets", nest("select * from ", "(a join ", "b", " on true)")},
      {"join using", chain("select * from a", " join b using (c, d)")},
      {"between under not",
       [](size_t n) {
         return "select " + repeat("not ", n) + "a between b and c" + repeat("+1", n);
       }},
      {"between symmetric",
       [](size_t n) {
         return "select a" + repeat("+1", n) + " between symmetric b and c is null = d";
       }},
      {"sum after and", chain("select a and b", "+1")},
      {"sum before and", chain("select a", "+1", " and b or c")},
      {"like escape", nest("select ", "(a like ", "b", " escape 'x')")},
      {"is distinct", nest("select ", "(a is distinct from ", "b", ")")},
      {"is null", nest("select ", "(", "b", " is null)")},
      {"coalesce", nest("select ", "coalesce(a, ", "b", ")")},
      {"cast function", nest("select ", "cast(", "b", " as int)")},
      {"extract", nest("select ", "extract(year from ", "b", ")")},
      {"over", nest("select ", "f(1) over (order by ", "1", ")")},
      {"filter", nest("select ", "f(1) filter (where ", "true", ")")},
      {"within group", nest("select ", "f(1) within group (order by ", "1", ")")},
      {"order by in aggregate", nest("select ", "f(a order by ", "1", ")")},
      {"named argument", nest("select ", "f(a => ", "1", ")")},
      {"variadic", nest("select ", "f(variadic ", "a", ")")},
      {"grouping sets", nest("select 1 group by grouping sets ", "(grouping sets ", "(())", ")")},
      {"rollup", nest("select 1 group by ", "rollup((", "a", "))")},
      {"xmlelement", nest("select ", "xmlelement(name a, ", "'x'", ")")},
      {"xmlconcat", nest("select ", "xmlconcat(", "'x'", ")")},
      {"window frame",
       nest("select ", "f() over (rows between ", "1", " preceding and 1 following)")},
      {"limit", nest("", "select 1 limit (", "select 1", ")")},
      {"insert select", chain("insert into t select 1", "+1")},
      {"update", chain("update t set a = 1, b = 1", "+1")},
      {"delete", nest("delete from t where ", "not (", "a", ")")},
      {"on conflict", chain("insert into t values (1) on conflict (a) do update set b = 1", "+1")},
      {"default", chain("create table t (a int default 1", "+1", ")")},
      {"view", chain("create view v as select 1", "+1")},
      {"explain", chain("explain (costs off) create table x as select 1", "+1")},
      {"cursor", chain("explain declare c cursor for select 1", "+1")},
      {"prepare", chain("prepare p as select 1", "+1")},
      {"rule", nest("create rule r as on insert to t do (select 1; select ", "(", "1", ")", ")")},
      {"second statement", chain("select 1; select 1", "+1")},
      {"atomic body",
       chain("create function f() returns int begin atomic select 1; select 1", "+1", "; end")},
      {"policy", chain("create policy p on t using (a", " + a", ")")},
      {"partition bound",
       nest("create table t partition of p for values in (", "(", "1", ")", ")")},
      {"type modifier", nest("select 1::numeric(", "(", "1", ")", ")")},
      {"tablesample", nest("select * from t tablesample system (", "(", "1", ")", ")")},
      {"rows from", nest("select * from rows from (f(", "(", "1", ")", "))")},
      {"merge",
       chain("merge into t using s on true when matched and a then update set a = 1", "+1")},
      {"call", chain("call f(1", "+1", ")")},
      {"return", chain("create function f() returns int return 1", "+1")},
      {"trigger",
       chain("create trigger t before update on t when (a", "+a", ") execute function f()")},
      {"copy",
       [](size_t n) {
         return "copy (select " + repeat("(", n) + "1" + repeat(")", n) + ") to stdout";
       }},
  };
}

TEST(DepthBound, IsNeverBelowTheTreeForAnyWayToNest) {
  on_parser_stack([] {
    for (const Form& form : nesting_forms()) {
      int parsed = 0;
      for (const size_t n : {0, 1, 2, 3, 10, 100, 300}) {
        const std::string text = form.text(n);
        const int depth = tree_depth(text);
        if (depth < 0) continue;
        ++parsed;
        const Canonical canonical = canonicalize(text);
        EXPECT_TRUE(canonical.ok) << form.name;
        EXPECT_GE(canonical.depth_max, static_cast<uint32_t>(depth)) << form.name << " " << n;
      }
      EXPECT_GE(parsed, 2) << form.name << " does not parse: " << form.text(1);
    }
  });
}

/// Random statements of nested pieces of many kinds.
class Grammar {
 public:
  explicit Grammar(unsigned seed) : random_(seed) {}

  std::string select(int depth) {
    std::string text = "select " + list(depth);
    if (chance(2)) text += " from " + from(depth);
    if (chance(2)) text += " where " + expression(depth);
    if (chance(6)) text += " group by " + list(depth);
    if (chance(5)) text += " union all " + select(depth - 1);
    if (chance(6)) text += " order by " + list(depth);
    return text;
  }

 private:
  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  bool chance(size_t one_in) { return below(one_in) == 0; }

  std::string list(int depth) {
    std::string text = expression(depth);
    while (chance(2)) text += ", " + expression(depth);
    return text;
  }

  std::string from(int depth) {
    std::string text = "t";
    if (depth > 0 && chance(3)) text = "(" + select(depth - 1) + ") s";
    while (chance(2)) text += chance(2) ? " cross join u" : " join u on " + expression(depth - 1);
    if (chance(4)) text += ", " + from(depth - 1);
    return text;
  }

  std::string expression(int depth) {
    if (depth <= 0) return chance(2) ? "a" : "1";
    const std::string inner = expression(depth - 1);
    switch (below(18)) {
      case 0:
        return inner + " + " + expression(depth - 2);
      case 1:
        return inner + " and " + expression(depth - 2);
      case 2:
        return inner + " or " + expression(depth - 2);
      case 3:
        return "not " + inner;
      case 4:
        return "(" + inner + ")";
      case 5:
        return "f(" + list(depth - 2) + ", " + inner + ")";
      case 6:
        return "case when " + inner + " then " + expression(depth - 2) + " else b end";
      case 7:
        return "(" + inner + ") between " + "(" + expression(depth - 2) + ") and c";
      case 8:
        return "exists(" + select(depth - 2) + ")";
      case 9:
        return "(" + select(depth - 2) + ")";
      case 10:
        return "array[" + list(depth - 2) + "]";
      case 11:
        return "(" + inner + ")::int[]";
      case 12:
        return "- " + inner;
      case 13:
        return "(" + inner + ")[" + expression(depth - 2) + "]";
      case 14:
        return "(" + inner + ") in (" + list(depth - 2) + ")";
      case 15:
        return "case " + inner + " when 1 then t.end end + 1 + 1";
      case 16:
        return "sum(a) filter (where " + inner + ") over (partition by " + list(depth - 2) + ")";
      default:
        return "(" + inner + ") is not null";
    }
  }

  std::mt19937 random_;
};

TEST(DepthBound, IsNeverBelowTheTreeOfRandomStatements) {
  on_parser_stack([] {
    Grammar grammar(11);
    int parsed = 0, deepest = 0;
    for (int round = 0; round < 4000; ++round) {
      const std::string text = grammar.select(3 + round % 12);
      if (text.size() > kTextLimit) continue;
      const int depth = tree_depth(text);
      if (depth < 0) continue;
      ++parsed;
      deepest = std::max(deepest, depth);
      ASSERT_GE(canonicalize(text).depth_max, static_cast<uint32_t>(depth)) << text;
    }
    EXPECT_GT(parsed, 1500);
    EXPECT_GT(deepest, 25);
  });
}

TEST(DepthBound, DoesNotGrowWithFlatLists) {
  const std::string ids = repeat("1, ", 5000) + "1";
  EXPECT_LT(canonicalize("select * from t where a in (" + ids + ")").depth_max, 40U);
  EXPECT_LT(canonicalize("select " + ids).depth_max, 40U);
  EXPECT_LT(canonicalize("select f(" + ids + ")").depth_max, 40U);
  EXPECT_LT(canonicalize("insert into t values " + repeat("(1, 2), ", 5000) + "(1, 2)").depth_max,
            40U);
  EXPECT_LT(canonicalize("select 1 where a = 1" + repeat(" or a = 1", 5000)).depth_max, 40U);
  EXPECT_LT(canonicalize("select 1 where a = 1" + repeat(" and (a = 1 or b)", 5000)).depth_max,
            40U);
  EXPECT_LT(canonicalize(repeat("select a + b from t;", 5000)).depth_max, 40U);
}

TEST(DepthBound, GrowsWithEveryHostileForm) {
  for (const Form& form : nesting_forms())
    EXPECT_GT(canonicalize(form.text(20000)).depth_max, kDepthLimit) << form.name;
  EXPECT_GT(canonicalize(repeat("(", 1000000)).depth_max, kDepthLimit);
}

TEST(DepthBound, WithinTheLimitsNothingOverflowsTheStackOfAParser) {
  on_parser_stack([] {
    for (const Form& form : nesting_forms()) {
      // The largest text of this form within both limits.
      size_t low = 0, high = 40000;
      while (low < high) {
        const size_t middle = (low + high + 1) / 2;
        const std::string text = form.text(middle);
        const bool allowed =
            text.size() <= kTextLimit && canonicalize(text).depth_max <= kDepthLimit;
        if (allowed)
          low = middle;
        else
          high = middle - 1;
      }
      const std::string text = form.text(low);
      const PgQueryProtobufParseResult result = pg_query_parse_protobuf(text.c_str());
      if (result.error == nullptr) {
        PgQuery__ParseResult* tree = pg_query__parse_result__unpack(
            nullptr, result.parse_tree.len,
            reinterpret_cast<const uint8_t*>(result.parse_tree.data));
        EXPECT_NE(tree, nullptr) << form.name;
        if (tree != nullptr) pg_query__parse_result__free_unpacked(tree, nullptr);
      }
      pg_query_free_protobuf_parse_result(result);
    }
  });
}

}  // namespace
}  // namespace pgrecall::sql
