#include <gtest/gtest.h>

#include "pgrecall/wire/command_tag.h"
#include "pgrecall/wire/error_fields.h"
#include "wire/samples.h"

namespace pgrecall::wire {

TEST(ErrorFields, AreFoundWhereverTheyStand) {
  const std::string payload = bytes_of(
      "'SFEHLER' 00 'VERROR' 00 'C23503' 00 'Mviolates' 00 'DKey' 00 'Htry' 00 'spublic' 00"
      "'tchild' 00 'nchild_fk' 00 'Fri_triggers.c' 00 00");
  const ErrorFields fields = read_error_fields(payload);
  EXPECT_EQ(fields.severity, "ERROR");
  EXPECT_EQ(fields.sqlstate, "23503");
  EXPECT_EQ(fields.message, "violates");
  EXPECT_EQ(fields.detail, "Key");
  EXPECT_EQ(fields.hint, "try");
  EXPECT_EQ(fields.schema, "public");
  EXPECT_EQ(fields.table, "child");
  EXPECT_EQ(fields.constraint, "child_fk");
  EXPECT_FALSE(fields.fatal());
  EXPECT_EQ(read_sqlstate(payload), "23503");
}

TEST(ErrorFields, SeverityFallsBackToTheTranslatableOne) {
  const std::string payload = bytes_of("'SFATAL' 00 'C57P01' 00 00");
  EXPECT_TRUE(read_error_fields(payload).fatal());
}

TEST(ErrorFields, Trap33_AnErrorWithoutFieldsOrEndGivesWhatThereIs) {
  EXPECT_EQ(read_sqlstate(""), "");
  EXPECT_EQ(read_sqlstate(std::string_view("\0", 1)), "");
  EXPECT_EQ(read_error_fields("Cunterminated").sqlstate, "");
  EXPECT_EQ(read_error_fields(bytes_of("'C40001' 00 'Mcut'")).sqlstate, "40001");
  EXPECT_EQ(read_sqlstate(bytes_of("'Mx' 00 00 'C23505' 00 00")), "") << "behind the end";
  EXPECT_EQ(read_sqlstate(bytes_of("'Mx' 00 00 00 'C23505' 00")), "") << "behind the end";
  EXPECT_EQ(read_error_fields(bytes_of("'C' 00 'C40001' 00 00")).sqlstate, "") << "the first";
}

struct TagCase {
  std::string_view tag;
  std::string_view verb;
  std::optional<uint64_t> rows;
};

TEST(CommandTag, GivesVerbAndRows) {
  const TagCase cases[] = {
      {"SELECT 3", "SELECT", 3},
      {"INSERT 0 5", "INSERT", 5},
      {"INSERT 0 0", "INSERT", 0},
      {"UPDATE 18446744073709551615", "UPDATE", UINT64_MAX},
      {"UPDATE 18446744073709551616", "UPDATE 18446744073709551616", std::nullopt},
      {"DELETE 0", "DELETE", 0},
      {"MERGE 7", "MERGE", 7},
      {"COPY 2", "COPY", 2},
      {"FETCH 1", "FETCH", 1},
      {"BEGIN", "BEGIN", std::nullopt},
      {"CREATE TABLE", "CREATE TABLE", std::nullopt},
      {"REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW", std::nullopt},
      {"INSERT", "INSERT", std::nullopt},
      {"INSERT ", "INSERT ", std::nullopt},
      {"SELECT -1", "SELECT -1", std::nullopt},
      {"SELECT 1x", "SELECT 1x", std::nullopt},
      {"", "", std::nullopt},
  };
  for (const TagCase& expected : cases) {
    const CommandTag tag = parse_command_tag(expected.tag);
    EXPECT_EQ(tag.verb, expected.verb) << expected.tag;
    EXPECT_EQ(tag.rows, expected.rows) << expected.tag;
  }
}

}  // namespace pgrecall::wire
