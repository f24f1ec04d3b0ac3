#include "adapters/libpq_message.h"

#include <algorithm>
#include <vector>

namespace pgrecall::adapters {
namespace {

constexpr std::string_view kMask = "********";

bool is_blank(char c) {
  return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
}

/// Runs of blanks and control bytes become one space, none at either end.
std::string folded(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (!is_blank(c))
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

/// "connection to server at ... failed: " says where, and the caller says that once. True if the
/// line began with it: each attempt does.
bool drop_address(std::string_view& line) {
  constexpr std::string_view kOld = "could not connect to server: ";  // before PostgreSQL 14
  constexpr std::string_view kFailed = " failed: ";
  if (line.starts_with(kOld)) {
    line.remove_prefix(kOld.size());
    return true;
  }
  const size_t at = line.find(kFailed);
  if (!line.starts_with("connection to server ") || at == std::string_view::npos) return false;
  line.remove_prefix(at + kFailed.size());
  return true;
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

/// "FATAL:  28P01: text" is "FATAL:  text": the code travels beside the message.
std::string without_sqlstate(std::string_view line) {
  constexpr size_t kCodeBytes = 5;
  const size_t at = line.find(":  ");
  if (at == std::string_view::npos || at + 3 + kCodeBytes > line.size()) return std::string(line);
  const size_t code = at + 3;
  if (!is_sqlstate(line.substr(code, kCodeBytes)) || line.substr(code + kCodeBytes, 2) != ": ")
    return std::string(line);
  return std::string(line.substr(0, code)).append(line.substr(code + kCodeBytes + 2));
}

void mask_urls(std::string& line) {
  for (size_t at = line.find("://"); at != std::string::npos; at = line.find("://", at + 3)) {
    const size_t begin = at + 3;
    const size_t end = std::min(line.find_first_of(" \"'", begin), line.size());
    const size_t colon = line.find(':', begin);
    const size_t host = line.rfind('@', end);
    if (colon < host && host < end && host > begin)
      line.replace(colon + 1, host - colon - 1, kMask);
  }
}

}  // namespace

std::string clean_libpq_message(std::string_view message) {
  std::vector<std::string> reasons;  // of each attempt
  while (!message.empty()) {
    const size_t end = std::min(message.find('\n'), message.size());
    std::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    if (line.starts_with('\t') || line.starts_with("LOCATION:  ")) continue;
    if (drop_address(line) || reasons.empty()) reasons.emplace_back();
    reasons.back() += ' ' + without_sqlstate(line);
  }
  std::string text;
  for (auto reason = reasons.begin(); reason != reasons.end(); ++reason) {
    *reason = folded(*reason);
    if (std::find(reasons.begin(), reason, *reason) != reason) continue;
    (text += text.empty() ? "" : "; ") += *reason;
  }
  mask_urls(text);
  return text;
}

}  // namespace pgrecall::adapters
