// A bounded run of the fuzz target's function, so that every build runs it.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "fuzz/reply_queue_input.h"

namespace pgrecall::upstream {
namespace {

TEST(ReplyQueueFuzz, RandomEvents) {
  std::mt19937 random(7);
  std::vector<uint8_t> input;
  for (int i = 0; i < 100'000; ++i) {
    input.resize(1 + random() % 40);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    drive_reply_queue(input.data(), input.size());
  }
}

}  // namespace
}  // namespace pgrecall::upstream
