// The answer to an estimated COUNT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "session/session_core.h"

namespace pgrecall::session {

/// True and the rows if this COUNT may be answered by an estimate now (DESIGN: COUNT estimates).
bool estimated_count(SessionCore& core, const Plan& plan, int64_t* rows);

/// RowDescription (if asked), one DataRow, CommandComplete.
void append_count(std::string& out, std::string_view column, int64_t rows, int16_t format,
                  bool description);
/// RowDescription alone.
void append_count_description(std::string& out, std::string_view column, int16_t format);

}  // namespace pgrecall::session
