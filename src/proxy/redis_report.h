// RedisReport: tells the log about Redis once for all workers.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/outage.h"

namespace pgrecall::proxy {

/// One per process; any worker calls it. Redis is in use when every worker uses it, as the admin
/// port says, and lost as soon as one has lost it.
class RedisReport {
 public:
  /// `address`: where Redis is, without a secret.
  RedisReport(std::string address, size_t workers)
      : address_(std::move(address)), in_use_(workers, false) {}

  void in_use(size_t worker);
  void lost(size_t worker, std::string_view reason);

 private:
  const std::string address_;
  std::mutex mutex_;
  std::vector<bool> in_use_;  ///< by worker
  Outage outage_;
};

}  // namespace pgrecall::proxy
