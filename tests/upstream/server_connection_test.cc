#include "pgrecall/upstream/server_connection.h"

#include <gtest/gtest.h>

#include <string>

#include "upstream/connection_harness.h"

namespace pgrecall::upstream {
namespace {

using namespace testing;
using Phase = ServerConnection::Phase;

std::string rows(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += row({"value " + std::to_string(i)});
  return out;
}

TEST(ServerConnection, RepliesReachTheUserInOrder) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("select 1");
    std::string description = std::string("T\0\0\0\6\0\0", 7);
    harness.feed(description + rows(2) + complete("SELECT 2") + ready());
    harness.query("begin");
    harness.feed(complete("BEGIN") + ready('T'));
    EXPECT_EQ(harness.connection->status(), 'T');
    EXPECT_EQ(harness.log,
              "sent Q(select 1); got T; got D; got D; got C; got Z; "
              "sent Q(begin); got C; got Z; ");
  });
}

TEST(ServerConnection, SilentQueriesAreNotShown) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.connection->query_silently("set x = 1");
    harness.query("select 1");
    harness.feed(complete("SET") + ready() + complete("SELECT 0") + ready());
    EXPECT_EQ(harness.log, "sent Q(set x = 1) Q(select 1); got C; got Z; ");
  });
}

TEST(ServerConnection, OwnRepliesAppearInTheirPlace) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("E", false);
    harness.connection->queue().push_own("faked", 0);
    harness.extended("B", true);
    harness.feed(complete("SELECT 0") + empty('2') + ready());
    EXPECT_EQ(harness.log, "sent E; sent B S; got C; own faked; got 2; got Z; ");
  });
}

