#include "config/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "config/units.h"
#include "pgrecall/config/url.h"

namespace pgrecall::config {
namespace {

using std::chrono::milliseconds;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
constexpr bool kIsWholeNumber =
    std::is_same_v<T, uint16_t> || std::is_same_v<T, uint32_t> || std::is_same_v<T, int64_t>;

/// A field's type with the pointer and the optional taken off.
template <typename T>
struct Plain {
  using type = std::remove_pointer_t<T>;
};
template <typename T>
struct Plain<std::optional<T>*> {
  using type = T;
};
template <typename T>
using PlainType = typename Plain<T>::type;

std::string bound(double value, bool whole) {
  return whole ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

template <typename T>
std::string allowed_of(const OptionInfo& option) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "a list of strings";
  if constexpr (std::is_same_v<T, milliseconds>)
    return fmt::format("a duration from \"{}\" to \"{}\" (units {})",
                       format_duration(milliseconds(static_cast<int64_t>(option.min))),
                       format_duration(milliseconds(static_cast<int64_t>(option.max))),
                       kDurationUnits);
  if constexpr (std::is_same_v<T, size_t>)
    return fmt::format("a size from \"{}\" to \"{}\" (units {}) or a number of bytes",
                       format_size(static_cast<size_t>(option.min)),
                       format_size(static_cast<size_t>(option.max)), kSizeUnits);
  if constexpr (std::is_same_v<T, double> || kIsWholeNumber<T>)
    return fmt::format("a {}number from {} to {}", kIsWholeNumber<T> ? "whole " : "",
                       bound(option.min, kIsWholeNumber<T>), bound(option.max, kIsWholeNumber<T>));
}

std::string choices(std::span<const std::string_view> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += quote(names[i]);
  }
  return text;
}

bool within(const OptionInfo& option, double value) {
  return std::isfinite(value) && value >= option.min && value <= option.max;
}

/// Nothing if `value` is not allowed.
template <typename T>
std::optional<T> convert(const OptionInfo& option, const Value& value) {
  if constexpr (std::is_same_v<T, milliseconds>) {
    const auto* text = std::get_if<std::string>(&value);
    const auto duration = text == nullptr ? std::nullopt : parse_duration(*text);
    if (duration && within(option, static_cast<double>(duration->count()))) return duration;
  } else if constexpr (std::is_same_v<T, size_t>) {
    const auto* text = std::get_if<std::string>(&value);
    const auto* bytes = std::get_if<int64_t>(&value);
    std::optional<size_t> size;
    if (text != nullptr) size = parse_size(*text);
    if (bytes != nullptr && *bytes >= 0) size = static_cast<size_t>(*bytes);
    if (size && within(option, static_cast<double>(*size))) return size;
  } else if constexpr (std::is_same_v<T, double>) {
    const auto* whole = std::get_if<int64_t>(&value);
    const auto* real = std::get_if<double>(&value);
    const double number = whole != nullptr  ? static_cast<double>(*whole)
                          : real != nullptr ? *real
                                            : std::nan("");
    if (within(option, number)) return number;
  } else if constexpr (kIsWholeNumber<T>) {
    const auto* whole = std::get_if<int64_t>(&value);
    if (whole != nullptr && within(option, static_cast<double>(*whole)))
      return static_cast<T>(*whole);
  } else if constexpr (std::is_same_v<T, std::string>) {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && text->find('\0') == std::string::npos) return *text;
  } else {
    const auto* same = std::get_if<T>(&value);
    if (same != nullptr) return *same;
  }
  return std::nullopt;
}

/// What was written, for the message; not of secrets.
std::string shown(const OptionInfo& option, const Value& value) {
  if (option.secret != Secret::kNo) return "this value";
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return quote(*text);
  if (const auto* other = std::get_if<Other>(&value)) return std::string(other->type);
  return "a list";
}

Status refused(const OptionInfo& option, const Field& field, const Value& value) {
  return Error{shown(option, value) + " is not allowed; allowed: " + allowed_text(option, field),
               ""};
}

Status assign_choice(const OptionInfo& option, const Choice& choice, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return refused(option, choice, value);
  const auto found = std::find(choice.names.begin(), choice.names.end(), *text);
  if (found != choice.names.end()) {
    *choice.value = static_cast<uint8_t>(found - choice.names.begin());
    return Ok{};
  }
  const auto& not_built = option.not_built;
  if (std::find(not_built.begin(), not_built.end(), *text) != not_built.end())
    return Error{quote(*text) + " is not built yet; allowed: " + choices(choice.names), ""};
  return refused(option, choice, value);
}

template <typename T>
std::string format_value(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, milliseconds>) {
    return quote(format_duration(value));
  } else if constexpr (std::is_same_v<T, size_t>) {
    return quote(format_size(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return quote(value);
  } else if constexpr (std::is_same_v<T, double>) {
    const std::string text = fmt::format("{}", value);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    std::string text = "[";
    for (const std::string& item : value) text += (text.size() > 1 ? ", " : "") + quote(item);
    return text + "]";
  } else {
    return std::to_string(value);
  }
}

}  // namespace

std::string OptionInfo::path() const {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\u{:04X}", byte);
    else
      out += c;
  }
  return out + '"';
}

std::string allowed_text(const OptionInfo& option, const Field& field) {
  return std::visit(
      [&](auto target) -> std::string {
        if constexpr (std::is_same_v<decltype(target), Choice>)
          return choices(target.names);
        else
          return allowed_of<PlainType<decltype(target)>>(option);
      },
      field);
}

Status assign(const OptionInfo& option, const Field& field, const Value& value) {
  return std::visit(
      [&](auto target) -> Status {
        if constexpr (std::is_same_v<decltype(target), Choice>) {
          return assign_choice(option, target, value);
        } else {
          auto converted = convert<PlainType<decltype(target)>>(option, value);
          if (!converted) return refused(option, field, value);
          *target = std::move(*converted);
          return Ok{};
        }
      },
      field);
}

std::string format_field(const Field& field) {
  return std::visit(
      [](auto target) -> std::string {
        if constexpr (std::is_same_v<decltype(target), Choice>)
          return quote(target.names[*target.value]);
        else if constexpr (IsOptional<std::remove_pointer_t<decltype(target)>>::value)
          return target->has_value() ? format_value(**target) : std::string();
        else
          return format_value(*target);
      },
      field);
}

std::string format_masked(const OptionInfo& option, const Field& field) {
  const auto* const* text = std::get_if<std::string*>(&field);
  if (text == nullptr || (*text)->empty() || option.secret == Secret::kNo)
    return format_field(field);
  return quote(option.secret == Secret::kWhole ? "********" : mask_url(**text));
}

}  // namespace pgrecall::config
