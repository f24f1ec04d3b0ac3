// What a text that is not parsed seems to be, for the statistics.
#pragma once

#include <string_view>

namespace pgrecall::session {

/// True if the text, or the canonical shape of one, begins as a SELECT: with SELECT, VALUES, TABLE,
/// or WITH that is not followed by INSERT, UPDATE, DELETE or MERGE.
bool looks_like_read(std::string_view text);

}  // namespace pgrecall::session
