// Field: a typed pointer to one option's value, so that one table serves parsing, printing and
// documentation.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pgrecall/base/result.h"

namespace pgrecall::config {

/// An enum option; `names` are indexed by the enum's values.
struct Choice {
  uint8_t* value;
  std::span<const std::string_view> names;
};

using Field =
    std::variant<bool*, uint16_t*, uint32_t*, int64_t*, double*, size_t*,
                 std::chrono::milliseconds*, std::string*, std::vector<std::string>*, Choice,
                 std::optional<bool>*, std::optional<int64_t>*, std::optional<double>*,
                 std::optional<size_t>*, std::optional<std::chrono::milliseconds>*>;

/// What a file or a command line can say. `Other` is anything else, by its TOML name.
struct Other {
  std::string_view type;
};
using Value = std::variant<bool, int64_t, double, std::string, std::vector<std::string>, Other>;

enum class Secret : uint8_t {
  kNo,
  kWhole,        ///< never shown
  kUrlPassword,  ///< a URL, shown without its password
};

/// What the option table says of one option besides its place in a struct. The default is the one
/// of the struct's member initialiser.
struct OptionInfo {
  std::string_view section;  ///< empty: top level
  std::string_view name;
  double min = 0;  ///< of numbers; of durations in milliseconds, of sizes in bytes
  double max = 0;
  Secret secret = Secret::kNo;
  std::string_view sentence;
  std::span<const std::string_view> not_built{};  ///< values that are known but not built yet

  std::string path() const;  ///< "section.name"
};

/// Checks type and bounds and stores. The error says what is allowed, without the option's name.
Status assign(const OptionInfo& option, const Field& field, const Value& value);
/// As a TOML value; empty for an optional without a value.
std::string format_field(const Field& field);
/// As `format_field`, secrets masked.
std::string format_masked(const OptionInfo& option, const Field& field);
/// What may be written, for messages and documentation: `"on", "observe" or "off"`.
std::string allowed_text(const OptionInfo& option, const Field& field);

/// As a TOML basic string.
std::string quote(std::string_view text);

}  // namespace pgrecall::config
