#include "pgrecall/wire/startup.h"

#include "pgrecall/wire/frame.h"
#include "pgrecall/wire/message_writer.h"

namespace pgrecall::wire {

namespace {

/// Length, then code; the reader stands behind both.
std::optional<ByteReader> open(std::string_view packet) {
  ByteReader reader(packet);
  const uint32_t length = reader.u32();
  reader.u32();
  if (!reader.ok() || length != packet.size() || length > kStartupBytesMax + 4) return std::nullopt;
  return reader;
}

bool is_bare_request(std::string_view packet, uint32_t code) {
  const auto reader = open(packet);
  return reader && reader->complete() && startup_code(packet) == code;
}

void encode_bare_request(std::string& out, uint32_t code) {
  MessageWriter writer(out);
  writer.u32(code);
}

bool is_key_size(size_t size) {
  return size >= kCancelKeyBytesMin && size <= kCancelKeyBytesMax;
}

}  // namespace

uint32_t startup_code(std::string_view packet) {
  return packet.size() < 8 ? 0 : load_u32(packet.data() + 4);
}

StartupKind startup_kind(std::string_view packet) {
  const uint32_t code = startup_code(packet);
  switch (code) {
    case kSslRequestCode:
      return StartupKind::kSslRequest;
    case kGssEncRequestCode:
      return StartupKind::kGssEncRequest;
    case kCancelRequestCode:
      return StartupKind::kCancelRequest;
    default:
      return protocol_major(code) == 3 ? StartupKind::kStartup : StartupKind::kUnsupported;
  }
}

std::optional<StartupMessage> StartupMessage::decode(std::string_view packet) {
  auto reader = open(packet);
  if (!reader || startup_kind(packet) != StartupKind::kStartup) return std::nullopt;
  StartupMessage message;
  message.version = startup_code(packet);
  const size_t start = reader->position();
  size_t count = 0;
  // An empty name ends the list and must be the last byte.
  while (reader->remaining() > 1) {
    const StartupParameter parameter = StartupParameterCodec::read(*reader);
    if (!reader->ok() || parameter.name.empty()) return std::nullopt;
    ++count;
  }
  message.parameters = StartupParameterList(count, reader->since(start));
  if (reader->character() != '\0' || !reader->complete()) return std::nullopt;
  return message;
}

void StartupMessage::encode(std::string& out) const {
  MessageWriter writer(out);
  writer.u32(version);
  writer.bytes(parameters.bytes());
  writer.character('\0');
}

std::optional<std::string_view> StartupMessage::parameter(std::string_view name) const {
  std::optional<std::string_view> value;
  for (const StartupParameter& parameter : parameters) {
    if (parameter.name == name) value = parameter.value;
  }
  return value;
}

std::optional<SslRequest> SslRequest::decode(std::string_view packet) {
  if (!is_bare_request(packet, kSslRequestCode)) return std::nullopt;
  return SslRequest{};
}

void SslRequest::encode(std::string& out) const {
  encode_bare_request(out, kSslRequestCode);
}

std::optional<GssEncRequest> GssEncRequest::decode(std::string_view packet) {
  if (!is_bare_request(packet, kGssEncRequestCode)) return std::nullopt;
  return GssEncRequest{};
}

void GssEncRequest::encode(std::string& out) const {
  encode_bare_request(out, kGssEncRequestCode);
}

std::optional<CancelRequest> CancelRequest::decode(std::string_view packet) {
  auto reader = open(packet);
  if (!reader || startup_code(packet) != kCancelRequestCode) return std::nullopt;
  CancelRequest message;
  message.process_id = reader->u32();
  message.key = reader->rest();
  if (!reader->complete() || !is_key_size(message.key.size())) return std::nullopt;
  return message;
}

void CancelRequest::encode(std::string& out) const {
  PGR_ASSERT(is_key_size(key.size()));
  MessageWriter writer(out);
  writer.u32(kCancelRequestCode);
  writer.u32(process_id);
  writer.bytes(key);
}

}  // namespace pgrecall::wire
