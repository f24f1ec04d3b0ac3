#include "pgrecall/wire/authentication.h"

#include <algorithm>

#include "pgrecall/wire/message_writer.h"

namespace pgrecall::wire {

namespace {

constexpr std::string_view kPlusSuffix = "-PLUS";

bool is_plain(AuthenticationCode code) {
  switch (code) {
    case AuthenticationCode::kOk:
    case AuthenticationCode::kKerberosV5:
    case AuthenticationCode::kCleartextPassword:
    case AuthenticationCode::kGss:
    case AuthenticationCode::kSspi:
      return true;
    default:
      return false;
  }
}

bool has_data(AuthenticationCode code) {
  return code == AuthenticationCode::kGssContinue || code == AuthenticationCode::kSaslContinue ||
         code == AuthenticationCode::kSaslFinal;
}

void write_code(MessageWriter& writer, AuthenticationCode code) {
  writer.u32(static_cast<uint32_t>(code));
}

}  // namespace

std::optional<uint32_t> authentication_code(std::string_view payload) {
  if (payload.size() < 4) return std::nullopt;
  return load_u32(payload.data());
}

std::optional<AuthenticationPlain> AuthenticationPlain::decode(std::string_view payload) {
  ByteReader reader(payload);
  const auto code = static_cast<AuthenticationCode>(reader.u32());
  if (!reader.complete() || !is_plain(code)) return std::nullopt;
  return AuthenticationPlain{code};
}

void AuthenticationPlain::encode(std::string& out) const {
  PGR_ASSERT(is_plain(code));
  MessageWriter writer(out, kType);
  write_code(writer, code);
}

std::optional<AuthenticationMd5Password> AuthenticationMd5Password::decode(
    std::string_view payload) {
  ByteReader reader(payload);
  const auto code = static_cast<AuthenticationCode>(reader.u32());
  AuthenticationMd5Password message;
  const std::string_view salt = reader.bytes(message.salt.size());
  if (!reader.complete() || code != AuthenticationCode::kMd5Password) return std::nullopt;
  std::copy(salt.begin(), salt.end(), message.salt.begin());
  return message;
}

void AuthenticationMd5Password::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  write_code(writer, AuthenticationCode::kMd5Password);
  writer.bytes({salt.data(), salt.size()});
}

std::optional<AuthenticationSasl> AuthenticationSasl::decode(std::string_view payload) {
  ByteReader reader(payload);
  if (static_cast<AuthenticationCode>(reader.u32()) != AuthenticationCode::kSasl)
    return std::nullopt;
  const size_t start = reader.position();
  size_t count = 0;
  // An empty name ends the list and the message.
  while (reader.remaining() > 1) {
    if (reader.text().empty()) return std::nullopt;
    ++count;
  }
  AuthenticationSasl message;
  message.mechanisms = TextList(count, reader.since(start));
  if (reader.character() != '\0' || !reader.complete()) return std::nullopt;
  return message;
}

void AuthenticationSasl::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  write_code(writer, AuthenticationCode::kSasl);
  writer.bytes(mechanisms.bytes());
  writer.character('\0');
}

bool AuthenticationSasl::offers(std::string_view mechanism) const {
  return std::find(mechanisms.begin(), mechanisms.end(), mechanism) != mechanisms.end();
}

std::optional<AuthenticationData> AuthenticationData::decode(std::string_view payload) {
  ByteReader reader(payload);
  AuthenticationData message;
  message.code = static_cast<AuthenticationCode>(reader.u32());
  message.data = reader.rest();
  if (!reader.complete() || !has_data(message.code)) return std::nullopt;
  return message;
}

void AuthenticationData::encode(std::string& out) const {
  PGR_ASSERT(has_data(code));
  MessageWriter writer(out, kType);
  write_code(writer, code);
  writer.bytes(data);
}

Result<std::string> strip_plus_mechanisms(std::string_view payload) {
  const auto message = AuthenticationSasl::decode(payload);
  if (!message) return Error{"malformed AuthenticationSASL message from the server", "08P01"};
  std::string kept;
  size_t count = 0;
  for (const std::string_view mechanism : message->mechanisms) {
    if (mechanism.ends_with(kPlusSuffix)) continue;
    kept.append(mechanism);
    kept.push_back('\0');
    ++count;
  }
  if (count == 0)
    return Error{"the server offers no SASL mechanism without channel binding", "28000"};
  std::string out;
  AuthenticationSasl{TextList(count, kept)}.encode(out);
  return out;
}

}  // namespace pgrecall::wire
