#include <gtest/gtest.h>

#include <string>

#include "pgrecall/upstream/pool.h"
#include "pgrecall/wire/authentication.h"
#include "pgrecall/wire/md5.h"
#include "pgrecall/wire/scram_server.h"
#include "pgrecall/wire/startup.h"
#include "upstream/connection_harness.h"

namespace pgrecall::upstream {
namespace {

using namespace testing;
using Phase = ServerConnection::Phase;

std::string authentication_ok() {
  return message(wire::append_authentication_ok);
}

std::string sasl_offer() {
  const std::string_view mechanisms[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
  std::string out;
  wire::append_authentication_sasl(out, mechanisms);
  return out;
}

TEST(ServerLogin, OnlyUserAndDatabaseReachTheServer) {
  Harness harness;
  harness.connection->start(std::nullopt, "nonce");
  const std::string sent = harness.sent_bytes();
  const auto startup = wire::StartupMessage::decode(sent);
  ASSERT_TRUE(startup);
  EXPECT_EQ(startup->version, wire::kProtocol30);
  EXPECT_EQ(startup->parameters.size(), 2u);
  EXPECT_EQ(startup->parameter("user"), "alice");
  EXPECT_EQ(startup->parameter("database"), "site");
}

TEST(ServerLogin, UnchallengedThenInspectedThenReady) {
  at_every_split([](Harness& harness) {
    harness.start();
    harness.feed(authentication_ok() + greeting());
    EXPECT_EQ(harness.connection->phase(), Phase::kInspection);
    EXPECT_EQ(harness.sent().substr(0, 8), "Q(SELECT");
    harness.feed(inspection_reply());
    EXPECT_EQ(harness.connection->phase(), Phase::kReady);
    EXPECT_TRUE(harness.connection->unchallenged());
  });
}

TEST(ServerLogin, WhatTheServerShowedIsRemembered) {
  Harness harness;
  harness.make_ready();
  const ServerConnection& server = *harness.connection;
  EXPECT_EQ(server.process_id(), 4711u);
  EXPECT_EQ(server.cancel_key(), "kkkk");
  EXPECT_EQ(server.backend_start(), "2024-05-06 07:08:09+00");
  const ParameterStatuses::List shown = {{"server_version", "15.4"}, {"TimeZone", "Europe/Paris"}};
  EXPECT_EQ(server.parameters().all(), shown);
  ASSERT_TRUE(server.baseline());
  EXPECT_EQ(server.baseline()->database_oid, 5u);
  EXPECT_EQ(server.baseline()->role_oid, 10u);
  EXPECT_EQ(server.baseline()->role_name, "alice");
  EXPECT_EQ(server.baseline()->search_path, "\"$user\", public");
  EXPECT_EQ(server.baseline()->default_isolation, "read committed");
  EXPECT_EQ(server.baseline()->standard_conforming_strings, "on");
  EXPECT_EQ(server.baseline()->client_encoding, "UTF8");
  EXPECT_EQ(server.baseline()->time_zone, "Europe/Paris");
  EXPECT_FALSE(server.baseline()->in_recovery);
  EXPECT_EQ(server.baseline()->server_version_num, 150004);
}

TEST(ServerLogin, BaselinesDifferByTheHashOfSettingsOnly) {
  const auto hash = [](std::string row) {
    Harness harness;
    harness.start();
    harness.feed(authentication_ok() + greeting());
    harness.sent();
    harness.feed(row + complete("SELECT 1") + ready());
    return harness.connection->baseline()->hash;
  };
  std::string later = inspection_row();
  later.replace(later.find("07:08:09"), 8, "11:11:11");
  EXPECT_EQ(hash(inspection_row()), hash(later)) << "the start of the backend is no setting";
  EXPECT_NE(hash(inspection_row()), hash(inspection_row("ab")));
}

TEST(ServerLogin, ConnectionsThatLookAlikeShareWhatTheyShow) {
  Pool pool("site", "alice", 3, 10);
  Harness first, second, later;
  for (Harness* each : {&first, &second}) {
    each->connection->pool = &pool;
    each->make_ready();
  }
  EXPECT_EQ(first.connection->baseline().get(), second.connection->baseline().get());
  EXPECT_EQ(&first.connection->parameters().all(), &second.connection->parameters().all());
  EXPECT_EQ(second.connection->backend_start(), "2024-05-06 07:08:09+00");
  later.connection->pool = &pool;
  later.connection->configuration = 7;
  later.make_ready();
  EXPECT_EQ(later.connection->baseline()->configuration, 7u) << "it was looked at later";
  EXPECT_EQ(pool.baseline().get(), later.connection->baseline().get());
  EXPECT_EQ(later.connection->pool_generation, first.connection->pool_generation);
}

TEST(ServerLogin, CleartextPassword) {
  at_every_split([](Harness& harness) {
    harness.start("secret");
    harness.feed(message(wire::append_authentication_cleartext));
    std::string expected;
    wire::append_password(expected, "secret");
    EXPECT_EQ(harness.sent_bytes(), expected);
    harness.feed(authentication_ok() + greeting());
    harness.sent();
    harness.feed(inspection_reply());
    EXPECT_EQ(harness.connection->phase(), Phase::kReady);
    EXPECT_FALSE(harness.connection->unchallenged());
  });
}

TEST(ServerLogin, Md5Password) {
  Harness harness;
  harness.start("secret");
  std::string challenge;
  wire::append_authentication_md5(challenge, "salt");
  harness.feed(challenge);
  std::string expected;
  wire::append_password(expected, *wire::md5_response("secret", "alice", "salt"));
  EXPECT_EQ(harness.sent_bytes(), expected);
}

/// Plays PostgreSQL's part of SCRAM; `lie` spoils its proof.
void log_in_by_scram(Harness& harness, bool lie, bool skip_proof) {
  wire::ScramServer server(*wire::ScramSecret::from_password("secret", "saltsaltsaltsalt", 64),
                           "servernonceservernonce");
  harness.start("secret");
  harness.feed(sasl_offer());
  std::string sent = harness.sent_bytes();
  wire::Frame frame;
  ASSERT_EQ(wire::peek_frame(sent, 10'000, &frame), wire::Peek::kFrame);
  const auto initial = wire::SaslInitialResponse::decode(frame.payload);
  ASSERT_TRUE(initial);
  EXPECT_EQ(initial->mechanism, "SCRAM-SHA-256");
  const auto first = server.server_first(*initial->response);
  ASSERT_TRUE(first.ok());
  std::string reply;
  wire::append_authentication_sasl_continue(reply, *first);
  harness.feed(reply);
  sent = harness.sent_bytes();
  ASSERT_EQ(wire::peek_frame(sent, 10'000, &frame), wire::Peek::kFrame);
  auto final = server.server_final(frame.payload);
  ASSERT_TRUE(final.ok());
  reply.clear();
  wire::append_authentication_sasl_final(reply, lie ? "v=AAAA" : std::string_view(*final));
  if (!skip_proof) harness.feed(reply);
  if (!harness.failed()) harness.feed(authentication_ok() + greeting());
}

TEST(ServerLogin, Scram) {
  at_every_split([](Harness& harness) {
    log_in_by_scram(harness, false, false);
    EXPECT_EQ(harness.connection->phase(), Phase::kInspection);
  });
}

TEST(ServerLogin, Trap33_AServerThatDoesNotKnowTheSecretIsNotBelieved) {
  Harness liar;
  log_in_by_scram(liar, true, false);
  EXPECT_TRUE(liar.failed());
  Harness silent;
  log_in_by_scram(silent, false, true);
  EXPECT_TRUE(silent.failed()) << "AuthenticationOk without a proof";
}

TEST(ServerLogin, WithoutAPasswordTheChallengeIsRelayed) {
  Harness harness;
  harness.start();
  harness.feed(sasl_offer());
  EXPECT_EQ(harness.log, "startup; auth 10; ");
  harness.connection->answer_authentication("pretend this is a SASLInitialResponse");
  EXPECT_EQ(harness.sent_bytes(), "pretend this is a SASLInitialResponse");
  harness.feed(authentication_ok());
  EXPECT_EQ(harness.log, "startup; auth 10; auth 0; ");
  EXPECT_FALSE(harness.connection->unchallenged());
}

TEST(ServerLogin, AFailedLoginTellsItsUserWhy) {
  at_every_split([](Harness& harness) {
    harness.start("wrong");
    harness.feed(message(wire::append_authentication_cleartext));
    harness.sent();
    harness.feed(error("28P01", "FATAL"));
    EXPECT_TRUE(harness.failed());
    harness.connection->on_end();
    EXPECT_EQ(harness.log, "startup; sent p; lost 28P01; failed; ");
    EXPECT_FALSE(harness.connection->lost_unexpectedly());
  });
}

TEST(ServerLogin, Trap33_AHostileServerEndsOneConnection) {
  const std::string bad[] = {
      std::string("Z\0\0\0\4", 5),              // ReadyForQuery without status: read in login only
      std::string("R\0\0\0\4", 5),              // Authentication without a code
      std::string("R\0\0\0\6\0\0", 7),          //
      std::string("K\0\0\0\4", 5),              // BackendKeyData without a key
      std::string("X\0\0\0\4", 5),              // no message of a server
      std::string("R\0\0\0\3", 5),              // a length that does not cover itself
      std::string("R\xff\xff\xff\xff", 5),      //
      std::string("D\x7f\xff\xff\xff", 5),      // huge
      std::string("R\0\0\0\10\0\0\0\5", 9),     // MD5 without a salt
      std::string("R\0\0\0\10\0\0\0\13", 9),    // SASLContinue before SASL
      std::string("R\0\0\0\10\0\0\0\14", 9),    // SASLFinal before SASL
      std::string("R\0\0\0\10\0\0\0\7", 9),     // GSS
      std::string("R\0\0\0\11\0\0\0\12\0", 10)  // SASL without mechanisms
  };
  for (const std::string& bytes : bad) {
    if (bytes[0] == 'Z') continue;
    Harness harness;
    harness.start("secret");
    harness.feed(bytes);
    EXPECT_TRUE(harness.failed()) << bytes.substr(0, 1) << bytes.size();
    harness.feed(greeting());
    EXPECT_TRUE(harness.failed());
  }
}

TEST(ServerLogin, AnInspectionThatFailsOrIsEmptyEndsTheConnection) {
  for (const std::string& reply :
       {error("42501") + ready(), complete("SELECT 0") + ready(), row({"5"}) + ready(),
        std::string("Z\0\0\0\5X", 6), empty('1')}) {
    Harness harness;
    harness.start();
    harness.feed(authentication_ok() + greeting());
    harness.sent();
    harness.feed(reply);
    EXPECT_TRUE(harness.failed());
  }
}

TEST(ServerLogin, TheEndBeforeTheLoginIsNoCrash) {
  Harness harness;
  harness.start();
  harness.connection->on_end();
  EXPECT_EQ(harness.log, "startup; lost ; failed; ");
  EXPECT_FALSE(harness.connection->lost_unexpectedly());
}

TEST(ServerLogin, AConnectionThatNobodyWaitsForBecomesIdle) {
  Harness harness;
  harness.start();
  harness.feed(authentication_ok() + greeting());
  harness.connection->set_user(nullptr);
  harness.feed(inspection_reply());
  EXPECT_TRUE(harness.idle());
}

}  // namespace
}  // namespace pgrecall::upstream
