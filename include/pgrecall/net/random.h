// Random bytes fit for secrets (cancel keys, SCRAM nonces): the kernel's generator.
#pragma once

#include <cstdint>
#include <span>

namespace pgrecall::net {

/// Any thread. Fills all of it or aborts the process: there is no safe way to go on without.
void secure_random(std::span<uint8_t> bytes);
uint32_t secure_random_u32();
uint64_t secure_random_u64();

}  // namespace pgrecall::net
