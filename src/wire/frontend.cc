#include "pgrecall/wire/frontend.h"

#include "pgrecall/wire/message_writer.h"

namespace pgrecall::wire {

namespace {

FormatList read_formats(ByteReader& reader) {
  return FormatList(reader.bytes(size_t{reader.u16()} * sizeof(int16_t)));
}

ValueList read_values(ByteReader& reader) {
  return ValueList::read(reader, reader.u16());
}

template <typename List>
void write_list(MessageWriter& writer, const List& list) {
  writer.count(list.size());
  writer.bytes(list.bytes());
}

bool is_object_kind(char kind) {
  return kind == kStatement || kind == kPortal;
}

/// Describe and Close have one form.
template <typename Message>
std::optional<Message> decode_object(std::string_view payload) {
  ByteReader reader(payload);
  Message message;
  message.kind = reader.character();
  message.name = reader.text();
  if (!reader.complete() || !is_object_kind(message.kind)) return std::nullopt;
  return message;
}

template <typename Message>
void encode_object(const Message& message, std::string& out) {
  PGR_ASSERT(is_object_kind(message.kind));
  MessageWriter writer(out, Message::kType);
  writer.character(message.kind);
  writer.text(message.name);
}

/// One string and nothing else.
std::optional<std::string_view> decode_text(std::string_view payload) {
  ByteReader reader(payload);
  const std::string_view text = reader.text();
  if (!reader.complete()) return std::nullopt;
  return text;
}

void encode_text(std::string& out, char type, std::string_view text) {
  MessageWriter writer(out, type);
  writer.text(text);
}

}  // namespace

std::optional<Query> Query::decode(std::string_view payload) {
  const auto text = decode_text(payload);
  if (!text) return std::nullopt;
  return Query{*text};
}

void Query::encode(std::string& out) const {
  encode_text(out, kType, sql);
}

std::optional<Parse> Parse::decode(std::string_view payload) {
  ByteReader reader(payload);
  Parse message;
  message.statement = reader.text();
  message.sql = reader.text();
  message.parameter_types = OidList(reader.bytes(size_t{reader.u16()} * sizeof(uint32_t)));
  if (!reader.complete()) return std::nullopt;
  return message;
}

void Parse::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(statement);
  writer.text(sql);
  write_list(writer, parameter_types);
}

std::optional<Bind> Bind::decode(std::string_view payload) {
  ByteReader reader(payload);
  Bind message;
  message.portal = reader.text();
  message.statement = reader.text();
  message.parameter_formats = read_formats(reader);
  message.parameters = read_values(reader);
  message.result_formats = read_formats(reader);
  if (!reader.complete()) return std::nullopt;
  return message;
}

void Bind::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(portal);
  writer.text(statement);
  write_list(writer, parameter_formats);
  write_list(writer, parameters);
  write_list(writer, result_formats);
}

std::optional<Describe> Describe::decode(std::string_view payload) {
  return decode_object<Describe>(payload);
}

void Describe::encode(std::string& out) const {
  encode_object(*this, out);
}

std::optional<Close> Close::decode(std::string_view payload) {
  return decode_object<Close>(payload);
}

void Close::encode(std::string& out) const {
  encode_object(*this, out);
}

std::optional<Execute> Execute::decode(std::string_view payload) {
  ByteReader reader(payload);
  Execute message;
  message.portal = reader.text();
  message.max_rows = reader.i32();
  if (!reader.complete()) return std::nullopt;
  return message;
}

void Execute::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(portal);
  writer.u32(static_cast<uint32_t>(max_rows));
}

std::optional<FunctionCall> FunctionCall::decode(std::string_view payload) {
  ByteReader reader(payload);
  FunctionCall message;
  message.function = reader.u32();
  message.argument_formats = read_formats(reader);
  message.arguments = read_values(reader);
  message.result_format = static_cast<int16_t>(reader.u16());
  if (!reader.complete()) return std::nullopt;
  return message;
}

void FunctionCall::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.u32(function);
  write_list(writer, argument_formats);
  write_list(writer, arguments);
  writer.u16(static_cast<uint16_t>(result_format));
}

std::optional<CopyData> CopyData::decode(std::string_view payload) {
  return CopyData{payload};
}

void CopyData::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.bytes(data);
}

std::optional<CopyFail> CopyFail::decode(std::string_view payload) {
  const auto text = decode_text(payload);
  if (!text) return std::nullopt;
  return CopyFail{*text};
}

void CopyFail::encode(std::string& out) const {
  encode_text(out, kType, reason);
}

std::optional<PasswordMessage> PasswordMessage::decode(std::string_view payload) {
  const auto text = decode_text(payload);
  if (!text) return std::nullopt;
  return PasswordMessage{*text};
}

void PasswordMessage::encode(std::string& out) const {
  encode_text(out, kType, password);
}

std::optional<SaslInitialResponse> SaslInitialResponse::decode(std::string_view payload) {
  ByteReader reader(payload);
  SaslInitialResponse message;
  message.mechanism = reader.text();
  message.response = ValueCodec::read(reader);
  if (!reader.complete()) return std::nullopt;
  return message;
}

void SaslInitialResponse::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(mechanism);
  writer.value(response);
}

std::optional<SaslResponse> SaslResponse::decode(std::string_view payload) {
  return SaslResponse{payload};
}

void SaslResponse::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.bytes(data);
}

}  // namespace pgrecall::wire
