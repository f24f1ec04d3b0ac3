// One or more samples of every message, written by hand from the PostgreSQL manual, independent of
// the encoders under test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/reencode.h"

namespace pgrecall::wire {

/// Hex digits, and text in single quotes; blanks outside quotes mean nothing.
inline std::string bytes_of(std::string_view notation) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  bool quoted = false;
  for (size_t i = 0; i < notation.size(); ++i) {
    const char c = notation[i];
    if (c == '\'')
      quoted = !quoted;
    else if (quoted)
      bytes += c;
    else if (c != ' ')
      bytes += static_cast<char>(digit(c) * 16 + digit(notation[++i]));
  }
  return bytes;
}

inline std::string with_length(const std::string& payload) {
  const size_t length = payload.size() + 4;
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift);
  return bytes + payload;
}

/// A whole message; type 0 is a start-up packet.
inline std::string message_of(char type, std::string_view notation) {
  const std::string rest = with_length(bytes_of(notation));
  return type == 0 ? rest : type + rest;
}

struct Sample {
  const char* name;
  Direction direction;
  std::string bytes;
  bool open_ended = false;  ///< bytes up to the end of the message: any length is a proper one
};

inline std::vector<Sample> startup_samples() {
  constexpr auto kStart = Direction::kStartup;
  return {
      {"StartupMessage", kStart,
       message_of(0, "00030000 'user' 00 'alice' 00 'database' 00 'shop' 00 'options' 00 00 00")},
      {"StartupMessage32", kStart, message_of(0, "00030002 'user' 00 'a' 00 00")},
      {"StartupMessageWithoutParameters", kStart, message_of(0, "00030000 00")},
      {"SSLRequest", kStart, message_of(0, "04d2162f")},
      {"GSSENCRequest", kStart, message_of(0, "04d21630")},
      {"CancelRequest", kStart, message_of(0, "04d2162e 00001234 deadbeef")},
      {"CancelRequest32", kStart,
       message_of(0, "04d2162e 00001234 '" + std::string(256, 'k') + "'")},
  };
}

inline std::vector<Sample> frontend_samples() {
  constexpr auto kFront = Direction::kFrontend;
  return {
      {"Query", kFront, message_of('Q', "'select 1' 00")},
      {"QueryEmpty", kFront, message_of('Q', "00")},
      {"Parse", kFront, message_of('P', "'s1' 00 'select $1, $2' 00 0002 00000017 00000000")},
      {"ParseUntyped", kFront, message_of('P', "00 'select 1' 00 0000")},
      {"Bind", kFront,
       message_of('B',
                  "'p' 00 's1' 00 0003 0000 0001 0000"
                  "0003 00000001 'x' ffffffff 00000000 0001 0001")},
      {"BindEmpty", kFront, message_of('B', "00 00 0000 0000 0000")},
      {"DescribeStatement", kFront, message_of('D', "'Ss1' 00")},
      {"DescribePortal", kFront, message_of('D', "'P' 00")},
      {"CloseStatement", kFront, message_of('C', "'S' 00")},
      {"ClosePortal", kFront, message_of('C', "'Pp' 00")},
      {"Execute", kFront, message_of('E', "'p' 00 00000064")},
      {"ExecuteNegative", kFront, message_of('E', "00 ffffffff")},
      {"FunctionCall", kFront,
       message_of('F', "000000b1 0001 0001 0002 00000004 00000028 ffffffff 0001")},
      {"CopyData", kFront, message_of('d', "'1' 09 'one' 0a"), true},
      {"CopyDone", kFront, message_of('c', "")},
      {"CopyFail", kFront, message_of('f', "'changed my mind' 00")},
      {"PasswordMessage", kFront, message_of('p', "'secret' 00"), true},
      {"SASLInitialResponse", kFront, message_of('p', "'SCRAM-SHA-256' 00 00000009 'n,,n=,r=a'"),
       true},
      {"SASLInitialResponseAbsent", kFront, message_of('p', "'EXTERNAL' 00 ffffffff"), true},
      {"SASLResponse", kFront, message_of('p', "'c=biws,r=ab,p=cd'"), true},
      {"Sync", kFront, message_of('S', "")},
      {"Flush", kFront, message_of('H', "")},
      {"Terminate", kFront, message_of('X', "")},
  };
}

