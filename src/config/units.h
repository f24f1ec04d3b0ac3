// Durations and sizes as people write them: "30s", "256MB".
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgrecall::config {

constexpr std::string_view kDurationUnits = "ms, s, min, h, d";
constexpr std::string_view kSizeUnits = "B, KB, MB, GB";

/// A whole number and a unit; nothing else, and nothing that overflows.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// As PostgreSQL, 1 KB is 1024 bytes; KiB, MiB and GiB mean the same.
std::optional<size_t> parse_size(std::string_view text);

/// In the largest unit that leaves a whole number.
std::string format_duration(std::chrono::milliseconds duration);
std::string format_size(size_t bytes);

}  // namespace pgrecall::config
