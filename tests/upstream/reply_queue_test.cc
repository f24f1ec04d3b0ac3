#include "pgrecall/upstream/reply_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pgrecall::upstream {
namespace {

struct Answer {
  Reply reply;
  std::string types;  ///< what the server sends, in order; the last one completes it
};

const std::vector<Answer>& answers() {
  static const std::vector<Answer> all = {
      {Reply::kParse, "1"},
      {Reply::kBind, "2"},
      {Reply::kDescribeStatement, "tT"},
      {Reply::kDescribeStatement, "tn"},
      {Reply::kDescribePortal, "T"},
      {Reply::kDescribePortal, "n"},
      {Reply::kExecute, "C"},
      {Reply::kExecute, "DDDC"},
      {Reply::kExecute, "DDs"},
      {Reply::kExecute, "I"},
      {Reply::kExecute, "GC"},
      {Reply::kExecute, "HddcC"},
      {Reply::kClose, "3"},
      {Reply::kSync, "Z"},
      {Reply::kQuery, "TDDCZ"},
      {Reply::kQuery, "CTDCZ"},
      {Reply::kQuery, "IZ"},
      {Reply::kQuery, "HddcCZ"},
      {Reply::kQuery, "GCZ"},
      {Reply::kQuery, "WcCZ"},
      {Reply::kFunctionCall, "VZ"},
  };
  return all;
}

/// Everything the client would be shown for these messages, own bytes in brackets.
std::string shown(ReplyQueue& queue, std::string_view types) {
  std::string out;
  for (char type : types) {
    const Step step = queue.on_message(type);
    if (step.bad) return out + "!";
    if (step.route == Route::kForward) out += type;
    std::string own;
    uint32_t note = 0;
    while (queue.take_own(&own, &note)) out += "[" + own + "]";
  }
  return out;
}

TEST(ReplyQueue, EveryReplyCompletesWithItsLastMessageOnly) {
  for (const Answer& answer : answers()) {
    SCOPED_TRACE(answer.types);
    ReplyQueue queue;
    queue.push(answer.reply, Route::kForward, 7);
    for (size_t i = 0; i < answer.types.size(); ++i) {
      EXPECT_FALSE(queue.empty());
      EXPECT_TRUE(queue.owes_client());
      const Step step = queue.on_message(answer.types[i]);
      EXPECT_FALSE(step.bad);
      EXPECT_EQ(step.reply, answer.reply);
      EXPECT_EQ(step.route, Route::kForward);
      EXPECT_EQ(step.note, 7u);
      EXPECT_EQ(step.completes, i + 1 == answer.types.size());
    }
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.owes_client());
    EXPECT_FALSE(queue.copy_in());
  }
}

TEST(ReplyQueue, SkippedRepliesAreSwallowedAndNotOwed) {
  for (const Answer& answer : answers()) {
    SCOPED_TRACE(answer.types);
    ReplyQueue queue;
    queue.push(answer.reply, Route::kSkip);
    EXPECT_FALSE(queue.owes_client());
    EXPECT_EQ(shown(queue, answer.types), "");
    EXPECT_TRUE(queue.empty());
  }
}

TEST(ReplyQueue, AMessageThatCannotAnswerTheHeadIsBad) {
  const std::string all = "123tTnDCIsGHWdcVZRKv?";
  for (const Answer& answer : answers()) {
    std::string proper;
    for (const Answer& other : answers()) {
      if (other.reply == answer.reply) proper += other.types;
    }
    for (char type : all) {
      if (proper.find(type) != std::string::npos) continue;
      if (answer.reply == Reply::kExecute && type == 'W') continue;  // replication
      ReplyQueue queue;
      queue.push(answer.reply, Route::kForward);
      EXPECT_TRUE(queue.on_message(type).bad) << answer.types << " against " << type;
    }
  }
}

TEST(ReplyQueue, NothingIsAcceptedThatNobodyAskedFor) {
  for (char type : std::string("123tTnDCIsGHWdcVZRKv?")) {
    ReplyQueue queue;
    EXPECT_TRUE(queue.on_message(type).bad) << type;
  }
}

TEST(ReplyQueue, AsynchronousMessagesAnswerNothing) {
  for (char type : std::string("NSA")) {
    ReplyQueue queue;
    Step step = queue.on_message(type);
    EXPECT_FALSE(step.bad);
    EXPECT_EQ(step.reply, Reply::kNothing);
    EXPECT_EQ(step.route, Route::kForward);
    queue.push(Reply::kQuery, Route::kForward);
    step = queue.on_message(type);
    EXPECT_FALSE(step.bad);
    EXPECT_FALSE(step.completes);
    EXPECT_EQ(step.route, Route::kForward);
    EXPECT_EQ(queue.size(), 1u);
  }
}

