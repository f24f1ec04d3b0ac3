// Two-phase commit: what a prepared transaction wrote, kept until its second phase.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/invalidation/epoch_table.h"

namespace pgrecall::invalidation {

/// One per process; any thread. Remembers the write set of every PREPARE TRANSACTION that went
/// through this process, from before its bytes leave until a COMMIT PREPARED or ROLLBACK PREPARED
/// of the same gid is known to have succeeded. Bounded: what does not fit is not remembered, and a
/// gid that is not remembered is opaque. Global transaction ids are unique in a cluster.
class PreparedTransactions {
 public:
  /// Names one parked write set. 0 names nothing.
  using ParkId = uint64_t;

  struct Found {
    std::vector<DependencyId> ids;  ///< union of everything parked under the gid
    ParkId last = 0;                ///< 0: this process knows nothing of the gid
  };

  explicit PreparedTransactions(size_t parked_max = 1024) : parked_max_(parked_max) {}

  /// 0 if there is no room; then every earlier set under this gid is forgotten as well, so that a
  /// later COMMIT PREPARED is opaque rather than incomplete.
  ParkId park(std::string_view gid, std::vector<DependencyId> ids);
  Found find(std::string_view gid) const;
  /// The PREPARE TRANSACTION of this set failed.
  void unpark(std::string_view gid, ParkId id);
  /// The second phase succeeded: forgets what was parked up to `last`.
  void forget(std::string_view gid, ParkId last);

  size_t parked() const;

 private:
  struct Parked {
    ParkId id;
    std::vector<DependencyId> ids;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Parked>> sets_;
  size_t parked_max_;
  size_t parked_ = 0;
  ParkId next_ = 1;
};

}  // namespace pgrecall::invalidation
