#include "pgrecall/base/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>

namespace pgrecall {
namespace {

TEST(QueueTest, DoesWhatADequeDoes) {
  std::mt19937 random(7);
  Queue<int> queue;
  std::deque<int> model;
  int next = 0;
  for (int step = 0; step < 20000; ++step) {
    // Long runs of pushes and of pops, so that it grows, moves its elements and empties.
    const bool growing = step / 300 % 2 == 0;
    const unsigned draw = random() % 100;
    if (draw == 0) {
      queue.clear();
      model.clear();
    } else if (draw < (growing ? 70 : 30)) {
      queue.push_back(next);
      model.push_back(next++);
    } else if (!model.empty()) {
      queue.pop_front();
      model.pop_front();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.empty(), model.empty());
    ASSERT_TRUE(model.empty() || queue.front() == model.front());
    ASSERT_TRUE(std::equal(queue.begin(), queue.end(), model.begin(), model.end()));
  }
}

TEST(QueueTest, APoppedElementIsDestroyedAtOnce) {
  Queue<std::shared_ptr<int>> queue;
  const auto watched = std::make_shared<int>(1);
  queue.push_back(watched);
  queue.push_back(std::make_shared<int>(2));
  EXPECT_EQ(watched.use_count(), 2);
  queue.pop_front();
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_EQ(*queue.front(), 2);
}

}  // namespace
}  // namespace pgrecall