TEST(ReplyQueue, NoticesAndParametersOfOurOwnQueriesStayHere) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kSkip);
  queue.push(Reply::kQuery, Route::kForward);
  EXPECT_EQ(shown(queue, "NSCZNTDCZ"), "NTDCZ");
}

TEST(ReplyQueue, AnErrorBeforeAnythingWasAskedIsForwarded) {
  ReplyQueue queue;
  const Step step = queue.on_message('E');
  EXPECT_FALSE(step.bad);
  EXPECT_EQ(step.reply, Reply::kNothing);
  EXPECT_EQ(step.route, Route::kForward);
}

TEST(ReplyQueue, AnErrorInAQueryLeavesItsReadyForQueryOwed) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kForward);
  queue.push(Reply::kQuery, Route::kForward);
  EXPECT_EQ(shown(queue, "TDEZTDCZ"), "TDEZTDCZ");
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, AnErrorInAFunctionCallOrAtSyncLeavesReadyForQueryOwed) {
  for (Reply reply : {Reply::kFunctionCall, Reply::kSync}) {
    ReplyQueue queue;
    queue.push(reply, Route::kForward);
    const Step step = queue.on_message('E');
    EXPECT_EQ(step.reply, reply);
    EXPECT_FALSE(step.completes);
    EXPECT_EQ(shown(queue, "Z"), "Z");
    EXPECT_TRUE(queue.empty());
  }
}

TEST(ReplyQueue, AnErrorInAnExtendedMessageDropsEverythingUpToSync) {
  for (Reply reply : {Reply::kParse, Reply::kBind, Reply::kDescribeStatement,
                      Reply::kDescribePortal, Reply::kExecute, Reply::kClose}) {
    ReplyQueue queue;
    queue.push(reply, Route::kForward);
    queue.push_own("dropped");
    queue.push(Reply::kExecute, Route::kForward);
    queue.push(Reply::kQuery, Route::kForward);  // the server skips a Query as well
    queue.push_own("dropped too");
    queue.push(Reply::kSync, Route::kForward);
    queue.push_own("kept");
    queue.push(Reply::kBind, Route::kForward);
    const Step step = queue.on_message('E');
    EXPECT_EQ(step.reply, reply);
    EXPECT_TRUE(step.completes);
    EXPECT_EQ(step.route, Route::kForward);
    EXPECT_EQ(shown(queue, "Z2"), "Z[kept]2");
    EXPECT_TRUE(queue.empty());
  }
}

TEST(ReplyQueue, ErrorsOfReplayedParsesReachTheClientTheirCompletionsDoNot) {
  ReplyQueue queue;
  queue.push(Reply::kParse, Route::kSkipNoError);
  queue.push(Reply::kBind, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_TRUE(queue.owes_client());
  EXPECT_EQ(shown(queue, "12Z"), "2Z");
  queue.push(Reply::kParse, Route::kSkipNoError);
  queue.push(Reply::kBind, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "EZ"), "EZ");
}

TEST(ReplyQueue, OwnRepliesAppearWhenTheirTurnComes) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kForward);
  queue.push_own("a");
  queue.push_own("b");
  queue.push(Reply::kParse, Route::kForward);
  queue.push_own("c");
  EXPECT_EQ(shown(queue, "TD"), "TD");
  EXPECT_EQ(shown(queue, "CZ"), "CZ[a][b]");
  EXPECT_EQ(shown(queue, "1"), "1[c]");
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, OwnRepliesCarryTheirNote) {
  ReplyQueue queue;
  queue.push(Reply::kParse, Route::kForward);
  queue.push_own("x", 42);
  queue.on_message('1');
  std::string own;
  uint32_t note = 0;
  ASSERT_TRUE(queue.take_own(&own, &note));
  EXPECT_EQ(own, "x");
  EXPECT_EQ(note, 42u);
  EXPECT_FALSE(queue.take_own(&own, &note));
}

TEST(ReplyQueue, CopyInIsOnFromItsResponseToItsEnd) {
  for (Reply reply : {Reply::kQuery, Reply::kExecute}) {
    ReplyQueue queue;
    queue.push(reply, Route::kForward);
    EXPECT_FALSE(queue.copy_in());
    queue.on_message('G');
    EXPECT_TRUE(queue.copy_in());
    queue.on_message('E');
    EXPECT_FALSE(queue.copy_in());
  }
}

