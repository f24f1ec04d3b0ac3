#include "pgrecall/invalidation/write_tracker.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <utility>

namespace pgrecall::invalidation {
namespace {

constexpr DependencyId kT = 1;
constexpr DependencyId kU = 2;
constexpr DependencyId kDatabase = 99;

StatementWrites update(DependencyId id = kT) {
  return {.ids = {id}, .effect = sql::Effect::kWrites};
}
StatementWrites read() {
  return {};
}
StatementWrites verb(Verb which, std::string gid = "") {
  return {.verb = which, .gid = std::move(gid)};
}
StatementWrites call() {
  return {.ids = {kDatabase}, .effect = sql::Effect::kOpaque, .self_committing = true};
}
StatementWrites ddl() {
  return {.ids = {kDatabase}, .effect = sql::Effect::kDdl};
}
StatementWrites unparsed() {
  return {.ids = {kDatabase},
          .effect = sql::Effect::kOpaque,
          .self_committing = true,
          .verb = Verb::kUnknown};
}

class WriteTrackerTest : public ::testing::Test {
 protected:
  void query(std::vector<StatementWrites> statements) { tracker_.before_query(statements); }
  /// A whole round trip that begins an explicit transaction.
  void begin() {
    query({verb(Verb::kBegin)});
    tracker_.on_command_complete("BEGIN");
    ready('T');
  }
  Settled ready(char status) { return tracker_.on_ready_for_query(status); }
  bool fenced(DependencyId id = kT) { return EpochSlot::fenced(table_.slot(id)->word()); }
  /// How often the epoch advanced since the last time this was asked.
  uint64_t advanced(DependencyId id = kT) {
    const uint64_t now = table_.slot(id)->word() >> 1;
    return now - std::exchange(seen_.try_emplace(id, 1000).first->second, now);
  }
  void expect_nothing_up() { EXPECT_EQ(table_.open_fences(), 0U); }

