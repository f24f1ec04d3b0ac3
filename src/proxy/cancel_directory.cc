#include "proxy/cancel_directory.h"

#include <array>

#include "pgrecall/net/random.h"

namespace pgrecall::proxy {
namespace {

constexpr size_t kSecretBytes = 4;  // what protocol 3.0 allows

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

session::CancelKey CancelDirectory::add(Target target) {
  std::array<uint8_t, kSecretBytes> secret{};
  net::secure_random(secret);
  std::lock_guard lock(mutex_);
  uint32_t id = 0;
  while (id == 0 || entries_.contains(id)) id = net::secure_random_u32() & 0x7fffffffU;
  session::CancelKey key{id, std::string(secret.begin(), secret.end())};
  entries_[id] = {key.secret, target};
  return key;
}

void CancelDirectory::remove(uint32_t process_id) {
  std::lock_guard lock(mutex_);
  entries_.erase(process_id);
}

std::optional<CancelDirectory::Target> CancelDirectory::find(uint32_t process_id,
                                                             std::string_view secret) const {
  std::lock_guard lock(mutex_);
  const auto at = entries_.find(process_id);
  if (at == entries_.end() || !equal_in_constant_time(at->second.secret, secret)) {
    return std::nullopt;
  }
  return at->second.target;
}

}  // namespace pgrecall::proxy
