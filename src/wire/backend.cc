#include "pgrecall/wire/backend.h"

#include "pgrecall/wire/message_writer.h"

namespace pgrecall::wire {

namespace {

bool is_key_size(size_t size) {
  return size >= kCancelKeyBytesMin && size <= kCancelKeyBytesMax;
}

template <typename List>
void write_list(MessageWriter& writer, const List& list) {
  writer.count(list.size());
  writer.bytes(list.bytes());
}

}  // namespace

std::optional<BackendKeyData> BackendKeyData::decode(std::string_view payload) {
  ByteReader reader(payload);
  BackendKeyData message;
  message.process_id = reader.u32();
  message.key = reader.rest();
  if (!reader.complete() || !is_key_size(message.key.size())) return std::nullopt;
  return message;
}

void BackendKeyData::encode(std::string& out) const {
  PGR_ASSERT(is_key_size(key.size()));
  MessageWriter writer(out, kType);
  writer.u32(process_id);
  writer.bytes(key);
}

std::optional<ParameterStatus> ParameterStatus::decode(std::string_view payload) {
  ByteReader reader(payload);
  ParameterStatus message;
  message.name = reader.text();
  message.value = reader.text();
  if (!reader.complete()) return std::nullopt;
  return message;
}

void ParameterStatus::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(name);
  writer.text(value);
}

std::optional<ReadyForQuery> ReadyForQuery::decode(std::string_view payload) {
  if (payload.size() != 1 || !is_transaction_status(payload[0])) return std::nullopt;
  return ReadyForQuery{payload[0]};
}

void ReadyForQuery::encode(std::string& out) const {
  PGR_ASSERT(is_transaction_status(status));
  MessageWriter writer(out, kType);
  writer.character(status);
}

std::optional<RowDescription> RowDescription::decode(std::string_view payload) {
  ByteReader reader(payload);
  RowDescription message;
  message.fields = FieldDescriptionList::read(reader, reader.u16());
  if (!reader.complete()) return std::nullopt;
  return message;
}

void RowDescription::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  write_list(writer, fields);
}

std::optional<DataRow> DataRow::decode(std::string_view payload) {
  ByteReader reader(payload);
  DataRow message;
  message.columns = ValueList::read(reader, reader.u16());
  if (!reader.complete()) return std::nullopt;
  return message;
}

void DataRow::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  write_list(writer, columns);
}

std::optional<CommandComplete> CommandComplete::decode(std::string_view payload) {
  ByteReader reader(payload);
  CommandComplete message;
  message.tag = reader.text();
  if (!reader.complete()) return std::nullopt;
  return message;
}

void CommandComplete::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.text(tag);
}

template <char Type>
std::optional<FieldMessage<Type>> FieldMessage<Type>::decode(std::string_view payload) {
  ByteReader reader(payload);
  size_t count = 0;
  // A zero instead of a field code ends the list and the message.
  while (reader.remaining() > 1) {
    const ErrorField field = ErrorFieldCodec::read(reader);
    if (!reader.ok() || field.code == '\0') return std::nullopt;
    ++count;
  }
  FieldMessage message;
  message.fields = ErrorFieldList(count, reader.since(0));
  if (reader.character() != '\0' || !reader.complete()) return std::nullopt;
  return message;
}

template <char Type>
void FieldMessage<Type>::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.bytes(fields.bytes());
  writer.character('\0');
}

template struct FieldMessage<kErrorResponse>;
template struct FieldMessage<kNoticeResponse>;

std::optional<NotificationResponse> NotificationResponse::decode(std::string_view payload) {
  ByteReader reader(payload);
  NotificationResponse message;
  message.process_id = reader.u32();
  message.channel = reader.text();
  message.payload = reader.text();
  if (!reader.complete()) return std::nullopt;
  return message;
}

void NotificationResponse::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.u32(process_id);
  writer.text(channel);
  writer.text(payload);
}

std::optional<ParameterDescription> ParameterDescription::decode(std::string_view payload) {
  ByteReader reader(payload);
  ParameterDescription message;
  message.types = OidList(reader.bytes(size_t{reader.u16()} * sizeof(uint32_t)));
  if (!reader.complete()) return std::nullopt;
  return message;
}

void ParameterDescription::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  write_list(writer, types);
}

template <char Type>
std::optional<CopyResponse<Type>> CopyResponse<Type>::decode(std::string_view payload) {
  ByteReader reader(payload);
  CopyResponse message;
  message.format = reader.character();
  message.column_formats = FormatList(reader.bytes(size_t{reader.u16()} * sizeof(int16_t)));
  if (!reader.complete()) return std::nullopt;
  return message;
}

template <char Type>
void CopyResponse<Type>::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.character(format);
  write_list(writer, column_formats);
}

template struct CopyResponse<kCopyInResponse>;
template struct CopyResponse<kCopyOutResponse>;
template struct CopyResponse<kCopyBothResponse>;

std::optional<FunctionCallResponse> FunctionCallResponse::decode(std::string_view payload) {
  ByteReader reader(payload);
  FunctionCallResponse message;
  message.value = ValueCodec::read(reader);
  if (!reader.complete()) return std::nullopt;
  return message;
}

void FunctionCallResponse::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.value(value);
}

std::optional<NegotiateProtocolVersion> NegotiateProtocolVersion::decode(std::string_view payload) {
  ByteReader reader(payload);
  NegotiateProtocolVersion message;
  message.version = reader.u32();
  message.unsupported_options = TextList::read(reader, reader.u32());
  if (!reader.complete()) return std::nullopt;
  return message;
}

void NegotiateProtocolVersion::encode(std::string& out) const {
  MessageWriter writer(out, kType);
  writer.u32(version);
  writer.u32(static_cast<uint32_t>(unsupported_options.size()));
  writer.bytes(unsupported_options.bytes());
}

}  // namespace pgrecall::wire
