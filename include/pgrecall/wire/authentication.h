// Authentication messages from server to client: all of type 'R', told apart by their first word.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"
#include "pgrecall/wire/encoded_list.h"
#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

/// Any code a server may send, known or not; empty if the payload is too short to have one.
std::optional<uint32_t> authentication_code(std::string_view payload);

/// Those that carry nothing beyond their code: kOk, kKerberosV5, kCleartextPassword, kGss, kSspi.
struct AuthenticationPlain {
  static constexpr char kType = kAuthentication;
  AuthenticationCode code = AuthenticationCode::kOk;

  static std::optional<AuthenticationPlain> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct AuthenticationMd5Password {
  static constexpr char kType = kAuthentication;
  std::array<char, 4> salt{};

  static std::optional<AuthenticationMd5Password> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct AuthenticationSasl {
  static constexpr char kType = kAuthentication;
  TextList mechanisms;  ///< in the server's order of preference

  static std::optional<AuthenticationSasl> decode(std::string_view payload);
  void encode(std::string& out) const;
  bool offers(std::string_view mechanism) const;
};

/// kSaslContinue, kSaslFinal and kGssContinue: data of the mechanism.
struct AuthenticationData {
  static constexpr char kType = kAuthentication;
  AuthenticationCode code = AuthenticationCode::kSaslContinue;
  std::string_view data;

  static std::optional<AuthenticationData> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// A complete AuthenticationSASL message without the mechanisms that bind to a TLS channel
/// (`*-PLUS`): they cannot work across a proxy with TLS of its own. An error if the payload is
/// malformed or nothing would be left.
Result<std::string> strip_plus_mechanisms(std::string_view payload);

}  // namespace pgrecall::wire
