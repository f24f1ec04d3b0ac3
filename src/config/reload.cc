#include "config/options.h"
#include "pgrecall/config/load.h"

namespace pgrecall::config {
namespace {

bool same_rules(const std::vector<Rule>& one, const std::vector<Rule>& other) {
  if (one.size() != other.size()) return false;
  for (size_t i = 0; i < one.size(); ++i) {
    for (const Option<Rule>& option : rule_options())
      if (format_field(option.field_of(one[i])) != format_field(option.field_of(other[i])))
        return false;
  }
  return true;
}

}  // namespace

ReloadPlan diff(const Config& old_config, const Config& new_config) {
  ReloadPlan plan{old_config, {}, {}};
  for (const Option<Config>& option : options()) {
    const Field from = option.field_of(new_config);
    const Field to = option.field(plan.applied);
    if (format_field(from) == format_field(to)) continue;
    if (!option.reloadable) {
      plan.restart.push_back(option.path());
      continue;
    }
    copy_field(from, to);
    plan.changed.push_back(option.path());
  }
  if (!same_rules(old_config.rules, new_config.rules)) {
    plan.applied.rules = new_config.rules;
    plan.changed.emplace_back("rule");
  }
  return plan;
}

}  // namespace pgrecall::config
