// What pgrecall reads of an ErrorResponse or NoticeResponse.
#pragma once

#include <string_view>

namespace pgrecall::wire {

/// Views into the payload; a field that is not there is empty, and of a repeated one the first
/// counts.
struct ErrorFields {
  std::string_view severity;  ///< V, never translated; S from servers before 9.6
  std::string_view sqlstate;
  std::string_view message;
  std::string_view detail;
  std::string_view hint;
  std::string_view schema;
  std::string_view table;
  std::string_view constraint;

  /// FATAL and PANIC end the connection.
  bool fatal() const { return severity == "FATAL" || severity == "PANIC"; }
};

/// Never fails: a malformed payload gives what could be read up to its first bad field.
ErrorFields read_error_fields(std::string_view payload);

/// Only the SQLSTATE; empty if there is none.
std::string_view read_sqlstate(std::string_view payload);

}  // namespace pgrecall::wire
