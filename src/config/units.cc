#include "config/units.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <span>

namespace pgrecall::config {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

// Largest first; the first name of each factor is the one that is printed.
constexpr std::array<Unit, 5> kDurations = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 8> kSizes = {{{"GB", 1L << 30},
                                         {"GiB", 1L << 30},
                                         {"MB", 1L << 20},
                                         {"MiB", 1L << 20},
                                         {"KB", 1L << 10},
                                         {"kB", 1L << 10},
                                         {"KiB", 1L << 10},
                                         {"B", 1}}};

std::optional<int64_t> parse(std::string_view text, std::span<const Unit> units) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  std::string_view name = text.substr(static_cast<size_t>(end - text.data()));
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : units) {
    int64_t value = 0;
    if (unit.name == name && !__builtin_mul_overflow(number, unit.factor, &value)) return value;
  }
  return std::nullopt;
}

std::string format(int64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0 && (value != 0 || unit.factor == 1))
      return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return std::to_string(value);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, kDurations);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

std::optional<size_t> parse_size(std::string_view text) {
  const auto value = parse(text, kSizes);
  if (!value) return std::nullopt;
  return static_cast<size_t>(*value);
}

std::string format_duration(std::chrono::milliseconds duration) {
  return duration.count() == 0 ? "0s" : format(duration.count(), kDurations);
}

std::string format_size(size_t bytes) {
  return format(static_cast<int64_t>(bytes), kSizes);
}

}  // namespace pgrecall::config