TEST(ReplyQueue, SyncsAheadOfCopyDoneAreNotAnswered) {
  ReplyQueue queue;
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  queue.push(Reply::kCopyEnd, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  queue.push(Reply::kParse, Route::kForward);
  EXPECT_EQ(shown(queue, "GCZ1"), "GCZ1");
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, WhereNoCopyBeginsTheSyncsAheadOfCopyDoneAreAnswered) {
  ReplyQueue queue;
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  queue.push(Reply::kCopyEnd, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "EZZ"), "EZZ");
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, AQueryIsNotAnsweredByReadyForQueryAlone) {
  for (Reply reply : {Reply::kQuery, Reply::kFunctionCall}) {
    ReplyQueue queue;
    queue.push(reply, Route::kForward);
    EXPECT_TRUE(queue.on_message('Z').bad);
  }
}

TEST(ReplyQueue, WhatIsSentAfterAnErrorAndBeforeItsSyncIsNotExpected) {
  ReplyQueue queue;
  queue.push(Reply::kParse, Route::kForward);
  EXPECT_FALSE(queue.skipping_to_sync());
  EXPECT_EQ(shown(queue, "E"), "E");
  EXPECT_TRUE(queue.skipping_to_sync());
  queue.push(Reply::kBind, Route::kForward);
  queue.push_own("dropped");
  queue.push(Reply::kQuery, Route::kForward);
  queue.push(Reply::kCopyEnd, Route::kForward);
  EXPECT_FALSE(queue.owes_client());
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_FALSE(queue.skipping_to_sync());
  queue.push(Reply::kParse, Route::kForward);
  EXPECT_EQ(shown(queue, "Z1"), "Z1");
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueue, KnowsWhetherAnImplicitTransactionMayBeOpen) {
  ReplyQueue queue;
  EXPECT_FALSE(queue.unsynced());
  queue.push(Reply::kExecute, Route::kForward);
  EXPECT_TRUE(queue.unsynced());
  shown(queue, "C");
  EXPECT_TRUE(queue.unsynced());
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_FALSE(queue.unsynced());
  shown(queue, "Z");
  queue.push(Reply::kParse, Route::kForward);
  queue.push(Reply::kQuery, Route::kForward);
  EXPECT_TRUE(queue.unsynced());
  shown(queue, "1CZ");
  EXPECT_FALSE(queue.unsynced());
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  shown(queue, "G");
  EXPECT_TRUE(queue.unsynced());
}

TEST(ReplyQueue, AUnitSentWholeBehindAQueryOfOursIsNotLeftOpenByItsEnd) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kSkip);
  queue.push(Reply::kBind, Route::kForward);
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "CZ2CZ"), "2CZ");
  EXPECT_FALSE(queue.unsynced());
}

TEST(ReplyQueue, ASyncThatACopyWouldHaveIgnoredIsAnsweredIfTheCopyFailedBefore) {
  ReplyQueue queue;
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "GE"), "GE");
  EXPECT_TRUE(queue.uncertain());
  queue.push(Reply::kSync, Route::kForward);
  queue.push(Reply::kQuery, Route::kSkip);
  EXPECT_EQ(shown(queue, "ZZ"), "ZZ");
  EXPECT_EQ(shown(queue, "IZ"), "");
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.uncertain());
  EXPECT_TRUE(queue.on_message('Z').bad);
}

TEST(ReplyQueue, ARoundTripShowsThatNoSyncOfACopyIsAnsweredAnyMore) {
  ReplyQueue queue;
  queue.push(Reply::kExecute, Route::kForward);
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "GE"), "GE");
  queue.push(Reply::kSync, Route::kForward);
  EXPECT_EQ(shown(queue, "Z"), "Z");
  EXPECT_TRUE(queue.uncertain());
  queue.push(Reply::kQuery, Route::kSkip);
  EXPECT_EQ(shown(queue, "IZ"), "");
  EXPECT_FALSE(queue.uncertain());
}

TEST(ReplyQueue, ASecondCopyOfOneQueryBeginsAfterTheFirstHasEnded) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kForward);
  queue.push(Reply::kCopyEnd, Route::kForward);
  queue.on_message('G');
  EXPECT_FALSE(queue.copy_in()) << "its end is on the way already";
  queue.on_message('C');
  queue.on_message('G');
  EXPECT_TRUE(queue.copy_in());
}

TEST(ReplyQueue, NotificationsReachTheClientAlsoDuringOurOwnQueries) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kSkip);
  EXPECT_EQ(shown(queue, "CAZ"), "A");
}

TEST(ReplyQueue, TheEndOfACopyIsOwedToNobody) {
  ReplyQueue queue;
  queue.push(Reply::kQuery, Route::kForward);
  queue.push(Reply::kCopyEnd, Route::kForward);
  EXPECT_EQ(shown(queue, "EZ"), "EZ");
  EXPECT_FALSE(queue.owes_client());
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace pgrecall::upstream
