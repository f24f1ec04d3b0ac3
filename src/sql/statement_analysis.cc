#include "pgrecall/sql/statement_analysis.h"

#include <iterator>

namespace pgrecall::sql {
namespace {

// In the order of BypassReason.
constexpr std::string_view kReasonNames[] = {
    "no_bypass",
    "not_a_select",
    "multi_statement",
    "volatile_function",
    "clock_function",
    "clock_literal",
    "user_function",
    "unlisted_stable_function",
    "locking_clause",
    "writes_inside",
    "system_catalog",
    "system_column",
    "temporary_table",
    "unlogged_table",
    "foreign_table",
    "table_sample",
    "unknown_relation",
    "unknown_function",
    "unknown_type",
    "unreadable_view",
    "unreadable_policy",
    "date_from_text",
    "no_relation",
    "unparsed",
    "too_long",
    "too_deep",
    "no_catalog",
    "stale_catalog",
    "cache_off",
    "hint_off",
    "rule",
    "fence",
    "own_writes",
    "isolation",
    "pinned",
    "unsettled_settings",
    "encoding",
    "owed",
    "row_limit",
    "failed_transaction",
    "no_control_role",
    "too_large",
    "cursor",
    "execute",
    "interrupted",
    "server_error",
};
static_assert(std::size(kReasonNames) == static_cast<size_t>(BypassReason::kCount));

}  // namespace

std::string_view bypass_reason_name(BypassReason reason) {
  const auto index = static_cast<size_t>(reason);
  return index < std::size(kReasonNames) ? kReasonNames[index] : "unknown";
}

}  // namespace pgrecall::sql
