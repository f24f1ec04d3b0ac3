// The proxy as a whole.
#pragma once

#include <string>

#include "pgrecall/base/result.h"
#include "pgrecall/config/config.h"

namespace pgrecall::proxy {

/// Runs until SIGTERM (drains) or a second one (ends at once). Returns the exit status; what keeps
/// it from starting is logged.
int run(const config::Config& config);

}  // namespace pgrecall::proxy
