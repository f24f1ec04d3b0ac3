// Values of string literals, as far as the search for clock words needs them.
#pragma once

#include <string>
#include <string_view>

#include "sql/canonical_scanner.h"

namespace pgrecall::sql {

/// The value of an escape string or of any joined string; doubled quotes stay doubled, which
/// changes no word. Code points above ASCII are not kept apart.
std::string decode_string(const Token& token);

}  // namespace pgrecall::sql
