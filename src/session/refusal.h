// What an ErrorResponse proves about how far its statement came.
#pragma once

#include <cstdint>
#include <string_view>

#include "pgrecall/session/statement_memo.h"

namespace pgrecall::session {

/// The raw parser's own error: no statement of the text ran.
bool is_raw_parser_error(std::string_view payload);

enum class Refusal : uint8_t {
  kNotProved,   ///< something may have run
  kInAnalysis,  ///< nothing ran but the input functions of the types of its constants
  kUnread,      ///< nothing ran at all: text that cannot be parsed, no such prepared statement
};

/// Whether `payload`, the answer to a Query or Execute of which `plan` is the only statement, shows
/// that PostgreSQL refused it before it executed anything.
Refusal refusal(const Plan& plan, std::string_view payload);

/// The same of an Execute whose portal only the server could have known.
bool refused_unknown_portal(std::string_view payload);

/// A prepared statement would return other columns than when it was parsed: its tables changed.
bool shows_changed_result(std::string_view payload);

}  // namespace pgrecall::session
