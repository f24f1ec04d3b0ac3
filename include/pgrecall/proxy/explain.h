// pgrecall explain "SQL".
#pragma once

#include <string>

#include "pgrecall/base/result.h"
#include "pgrecall/config/config.h"

namespace pgrecall::proxy {

/// What pgrecall would do with each statement of `sql` for the control role in `database`: whether
/// it may be cached or why not, what it reads and writes, its key's shape and its rule.
Result<std::string> explain(const config::Config& config, const std::string& database,
                            const std::string& sql);

}  // namespace pgrecall::proxy
