// Messages from client to server, after start-up (PostgreSQL manual, "Message Formats").
//
// Every message has `decode`, which takes the payload of a frame of its type and refuses whatever
// is truncated, unterminated or followed by more bytes, and `encode`, which appends the whole
// message. encode(decode(x)) is x. Decoded fields are views into the payload.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/wire/empty_message.h"
#include "pgrecall/wire/encoded_list.h"
#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

struct Query {
  static constexpr char kType = kQuery;
  std::string_view sql;

  static std::optional<Query> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct Parse {
  static constexpr char kType = kParse;
  std::string_view statement;  ///< empty: the unnamed one
  std::string_view sql;
  OidList parameter_types;  ///< 0: unspecified; up to 65,535

  static std::optional<Parse> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// That the number of formats fits the number of values is the server's to check: its error leaves
/// the connection usable, so a mismatch is not a malformed message.
struct Bind {
  static constexpr char kType = kBind;
  std::string_view portal;
  std::string_view statement;
  FormatList parameter_formats;
  ValueList parameters;  ///< up to 65,535
  FormatList result_formats;

  static std::optional<Bind> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct Describe {
  static constexpr char kType = kDescribe;
  char kind = kStatement;  ///< kStatement or kPortal
  std::string_view name;

  static std::optional<Describe> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct Close {
  static constexpr char kType = kClose;
  char kind = kStatement;  ///< kStatement or kPortal
  std::string_view name;

  static std::optional<Close> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct Execute {
  static constexpr char kType = kExecute;
  std::string_view portal;
  int32_t max_rows = 0;  ///< zero or less: all

  static std::optional<Execute> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct FunctionCall {
  static constexpr char kType = kFunctionCall;
  uint32_t function = 0;
  FormatList argument_formats;
  ValueList arguments;
  int16_t result_format = kTextFormat;

  static std::optional<FunctionCall> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// Both ways. Any payload is a proper one.
struct CopyData {
  static constexpr char kType = kCopyData;
  std::string_view data;

  static std::optional<CopyData> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct CopyFail {
  static constexpr char kType = kCopyFail;
  std::string_view reason;

  static std::optional<CopyFail> decode(std::string_view payload);
  void encode(std::string& out) const;
};

// The four messages of type 'p' can be told apart only by what the server asked for.

struct PasswordMessage {
  static constexpr char kType = kPassword;
  std::string_view password;

  static std::optional<PasswordMessage> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct SaslInitialResponse {
  static constexpr char kType = kPassword;
  std::string_view mechanism;
  std::optional<std::string_view> response;  ///< absent is not the same as empty

  static std::optional<SaslInitialResponse> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// Also GSSResponse, which has the same form. Any payload is a proper one.
struct SaslResponse {
  static constexpr char kType = kPassword;
  std::string_view data;

  static std::optional<SaslResponse> decode(std::string_view payload);
  void encode(std::string& out) const;
};

}  // namespace pgrecall::wire
