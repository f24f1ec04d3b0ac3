#include "pgrecall/upstream/parameter_statuses.h"

#include <algorithm>
#include <functional>

namespace pgrecall::upstream {
namespace {

uint64_t digest_of(std::string_view name, std::string_view value) {
  std::string entry(name);
  entry += '\0';
  return std::hash<std::string_view>()(entry.append(value));
}

}  // namespace

const ParameterStatuses::List& ParameterStatuses::all() const {
  static const List kNone;
  return list_ ? *list_ : kNone;
}

bool ParameterStatuses::set(std::string_view name, std::string_view value) {
  List changed = all();
  auto at = std::find_if(changed.begin(), changed.end(),
                         [&](const auto& entry) { return entry.first == name; });
  const bool known = at != changed.end();
  if (known ? at->second == value : changed.size() >= kMax) return false;
  if (known) digest_ ^= digest_of(name, at->second);
  digest_ ^= digest_of(name, value);
  if (known)
    at->second = value;
  else
    changed.emplace_back(name, value);
  list_ = std::make_shared<const List>(std::move(changed));
  return true;
}

}  // namespace pgrecall::upstream
