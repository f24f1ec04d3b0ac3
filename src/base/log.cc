#include "pgrecall/base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>

namespace pgrecall::log {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warn", "error"};
constexpr std::array<spdlog::level::level_enum, 4> kSpdlogLevels = {
    spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};

std::atomic<Level> current_level{Level::kInfo};
std::atomic<Format> current_format{Format::kText};

/// Never destroyed: threads may still log while the process ends.
spdlog::logger& logger() {
  static auto* const instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    auto* made = new spdlog::logger("pgrecall", std::move(sink));
    made->set_level(spdlog::level::debug);  // filtered by current_level
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

/// The bytes of the UTF-8 character that the text begins with; 0 if it begins with none.
size_t character_bytes(std::string_view text) {
  const auto at = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t count = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < count; ++i)
    if ((at(i) & 0xC0) != 0x80) return 0;
  const bool too_long = (lead == 0xE0 && at(1) < 0xA0) || (lead == 0xF0 && at(1) < 0x90);
  const bool no_character = (lead == 0xED && at(1) > 0x9F) || (lead == 0xF4 && at(1) > 0x8F);
  return too_long || no_character ? 0 : count;
}

/// One character, or one byte that belongs to none (`valid` is false).
void append_character(std::string& out, std::string_view character, bool valid) {
  const auto byte = static_cast<unsigned char>(character[0]);
  if (!valid) {
    out += "\\ufffd";
  } else if (byte == '"' || byte == '\\') {
    out += '\\';
    out += character;
  } else if (byte == '\n') {
    out += "\\n";
  } else if (byte == '\t') {
    out += "\\t";
  } else if (byte < 0x20 || byte == 0x7f) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
  } else if (byte == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(character[1]));
  } else {
    out += character;
  }
}

/// The inside of a JSON string, valid for both formats: no control character survives, so a value
/// can neither end its line nor forge another, and what is no UTF-8 is replaced.
void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = character_bytes(text);
    const size_t taken = std::max<size_t>(bytes, 1);
    append_character(out, text.substr(0, taken), bytes != 0);
    text.remove_prefix(taken);
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

bool plain(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '\\' || c == '=') return false;
  }
  return !text.empty();
}

std::string render_json(Level level, std::string_view message, Fields fields,
                        std::string_view time) {
  std::string out = "{\"time\":";
  append_quoted(out, time);
  out += ",\"level\":";
  append_quoted(out, kNames[static_cast<size_t>(level)]);
  out += ",\"message\":";
  append_quoted(out, message);
  for (const Field& field : fields) {
    out += ',';
    append_quoted(out, field.key);
    out += ':';
    if (field.bare)
      out += field.value;
    else
      append_quoted(out, field.value);
  }
  out += '}';
  return out;
}

std::string render_text(Level level, std::string_view message, Fields fields,
                        std::string_view time) {
  std::string out = fmt::format("{} {:<5} ", time, kNames[static_cast<size_t>(level)]);
  append_escaped(out, message);
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(out), " {}=", field.key);
    if (field.bare || plain(field.value))
      out += field.value;
    else
      append_quoted(out, field.value);
  }
  return out;
}

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms.count() % 1000);
}

}  // namespace

void configure(Level level, Format format) {
  current_level.store(level, std::memory_order_relaxed);
  current_format.store(format, std::memory_order_relaxed);
}

bool enabled(Level level) {
  return level >= current_level.load(std::memory_order_relaxed);
}

std::string render(Level level, Format format, std::string_view message, Fields fields,
                   std::string_view time) {
  return format == Format::kJson ? render_json(level, message, fields, time)
                                 : render_text(level, message, fields, time);
}

void write(Level level, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  try {
    logger().log(kSpdlogLevels[static_cast<size_t>(level)],
                 spdlog::string_view_t(render(level, current_format.load(std::memory_order_relaxed),
                                              message, fields, now_text())));
  } catch (const std::exception&) {
    // A log line that cannot be written must not end what it reports on.
  }
}

}  // namespace pgrecall::log
