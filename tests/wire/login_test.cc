#include <gtest/gtest.h>

#include <fstream>

#include "pgrecall/wire/md5.h"
#include "pgrecall/wire/scram.h"
#include "pgrecall/wire/scram_server.h"
#include "wire/samples.h"

namespace pgrecall::wire {

namespace {

// The example of RFC 7677, section 3.
constexpr char kNonce[] = "rOprNGfwEbeRWgbNEkqO";
constexpr char kServerNonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr char kServerFirst[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr char kClientFinal[] =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr char kServerFinal[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
constexpr char kSalt[] = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";

/// The error of a client that gets this challenge; empty if it goes on.
std::string challenge_error(std::string_view server_first, const ScramLimits& limits = {}) {
  ScramClient client("pencil", kNonce, limits);
  EXPECT_TRUE(client.client_first("user").ok());
  const auto final = client.client_final(server_first);
  return final.ok() ? "" : final.error().message;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, what.size(), with);
}

ScramSecret pencil_secret() {
  return ScramSecret::from_password("pencil", std::string_view(kSalt, 16)).value();
}

}  // namespace

TEST(ScramClient, SpeaksTheExampleOfTheRfc) {
  ScramClient client("pencil", kNonce);
  EXPECT_EQ(client.client_first("user").value(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(client.client_final(kServerFirst).value(), kClientFinal);
  EXPECT_TRUE(client.verify_server(kServerFinal).ok());
  EXPECT_EQ(client.keys().iterations, 4096U);
  EXPECT_EQ(client.keys().salt, std::string_view(kSalt, 16));
}

TEST(ScramClient, RepeatsTheLoginRecordedWithARealServer) {
  std::ifstream file(PGRECALL_SOURCE_DIR "/tests/wire/data/conversation.txt");
  std::vector<std::string> login;  // the data of the four SASL messages
  for (std::string line; std::getline(file, line) && login.size() < 4;) {
    const std::string bytes = line[0] == '#' ? "" : bytes_of(std::string_view(line).substr(2));
    const std::string_view payload = bytes.size() < 5 ? "" : std::string_view(bytes).substr(5);
    if (line[0] == 'F' && bytes[0] == kPassword) {
      const auto initial = SaslInitialResponse::decode(payload);
      login.emplace_back(initial ? *initial->response : payload);
    } else if (line[0] == 'B' && bytes[0] == kAuthentication) {
      const auto data = AuthenticationData::decode(payload);
      if (data) login.emplace_back(data->data);
    }
  }
  ASSERT_EQ(login.size(), 4U);
  ScramClient client("pencil", "3rfcNHYJY1ZVvWVs7j");
  EXPECT_EQ(client.client_first().value(), login[0]);
  EXPECT_EQ(client.client_final(login[1]).value(), login[2]);
  EXPECT_TRUE(client.verify_server(login[3]).ok());
}

TEST(ScramClient, KeysOfAnEarlierLoginNeedNoPassword) {
  ScramClient first("pencil", kNonce);
  ASSERT_TRUE(first.client_first("user").ok());
  ASSERT_TRUE(first.client_final(kServerFirst).ok());
  ScramClient again(first.keys(), "", kNonce);
  ASSERT_TRUE(again.client_first("user").ok());
  EXPECT_EQ(again.client_final(kServerFirst).value(), kClientFinal);

  ScramClient elsewhere(first.keys(), "", kNonce);
  ASSERT_TRUE(elsewhere.client_first("user").ok());
  const auto other_salt = elsewhere.client_final(replaced(kServerFirst, "s=W22", "s=W23"));
  ASSERT_FALSE(other_salt.ok());
  EXPECT_EQ(other_salt.error().sqlstate, "28P01");
}

TEST(ScramClient, KeysOfAnotherSaltFallBackToThePassword) {
  ScramKeys outdated;
  outdated.salt = "other";
  outdated.iterations = 4096;
  ScramClient client(outdated, "pencil", kNonce);
  ASSERT_TRUE(client.client_first("user").ok());
  EXPECT_EQ(client.client_final(kServerFirst).value(), kClientFinal);

  ScramKeys other_count = client.keys();
  other_count.iterations = 4095;
  other_count.client_key.fill(0);
  ScramClient again(other_count, "pencil", kNonce);
  ASSERT_TRUE(again.client_first("user").ok());
  EXPECT_EQ(again.client_final(kServerFirst).value(), kClientFinal);
}

TEST(ScramClientDeathTest, ANonceThatCannotBeSentIsABugOfTheCaller) {
  for (const char* nonce : {"", "a,b", "a b", "a\n"})
    EXPECT_DEATH(ScramClient("pencil", nonce), "is_scram_nonce") << nonce;
}

TEST(ScramClient, AServerThatDoesNotKnowTheSecretIsFoundOut) {
  for (const std::string& outcome :
       {replaced(kServerFinal, "v=6", "v=7"), std::string("v="), std::string(""),
        std::string("v=AAAA"), std::string(kServerFinal) + ",x=y", std::string(kServerFinal) + ",",
        std::string("e=other-error"), std::string("v=") + std::string(44, 'A')}) {
    ScramClient client("pencil", kNonce);
    ASSERT_TRUE(client.client_first("user").ok());
    ASSERT_TRUE(client.client_final(kServerFirst).ok());
    EXPECT_FALSE(client.verify_server(outcome).ok()) << outcome;
    EXPECT_FALSE(client.verify_server(kServerFinal).ok()) << "one try";
  }
}

TEST(ScramClient, StepsOutOfTurnAreErrors) {
  ScramClient client("pencil", kNonce);
  EXPECT_FALSE(client.client_final(kServerFirst).ok());
  EXPECT_FALSE(client.verify_server(kServerFinal).ok());
  ASSERT_TRUE(client.client_first("user").ok());
  EXPECT_FALSE(client.client_first("user").ok());
  EXPECT_FALSE(client.verify_server(kServerFinal).ok());
  ASSERT_TRUE(client.client_final(kServerFirst).ok());
  EXPECT_FALSE(client.client_final(kServerFirst).ok());
  ASSERT_TRUE(client.verify_server(kServerFinal).ok());
  EXPECT_FALSE(client.verify_server(kServerFinal).ok());
}

TEST(ScramClient, Trap33_ChallengesOfAHostileServerEndTheLogin) {
  EXPECT_EQ(challenge_error(kServerFirst), "");
  const std::string good = kServerFirst;
  const std::string bad[] = {
      "",
      "r",
      "r=",
      "e=other-error",
      "m=x," + good,
      good + ",x=y",
      good + ",",
      "," + good,
      replaced(good, "r=rOpr", "r=sOpr"),  // not our nonce
      replaced(good, kServerNonce, ""),    // nothing added
      replaced(good, "%hv", "\x7f"),
      replaced(good, "%hv", " "),                          // not printable
      replaced(good, "s=W22ZaJ0SNY7soEsUEjb6gQ==", "s="),  // no salt
      replaced(good, "gQ==", "gQ="),
      replaced(good, "gQ==", "gQ"),
      replaced(good, "gQ==", "g==="),
      replaced(good, "gQ==", "gR=="),  // not canonical
      replaced(good, "W22Z", "W2 Z"),
      replaced(good, "W22Z", "===="),
      replaced(good, "i=4096", "i=0"),
      replaced(good, "i=4096", "i=-1"),
      replaced(good, "i=4096", "i="),
      replaced(good, "i=4096", "i=4096x"),
      replaced(good, "i=4096", "i= 4096"),
      replaced(good, "i=4096", "i=1000001"),
      replaced(good, "i=4096", "i=99999999999999999999"),
      replaced(good, ",i=4096", ""),
      replaced(good, "s=", "t="),
      replaced(good, "%hv", std::string(300, 'n')),            // long nonce
      replaced(good, "W22Z", "W22Z" + std::string(400, 'A')),  // long salt
      replaced(good, "%hv", std::string(100'000, 'n')),        // long everything
  };
  for (const std::string& challenge : bad)
    EXPECT_NE(challenge_error(challenge), "") << challenge.substr(0, 100);
}

TEST(ScramClient, LimitsAreExact) {
  ScramLimits limits;
  limits.nonce_bytes = 50;  // what the example has
  limits.salt_bytes = 16;
  limits.iterations = 4096;
  EXPECT_EQ(challenge_error(kServerFirst, limits), "");
  --limits.nonce_bytes;
  EXPECT_NE(challenge_error(kServerFirst, limits), "");
  ++limits.nonce_bytes;
  --limits.salt_bytes;
  EXPECT_NE(challenge_error(kServerFirst, limits), "");
  ++limits.salt_bytes;
  --limits.iterations;
  EXPECT_NE(challenge_error(kServerFirst, limits), "");
  ++limits.iterations;

  const std::string salt_of_18 = replaced(kServerFirst, "gQ==", "gQAA");
  limits.salt_bytes = 18;
  EXPECT_EQ(challenge_error(salt_of_18, limits), "");
  limits.salt_bytes = 17;
  EXPECT_NE(challenge_error(salt_of_18, limits), "");

  limits.message_bytes = sizeof kServerFirst - 1;
  EXPECT_EQ(challenge_error(kServerFirst, limits), "");
  --limits.message_bytes;
  EXPECT_NE(challenge_error(kServerFirst, limits), "");
}

TEST(ScramClient, AUserNameIsEscaped) {
  ScramClient client("pencil", "abc");
  EXPECT_EQ(client.client_first("a,b=c").value(), "n,,n=a=2Cb=3Dc,r=abc");
}

TEST(ScramServer, SpeaksTheExampleOfTheRfcAndLearnsTheKeys) {
  ScramServer server(pencil_secret(), kServerNonce);
  EXPECT_EQ(server.server_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").value(), kServerFirst);
  EXPECT_EQ(server.server_final(kClientFinal).value(), kServerFinal);
  ScramClient upstream(server.keys(), "", kNonce);
  ASSERT_TRUE(upstream.client_first("user").ok());
  EXPECT_EQ(upstream.client_final(kServerFirst).value(), kClientFinal);
}

TEST(ScramServer, RefusesAWrongPasswordAndAMockAlike) {
  const auto outcome = [](const ScramSecret& secret, const char* password) {
    ScramServer server(secret, kServerNonce);
    ScramClient client(password, kNonce);
    const std::string first = server.server_first(client.client_first().value()).value();
    const auto final = server.server_final(client.client_final(first).value());
    return final.ok() ? "in" : final.error().sqlstate;
  };
  EXPECT_EQ(outcome(pencil_secret(), "pencil"), "in");
  EXPECT_EQ(outcome(pencil_secret(), "pencil2"), "28P01");
  ScramSecret mock = pencil_secret();
  mock.mock = true;
  EXPECT_EQ(outcome(mock, "pencil"), "28P01");
  const ScramSecret one = ScramSecret::make_mock("mallory", "secret").value();
  EXPECT_EQ(outcome(one, "pencil"), "28P01");
  EXPECT_EQ(one.salt, ScramSecret::make_mock("mallory", "secret").value().salt);
  EXPECT_NE(one.salt, ScramSecret::make_mock("eve", "secret").value().salt);
  EXPECT_EQ(one.salt.size(), 16U);
}

TEST(ScramServer, LimitsAreExact) {
  const std::string first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
  const auto refused = [&](const ScramLimits& limits) {
    return !ScramServer(pencil_secret(), kServerNonce, limits).server_first(first).ok();
  };
  ScramLimits limits;
  limits.message_bytes = first.size();
  limits.nonce_bytes = 20;
  EXPECT_FALSE(refused(limits));
  --limits.nonce_bytes;
  EXPECT_TRUE(refused(limits));
  ++limits.nonce_bytes;
  --limits.message_bytes;
  EXPECT_TRUE(refused(limits));

  limits.message_bytes = sizeof kClientFinal - 2;
  ScramServer server(pencil_secret(), kServerNonce, limits);
  ASSERT_TRUE(server.server_first(first).ok());
  EXPECT_FALSE(server.server_final(kClientFinal).ok());
}

TEST(ScramServer, RefusesMalformedMessages) {
  for (const char* first :
       {"", "n", "n,,", "n,,n=user", "n,,r=abc", "n,,n=user,r=", "p=tls-unique,,n=user,r=abc",
        "n,a=other,n=user,r=abc", "x,,n=user,r=abc", "n,,m=x,n=user,r=abc", "n,,n=user,r=a c"}) {
    ScramServer server(pencil_secret(), kServerNonce);
    const auto answer = server.server_first(first);
    ASSERT_FALSE(answer.ok()) << first;
    EXPECT_EQ(answer.error().sqlstate, "08P01");
    EXPECT_FALSE(server.server_final(kClientFinal).ok());
  }
  const std::string good = kClientFinal;
  for (const std::string& final :
       {std::string(), std::string(",p="), good.substr(0, good.find(",p=")),
        replaced(good, "biws", "eSws"), replaced(good, "r=rO", "r=sO"), good + "A", good + ",",
        replaced(good, "p=dHzb", "p=dHz")}) {
    ScramServer server(pencil_secret(), kServerNonce);
    ASSERT_TRUE(server.server_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").ok());
    const auto answer = server.server_final(final);
    ASSERT_FALSE(answer.ok()) << final;
    EXPECT_EQ(answer.error().sqlstate, "08P01");
    EXPECT_FALSE(server.server_final(kClientFinal).ok()) << "one try";
  }
}

TEST(ScramSecret, ReadsWhatPostgreSqlStores) {
  // rolpassword of a role with the password "pencil", from a PostgreSQL 15.
  const std::string stored =
      "SCRAM-SHA-256$4096:bL0gTUlY6BZfr6y+8hFbog==$qHU/t9i5lEcPTXSVN83d9PqUOeVqLGRx3HbYNirNHuw=:"
      "XOMSWsdHfJg3fJkIbSgJhZ26sezv0Ha06NtAiwHqeLg=";
  const auto secret = ScramSecret::parse(stored);
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(secret.value().format(), stored);
  const auto made = ScramSecret::from_password("pencil", secret.value().salt);
  EXPECT_EQ(made.value().format(), stored);
  for (const std::string& bad :
       {std::string(), std::string("pencil"), replaced(stored, "4096", "0"),
        replaced(stored, "4096", "4294967295"), replaced(stored, "SCRAM", "scram"),
        replaced(stored, "bL0gTUlY6BZfr6y+8hFbog==", ""), stored + "=", stored.substr(0, 90),
        replaced(stored, "qHU/", "")}) {
    EXPECT_FALSE(ScramSecret::parse(bad).ok()) << bad;
  }
}

TEST(Md5, AnswersAsPostgreSqlComputesIt) {
  // rolpassword of role bob with the password "secret", from a PostgreSQL 15.
  const std::string stored = "md521f3163f8f86fa10bdefbfbd502a8f06";
  EXPECT_EQ(md5_secret("secret", "bob").value(), stored);
  const std::string_view salt("\x01\x02\x03\x04");
  const std::string answer = md5_response("secret", "bob", salt).value();
  // printf '21f3163f8f86fa10bdefbfbd502a8f06\1\2\3\4' | md5sum
  EXPECT_EQ(answer, "md5f21dfe33ff3a9e03dbc3e008251fe5cc");
  EXPECT_EQ(md5_response_from_secret(stored, salt).value(), answer);
  EXPECT_NE(md5_response("secret", "bob", "\x01\x02\x03\x05").value(), answer);
  EXPECT_FALSE(md5_response_from_secret("secret", salt).ok());
  EXPECT_FALSE(md5_response_from_secret(stored + "0", salt).ok());
}

TEST(StripPlusMechanisms, LeavesTheOthersInOrder) {
  const auto stripped = strip_plus_mechanisms(
      bytes_of("0000000a 'SCRAM-SHA-256-PLUS' 00 'SCRAM-SHA-256' 00 'X-PLUS' 00 'OTHER' 00 00"));
  ASSERT_TRUE(stripped.ok());
  EXPECT_EQ(stripped.value(), message_of('R', "0000000a 'SCRAM-SHA-256' 00 'OTHER' 00 00"));
}

TEST(StripPlusMechanisms, NothingLeftAndMalformedAreErrors) {
  for (const char* payload :
       {"0000000a 'SCRAM-SHA-256-PLUS' 00 00", "0000000a 00", "0000000a 'SCRAM-SHA-256' 00",
        "0000000a 'SCRAM-SHA-256'", "0000000b 'A' 00 00", "0000000a 'A' 00 00 'B' 00 00", ""}) {
    EXPECT_FALSE(strip_plus_mechanisms(bytes_of(payload)).ok()) << payload;
  }
}

}  // namespace pgrecall::wire
