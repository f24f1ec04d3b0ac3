// The constants of protocol 3 (PostgreSQL manual, "Message Formats"), and what they have in common.
#pragma once

#include <cstdint>

namespace pgrecall::wire {

// Start-up packets: the 32 bit word after the length.
constexpr uint32_t kProtocol30 = 3U << 16;
constexpr uint32_t kProtocol32 = (3U << 16) | 2;
constexpr uint32_t kCancelRequestCode = (1234U << 16) | 5678;
constexpr uint32_t kSslRequestCode = (1234U << 16) | 5679;
constexpr uint32_t kGssEncRequestCode = (1234U << 16) | 5680;
constexpr uint32_t protocol_major(uint32_t version) {
  return version >> 16;
}
constexpr uint32_t protocol_minor(uint32_t version) {
  return version & 0xFFFF;
}

// Client to server.
constexpr char kBind = 'B';
constexpr char kClose = 'C';
constexpr char kDescribe = 'D';
constexpr char kExecute = 'E';
constexpr char kFunctionCall = 'F';
constexpr char kFlush = 'H';
constexpr char kParse = 'P';
constexpr char kQuery = 'Q';
constexpr char kSync = 'S';
constexpr char kTerminate = 'X';
constexpr char kPassword = 'p';  ///< also SASLInitialResponse, SASLResponse and GSSResponse

// Both ways.
constexpr char kCopyData = 'd';
constexpr char kCopyDone = 'c';
constexpr char kCopyFail = 'f';  ///< only client to server

// Server to client.
constexpr char kAuthentication = 'R';
constexpr char kBackendKeyData = 'K';
constexpr char kBindComplete = '2';
constexpr char kCloseComplete = '3';
constexpr char kCommandComplete = 'C';
constexpr char kCopyInResponse = 'G';
constexpr char kCopyOutResponse = 'H';
constexpr char kCopyBothResponse = 'W';
constexpr char kDataRow = 'D';
constexpr char kEmptyQueryResponse = 'I';
constexpr char kErrorResponse = 'E';
constexpr char kFunctionCallResponse = 'V';
constexpr char kNegotiateProtocolVersion = 'v';
constexpr char kNoData = 'n';
constexpr char kNoticeResponse = 'N';
constexpr char kNotificationResponse = 'A';
constexpr char kParameterDescription = 't';
constexpr char kParameterStatus = 'S';
constexpr char kParseComplete = '1';
constexpr char kPortalSuspended = 's';
constexpr char kReadyForQuery = 'Z';
constexpr char kRowDescription = 'T';

/// First word of an Authentication message.
enum class AuthenticationCode : uint32_t {
  kOk = 0,
  kKerberosV5 = 2,
  kCleartextPassword = 3,
  kMd5Password = 5,
  kGss = 7,
  kGssContinue = 8,
  kSspi = 9,
  kSasl = 10,
  kSaslContinue = 11,
  kSaslFinal = 12,
};

// Transaction status in ReadyForQuery.
constexpr char kIdle = 'I';
constexpr char kInTransaction = 'T';
constexpr char kInFailedTransaction = 'E';

// What Describe and Close name.
constexpr char kStatement = 'S';
constexpr char kPortal = 'P';

// Format codes of parameters and columns.
constexpr int16_t kTextFormat = 0;
constexpr int16_t kBinaryFormat = 1;

/// The key of BackendKeyData and CancelRequest: 4 bytes in protocol 3.0, up to 256 in 3.2.
constexpr uint32_t kCancelKeyBytesMin = 4;
constexpr uint32_t kCancelKeyBytesMax = 256;

constexpr bool is_transaction_status(char status) {
  return status == kIdle || status == kInTransaction || status == kInFailedTransaction;
}

constexpr bool is_frontend_type(char type) {
  switch (type) {
    case kBind:
    case kClose:
    case kDescribe:
    case kExecute:
    case kFunctionCall:
    case kFlush:
    case kParse:
    case kQuery:
    case kSync:
    case kTerminate:
    case kPassword:
    case kCopyData:
    case kCopyDone:
    case kCopyFail:
      return true;
    default:
      return false;
  }
}

/// Parse, Bind, Describe, Execute, Close: after an error the server skips these up to Sync.
constexpr bool is_extended_query(char type) {
  return type == kParse || type == kBind || type == kDescribe || type == kExecute || type == kClose;
}

constexpr bool is_copy_type(char type) {
  return type == kCopyData || type == kCopyDone || type == kCopyFail;
}

constexpr bool is_backend_type(char type) {
  switch (type) {
    case kAuthentication:
    case kBackendKeyData:
    case kBindComplete:
    case kCloseComplete:
    case kCommandComplete:
    case kCopyInResponse:
    case kCopyOutResponse:
    case kCopyBothResponse:
    case kCopyData:
    case kCopyDone:
    case kDataRow:
    case kEmptyQueryResponse:
    case kErrorResponse:
    case kFunctionCallResponse:
    case kNegotiateProtocolVersion:
    case kNoData:
    case kNoticeResponse:
    case kNotificationResponse:
    case kParameterDescription:
    case kParameterStatus:
    case kParseComplete:
    case kPortalSuspended:
    case kReadyForQuery:
    case kRowDescription:
      return true;
    default:
      return false;
  }
}

/// May arrive from a server at any time and answers nothing ("Asynchronous Operations").
constexpr bool is_asynchronous(char type) {
  return type == kNoticeResponse || type == kNotificationResponse || type == kParameterStatus;
}

}  // namespace pgrecall::wire