TEST(ServerConnection, Trap25_ALargeRowPassesInParts) {
  const std::string large = row({std::string(200'000, 'x')});
  for (const size_t chunk : {size_t{1000}, size_t{65'536}, large.size() - 1, large.size()}) {
    Harness harness;
    harness.make_ready();
    harness.query("select x");
    const std::string all = large + rows(1) + complete("SELECT 2") + ready();
    for (size_t at = 0; at < all.size(); at += chunk) harness.feed(all.substr(at, chunk));
    if (chunk < large.size()) {
      EXPECT_EQ(harness.log, "sent Q(select x); parts; got D; got C; got Z; ");
      EXPECT_EQ(harness.parts, large);
    } else {
      EXPECT_EQ(harness.log, "sent Q(select x); got D; got D; got C; got Z; ");
    }
  }
}

TEST(ServerConnection, LargeMessagesThatCannotBeStreamedAreGatheredUpToABound) {
  Harness harness;
  harness.make_ready();
  harness.query("select x");
  std::string notice;
  wire::append_notice(notice, "NOTICE", "00000", std::string(100'000, 'n'));
  harness.feed(notice.substr(0, 70'000));
  harness.feed(notice.substr(70'000));
  EXPECT_EQ(harness.log, "sent Q(select x); got N; ");
  harness.feed(std::string_view("N\x10\0\0\0", 5));
  EXPECT_TRUE(harness.failed());
}

TEST(ServerConnection, ARowLargerThanAnyBoundIsStreamed) {
  Harness harness;
  harness.make_ready();
  harness.query("select x");
  harness.feed(std::string_view("D\x10\0\0\0", 5));  // 256 MiB
  harness.feed(std::string(100, 'y'));
  EXPECT_EQ(harness.parts.size(), 105u);
  EXPECT_FALSE(harness.failed());
}

TEST(ServerConnection, ALargeRowThatNobodyAskedForEndsTheConnection) {
  Harness harness;
  harness.make_ready();
  harness.feed(std::string_view("D\x10\0\0\0", 5));
  EXPECT_TRUE(harness.failed());
  EXPECT_EQ(harness.log, "lost ; failed; ");
}

TEST(ServerConnection, Trap33_MalformedBytesEndTheConnectionOnce) {
  for (const std::string& bad :
       {std::string("Z\0\0\0\5X", 6), std::string("Z\0\0\0\4", 5), std::string("C\0\0\0\1", 5),
        std::string("C\xff\xff\xff\xff", 5), empty('1'), empty('?')}) {
    at_every_split([&](Harness& harness) {
      harness.make_ready();
      harness.query("select 1");
      harness.feed(complete("SELECT 0") + bad + ready());
      harness.connection->on_end();
      EXPECT_EQ(harness.log, "sent Q(select 1); got C; lost ; failed; ");
    });
  }
}

TEST(ServerConnection, AFatalErrorIsHandedOverWhenTheConnectionEnds) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("select 1");
    harness.feed(error("57P01", "FATAL"));
    EXPECT_FALSE(harness.failed());
    harness.connection->on_end();
    EXPECT_EQ(harness.log, "sent Q(select 1); got E; lost 57P01; failed; ");
    EXPECT_FALSE(harness.connection->lost_unexpectedly());
  });
}

TEST(ServerConnection, Trap52_ACrashIsToldFromAnEndThatTheServerAnnounced) {
  Harness silent;
  silent.make_ready();
  silent.connection->on_end();
  EXPECT_TRUE(silent.connection->lost_unexpectedly());
  Harness crashed;
  crashed.make_ready();
  crashed.feed(error("57P02", "FATAL"));
  crashed.connection->on_end();
  EXPECT_TRUE(crashed.connection->lost_unexpectedly());
}

TEST(ServerConnection, NothingIsHeardOfAnAbandonedConnection) {
  Harness harness;
  harness.make_ready();
  harness.query("select 1");
  harness.connection->set_user(nullptr);
  harness.connection->abandon();
  harness.feed(complete("SELECT 0") + ready());
  harness.connection->on_end();
  EXPECT_EQ(harness.log, "sent Q(select 1); failed; ");
}

/// Asks, when it goes, which backend it observed.
struct LastWords final : ServerObserver {
  LastWords(ServerConnection& server, std::string& said) : observed(server), words(said) {}
  ~LastWords() override { words = observed.database() + " " + observed.backend_start(); }
  void before_own_query() override {}
  void before_own_sync() override {}
  void on_message(const Step&, const wire::Frame&) override {}
  void on_lost() override {}
  ServerConnection& observed;
  std::string& words;
};

TEST(ServerConnection, Trap05_AtItsEndTheBackendIsStillNamed) {
  std::string words;
  Harness harness;
  harness.make_ready();
  harness.connection->observer = std::make_unique<LastWords>(*harness.connection, words);
  harness.connection = nullptr;
  EXPECT_EQ(words, "site 2024-05-06 07:08:09+00");
}

// ---- What a client leaves behind ----

/// Ends the client's time and plays the server: every Query of ours is answered by its tag.
void expect_idle(Harness& harness) {
  EXPECT_TRUE(harness.idle());
  EXPECT_EQ(harness.connection->phase(), Phase::kReady);
  EXPECT_TRUE(harness.connection->queue().empty());
  EXPECT_FALSE(harness.connection->queue().unsynced());
}

TEST(Tidy, AnIdleConnectionGoesBackAtOnce) {
  Harness harness;
  harness.make_ready();
  harness.connection->tidy(false);
  EXPECT_EQ(harness.log, "idle; ");
  EXPECT_EQ(harness.sent(), "");
}

TEST(Tidy, AnOpenTransactionIsRolledBack) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("begin");
    harness.feed(complete("BEGIN") + ready('T'));
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "Q(ROLLBACK)");
    EXPECT_FALSE(harness.idle());
    harness.feed(complete("ROLLBACK") + ready());
    expect_idle(harness);
  });
}

TEST(Tidy, AQueryUnderWayIsWaitedFor) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("select 1");
    harness.feed(rows(1));
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "S");
    harness.feed(rows(1) + complete("SELECT 2") + ready());
    EXPECT_FALSE(harness.idle());
    harness.feed(ready());
    expect_idle(harness);
    EXPECT_EQ(harness.log, "sent Q(select 1); got D; sent S; idle; ");
  });
}

