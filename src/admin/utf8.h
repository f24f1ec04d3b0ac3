// UTF-8 for readers that refuse anything else.
#pragma once

#include <string>
#include <string_view>

namespace pgrecall::admin {

/// Every byte that is not part of a valid character is replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

}  // namespace pgrecall::admin
