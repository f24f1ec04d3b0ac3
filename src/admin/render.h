// Counters and status as JSON and as Prometheus text. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "pgrecall/admin/source.h"
#include "pgrecall/stats/snapshot.h"

namespace pgrecall::admin {

/// GET /api/stats. At most `top` rows of each list; `rows` says how many there are.
std::string stats_json(const stats::Snapshot& snapshot, const ProxyStatus& status, size_t top);
/// GET /api/fingerprints.
std::string fingerprints_json(const stats::Snapshot& snapshot);
std::string error_json(std::string_view message);
std::string readiness_json(const Readiness& readiness);

/// GET /metrics, text format 0.0.4. Always valid UTF-8.
std::string metrics_text(const stats::Snapshot& snapshot, const ProxyStatus& status);

/// GET /.
std::string_view dashboard_html();

}  // namespace pgrecall::admin