TEST(Tidy, InTheMiddleOfAStreamedRow) {
  Harness harness;
  harness.make_ready();
  harness.query("select x");
  const std::string large = row({std::string(200'000, 'x')});
  harness.feed(large.substr(0, 70'000));
  harness.connection->tidy(false);
  harness.sent();
  harness.feed(large.substr(70'000) + complete("SELECT 1") + ready() + ready());
  expect_idle(harness);
  EXPECT_EQ(harness.parts.size(), 70'000u);
}

TEST(Tidy, CleaningDiscardsEverything) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.connection->applied.set({"timezone", "UTC", "set timezone = 'UTC'"});
    harness.connection->statements.insert(7);
    harness.connection->tidy(true);
    EXPECT_EQ(harness.sent(), "Q(DISCARD ALL)");
    harness.feed(complete("DISCARD ALL") + ready());
    expect_idle(harness);
    EXPECT_TRUE(harness.connection->applied.empty());
    EXPECT_EQ(harness.connection->statements.size(), 0u);
  });
}

TEST(Tidy, CleaningComesAfterTheRollback) {
  Harness harness;
  harness.make_ready();
  harness.query("begin");
  harness.feed(complete("BEGIN") + ready('T'));
  harness.connection->tidy(true);
  EXPECT_EQ(harness.sent(), "Q(ROLLBACK)");
  harness.feed(complete("ROLLBACK") + ready());
  EXPECT_EQ(harness.sent(), "Q(DISCARD ALL)");
  EXPECT_FALSE(harness.idle());
  harness.feed(complete("DISCARD ALL") + ready());
  expect_idle(harness);
}

TEST(Tidy, AConnectionThatCannotBeCleanedEnds) {
  Harness harness;
  harness.make_ready();
  harness.connection->tidy(true);
  harness.feed(error("XX000"));
  EXPECT_TRUE(harness.failed());
  EXPECT_FALSE(harness.idle());
}

TEST(Tidy, Trap22_ACopyInWhoseClientVanishesFails) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("copy t from stdin");
    harness.feed(copy_in_response());
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "f S");
    harness.feed(error("57014") + ready());
    EXPECT_FALSE(harness.idle());
    harness.feed(ready());
    expect_idle(harness);
  });
}

TEST(Tidy, Trap22_ACopyInThatBeginsAfterItsClientHasGone) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.query("copy t from stdin");
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "S");
    harness.feed(copy_in_response());
    EXPECT_EQ(harness.sent(), "f");
    harness.feed(error("57014") + ready());  // the Sync was read as part of the copy
    expect_idle(harness);
  });
}

TEST(Tidy, Trap22_AnExtendedCopyInWhoseClientVanishes) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("PBE", true);
    harness.feed(empty('1') + empty('2') + copy_in_response());
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "f Q(ROLLBACK) S");
    harness.feed(error("57014") + ready());
    EXPECT_FALSE(harness.idle()) << "the client's Sync may have been answered";
    EXPECT_EQ(harness.sent(), "Q()");
    harness.feed(empty('I') + ready());
    expect_idle(harness);
  });
}

TEST(Tidy, Trap22_AnExtendedCopyInThatBeginsAfterItsClientHasGone) {
  Harness harness;
  harness.make_ready();
  harness.extended("PBE", true);
  harness.connection->tidy(false);
  EXPECT_EQ(harness.sent(), "S");
  harness.feed(empty('1') + empty('2') + copy_in_response());
  EXPECT_TRUE(harness.failed()) << "nobody can tell which Syncs the copy reads";
}

TEST(Tidy, WhatWasExecutedWithoutASyncIsRolledBackNotCommitted) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("PBE", false);
    harness.feed(empty('1') + empty('2') + complete("UPDATE 1"));
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "Q(ROLLBACK) S");
    harness.feed(complete("ROLLBACK") + ready());
    EXPECT_FALSE(harness.idle());
    harness.feed(ready());
    expect_idle(harness);
  });
}