  EpochTable table_{1000};
  PreparedTransactions prepared_;
  WriteTracker tracker_{table_, prepared_};
  std::map<DependencyId, uint64_t> seen_;
};

TEST_F(WriteTrackerTest, AnAutocommitWriteIsRaisedBeforeItLeavesAndAdvancesAtReadyForQuery) {
  query({update()});
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("UPDATE 1");
  EXPECT_TRUE(fenced()) << "CommandComplete precedes the commit";
  EXPECT_EQ(advanced(), 0U);
  EXPECT_TRUE(ready('I').committed_writes);
  EXPECT_EQ(advanced(), 1U);
  EXPECT_FALSE(tracker_.transaction_wrote());
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap05_AFailedAutocommitWriteAdvancesNothing) {
  query({update()});
  tracker_.on_error(ErrorScope::kQuery);
  EXPECT_TRUE(fenced());
  EXPECT_FALSE(ready('I').committed_writes);
  EXPECT_EQ(advanced(), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, AnExplicitTransactionIsRaisedAtCommit) {
  begin();
  query({update()});
  EXPECT_FALSE(fenced()) << "nothing can commit before COMMIT";
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  EXPECT_TRUE(tracker_.transaction_wrote());
  query({verb(Verb::kCommit)});
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  EXPECT_FALSE(tracker_.transaction_wrote());
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, AReadOnlyTransactionRaisesNothing) {
  begin();
  query({read()});
  tracker_.on_command_complete("SELECT 1");
  ready('T');
  query({verb(Verb::kCommit)});
  expect_nothing_up();
  tracker_.on_command_complete("COMMIT");
  EXPECT_FALSE(ready('I').committed_writes);
}

TEST_F(WriteTrackerTest, AWriteSentTogetherWithBeginIsRaisedUntilTheBlockIsKnownToBeOpen) {
  query({verb(Verb::kBegin)});
  query({update()});
  EXPECT_TRUE(fenced()) << "BEGIN may fail, then the UPDATE is autocommit";
  tracker_.on_command_complete("BEGIN");
  ready('T');
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  EXPECT_FALSE(fenced());
  EXPECT_EQ(advanced(), 0U);
  EXPECT_TRUE(tracker_.transaction_wrote());
}

TEST_F(WriteTrackerTest, Trap05_RollbackAndCommitOfAFailedTransactionAdvanceNothing) {
  for (Verb end : {Verb::kRollback, Verb::kCommit}) {
    begin();
    query({update()});
    tracker_.on_command_complete("UPDATE 1");
    ready('T');
    query({read()});
    tracker_.on_error(ErrorScope::kQuery);
    ready('E');
    query({verb(end)});
    tracker_.on_command_complete("ROLLBACK");
    EXPECT_FALSE(ready('I').committed_writes);
    EXPECT_EQ(advanced(), 0U);
    expect_nothing_up();
  }
}

TEST_F(WriteTrackerTest, Trap05_ADeferredConstraintFailingAtCommitAdvancesNothing) {
  begin();
  query({update()});
  tracker_.on_command_complete("INSERT 0 1");
  ready('T');
  query({verb(Verb::kCommit)});
  tracker_.on_error(ErrorScope::kQuery);
  ready('I');
  EXPECT_EQ(advanced(), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap05_RollbackToASavepointDoesNotEndTheTransaction) {
  begin();
  query({verb(Verb::kSavepoint), update(), verb(Verb::kRollbackTo)});
  EXPECT_FALSE(fenced());
  tracker_.on_command_complete("SAVEPOINT");
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("ROLLBACK");
  ready('T');
  EXPECT_TRUE(tracker_.transaction_wrote());
  query({update(kU), verb(Verb::kCommit)});
  EXPECT_TRUE(fenced(kU));
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_EQ(advanced(kU), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap05_APreparedTransactionIsRaisedByWhoeverCommitsIt) {
  begin();
  query({update()});
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  query({verb(Verb::kPrepareTransaction, "g")});
  EXPECT_EQ(prepared_.find("g").ids, std::vector<DependencyId>{kT}) << "known before it can exist";
  tracker_.on_command_complete("PREPARE TRANSACTION");
  ready('I');
  EXPECT_EQ(advanced(), 0U);
  expect_nothing_up();

  WriteTracker other(table_, prepared_);
  StatementWrites commit = verb(Verb::kCommitPrepared, "g");
  commit.ids = {kDatabase};
  other.before_query({&commit, 1});
  EXPECT_TRUE(fenced());
  EXPECT_FALSE(fenced(kDatabase)) << "the gid is known";
  other.on_command_complete("COMMIT PREPARED");
  const Settled settled = other.on_ready_for_query('I');
  EXPECT_EQ(advanced(), 1U);
  EXPECT_NE(settled.catalog_fence, 0U) << "a prepared transaction may hold DDL";
  table_.settle_committed(settled.catalog_fence);
  EXPECT_EQ(prepared_.parked(), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap05_AnUnknownGidIsOpaque) {
  StatementWrites commit = verb(Verb::kCommitPrepared, "elsewhere");
  commit.ids = {kDatabase};
  query({commit});
  EXPECT_TRUE(fenced(kDatabase));
  tracker_.on_command_complete("COMMIT PREPARED");
  table_.settle_committed(ready('I').catalog_fence);
  EXPECT_GE(advanced(kDatabase), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap05_AFailedOrRolledBackPrepareIsForgotten) {
  begin();
  query({update(), verb(Verb::kPrepareTransaction, "g")});
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_error(ErrorScope::kQuery);
  ready('I');
  EXPECT_EQ(prepared_.parked(), 0U);
  EXPECT_EQ(advanced(), 0U);
  begin();
  query({update(), verb(Verb::kPrepareTransaction, "g")});
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("PREPARE TRANSACTION");
  ready('I');
  query({verb(Verb::kRollbackPrepared, "g")});
  tracker_.on_command_complete("ROLLBACK PREPARED");
  ready('I');
  EXPECT_EQ(prepared_.parked(), 0U);
  EXPECT_EQ(advanced(), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, PrepareOutsideATransactionSaysRollbackAndCommits) {
  tracker_.before_execute(update());
  tracker_.before_execute(verb(Verb::kPrepareTransaction, "g"));
  tracker_.before_sync();
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("ROLLBACK");
  ready('I');
  EXPECT_EQ(advanced(), 1U);
}

TEST_F(WriteTrackerTest, Trap05_AConnectionLostWithCommitInFlightKeepsItsFence) {
  begin();
  query({update()});
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  query({verb(Verb::kCommit)});
  std::vector<FenceToken> unknown = tracker_.on_lost();
  ASSERT_EQ(unknown.size(), 1U);
  EXPECT_TRUE(fenced());
  table_.settle_committed(unknown[0]);
  EXPECT_EQ(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, AConnectionLostInsideATransactionWithoutCommitIsARollback) {
  begin();
  query({update(), ddl()});
  EXPECT_TRUE(fenced(kDatabase));
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("CREATE TABLE");
  ready('T');
  query({update(kU)});
  EXPECT_TRUE(tracker_.on_lost().empty());
  EXPECT_EQ(advanced(), 0U);
  EXPECT_EQ(advanced(kDatabase), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_InsertWithADeferredConstraintFailsAtSyncAfterItsCommandComplete) {
  tracker_.before_execute(update());
  tracker_.before_sync();
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("INSERT 0 1");
  EXPECT_TRUE(fenced());
  tracker_.on_error(ErrorScope::kExtended);
  ready('I');
  EXPECT_EQ(advanced(), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_AQueryCommitsWhatWasExecutedWithoutSync) {
  tracker_.before_execute(update());
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("UPDATE 1");
  query({read()});
  tracker_.on_command_complete("SELECT 1");
  EXPECT_TRUE(fenced());
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_ExecuteCommitWithFlushIsSettledByTheLaterReadyForQuery) {
  tracker_.before_execute(update());
  tracker_.before_execute(verb(Verb::kCommit));
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  EXPECT_TRUE(fenced());
  tracker_.before_sync();
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_CommittedInsideAQueryThatFailsLater) {
  query({verb(Verb::kBegin), update(), verb(Verb::kCommit), update(kU)});
  EXPECT_TRUE(fenced());
  EXPECT_TRUE(fenced(kU));
  tracker_.on_command_complete("BEGIN");
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  tracker_.on_error(ErrorScope::kQuery);
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  EXPECT_EQ(advanced(kU), 0U) << "the error rolled this one back";
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_ACallThatCommitsAndThenRaises) {
  query({call()});
  tracker_.on_error(ErrorScope::kQuery);
  ready('I');
  EXPECT_EQ(advanced(kDatabase), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ACallCommitsWhatThePipelineExecutedBeforeIt) {
  tracker_.before_execute(update());
  tracker_.before_execute(call());
  tracker_.before_sync();
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_error(ErrorScope::kExtended);
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  EXPECT_EQ(advanced(kDatabase), 1U);
}

TEST_F(WriteTrackerTest, ACallInsideAnExplicitTransactionCannotCommit) {
  begin();
  query({call()});
  tracker_.on_command_complete("CALL");
  ready('T');
  EXPECT_EQ(advanced(kDatabase), 0U);
  query({verb(Verb::kRollback)});
  tracker_.on_command_complete("ROLLBACK");
  ready('I');
  EXPECT_EQ(advanced(kDatabase), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_AWriteBeforeBeginJoinsTheOpenBlock) {
  query({update(), verb(Verb::kBegin)});
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("BEGIN");
  ready('T');
  EXPECT_EQ(advanced(), 0U) << "not committed";
  EXPECT_FALSE(fenced());
  EXPECT_TRUE(tracker_.transaction_wrote());
  query({verb(Verb::kCommit)});
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, Trap44_ABackendTerminatedWhileWaitingForAStandbyKeepsItsFence) {
  query({update()});
  EXPECT_EQ(tracker_.on_lost().size(), 1U);
  EXPECT_TRUE(fenced());
}

TEST_F(WriteTrackerTest, ACommitTagSeenBeforeTheLossIsStillUnknown) {
  tracker_.before_execute(update());
  tracker_.before_execute(verb(Verb::kCommit));
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  for (FenceToken token : tracker_.on_lost()) table_.settle_committed(token);
  EXPECT_GE(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, EachSyncOfAPipelineIsSettledByItsOwnReadyForQuery) {
  tracker_.before_execute(update(kT));
  tracker_.before_sync();
  tracker_.before_execute(update(kU));
  tracker_.before_sync();
  tracker_.on_command_complete("UPDATE 1");
  ready('I');
  EXPECT_EQ(advanced(kT), 1U);
  EXPECT_FALSE(fenced(kT));
  EXPECT_TRUE(fenced(kU));
  tracker_.on_error(ErrorScope::kExtended);
  ready('I');
  EXPECT_EQ(advanced(kU), 0U);
  EXPECT_TRUE(tracker_.idle());
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, APipelinedCommitCoversWritesWhoseOwnFenceFallsEarlier) {
  begin();
  query({update()});
  query({verb(Verb::kCommit)});
  query({update(kU)});
  EXPECT_TRUE(fenced(kU)) << "after COMMIT in the same flight a write is autocommit";
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  tracker_.on_command_complete("UPDATE 1");
  ready('I');
  EXPECT_EQ(advanced(kU), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ALongPipelineOfOneStatementTakesOneFence) {
  for (int i = 0; i < 10000; ++i) tracker_.before_execute(update());
  EXPECT_EQ(table_.open_fences(), 1U);
  tracker_.before_execute(verb(Verb::kCommit));
  for (int i = 0; i < 10000; ++i) tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  tracker_.before_execute(update());
  tracker_.before_sync();
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_error(ErrorScope::kExtended);
  ready('I');
  EXPECT_EQ(advanced(), 1U) << "what came after COMMIT was rolled back";
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, AWriteAfterItsLikeWasCommittedIsRaisedAnew) {
  tracker_.before_execute(update());
  tracker_.before_execute(verb(Verb::kCommit));
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  tracker_.before_sync();
  tracker_.before_execute(update());
  ready('I');
  EXPECT_TRUE(fenced());
}

TEST_F(WriteTrackerTest, AnExtendedErrorSwallowsQueriesUpToTheNextSync) {
  tracker_.before_execute(update());
  query({update(kU)});
  tracker_.before_execute(update());
  tracker_.before_sync();
  tracker_.on_error(ErrorScope::kExtended);
  ready('I');
  EXPECT_TRUE(tracker_.idle()) << "one ReadyForQuery answers all of it";
  EXPECT_EQ(advanced(kT) + advanced(kU), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, WhatIsSentToASkippingServerRaisesNothing) {
  tracker_.before_execute(update());
  tracker_.on_error(ErrorScope::kExtended);
  query({update(kU)});
  EXPECT_FALSE(fenced(kU));
  tracker_.before_sync();
  query({update(kU)});
  EXPECT_TRUE(fenced(kU));
  ready('I');
  EXPECT_TRUE(fenced(kU));
  tracker_.on_command_complete("UPDATE 1");
  ready('I');
  EXPECT_EQ(advanced(kU), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, UnparsedTextMayHaveCommittedTheOpenTransaction) {
  begin();
  query({update()});
  tracker_.on_command_complete("UPDATE 1");
  ready('T');
  query({unparsed()});
  EXPECT_TRUE(fenced());
  tracker_.on_command_complete("COMMIT");
  tracker_.on_command_complete("BEGIN");
  ready('T');
  EXPECT_EQ(advanced(), 1U);
  query({verb(Verb::kCommit)});
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_EQ(advanced(), 1U) << "it may as well have stayed open";
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, BehindUnparsedTextAWriteMayBeAutocommit) {
  begin();
  query({unparsed()});
  query({update()});
  EXPECT_TRUE(fenced());
}

TEST_F(WriteTrackerTest, ATextTheServerCouldNotParseEitherAdvancesNothing) {
  query({unparsed()});
  tracker_.on_error(ErrorScope::kNotParsed);
  ready('I');
  EXPECT_EQ(advanced(kDatabase), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ACallThatCommitsAndThenFailsToParseDynamicSqlHasCommitted) {
  query({call()});
  tracker_.on_error(ErrorScope::kNotParsed);
  ready('I');
  EXPECT_EQ(advanced(kDatabase), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ACommitExecutedBeforeATextThatCouldNotBeParsedStands) {
  tracker_.before_execute(update());
  tracker_.before_execute(verb(Verb::kCommit));
  query({unparsed()});
  tracker_.on_command_complete("UPDATE 1");
  tracker_.on_command_complete("COMMIT");
  tracker_.on_error(ErrorScope::kNotParsed);
  ready('I');
  EXPECT_EQ(advanced(), 1U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ATagThatDoesNotFitIsTakenForACommit) {
  begin();
  query({update()});
  tracker_.on_command_complete("COMMIT");
  ready('T');
  EXPECT_EQ(advanced(), 1U);
}

TEST_F(WriteTrackerTest, Trap50_DdlInATransactionIsRaisedAtOnceAndUntilItsEnd) {
  begin();
  query({ddl()});
  EXPECT_TRUE(fenced(kDatabase));
  tracker_.on_command_complete("ALTER TABLE");
  ready('T');
  EXPECT_TRUE(fenced(kDatabase));
  query({verb(Verb::kCommit)});
  tracker_.on_command_complete("COMMIT");
  const Settled settled = ready('I');
  EXPECT_EQ(advanced(kDatabase), 1U);
  EXPECT_TRUE(fenced(kDatabase)) << "up until the catalog was read again";
  ASSERT_NE(settled.catalog_fence, 0U);
  table_.settle_committed(settled.catalog_fence);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, DdlRolledBackLowersItsFenceAndNeedsNoCatalog) {
  begin();
  query({ddl(), verb(Verb::kRollback)});
  tracker_.on_command_complete("ALTER TABLE");
  tracker_.on_command_complete("ROLLBACK");
  EXPECT_EQ(ready('I').catalog_fence, 0U);
  EXPECT_EQ(advanced(kDatabase), 0U);
  expect_nothing_up();
}

TEST_F(WriteTrackerTest, ALockCountsAsTheTransactionsOwnWriteButRaisesNothing) {
  begin();
  query({StatementWrites{.locks = true}});
  tracker_.on_command_complete("SELECT 1");
  ready('T');
  EXPECT_TRUE(tracker_.transaction_wrote());
  query({verb(Verb::kCommit)});
  expect_nothing_up();
  tracker_.on_command_complete("COMMIT");
  ready('I');
  EXPECT_FALSE(tracker_.transaction_wrote());
}

TEST_F(WriteTrackerTest, AStrayReadyForQueryIsIgnored) {
  EXPECT_FALSE(ready('I').committed_writes);
  tracker_.before_execute(update());
  EXPECT_FALSE(ready('I').committed_writes);
  EXPECT_TRUE(fenced()) << "no Sync was sent: nothing can have been settled";
}

TEST(PreparedTransactions, AFullRegistryForgetsRatherThanRemembersAPart) {
  PreparedTransactions prepared(2);
  EXPECT_NE(prepared.park("a", {1}), 0U);
  EXPECT_NE(prepared.park("b", {2}), 0U);
  EXPECT_EQ(prepared.park("a", {3}), 0U);
  EXPECT_EQ(prepared.find("a").last, 0U);
  EXPECT_EQ(prepared.find("b").ids, std::vector<DependencyId>{2});
}

TEST(PreparedTransactions, ForgettingDoesNotTakeWhatWasParkedLater) {
  PreparedTransactions prepared;
  prepared.park("a", {1});
  const PreparedTransactions::Found first = prepared.find("a");
  prepared.park("a", {2});
  prepared.forget("a", first.last);
  EXPECT_EQ(prepared.find("a").ids, std::vector<DependencyId>{2});
}

}  // namespace
}  // namespace pgrecall::invalidation
