#include "pgrecall/wire/builder.h"

#include "pgrecall/wire/message_writer.h"

namespace pgrecall::wire {

namespace {

void append_text_message(std::string& out, char type, std::string_view text) {
  MessageWriter writer(out, type);
  writer.text(text);
}

void append_object_message(std::string& out, char type, char kind, std::string_view name) {
  MessageWriter writer(out, type);
  writer.character(kind);
  writer.text(name);
}

void append_authentication(std::string& out, AuthenticationCode code, std::string_view data) {
  MessageWriter writer(out, kAuthentication);
  writer.u32(static_cast<uint32_t>(code));
  writer.bytes(data);
}

void write_formats(MessageWriter& writer, std::span<const int16_t> formats) {
  writer.count(formats.size());
  for (const int16_t format : formats) writer.u16(static_cast<uint16_t>(format));
}

void write_oids(MessageWriter& writer, std::span<const uint32_t> oids) {
  writer.count(oids.size());
  for (const uint32_t oid : oids) writer.u32(oid);
}

void write_values(MessageWriter& writer, std::span<const std::optional<std::string_view>> values) {
  writer.count(values.size());
  for (const auto& value : values) writer.value(value);
}

void append_fields(std::string& out, char type, std::string_view severity,
                   std::string_view sqlstate, std::string_view message, std::string_view detail,
                   std::string_view hint) {
  MessageWriter writer(out, type);
  const auto field = [&writer](char code, std::string_view value) {
    writer.character(code);
    writer.text(value);
  };
  field('S', severity);
  field('V', severity);
  field('C', sqlstate);
  field('M', message);
  if (!detail.empty()) field('D', detail);
  if (!hint.empty()) field('H', hint);
  writer.character('\0');
}

}  // namespace

void append_error(std::string& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail, std::string_view hint) {
  append_fields(out, kErrorResponse, severity, sqlstate, message, detail, hint);
}

void append_notice(std::string& out, std::string_view severity, std::string_view sqlstate,
                   std::string_view message, std::string_view detail, std::string_view hint) {
  append_fields(out, kNoticeResponse, severity, sqlstate, message, detail, hint);
}

void append_command_complete(std::string& out, std::string_view tag) {
  append_text_message(out, kCommandComplete, tag);
}

void append_parameter_status(std::string& out, std::string_view name, std::string_view value) {
  MessageWriter writer(out, kParameterStatus);
  writer.text(name);
  writer.text(value);
}

void append_backend_key_data(std::string& out, uint32_t process_id, std::string_view key) {
  PGR_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  MessageWriter writer(out, kBackendKeyData);
  writer.u32(process_id);
  writer.bytes(key);
}

void append_authentication_ok(std::string& out) {
  append_authentication(out, AuthenticationCode::kOk, {});
}

void append_authentication_cleartext(std::string& out) {
  append_authentication(out, AuthenticationCode::kCleartextPassword, {});
}

void append_authentication_md5(std::string& out, std::string_view salt) {
  PGR_ASSERT(salt.size() == 4);
  append_authentication(out, AuthenticationCode::kMd5Password, salt);
}

void append_authentication_sasl(std::string& out, std::span<const std::string_view> mechanisms) {
  MessageWriter writer(out, kAuthentication);
  writer.u32(static_cast<uint32_t>(AuthenticationCode::kSasl));
  for (const std::string_view mechanism : mechanisms) writer.text(mechanism);
  writer.character('\0');
}

void append_authentication_sasl_continue(std::string& out, std::string_view data) {
  append_authentication(out, AuthenticationCode::kSaslContinue, data);
}

void append_authentication_sasl_final(std::string& out, std::string_view data) {
  append_authentication(out, AuthenticationCode::kSaslFinal, data);
}

void append_negotiate_protocol_version(std::string& out, uint32_t version,
                                       std::span<const std::string_view> unsupported_options) {
  MessageWriter writer(out, kNegotiateProtocolVersion);
  writer.u32(version);
  writer.u32(static_cast<uint32_t>(unsupported_options.size()));
  for (const std::string_view option : unsupported_options) writer.text(option);
}

void append_row_description(std::string& out, std::span<const ColumnSpec> columns) {
  constexpr uint32_t kNoModifier = UINT32_MAX;
  MessageWriter writer(out, kRowDescription);
  writer.count(columns.size());
  for (const ColumnSpec& column : columns) {
    writer.text(column.name);
    writer.u32(0);  // no table
    writer.u16(0);
    writer.u32(column.type);
    writer.u16(static_cast<uint16_t>(column.type_size));
    writer.u32(kNoModifier);
    writer.u16(static_cast<uint16_t>(column.format));
  }
}

void append_data_row(std::string& out, std::span<const std::optional<std::string_view>> values) {
  MessageWriter writer(out, kDataRow);
  write_values(writer, values);
}

void append_parameter_description(std::string& out, std::span<const uint32_t> types) {
  MessageWriter writer(out, kParameterDescription);
  write_oids(writer, types);
}

void append_startup(std::string& out, uint32_t version, std::span<const Parameter> parameters) {
  MessageWriter writer(out);
  writer.u32(version);
  for (const auto& [name, value] : parameters) {
    PGR_ASSERT(!name.empty());  // would end the list
    writer.text(name);
    writer.text(value);
  }
  writer.character('\0');
}

void append_ssl_request(std::string& out) {
  MessageWriter writer(out);
  writer.u32(kSslRequestCode);
}

void append_cancel_request(std::string& out, uint32_t process_id, std::string_view key) {
  PGR_ASSERT(key.size() >= kCancelKeyBytesMin && key.size() <= kCancelKeyBytesMax);
  MessageWriter writer(out);
  writer.u32(kCancelRequestCode);
  writer.u32(process_id);
  writer.bytes(key);
}

void append_password(std::string& out, std::string_view password) {
  append_text_message(out, kPassword, password);
}

void append_sasl_initial_response(std::string& out, std::string_view mechanism,
                                  std::string_view response) {
  MessageWriter writer(out, kPassword);
  writer.text(mechanism);
  writer.value(response);
}

void append_sasl_response(std::string& out, std::string_view data) {
  MessageWriter writer(out, kPassword);
  writer.bytes(data);
}

void append_query(std::string& out, std::string_view sql) {
  append_text_message(out, kQuery, sql);
}

void append_parse(std::string& out, std::string_view statement, std::string_view sql,
                  std::span<const uint32_t> parameter_types) {
  MessageWriter writer(out, kParse);
  writer.text(statement);
  writer.text(sql);
  write_oids(writer, parameter_types);
}

void append_bind(std::string& out, std::string_view portal, std::string_view statement,
                 std::span<const int16_t> parameter_formats,
                 std::span<const std::optional<std::string_view>> parameters,
                 std::span<const int16_t> result_formats) {
  MessageWriter writer(out, kBind);
  writer.text(portal);
  writer.text(statement);
  write_formats(writer, parameter_formats);
  write_values(writer, parameters);
  write_formats(writer, result_formats);
}

void append_describe_statement(std::string& out, std::string_view name) {
  append_object_message(out, kDescribe, kStatement, name);
}

void append_describe_portal(std::string& out, std::string_view name) {
  append_object_message(out, kDescribe, kPortal, name);
}

void append_close_statement(std::string& out, std::string_view name) {
  append_object_message(out, kClose, kStatement, name);
}

void append_close_portal(std::string& out, std::string_view name) {
  append_object_message(out, kClose, kPortal, name);
}

void append_execute(std::string& out, std::string_view portal, int32_t max_rows) {
  MessageWriter writer(out, kExecute);
  writer.text(portal);
  writer.u32(static_cast<uint32_t>(max_rows));
}

void append_copy_fail(std::string& out, std::string_view reason) {
  append_text_message(out, kCopyFail, reason);
}

}  // namespace pgrecall::wire
