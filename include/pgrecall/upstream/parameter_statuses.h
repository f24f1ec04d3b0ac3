// ParameterStatuses: what a server has reported of its run-time parameters, shared until it
// changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgrecall::upstream {

/// Parameter names and values as in ParameterStatus messages, in the order of their first report.
/// Copies share their list until one of them changes: thousands of idle clients hold the same.
class ParameterStatuses {
 public:
  using List = std::vector<std::pair<std::string, std::string>>;
  /// More are not remembered: PostgreSQL reports fourteen.
  static constexpr size_t kMax = 100;

  const List& all() const;
  /// True if this changed anything.
  bool set(std::string_view name, std::string_view value);
  /// The same names with the same values, whatever their order: compares 64-bit digests, for this
  /// is asked before each statement and says only whether there is something to tell the client.
  bool agree_with(const ParameterStatuses& other) const { return digest_ == other.digest_; }

 private:
  std::shared_ptr<const List> list_;
  uint64_t digest_ = 0;  ///< exclusive or over the entries'
};

}  // namespace pgrecall::upstream
