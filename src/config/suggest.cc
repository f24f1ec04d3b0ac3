#include "config/suggest.h"

#include <algorithm>
#include <numeric>

namespace pgrecall::config {
namespace {

/// Levenshtein distance: insertions, deletions and replacements.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string_view closest(std::string_view name, const std::vector<std::string_view>& allowed) {
  constexpr size_t kLongestOption = 64;
  if (name.size() > kLongestOption) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : allowed) {
    // "timeout" for "wait_timeout" is near, however many letters are missing.
    const bool part = name.size() >= 4 && candidate.find(name) != std::string_view::npos;
    const size_t found = part ? 1 : distance(name, candidate);
    if (found < best_distance) {
      best = candidate;
      best_distance = found;
    }
  }
  return best;
}

}  // namespace pgrecall::config
