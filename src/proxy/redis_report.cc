#include "proxy/redis_report.h"

#include <algorithm>

#include "pgrecall/base/log.h"

namespace pgrecall::proxy {

void RedisReport::in_use(size_t worker) {
  std::lock_guard lock(mutex_);
  in_use_[worker] = true;
  const bool everywhere = std::find(in_use_.begin(), in_use_.end(), false) == in_use_.end();
  if (everywhere && outage_.back()) log::info("redis connected", {{"address", address_}});
}

void RedisReport::lost(size_t worker, std::string_view reason) {
  std::lock_guard lock(mutex_);
  in_use_[worker] = false;
  if (!outage_.lost(reason)) return;
  log::warn("redis is bypassed until it answers again",
            {{"address", address_}, {"reason", reason}});
}

}  // namespace pgrecall::proxy
