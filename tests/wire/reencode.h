// For tests and fuzzing: decodes a message in every way its type allows and encodes it again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/wire/authentication.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/frontend.h"
#include "pgrecall/wire/startup.h"

namespace pgrecall::wire {

enum class Direction { kStartup, kFrontend, kBackend };

inline bool inside(std::string_view whole, std::string_view part) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// A decoded list yields as many items as it says, all inside the message.
template <typename List>
void check_list(const List& list, std::string_view whole) {
  size_t items = 0;
  for (auto it = list.begin(); it != list.end(); ++it) ++items;
  PGR_ASSERT(items == list.size());
  PGR_ASSERT(inside(whole, list.bytes()));
}

template <typename Message>
void check_lists(const Message& message, std::string_view whole) {
  if constexpr (requires { message.parameters.begin(); }) check_list(message.parameters, whole);
  if constexpr (requires { message.arguments; }) check_list(message.arguments, whole);
  if constexpr (requires { message.fields; }) check_list(message.fields, whole);
  if constexpr (requires { message.columns; }) check_list(message.columns, whole);
  if constexpr (requires { message.mechanisms; }) check_list(message.mechanisms, whole);
  if constexpr (requires { message.unsupported_options; })
    check_list(message.unsupported_options, whole);
}

template <typename Message>
void reencode_as(std::string_view input, std::vector<std::string>& results) {
  const auto message = Message::decode(input);
  if (!message) return;
  check_lists(*message, input);
  message->encode(results.emplace_back());
}

template <typename... Messages>
void reencode_typed(const Frame& frame, std::vector<std::string>& results) {
  const auto one = [&]<typename Message>(const Message*) {
    if (frame.type == Message::kType) reencode_as<Message>(frame.payload, results);
  };
  (one(static_cast<const Messages*>(nullptr)), ...);
}

/// One result per message struct that accepts the frame; none if it is malformed.
inline std::vector<std::string> reencode(Direction direction, const Frame& frame) {
  std::vector<std::string> results;
  if (direction == Direction::kFrontend) {
    reencode_typed<Query, Parse, Bind, Describe, Close, Execute, FunctionCall, CopyData, CopyDone,
                   CopyFail, PasswordMessage, SaslInitialResponse, SaslResponse, Sync, Flush,
                   Terminate>(frame, results);
  } else {
    reencode_typed<AuthenticationPlain, AuthenticationMd5Password, AuthenticationSasl,
                   AuthenticationData, BackendKeyData, ParameterStatus, ReadyForQuery,
                   RowDescription, DataRow, CommandComplete, ErrorResponse, NoticeResponse,
                   NotificationResponse, ParameterDescription, CopyInResponse, CopyOutResponse,
                   CopyBothResponse, FunctionCallResponse, NegotiateProtocolVersion, CopyData,
                   CopyDone, ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended,
                   EmptyQueryResponse>(frame, results);
  }
  return results;
}

inline std::vector<std::string> reencode_startup(std::string_view packet) {
  std::vector<std::string> results;
  reencode_as<StartupMessage>(packet, results);
  reencode_as<SslRequest>(packet, results);
  reencode_as<GssEncRequest>(packet, results);
  reencode_as<CancelRequest>(packet, results);
  return results;
}

}  // namespace pgrecall::wire
