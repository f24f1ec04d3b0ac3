// What an ErrorResponse proves about how far its statement came.
#pragma once

#include <string_view>

#include "pgrecall/session/statement_memo.h"

namespace pgrecall::session {

/// The raw parser's own error: no statement of the text ran.
bool is_raw_parser_error(std::string_view payload);

/// True if `payload`, the answer to a Query or Execute of which `plan` is the only statement, shows
/// that PostgreSQL refused it before it executed anything: in the parser, in parse analysis, or
/// because there is no prepared statement of that name. False where that is not certain.
bool refused_before_running(const Plan& plan, std::string_view payload);

/// The same of an Execute whose portal only the server could have known.
bool refused_unknown_portal(std::string_view payload);

}  // namespace pgrecall::session
