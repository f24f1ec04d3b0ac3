#include "pgrecall/invalidation/prepared_transactions.h"

#include <algorithm>

namespace pgrecall::invalidation {

PreparedTransactions::ParkId PreparedTransactions::park(std::string_view gid,
                                                        std::vector<DependencyId> ids) {
  std::lock_guard lock(mutex_);
  if (parked_ >= parked_max_) {
    if (auto found = sets_.find(std::string(gid)); found != sets_.end()) {
      parked_ -= found->second.size();
      sets_.erase(found);
    }
    return 0;
  }
  const ParkId id = next_++;
  sets_[std::string(gid)].push_back({id, std::move(ids)});
  ++parked_;
  return id;
}

PreparedTransactions::Found PreparedTransactions::find(std::string_view gid) const {
  std::lock_guard lock(mutex_);
  Found result;
  auto found = sets_.find(std::string(gid));
  if (found == sets_.end()) return result;
  for (const Parked& parked : found->second) {
    result.ids.insert(result.ids.end(), parked.ids.begin(), parked.ids.end());
    result.last = std::max(result.last, parked.id);
  }
  return result;
}

void PreparedTransactions::unpark(std::string_view gid, ParkId id) {
  std::lock_guard lock(mutex_);
  auto found = sets_.find(std::string(gid));
  if (found == sets_.end()) return;
  parked_ -= std::erase_if(found->second, [id](const Parked& parked) { return parked.id == id; });
  if (found->second.empty()) sets_.erase(found);
}

void PreparedTransactions::forget(std::string_view gid, ParkId last) {
  std::lock_guard lock(mutex_);
  auto found = sets_.find(std::string(gid));
  if (found == sets_.end()) return;
  parked_ -=
      std::erase_if(found->second, [last](const Parked& parked) { return parked.id <= last; });
  if (found->second.empty()) sets_.erase(found);
}

size_t PreparedTransactions::parked() const {
  std::lock_guard lock(mutex_);
  return parked_;
}

}  // namespace pgrecall::invalidation
