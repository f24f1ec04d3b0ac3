// A bounded run of the fuzz target's function, so that every build runs it.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "fuzz/session_input.h"

namespace pgrecall::session {
namespace {

TEST(SessionFuzz, RandomEvents) {
  std::mt19937 random(7);
  std::vector<uint8_t> input;
  for (int i = 0; i < 3000; ++i) {
    input.resize(1 + random() % 400);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    testing::SessionInput(input.data(), input.size()).run();
  }
}

}  // namespace
}  // namespace pgrecall::session
