#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "pgrecall/wire/builder.h"
#include "wire/samples.h"

namespace pgrecall::wire {

namespace {

std::string built(const std::function<void(std::string&)>& build) {
  std::string out = "before";
  build(out);
  EXPECT_EQ(out.substr(0, 6), "before") << "builders append";
  return out.substr(6);
}

struct BuilderCase {
  const char* name;  ///< of the sample it must equal
  std::function<void(std::string&)> build;
};

void expect_samples(const std::vector<Sample>& samples, const std::vector<BuilderCase>& cases) {
  for (const BuilderCase& c : cases)
    EXPECT_EQ(built(c.build), sample_named(samples, c.name).bytes) << c.name;
}

}  // namespace

constexpr std::array<uint32_t, 2> kInt4AndText{23, 25};
constexpr std::array<uint32_t, 2> kInt4AndUntyped{23, 0};

TEST(Builder, MakesTheServersMessagesAsTheManualHasThem) {
  using Out = std::string&;
  expect_samples(
      all_samples(),
      {{"ReadyForQueryIdle", [](Out o) { append_ready_for_query(o, kIdle); }},
       {"ReadyForQueryFailed", [](Out o) { append_ready_for_query(o, kInFailedTransaction); }},
       {"ParseComplete", [](Out o) { append_parse_complete(o); }},
       {"BindComplete", [](Out o) { append_bind_complete(o); }},
       {"CloseComplete", [](Out o) { append_close_complete(o); }},
       {"NoData", [](Out o) { append_no_data(o); }},
       {"EmptyQueryResponse", [](Out o) { append_empty_query_response(o); }},
       {"CommandComplete", [](Out o) { append_command_complete(o, "INSERT 0 1"); }},
       {"ParameterStatus", [](Out o) { append_parameter_status(o, "TimeZone", "UTC"); }},
       {"BackendKeyData", [](Out o) { append_backend_key_data(o, 0x1234, "\xde\xad\xbe\xef"); }},
       {"AuthenticationOk", [](Out o) { append_authentication_ok(o); }},
       {"AuthenticationCleartextPassword", [](Out o) { append_authentication_cleartext(o); }},
       {"AuthenticationMD5Password",
        [](Out o) { append_authentication_md5(o, "\x01\x02\x03\x04"); }},
       {"AuthenticationSASL",
        [](Out o) {
          append_authentication_sasl(
              o, std::array<std::string_view, 2>{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
        }},
       {"AuthenticationSASLContinue",
        [](Out o) { append_authentication_sasl_continue(o, "r=ab,s=cd,i=4096"); }},
       {"AuthenticationSASLFinal", [](Out o) { append_authentication_sasl_final(o, "v=ab"); }},
       {"NegotiateProtocolVersion",
        [](Out o) {
          append_negotiate_protocol_version(o, kProtocol30,
                                            std::array<std::string_view, 2>{"_pq_.a", "_pq_.b"});
        }},
       {"DataRow",
        [](Out o) {
          append_data_row(o, std::array<std::optional<std::string_view>, 3>{"1", std::nullopt, ""});
        }},
       {"ParameterDescription", [](Out o) { append_parameter_description(o, kInt4AndText); }}});
}

TEST(Builder, MakesTheClientsMessagesAsTheManualHasThem) {
  using Out = std::string&;
  expect_samples(
      all_samples(),
      {{"Query", [](Out o) { append_query(o, "select 1"); }},
       {"Sync", [](Out o) { append_sync(o); }},
       {"Flush", [](Out o) { append_flush(o); }},
       {"Terminate", [](Out o) { append_terminate(o); }},
       {"Parse", [](Out o) { append_parse(o, "s1", "select $1, $2", kInt4AndUntyped); }},
       {"ParseUntyped", [](Out o) { append_parse(o, "", "select 1"); }},
       {"Bind",
        [](Out o) {
          append_bind(o, "p", "s1", std::array<int16_t, 3>{0, 1, 0},
                      std::array<std::optional<std::string_view>, 3>{"x", std::nullopt, ""},
                      std::array<int16_t, 1>{1});
        }},
       {"BindEmpty", [](Out o) { append_bind(o, "", "", {}, {}, {}); }},
       {"DescribeStatement", [](Out o) { append_describe_statement(o, "s1"); }},
       {"DescribePortal", [](Out o) { append_describe_portal(o, ""); }},
       {"CloseStatement", [](Out o) { append_close_statement(o, ""); }},
       {"ClosePortal", [](Out o) { append_close_portal(o, "p"); }},
       {"Execute", [](Out o) { append_execute(o, "p", 100); }},
       {"CopyFail", [](Out o) { append_copy_fail(o, "changed my mind"); }},
       {"PasswordMessage", [](Out o) { append_password(o, "secret"); }},
       {"SASLInitialResponse",
        [](Out o) { append_sasl_initial_response(o, "SCRAM-SHA-256", "n,,n=,r=a"); }},
       {"SASLResponse", [](Out o) { append_sasl_response(o, "c=biws,r=ab,p=cd"); }},
       {"SSLRequest", [](Out o) { append_ssl_request(o); }},
       {"CancelRequest", [](Out o) { append_cancel_request(o, 0x1234, "\xde\xad\xbe\xef"); }},
       {"StartupMessage32", [](Out o) {
          append_startup(o, kProtocol32, std::array<Parameter, 1>{Parameter{"user", "a"}});
        }}});
}

TEST(Builder, AnErrorHasTheFieldsPostgreSqlSends) {
  EXPECT_EQ(built([](std::string& o) { append_error(o, "FATAL", "28P01", "no"); }),
            message_of('E', "'SFATAL' 00 'VFATAL' 00 'C28P01' 00 'Mno' 00 00"));
  EXPECT_EQ(built([](std::string& o) { append_error(o, "ERROR", "0A000", "no", "why", "do"); }),
            message_of('E', "'SERROR' 00 'VERROR' 00 'C0A000' 00 'Mno' 00 'Dwhy' 00 'Hdo' 00 00"));
  EXPECT_EQ(built([](std::string& o) { append_notice(o, "NOTICE", "00000", "hi"); }),
            message_of('N', "'SNOTICE' 00 'VNOTICE' 00 'C00000' 00 'Mhi' 00 00"));
}

TEST(Builder, AZeroByteInATextCannotShiftTheFieldsBehindIt) {
  const std::string text("a\0Z\0\0\0\5I", 8);
  const std::string error = built([&](std::string& o) { append_error(o, "ERROR", "XX000", text); });
  EXPECT_EQ(error, message_of('E', "'SERROR' 00 'VERROR' 00 'CXX000' 00 'Ma' 00 00"));
  EXPECT_EQ(built([&](std::string& o) { append_query(o, text); }), message_of('Q', "'a' 00"));
}

TEST(Builder, ColumnsOfOurOwnAnswersDecodeAsTheyWereGiven) {
  const std::array<ColumnSpec, 2> columns{{{"count", 20, 8, kBinaryFormat}, {"name"}}};
  const std::string bytes = built([&](std::string& o) { append_row_description(o, columns); });
  const auto description = RowDescription::decode(std::string_view(bytes).substr(5));
  ASSERT_TRUE(description);
  auto field = description->fields.begin();
  EXPECT_EQ(field->name, "count");
  EXPECT_EQ(field->type, 20U);
  EXPECT_EQ(field->type_size, 8);
  EXPECT_EQ(field->type_modifier, -1);
  EXPECT_EQ(field->format, kBinaryFormat);
  ++field;
  EXPECT_EQ(field->name, "name");
  EXPECT_EQ(field->type, 25U);
  EXPECT_EQ(field->type_size, -1);
  EXPECT_EQ(field->format, kTextFormat);
}

TEST(Builder, ADecodedMessageCanBeSentOnUnderAnotherName) {
  const auto samples = frontend_samples();
  const std::string original = sample_named(samples, "Bind").bytes;
  auto bind = Bind::decode(std::string_view(original).substr(5));
  ASSERT_TRUE(bind);
  bind->statement = "pgr_17";
  EXPECT_EQ(built([&](std::string& o) { bind->encode(o); }),
            message_of('B',
                       "'p' 00 'pgr_17' 00 0003 0000 0001 0000"
                       "0003 00000001 'x' ffffffff 00000000 0001 0001"));
}

}  // namespace pgrecall::wire
