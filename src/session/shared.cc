#include "pgrecall/session/shared.h"

namespace pgrecall::session {

uint64_t StatementNames::id_of(std::string_view sql, std::string_view types) {
  std::string key(sql);
  key += '\0';
  key += types;
  const size_t bytes = key.size();
  std::lock_guard lock(mutex_);
  if (bytes > kTextBytesMax) return next_++;
  if (ids_.size() >= kTextsMax || bytes_ + bytes > kBytesMax) {
    ids_.clear();
    bytes_ = 0;
  }
  auto [at, inserted] = ids_.try_emplace(std::move(key), next_);
  if (inserted) {
    ++next_;
    bytes_ += bytes;
  }
  return at->second;
}

uint64_t StatementNames::fresh() {
  std::lock_guard lock(mutex_);
  return next_++;
}

}  // namespace pgrecall::session
