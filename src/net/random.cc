#include "pgrecall/net/random.h"

#include <sys/random.h>

#include <cerrno>

#include "pgrecall/base/assert.h"

namespace pgrecall::net {

void secure_random(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = getrandom(bytes.data(), bytes.size(), 0);
    PGR_ASSERT(count > 0 || (count < 0 && errno == EINTR));
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

uint32_t secure_random_u32() {
  uint32_t value = 0;
  secure_random({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

uint64_t secure_random_u64() {
  uint64_t value = 0;
  secure_random({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

}  // namespace pgrecall::net
