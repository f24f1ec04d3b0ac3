// "Did you mean ...?"
#pragma once

#include <string_view>
#include <vector>

namespace pgrecall::config {

/// The one of `allowed` that `name` is probably a misspelling of; empty if none is near.
std::string_view closest(std::string_view name, const std::vector<std::string_view>& allowed);

}  // namespace pgrecall::config
