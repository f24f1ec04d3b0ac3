// Start-up packets: what a client sends before anything else. Each begins with its length; none has
// a type. `decode` takes a whole packet as `peek_startup` returns it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/wire/encoded_list.h"
#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

enum class StartupKind {
  kStartup,  ///< major version 3, any minor
  kSslRequest,
  kGssEncRequest,
  kCancelRequest,
  kUnsupported,  ///< another protocol; `startup_code` says which (PostgreSQL answers 0A000)
};

/// The word behind the length: a version or one of the request codes. 0 if the packet is too short.
uint32_t startup_code(std::string_view packet);
StartupKind startup_kind(std::string_view packet);

struct StartupParameter {
  std::string_view name;
  std::string_view value;
};

struct StartupParameterCodec {
  using Item = StartupParameter;
  static Item read(ByteReader& reader) {
    Item item;
    item.name = reader.text();
    item.value = reader.text();
    return item;
  }
};
using StartupParameterList = EncodedList<StartupParameterCodec>;

struct StartupMessage {
  uint32_t version = kProtocol30;
  StartupParameterList parameters;  ///< in the client's order, repetitions included

  static std::optional<StartupMessage> decode(std::string_view packet);
  void encode(std::string& out) const;
  /// The last value of that name, as PostgreSQL would take it; empty if there is none.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

struct SslRequest {
  static std::optional<SslRequest> decode(std::string_view packet);
  void encode(std::string& out) const;
};

struct GssEncRequest {
  static std::optional<GssEncRequest> decode(std::string_view packet);
  void encode(std::string& out) const;
};

struct CancelRequest {
  uint32_t process_id = 0;
  std::string_view key;  ///< 4 to 256 bytes

  static std::optional<CancelRequest> decode(std::string_view packet);
  void encode(std::string& out) const;
};

}  // namespace pgrecall::wire
