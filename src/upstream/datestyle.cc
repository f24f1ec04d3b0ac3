// DateStyle: a style and an order, each of which can be set alone.
#include <string>
#include <string_view>

#include "pgrecall/upstream/settings.h"

namespace pgrecall::upstream {
namespace {

struct DateStyle {
  std::string style;
  std::string order;
  bool understood = true;
};

DateStyle read(std::string_view text) {
  DateStyle result;
  std::string word;
  const auto take = [&] {
    if (word.empty()) return;
    if (word == "iso" || word == "sql" || word == "german" || word.starts_with("postgres"))
      result.style = word;
    else if (word == "ymd" || word == "dmy" || word == "mdy")
      result.order = word;
    else if (word.starts_with("euro"))
      result.order = "dmy";
    else if (word.starts_with("us") || word.starts_with("noneuro"))
      result.order = "mdy";
    else
      result.understood = false;
    word.clear();
  };
  for (char c : text) {
    if (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '"')
      take();
    else
      word += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  take();
  if (result.style == "german" && result.order.empty()) result.order = "dmy";
  return result;
}

}  // namespace

std::string merged_datestyle(std::string_view old, std::string_view value) {
  const DateStyle before = read(old);
  DateStyle now = read(value);
  if (!before.understood || !now.understood) return std::string(value);
  if (now.style.empty()) now.style = before.style;
  if (now.order.empty()) now.order = before.order;
  if (now.style.empty() || now.order.empty()) return now.style + now.order;
  return now.style + ", " + now.order;
}

}  // namespace pgrecall::upstream
