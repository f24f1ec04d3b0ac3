// AdminServer: health, metrics, JSON and the dashboard over HTTP, on threads of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "pgrecall/admin/source.h"
#include "pgrecall/base/result.h"
#include "pgrecall/stats/stats.h"

namespace pgrecall::admin {

/// Serves from `start` until destroyed. `stats` and `source` must outlive it. Destroying it waits
/// for the requests being answered.
class AdminServer {
 public:
  /// Binds `host`:`port` (port 0: any free one) and serves. An error names the address and why, for
  /// example that it is taken.
  static Result<std::unique_ptr<AdminServer>> start(const std::string& host, uint16_t port,
                                                    const stats::Stats& stats, AdminSource& source);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  uint16_t port() const;

 private:
  class Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pgrecall::admin
