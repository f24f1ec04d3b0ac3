// Appends whole messages to a string: what the hot path and small services send.
//
// Strings end at their first zero byte. Larger or rarer messages: the `encode` of their struct.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

// Server to client.

inline void append_empty(std::string& out, char type) {
  const char bytes[] = {type, 0, 0, 0, 4};
  out.append(bytes, sizeof bytes);
}

inline void append_ready_for_query(std::string& out, char status) {
  const char bytes[] = {kReadyForQuery, 0, 0, 0, 5, status};
  out.append(bytes, sizeof bytes);
}

inline void append_parse_complete(std::string& out) {
  append_empty(out, kParseComplete);
}
inline void append_bind_complete(std::string& out) {
  append_empty(out, kBindComplete);
}
inline void append_close_complete(std::string& out) {
  append_empty(out, kCloseComplete);
}
inline void append_no_data(std::string& out) {
  append_empty(out, kNoData);
}
inline void append_empty_query_response(std::string& out) {
  append_empty(out, kEmptyQueryResponse);
}

/// ErrorResponse with S, V, C, M and, where given, D and H, in PostgreSQL's order. `severity` is
/// one of the untranslated words: ERROR, FATAL, PANIC.
void append_error(std::string& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail = {},
                  std::string_view hint = {});
/// The same as NoticeResponse: WARNING, NOTICE, INFO, DEBUG, LOG.
void append_notice(std::string& out, std::string_view severity, std::string_view sqlstate,
                   std::string_view message, std::string_view detail = {},
                   std::string_view hint = {});

void append_command_complete(std::string& out, std::string_view tag);
void append_parameter_status(std::string& out, std::string_view name, std::string_view value);
void append_backend_key_data(std::string& out, uint32_t process_id, std::string_view key);
void append_authentication_ok(std::string& out);
void append_authentication_cleartext(std::string& out);
/// `salt` is four bytes.
void append_authentication_md5(std::string& out, std::string_view salt);
void append_authentication_sasl(std::string& out, std::span<const std::string_view> mechanisms);
void append_authentication_sasl_continue(std::string& out, std::string_view data);
void append_authentication_sasl_final(std::string& out, std::string_view data);
/// `version` is the whole word of the version offered instead, for example kProtocol30.
void append_negotiate_protocol_version(std::string& out, uint32_t version,
                                       std::span<const std::string_view> unsupported_options);

/// RowDescription and DataRow in text format, for answers of our own (console, estimates).
struct ColumnSpec {
  std::string_view name;
  uint32_t type = 25;  ///< oid; 25 is text, 20 int8
  int16_t type_size = -1;
  int16_t format = kTextFormat;
};
void append_row_description(std::string& out, std::span<const ColumnSpec> columns);
void append_data_row(std::string& out, std::span<const std::optional<std::string_view>> values);
void append_parameter_description(std::string& out, std::span<const uint32_t> types);

// Client to server.

using Parameter = std::pair<std::string_view, std::string_view>;
void append_startup(std::string& out, uint32_t version, std::span<const Parameter> parameters);
void append_ssl_request(std::string& out);
void append_cancel_request(std::string& out, uint32_t process_id, std::string_view key);
/// Cleartext, or what md5.h made of it.
void append_password(std::string& out, std::string_view password);
void append_sasl_initial_response(std::string& out, std::string_view mechanism,
                                  std::string_view response);
void append_sasl_response(std::string& out, std::string_view data);

void append_query(std::string& out, std::string_view sql);
/// `parameter_types` may be empty: the server infers them.
void append_parse(std::string& out, std::string_view statement, std::string_view sql,
                  std::span<const uint32_t> parameter_types = {});
void append_bind(std::string& out, std::string_view portal, std::string_view statement,
                 std::span<const int16_t> parameter_formats,
                 std::span<const std::optional<std::string_view>> parameters,
                 std::span<const int16_t> result_formats);
void append_describe_statement(std::string& out, std::string_view name);
void append_describe_portal(std::string& out, std::string_view name);
void append_close_statement(std::string& out, std::string_view name);
void append_close_portal(std::string& out, std::string_view name);
void append_execute(std::string& out, std::string_view portal, int32_t max_rows = 0);
void append_copy_fail(std::string& out, std::string_view reason);

inline void append_sync(std::string& out) {
  append_empty(out, kSync);
}
inline void append_flush(std::string& out) {
  append_empty(out, kFlush);
}
inline void append_terminate(std::string& out) {
  append_empty(out, kTerminate);
}

}  // namespace pgrecall::wire
