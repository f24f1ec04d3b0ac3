// Structured log lines on stderr, as text or JSON.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace pgrecall::log {

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : uint8_t { kText, kJson };

/// One key and its value. The key is a literal in snake case. Never a secret, and no literal of a
/// client's SQL at info level or above.
struct Field {
  Field(std::string_view name, std::string_view text) : key(name), value(text) {}
  Field(std::string_view name, const char* text) : key(name), value(text) {}
  Field(std::string_view name, const std::string& text) : key(name), value(text) {}
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  Field(std::string_view name, T number) : key(name), bare(true) {
    if constexpr (std::is_same_v<T, bool>)
      value = number ? "true" : "false";
    else
      value = std::to_string(number);
  }

  std::string_view key;
  std::string value;
  bool bare = false;  ///< a number or boolean: not quoted in JSON
};
using Fields = std::initializer_list<Field>;

/// Sets level and format; any thread, any time. Before the first call: info, text.
void configure(Level level, Format format);
bool enabled(Level level);

/// Any thread; one line each, written in one piece. Never throws.
void write(Level level, std::string_view message, Fields fields = {});

inline void debug(std::string_view message, Fields fields = {}) {
  if (enabled(Level::kDebug)) write(Level::kDebug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
  write(Level::kInfo, message, fields);
}
inline void warn(std::string_view message, Fields fields = {}) {
  write(Level::kWarn, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
  write(Level::kError, message, fields);
}

/// The text as it is written in the given format, without the line's end. For tests.
std::string render(Level level, Format format, std::string_view message, Fields fields,
                   std::string_view time);

}  // namespace pgrecall::log