TEST(Tidy, MessagesInFlightWithoutASync) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("PBE", false);
    harness.feed(empty('1'));
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "Q(ROLLBACK) S");
    harness.feed(empty('2') + complete("UPDATE 1") + complete("ROLLBACK") + ready() + ready());
    expect_idle(harness);
  });
}

TEST(Tidy, AFailedUnitWithoutASync) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("P", false);
    harness.feed(error("42601"));
    harness.connection->tidy(false);
    EXPECT_EQ(harness.sent(), "Q(ROLLBACK) S");
    harness.feed(ready());  // the server skipped the Query
    expect_idle(harness);
  });
}

TEST(Tidy, AUnitThatFailsAfterItsClientHasGone) {
  at_every_split([](Harness& harness) {
    harness.make_ready();
    harness.extended("PBE", false);
    harness.connection->tidy(false);
    harness.sent();
    harness.feed(empty('1') + error("42P01") + ready());
    expect_idle(harness);
  });
}

TEST(Tidy, Trap23_WaitsUntilACancelIsSpent) {
  Harness harness;
  harness.make_ready();
  harness.query("select pg_sleep(1)");
  harness.connection->cancels_open = 1;
  harness.connection->cancel_happened = true;
  harness.connection->tidy(false);
  harness.sent();
  harness.feed(error("57014") + ready() + ready());
  EXPECT_FALSE(harness.idle()) << "the signal may come late";
  EXPECT_EQ(harness.sent(), "");
  harness.connection->cancel_finished();
  EXPECT_EQ(harness.sent(), "Q()");
  harness.feed(error("57014") + ready());  // and takes this query
  expect_idle(harness);
}

TEST(Tidy, Trap23_ALateCancelDoesNotHitTheRollback) {
  Harness harness;
  harness.make_ready();
  harness.query("begin");
  harness.feed(complete("BEGIN") + ready('T'));
  harness.connection->cancels_open = 1;
  harness.connection->cancel_happened = true;
  harness.connection->tidy(true);
  EXPECT_EQ(harness.sent(), "");
  harness.connection->cancel_finished();
  EXPECT_EQ(harness.sent(), "Q()");
  harness.feed(error("57014") + ready('E'));
  EXPECT_EQ(harness.sent(), "Q(ROLLBACK)");
  harness.feed(complete("ROLLBACK") + ready());
  EXPECT_EQ(harness.sent(), "Q(DISCARD ALL)");
  harness.feed(complete("DISCARD ALL") + ready());
  expect_idle(harness);
}

TEST(Tidy, AnEndWhileTidyingIsTheHostsAlone) {
  Harness harness;
  harness.make_ready();
  harness.query("select 1");
  harness.connection->tidy(false);
  harness.connection->on_end();
  EXPECT_EQ(harness.log, "sent Q(select 1); failed; ");
}

TEST(Tidy, StatementsInDoubtAreBounded) {
  Harness harness;
  harness.make_ready();
  for (uint64_t id = 1; id <= ServerConnection::kDoubtfulMax + 1; ++id) {
    harness.connection->statements.doubt(id);
  }
  harness.connection->tidy(false);
  EXPECT_EQ(harness.sent(), "Q(DISCARD ALL)");
  EXPECT_EQ(harness.connection->statements.doubtful(), 0u);
}

TEST(ServerStatements, LeastRecentlyUsedFirst) {
  ServerStatements statements;
  statements.insert(1);
  statements.insert(2);
  statements.insert(3);
  statements.touch(1);
  EXPECT_EQ(statements.oldest(), 2u);
  statements.insert(2);
  EXPECT_EQ(statements.oldest(), 3u);
  statements.erase(3);
  EXPECT_EQ(statements.oldest(), 1u);
  EXPECT_EQ(statements.size(), 2u);
  EXPECT_FALSE(statements.contains(3));
  statements.doubt(2);
  EXPECT_FALSE(statements.contains(2));
  EXPECT_TRUE(statements.take_doubt(2));
  EXPECT_FALSE(statements.take_doubt(2));
  EXPECT_FALSE(statements.take_doubt(1));
}

}  // namespace
}  // namespace pgrecall::upstream
