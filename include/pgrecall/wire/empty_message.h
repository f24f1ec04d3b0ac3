// Messages that say everything by their type.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

template <char Type>
struct EmptyMessage {
  static constexpr char kType = Type;

  static std::optional<EmptyMessage> decode(std::string_view payload) {
    if (!payload.empty()) return std::nullopt;
    return EmptyMessage{};
  }
  void encode(std::string& out) const { out.append({Type, '\0', '\0', '\0', '\4'}); }
};

using Sync = EmptyMessage<kSync>;
using Flush = EmptyMessage<kFlush>;
using Terminate = EmptyMessage<kTerminate>;
using CopyDone = EmptyMessage<kCopyDone>;
using ParseComplete = EmptyMessage<kParseComplete>;
using BindComplete = EmptyMessage<kBindComplete>;
using CloseComplete = EmptyMessage<kCloseComplete>;
using NoData = EmptyMessage<kNoData>;
using PortalSuspended = EmptyMessage<kPortalSuspended>;
using EmptyQueryResponse = EmptyMessage<kEmptyQueryResponse>;

}  // namespace pgrecall::wire
