#include <gtest/gtest.h>

#include "pgrecall/base/byte_buffer.h"
#include "pgrecall/base/fault.h"
#include "pgrecall/base/mailbox.h"
#include "pgrecall/base/slot_table.h"

namespace pgrecall {

TEST(ByteBuffer, KeepsTheOrderOfAppendedBytesWhileTheFrontIsConsumed) {
  ByteBuffer buffer;
  std::string expected;
  for (int i = 0; i < 20000; ++i) {
    buffer.append(std::to_string(i));
    expected += std::to_string(i);
    if (i > 0 && i % 3 == 0) {
      buffer.consume(1);
      expected.erase(0, 1);
      ASSERT_EQ(buffer.size(), expected.size());
    }
  }
  EXPECT_EQ(buffer.view(), expected);
}

TEST(ByteBuffer, GivesLargeMemoryBackWhenEmpty) {
  ByteBuffer buffer;
  buffer.append(std::string(1 << 20, 'x'));
  buffer.consume(1 << 20);
  EXPECT_LE(buffer.capacity(), ByteBuffer::kKeepBytes);
}

TEST(SlotTable, AnIdOfAnErasedObjectIsNeverFoundAgain) {
  SlotTable<int> table;
  SlotId first = table.insert(std::make_unique<int>(1));
  EXPECT_EQ(*table.take(first), 1);
  SlotId second = table.insert(std::make_unique<int>(2));
  EXPECT_EQ(second.slot, first.slot);
  EXPECT_EQ(table.find(first), nullptr);
  EXPECT_EQ(*table.find(second), 2);
  EXPECT_EQ(table.take(first), nullptr);
}

TEST(Mailbox, RunsTasksInOrderAndWakesOncePerBatch) {
  Mailbox mailbox;
  int wakes = 0;
  mailbox.set_wake([&] { ++wakes; });
  std::vector<int> seen;
  mailbox.post([&] { seen.push_back(1); });
  mailbox.post([&] { seen.push_back(2); });
  mailbox.drain();
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  EXPECT_EQ(wakes, 1);
}

TEST(Fault, AnUnknownNameListsWhatIsAllowed) {
  Status status = enable_fault("nonsense");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("nonsense"), std::string::npos);
}

}  // namespace pgrecall
