// The option table: every option of pgrecall, declared once.
#pragma once

#include <span>
#include <string_view>

#include "config/field.h"
#include "pgrecall/config/config.h"

namespace pgrecall::config {

/// `field` finds the option's value in its owner.
template <typename Owner>
struct Option : OptionInfo {
  Field (*field)(Owner& owner);

  /// For readers, which leave `owner` as it is.
  Field field_of(const Owner& owner) const { return field(const_cast<Owner&>(owner)); }
};

std::span<const Option<Config>> options();           ///< in the order of the file
std::span<const Option<Rule>> rule_options();        ///< of each [[rule]]
std::span<const Option<Replica>> replica_options();  ///< of each [[upstream.replica]]

struct Section {
  std::string_view name;
  std::string_view sentence;
};
std::span<const Section> sections();

/// Options that the design names and that this version refuses.
struct NotBuilt {
  std::string_view section;
  std::string_view name;
};
std::span<const NotBuilt> options_not_built();

}  // namespace pgrecall::config
