#include "pgrecall/net/address.h"

#include <gtest/gtest.h>

#include "net/support.h"

namespace pgrecall::net::testing {
namespace {

TEST(EndpointTest, ReadsEveryForm) {
  const struct {
    const char* text;
    Endpoint expected;
    const char* printed;
  } cases[] = {
      {"db.example.com:5433", {"db.example.com", 5433}, "db.example.com:5433"},
      {"db.example.com", {"db.example.com", 6432}, "db.example.com:6432"},
      {"127.0.0.1:1", {"127.0.0.1", 1}, "127.0.0.1:1"},
      {"[::1]:5432", {"::1", 5432}, "[::1]:5432"},
      {"[::1]", {"::1", 6432}, "[::1]:6432"},
      {"::1", {"::1", 6432}, "[::1]:6432"},
      {"fe80::1%lo", {"fe80::1%lo", 6432}, "[fe80::1%lo]:6432"},
      {"/run/postgresql", {"/run/postgresql", 6432}, "/run/postgresql:6432"},
      {"/run/postgresql:5433", {"/run/postgresql", 5433}, "/run/postgresql:5433"},
      {"*:6432", {"*", 6432}, "*:6432"},
  };
  for (const auto& one : cases) {
    Result<Endpoint> endpoint = Endpoint::parse(one.text, 6432);
    ASSERT_TRUE(endpoint.ok()) << one.text;
    EXPECT_EQ(*endpoint, one.expected) << one.text;
    EXPECT_EQ(endpoint->text(), one.printed);
    EXPECT_EQ(*Endpoint::parse(endpoint->text(), 1), one.expected);
  }
  EXPECT_EQ((Endpoint{"/run/postgresql", 5433}.socket_path()), "/run/postgresql/.s.PGSQL.5433");
}

TEST(EndpointTest, RefusesNonsense) {
  for (const char* text : {"", ":5432", "host:", "host:99999", "host:-1", "host:5x", "[::1", "[]:1",
                           "[::1]5432", "host:1 "})
    EXPECT_FALSE(Endpoint::parse(text, 1).ok()) << text;
}

TEST(AddressTest, NumericAddressesNeedNoLookUp) {
  EXPECT_EQ(Address::numeric({"127.0.0.1", 5432})->text(), "127.0.0.1:5432");
  EXPECT_EQ(Address::numeric({"::1", 5432})->text(), "[::1]:5432");
  EXPECT_EQ(Address::numeric({"/run", 5432})->text(), "/run/.s.PGSQL.5432");
  EXPECT_FALSE(Address::numeric({"localhost", 5432}).ok());
  EXPECT_FALSE(Address::numeric({"1.2.3", 5432}).ok());
  EXPECT_FALSE(Address::numeric({"/" + std::string(200, 'x'), 5432}).ok());
}

TEST(AddressTest, KnowsWhatIsLocal) {
  EXPECT_TRUE(Address::numeric({"127.0.0.1", 1})->is_local());
  EXPECT_TRUE(Address::numeric({"127.9.9.9", 1})->is_local());
  EXPECT_TRUE(Address::numeric({"::1", 1})->is_local());
  EXPECT_TRUE(Address::numeric({"::ffff:127.0.0.1", 1})->is_local());
  EXPECT_TRUE(Address::numeric({"/run", 1})->is_local());
  EXPECT_FALSE(Address::numeric({"10.0.0.1", 1})->is_local());
  EXPECT_FALSE(Address::numeric({"::ffff:10.0.0.1", 1})->is_local());
  EXPECT_FALSE(Address::numeric({"2001:db8::1", 1})->is_local());
}

class ResolveTest : public LoopTest {};

TEST_F(ResolveTest, FindsLocalhost) {
  std::vector<Address> found;
  std::unique_ptr<Resolution> resolution;
  resolution = resolve(*loop, {"localhost", 5432}, [&](Result<std::vector<Address>> result) {
    ASSERT_TRUE(result.ok());
    found = *result;
    resolution.reset();  // from within its own callback
    loop->stop();
  });
  run();
  ASSERT_FALSE(found.empty());
  EXPECT_TRUE(found[0].is_local());
  EXPECT_EQ(found[0].port(), 5432);
}

TEST_F(ResolveTest, AnUnknownNameIsAnError) {
  bool failed = false;
  auto resolution =
      resolve(*loop, {"no-such-host.invalid", 5432}, [&](Result<std::vector<Address>> result) {
        failed = !result.ok();
        loop->stop();
      });
  run();
  EXPECT_TRUE(failed);
}

TEST_F(ResolveTest, ANumericAddressIsNotToldFromWithinTheCall) {
  bool inside = true;
  std::string text;
  auto resolution = resolve(*loop, {"::1", 5432}, [&](Result<std::vector<Address>> result) {
    EXPECT_FALSE(inside);
    text = result->at(0).text();
    loop->stop();
  });
  inside = false;
  run();
  EXPECT_EQ(text, "[::1]:5432");
}

TEST_F(ResolveTest, NobodyIsCalledOnceItIsDestroyed) {
  for (const char* host : {"localhost", "127.0.0.1"}) {
    auto resolution = resolve(*loop, {host, 1}, [](const Result<std::vector<Address>>&) {
      ADD_FAILURE() << "called after its end";
    });
    resolution.reset();
  }
  auto other =
      resolve(*loop, {"localhost", 1}, [&](const Result<std::vector<Address>>&) { loop->stop(); });
  run();
}

}  // namespace
}  // namespace pgrecall::net::testing
