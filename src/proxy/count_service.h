// CountService: estimated COUNTs, refreshed on the control thread, off the clients' path.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "pgrecall/admin/source.h"
#include "pgrecall/config/config.h"
#include "pgrecall/session/shared.h"
#include "proxy/control_plane.h"

namespace pgrecall::proxy {

/// One per process; any thread. The first COUNT of a table is answered exactly while the estimate
/// is fetched; one that is older than `counts.refresh` is fetched again.
class CountService final : public session::CountPort {
 public:
  CountService(const config::Config& config, ControlPlane& control)
      : config_(config), control_(control) {}

  bool estimate(session::DatabaseState& database, sql::Oid relation, sql::Oid role,
                const policy::Policy& policy, int64_t* rows) override;
  std::vector<admin::CountEstimate> status() const;

 private:
  const config::Config& config_;
  ControlPlane& control_;
};

}  // namespace pgrecall::proxy
