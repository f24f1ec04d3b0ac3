// The simple query protocol: forwarded, answered from memory, and when neither.
#include <gtest/gtest.h>

#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session {
namespace {

using namespace testing;
using sql::BypassReason;

TEST(SimpleQuery, ASecondEqualSelectIsAHit) {
  World world;
  Client& a = world.client();
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.misses(), 1u);
  EXPECT_EQ(a.query("select a from t"), "T D(public.t=0) C(SELECT 1) Z(I)");
  EXPECT_EQ(world.hits(), 1u);
  EXPECT_EQ(world.asked(), std::vector<std::string>{"select a from t"});
}

}  // namespace
}  // namespace pgrecall::session
