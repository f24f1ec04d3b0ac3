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
#include "pgrecall/policy/count_estimate.h"
#include "pgrecall/session/shared.h"
#include "proxy/control_plane.h"

namespace pgrecall::proxy {

/// One per process; any thread. The first COUNT of a table is answered exactly while its statistics
/// are fetched; what is older than `counts.refresh` is fetched again, and not believed any more
/// after twice that time. A write through pgrecall ends an estimate: the next COUNT is exact, and
/// statistics are fetched that are younger.
class CountService final : public session::CountPort {
 public:
  CountService(const config::Config& config, ControlPlane& control)
      : config_(config), control_(control) {}

  bool estimate(session::DatabaseState& database, sql::Oid relation, sql::Oid role,
                const policy::Policy& policy, const invalidation::Stamp& now,
                int64_t* rows) override;
  std::vector<admin::CountEstimate> status() const;

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::tuple<std::string, sql::Oid, sql::Oid>;  ///< database, relation, role
  static constexpr size_t kTablesMax = 10'000;

  struct Known {
    policy::CountFacts facts;
    std::string table;
    uint64_t catalog_version = 0;
    invalidation::Stamp asked_under;  ///< by whom they were fetched
    invalidation::Stamp stamp;        ///< of the facts
    Clock::time_point at{};
    bool valid = false;
    bool asked = false;
    policy::CountEstimate shown;  ///< as last used
  };

  void ask(session::DatabaseState& database, const Key& key);

  const config::Config& config_;
  ControlPlane& control_;
  mutable std::mutex mutex_;
  std::map<Key, Known> known_;
};

}  // namespace pgrecall::proxy
