// What a function may do, by its catalog entry and by reviewed lists of names.
#pragma once

#include <string_view>

#include "pgrecall/sql/catalog.h"

namespace pgrecall::sql {

/// pg_namespace.dat: the oid of pg_catalog is fixed.
constexpr Oid kPgCatalogOid = 11;

/// From harmless to worst: of several candidates of one name the worst counts.
enum class Verdict : uint8_t {
  kSafe,             ///< same arguments, same settings, same data: same result
  kReadsSetting,     ///< safe, but reads a setting by name (a threshold of pg_trgm)
  kCurrentSetting,   ///< current_setting: safe with a constant name
  kUnlisted,         ///< STABLE and not on the reviewed list: not cached, writes nothing
  kVolatile,         ///< not cached, writes nothing that others see
  kClock,            ///< now() and kin
  kSetConfig,        ///< and what else leaves something on its session that does not show
  kTransactionLock,  ///< pg_advisory_xact_lock and kin
  kSessionLock,      ///< pg_advisory_lock and kin
  kUnknown,          ///< no such function in the catalog
  kUserCode,         ///< outside pg_catalog and not vouched for: may do anything
  kRunsCode,         ///< a built-in that writes or runs a query given to it
  kCluster,          ///< pg_reload_conf: acts on every database
};

Verdict judge_function(const Function& function);

/// Makes a row of its first argument's type out of text: checks of domains in it run.
bool fills_row(const Function& function);

/// Built-in functions whose result has the type of their first argument (max, lag ...).
bool keeps_argument_type(std::string_view name);

/// current_setting of this name may be cached: a custom setting, or one that is part of every key.
bool is_keyed_setting(std::string_view folded_name);

/// Contrib and PostGIS: their C functions and types are known to write nothing.
bool is_vouched_extension(std::string_view name);

}  // namespace pgrecall::sql
