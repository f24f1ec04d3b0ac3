// What a newer libpg_query brings is looked at by somebody before it is relied on.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "pgrecall/sql/analyzer.h"
#include "sql/tree.h"

namespace pgrecall::sql::testing {
namespace {

/// The walkers visit a node that they do not know child by child, so that what runs inside is seen.
/// Whether the node itself runs something, reads the clock or writes is for a person to say. Then
/// it is added to the list, and to newer_node if there is something to it.
TEST(Grammar, EveryNodeWasReviewed) {
  std::ifstream file(PGRECALL_SOURCE_DIR "/tests/sql/fixture/grammar_nodes.txt");
  std::set<std::string> reviewed;
  for (std::string line; std::getline(file, line);) reviewed.insert(line);
  ASSERT_GT(reviewed.size(), 200U);
  const ProtobufCMessageDescriptor& node = pg_query__node__descriptor;
  ASSERT_GT(node.n_fields, 200U);
  for (unsigned i = 0; i < node.n_fields; ++i) {
    const auto* kind = static_cast<const ProtobufCMessageDescriptor*>(node.fields[i].descriptor);
    EXPECT_TRUE(reviewed.contains(kind->short_name)) << kind->short_name;
  }
}

TEST(Grammar, ItsVersionIsOneThatWeKnow) {
  EXPECT_GE(grammar_version(), 15);
  EXPECT_LE(grammar_version(), 17) << "a newer one: see the test above";
}

}  // namespace
}  // namespace pgrecall::sql::testing
