#include "pgrecall/invalidation/epoch_table.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>

namespace pgrecall::invalidation {
namespace {

constexpr uint64_t kFirstEpoch = 1'700'000'000'000'000;

class EpochTableTest : public ::testing::Test {
 protected:
  Stamp stamp_of(std::initializer_list<DependencyId> ids) {
    std::vector<const EpochSlot*> slots;
    for (DependencyId id : ids) slots.push_back(table_.slot(id));
    Stamp stamp;
    EXPECT_TRUE(EpochTable::stamp(slots, &stamp));
    return stamp;
  }
  bool can_stamp(DependencyId id) {
    const std::array<const EpochSlot*, 1> slots = {table_.slot(id)};
    Stamp stamp;
    return EpochTable::stamp(slots, &stamp);
  }
  FenceToken raise(std::vector<DependencyId> ids) { return table_.raise(ids); }

  EpochTable table_{kFirstEpoch};
};

TEST_F(EpochTableTest, AStampHoldsUntilAFenceIsRaised) {
  Stamp stamp = stamp_of({1, 2});
  EXPECT_TRUE(EpochTable::holds(stamp));
  FenceToken token = raise({2});
  EXPECT_FALSE(EpochTable::holds(stamp));
  EXPECT_FALSE(EpochTable::may_fill(stamp));
  EXPECT_FALSE(can_stamp(2));
  EXPECT_TRUE(can_stamp(1));
  table_.settle_rolled_back(token);
  EXPECT_TRUE(EpochTable::holds(stamp)) << "a write that was rolled back invalidates nothing";
}

TEST_F(EpochTableTest, ACommittedWriteOutdatesTheStampAndAllowsANewOne) {
  Stamp stamp = stamp_of({1});
  table_.settle_committed(raise({1}));
  EXPECT_FALSE(EpochTable::holds(stamp));
  EXPECT_TRUE(EpochTable::holds(stamp_of({1})));
}

TEST_F(EpochTableTest, FencesAreTokensNotCounts) {
  Stamp stamp = stamp_of({1});
  FenceToken first = raise({1, 1});
  FenceToken second = raise({1});
  table_.settle_rolled_back(first);
  table_.settle_rolled_back(first);
  EXPECT_FALSE(can_stamp(1)) << "settling twice must not lower another write's fence";
  table_.settle_rolled_back(second);
  EXPECT_TRUE(EpochTable::holds(stamp));
  EXPECT_EQ(table_.open_fences(), 0U);
}

TEST_F(EpochTableTest, AnExtendedFenceCoversWhatWasLearntLater) {
  Stamp stamp = stamp_of({3});
  FenceToken token = raise({1});
  table_.extend(token, std::array<DependencyId, 1>{3});
  EXPECT_FALSE(EpochTable::holds(stamp));
  table_.settle_committed(token);
  EXPECT_FALSE(EpochTable::holds(stamp));
  EXPECT_TRUE(can_stamp(3));
}

TEST_F(EpochTableTest, EpochsAdvanceUnderAFenceOfAnotherWrite) {
  FenceToken other = raise({1});
  const uint64_t before = table_.slot(1)->word();
  table_.settle_committed(raise({1}));
  EXPECT_TRUE(EpochSlot::fenced(table_.slot(1)->word()));
  EXPECT_GT(table_.slot(1)->word(), before);
  table_.settle_rolled_back(other);
  EXPECT_FALSE(EpochSlot::fenced(table_.slot(1)->word()));
}

TEST_F(EpochTableTest, AnAdvanceWithoutAFenceOutdatesOnlyItsDependencies) {
  Stamp one = stamp_of({1});
  Stamp two = stamp_of({2});
  table_.advance(std::array<DependencyId, 1>{1});
  EXPECT_FALSE(EpochTable::holds(one));
  EXPECT_TRUE(EpochTable::holds(two));
  table_.advance_all();
  EXPECT_FALSE(EpochTable::holds(two));
}

TEST_F(EpochTableTest, AnEmptyStampNeverHolds) {
  Stamp empty;
  EXPECT_FALSE(EpochTable::holds(empty));
  EXPECT_FALSE(EpochTable::may_fill(empty));
}

TEST_F(EpochTableTest, SlotsStayWhereTheyAreWhileTheTableGrows) {
  const EpochSlot* first = table_.slot(1);
  for (DependencyId id = 2; id < 10000; ++id) table_.slot(id);
  EXPECT_EQ(table_.slot(1), first);
  EXPECT_EQ(first->word() >> 1, kFirstEpoch);
  EXPECT_EQ(table_.slots(), 9999U);
}

TEST(DependencyId, DependsOnEveryPartAndOnNothingElse) {
  std::set<DependencyId> seen;
  for (uint64_t system : {1ULL, 7'000'000'000'000'000'000ULL}) {
    for (uint32_t database : {5U, 16384U}) {
      for (uint32_t oid : {5U, 16384U, 0xffffffffU}) {
        for (auto kind : {DependencyKind::kRelation, DependencyKind::kSchema,
                          DependencyKind::kDatabase, DependencyKind::kShared})
          seen.insert(dependency_id(system, database, kind, oid));
      }
    }
  }
  EXPECT_EQ(seen.size(), 2U * 2 * 3 * 4);
  // Shared between processes and kept in Redis: must never change from one build to another.
  EXPECT_EQ(dependency_id(1, 2, DependencyKind::kRelation, 3),
            dependency_id(1, 2, DependencyKind::kRelation, 3));
}

// Writers raise, "commit" a value and settle; readers must never accept a value older than one that
// was settled before they asked.
TEST(EpochTableThreads, NoHitIsOlderThanASettledWrite) {
  EpochTable table(kFirstEpoch);
  EpochSlot* slot = table.slot(1);
  const std::array<const EpochSlot*, 1> slots = {slot};
  const std::array<DependencyId, 1> ids = {1};
  std::atomic<int> server{0};
  std::atomic<int> acknowledged{0};
  std::atomic<bool> stop{false};
  std::atomic<int> stale{0};
  std::thread writer([&] {
    for (int i = 1; i <= 20000; ++i) {
      FenceToken token = table.raise(ids);
      server = i;
      table.settle_committed(token);
      acknowledged = i;
    }
    stop = true;
  });
  std::thread reader([&] {
    Stamp stamp;
    int value = -1;
    while (!stop) {
      const int floor = acknowledged;
      if (value >= 0 && EpochTable::holds(stamp)) {
        if (value < floor) ++stale;
      } else if (EpochTable::stamp(slots, &stamp)) {
        value = server;
        if (!EpochTable::may_fill(stamp)) value = -1;
      } else {
        value = -1;
      }
    }
  });
  writer.join();
  reader.join();
  EXPECT_EQ(stale, 0);
}

}  // namespace
}  // namespace pgrecall::invalidation
