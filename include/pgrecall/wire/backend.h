// Messages from server to client (PostgreSQL manual, "Message Formats"); those of the login are in
// authentication.h, those without a payload in empty_message.h, CopyData in frontend.h.
//
// `decode`, `encode` and the life of views are as in frontend.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/wire/empty_message.h"
#include "pgrecall/wire/encoded_list.h"
#include "pgrecall/wire/message.h"

namespace pgrecall::wire {

struct BackendKeyData {
  static constexpr char kType = kBackendKeyData;
  uint32_t process_id = 0;
  std::string_view key;  ///< 4 to 256 bytes; 4 in protocol 3.0

  static std::optional<BackendKeyData> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct ParameterStatus {
  static constexpr char kType = kParameterStatus;
  std::string_view name;
  std::string_view value;

  static std::optional<ParameterStatus> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct ReadyForQuery {
  static constexpr char kType = kReadyForQuery;
  char status = kIdle;  ///< kIdle, kInTransaction or kInFailedTransaction

  static std::optional<ReadyForQuery> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct FieldDescription {
  std::string_view name;
  uint32_t table = 0;  ///< oid, or 0 if the field is no column of a table
  int16_t column = 0;  ///< attribute number in that table
  uint32_t type = 0;   ///< oid
  int16_t type_size = 0;
  int32_t type_modifier = 0;
  int16_t format = kTextFormat;  ///< text in the answer to Describe of a statement
};

struct FieldDescriptionCodec {
  using Item = FieldDescription;
  static Item read(ByteReader& reader) {
    Item item;
    item.name = reader.text();
    item.table = reader.u32();
    item.column = static_cast<int16_t>(reader.u16());
    item.type = reader.u32();
    item.type_size = static_cast<int16_t>(reader.u16());
    item.type_modifier = reader.i32();
    item.format = static_cast<int16_t>(reader.u16());
    return item;
  }
};
using FieldDescriptionList = EncodedList<FieldDescriptionCodec>;

struct RowDescription {
  static constexpr char kType = kRowDescription;
  FieldDescriptionList fields;

  static std::optional<RowDescription> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct DataRow {
  static constexpr char kType = kDataRow;
  ValueList columns;

  static std::optional<DataRow> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// See command_tag.h for what the tag says.
struct CommandComplete {
  static constexpr char kType = kCommandComplete;
  std::string_view tag;

  static std::optional<CommandComplete> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct ErrorField {
  char code = 0;  ///< PostgreSQL manual, "Error and Notice Message Fields"
  std::string_view value;
};

struct ErrorFieldCodec {
  using Item = ErrorField;
  static Item read(ByteReader& reader) {
    Item item;
    item.code = reader.character();
    item.value = reader.text();
    return item;
  }
};
using ErrorFieldList = EncodedList<ErrorFieldCodec>;

/// Fields in the server's order; a hostile server may send none at all. See error_fields.h.
template <char Type>
struct FieldMessage {
  static constexpr char kType = Type;
  ErrorFieldList fields;

  static std::optional<FieldMessage> decode(std::string_view payload);
  void encode(std::string& out) const;
};
using ErrorResponse = FieldMessage<kErrorResponse>;
using NoticeResponse = FieldMessage<kNoticeResponse>;
extern template struct FieldMessage<kErrorResponse>;
extern template struct FieldMessage<kNoticeResponse>;

struct NotificationResponse {
  static constexpr char kType = kNotificationResponse;
  uint32_t process_id = 0;
  std::string_view channel;
  std::string_view payload;

  static std::optional<NotificationResponse> decode(std::string_view payload);
  void encode(std::string& out) const;
};

struct ParameterDescription {
  static constexpr char kType = kParameterDescription;
  OidList types;

  static std::optional<ParameterDescription> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// What begins a COPY: CopyInResponse, CopyOutResponse, CopyBothResponse (replication).
template <char Type>
struct CopyResponse {
  static constexpr char kType = Type;
  char format = 0;  ///< of the whole: 0 text, 1 binary
  FormatList column_formats;

  static std::optional<CopyResponse> decode(std::string_view payload);
  void encode(std::string& out) const;
};
using CopyInResponse = CopyResponse<kCopyInResponse>;
using CopyOutResponse = CopyResponse<kCopyOutResponse>;
using CopyBothResponse = CopyResponse<kCopyBothResponse>;
extern template struct CopyResponse<kCopyInResponse>;
extern template struct CopyResponse<kCopyOutResponse>;
extern template struct CopyResponse<kCopyBothResponse>;

struct FunctionCallResponse {
  static constexpr char kType = kFunctionCallResponse;
  std::optional<std::string_view> value;  ///< absent: NULL

  static std::optional<FunctionCallResponse> decode(std::string_view payload);
  void encode(std::string& out) const;
};

/// `version` is what PostgreSQL sends: the whole version word, not the minor alone.
struct NegotiateProtocolVersion {
  static constexpr char kType = kNegotiateProtocolVersion;
  uint32_t version = kProtocol30;
  TextList unsupported_options;

  static std::optional<NegotiateProtocolVersion> decode(std::string_view payload);
  void encode(std::string& out) const;
};

}  // namespace pgrecall::wire
