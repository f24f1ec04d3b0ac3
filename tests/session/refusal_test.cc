// Which errors prove that a statement never ran. The fields are those of PostgreSQL 15.
#include "session/refusal.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace pgrecall::session {
namespace {

using Fields = std::vector<std::pair<char, std::string>>;

std::string error(const Fields& fields) {
  std::string payload;
  for (const auto& [code, value] : fields) payload += code + value + '\0';
  payload += '\0';
  return payload;
}

Refusal refused(sql::StatementKind kind, const Fields& fields) {
  Plan plan;
  plan.analysis.kind = kind;
  return refusal(plan, error(fields));
}

const Fields kNoRelation = {
    {'C', "42P01"}, {'P', "15"}, {'F', "parse_relation.c"}, {'R', "parserOpenTable"}};
const Fields kSyntax = {{'C', "42601"}, {'P', "1"}, {'F', "scan.l"}, {'R', "scanner_yyerror"}};
const Fields kNoStatement = {{'C', "26000"}, {'F', "prepare.c"}, {'R', "FetchPreparedStatement"}};

Fields with(Fields fields, char code, std::string value) {
  fields.emplace_back(code, std::move(value));
  return fields;
}

TEST(Refusal, ErrorsOfParserAnalysisAndPreparedNames) {
  EXPECT_EQ(refused(sql::StatementKind::kSelect, kNoRelation), Refusal::kInAnalysis);
  EXPECT_EQ(refused(sql::StatementKind::kCall, kNoRelation), Refusal::kInAnalysis);
  EXPECT_EQ(refused(sql::StatementKind::kUnparsed, kSyntax), Refusal::kUnread);
  EXPECT_EQ(refused(sql::StatementKind::kExecute, kNoStatement), Refusal::kUnread);
}

TEST(Refusal, ErrorsOutOfFunctionsProveNothing) {
  for (const Fields& fields : {kNoRelation, kSyntax, kNoStatement}) {
    for (const auto kind : {sql::StatementKind::kSelect, sql::StatementKind::kExecute,
                            sql::StatementKind::kUnparsed, sql::StatementKind::kCall}) {
      EXPECT_EQ(refused(kind, with(fields, 'W', "SQL statement")), Refusal::kNotProved);
      EXPECT_EQ(refused(kind, with(fields, 'q', "select 1")), Refusal::kNotProved);
    }
  }
}

TEST(Refusal, TheParsersFilesAlsoRunLater) {
  const Fields text_to_type = {{'C', "42704"}, {'F', "parse_type.c"}, {'R', "parseTypeString"}};
  EXPECT_EQ(refused(sql::StatementKind::kSelect, text_to_type), Refusal::kNotProved);
  // EXECUTE may make its plan anew after its arguments were computed; DDL follows event triggers.
  EXPECT_EQ(refused(sql::StatementKind::kExecute, kNoRelation), Refusal::kNotProved);
  EXPECT_EQ(refused(sql::StatementKind::kDdl, kNoRelation), Refusal::kNotProved);
  EXPECT_EQ(refused(sql::StatementKind::kUnparsed, kNoRelation), Refusal::kNotProved);
}

TEST(Refusal, ErrorsAtRunTimeProveNothing) {
  EXPECT_EQ(refused(sql::StatementKind::kSelect,
                    {{'C', "0A000"}, {'P', "8"}, {'F', "execSRF.c"}, {'R', "ExecInitFunction"}}),
            Refusal::kNotProved);
  EXPECT_EQ(refused(sql::StatementKind::kSelect, {{'C', "22012"}}), Refusal::kNotProved);
  EXPECT_EQ(refused(sql::StatementKind::kSelect, {}), Refusal::kNotProved);
}

TEST(Refusal, OfAPortalThatIsNotThere) {
  const Fields fields = {{'C', "34000"}, {'F', "postgres.c"}, {'R', "exec_execute_message"}};
  EXPECT_TRUE(refused_unknown_portal(error(fields)));
  EXPECT_FALSE(refused_unknown_portal(error(with(fields, 'W', "PL/pgSQL function f()"))));
  EXPECT_FALSE(refused_unknown_portal(error({{'C', "34000"}, {'R', "PerformPortalFetch"}})));
}

}  // namespace
}  // namespace pgrecall::session