inline std::vector<Sample> login_answer_samples() {
  constexpr auto kBack = Direction::kBackend;
  return {
      {"AuthenticationOk", kBack, message_of('R', "00000000")},
      {"AuthenticationKerberosV5", kBack, message_of('R', "00000002")},
      {"AuthenticationCleartextPassword", kBack, message_of('R', "00000003")},
      {"AuthenticationMD5Password", kBack, message_of('R', "00000005 01020304")},
      {"AuthenticationGSS", kBack, message_of('R', "00000007")},
      {"AuthenticationGSSContinue", kBack, message_of('R', "00000008 'token'"), true},
      {"AuthenticationSSPI", kBack, message_of('R', "00000009")},
      {"AuthenticationSASL", kBack,
       message_of('R', "0000000a 'SCRAM-SHA-256-PLUS' 00 'SCRAM-SHA-256' 00 00")},
      {"AuthenticationSASLContinue", kBack, message_of('R', "0000000b 'r=ab,s=cd,i=4096'"), true},
      {"AuthenticationSASLFinal", kBack, message_of('R', "0000000c 'v=ab'"), true},
      {"BackendKeyData", kBack, message_of('K', "00001234 deadbeef")},
      {"BackendKeyData32", kBack, message_of('K', "00001234 '" + std::string(32, 'k') + "'"), true},
      {"NegotiateProtocolVersion", kBack,
       message_of('v', "00030000 00000002 '_pq_.a' 00 '_pq_.b' 00")},
      {"NegotiateProtocolVersionOnly", kBack, message_of('v', "00030000 00000000")},
  };
}

inline std::vector<Sample> answer_samples() {
  constexpr auto kBack = Direction::kBackend;
  return {
      {"ParameterStatus", kBack, message_of('S', "'TimeZone' 00 'UTC' 00")},
      {"ReadyForQueryIdle", kBack, message_of('Z', "'I'")},
      {"ReadyForQueryInTransaction", kBack, message_of('Z', "'T'")},
      {"ReadyForQueryFailed", kBack, message_of('Z', "'E'")},
      {"RowDescription", kBack,
       message_of('T',
                  "0002 'id' 00 00004001 0001 00000017 0004 ffffffff 0001"
                  "'?column?' 00 00000000 0000 00000019 ffff ffffffff 0000")},
      {"RowDescriptionWithoutFields", kBack, message_of('T', "0000")},
      {"DataRow", kBack, message_of('D', "0003 00000001 '1' ffffffff 00000000")},
      {"DataRowEmpty", kBack, message_of('D', "0000")},
      {"CommandComplete", kBack, message_of('C', "'INSERT 0 1' 00")},
      {"EmptyQueryResponse", kBack, message_of('I', "")},
      {"ErrorResponse", kBack,
       message_of('E',
                  "'SFEHLER' 00 'VERROR' 00 'C23505' 00 'Mduplicate key' 00 'spublic' 00 'tt' "
                  "00 'nt_pkey' 00 00")},
      {"ErrorResponseWithoutFields", kBack, message_of('E', "00")},
      {"NoticeResponse", kBack, message_of('N', "'SNOTICE' 00 'C00000' 00 'Mhello' 00 00")},
      {"NotificationResponse", kBack, message_of('A', "00001234 'channel' 00 'payload' 00")},
      {"ParseComplete", kBack, message_of('1', "")},
      {"BindComplete", kBack, message_of('2', "")},
      {"CloseComplete", kBack, message_of('3', "")},
      {"ParameterDescription", kBack, message_of('t', "0002 00000017 00000019")},
      {"NoData", kBack, message_of('n', "")},
      {"PortalSuspended", kBack, message_of('s', "")},
      {"CopyInResponse", kBack, message_of('G', "00 0002 0000 0000")},
      {"CopyOutResponse", kBack, message_of('H', "01 0001 0001")},
      {"CopyBothResponse", kBack, message_of('W', "00 0000")},
      {"CopyData", kBack, message_of('d', "00ff00"), true},
      {"CopyDone", kBack, message_of('c', "")},
      {"FunctionCallResponse", kBack, message_of('V', "00000004 0000002a")},
      {"FunctionCallResponseNull", kBack, message_of('V', "ffffffff")},
  };
}

inline std::vector<Sample> all_samples() {
  std::vector<Sample> all;
  for (auto part :
       {startup_samples(), frontend_samples(), login_answer_samples(), answer_samples()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline const Sample& sample_named(const std::vector<Sample>& samples, std::string_view name) {
  for (const Sample& sample : samples) {
    if (sample.name == name) return sample;
  }
  assertion_failed("a sample of that name exists", __FILE__, __LINE__);
}

}  // namespace pgrecall::wire
