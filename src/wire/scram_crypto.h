// The primitives of SCRAM-SHA-256 on OpenSSL's EVP interface, and its base64.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/wire/scram.h"

namespace pgrecall::wire {

/// False if OpenSSL refuses, which in practice means no memory.
bool hmac_sha256(std::string_view key, std::string_view data, ScramKey& out);
bool sha256(std::string_view data, ScramKey& out);
/// Hi() of RFC 5802.
bool pbkdf2_sha256(std::string_view password, std::string_view salt, uint32_t iterations,
                   ScramKey& out);

inline std::string_view as_text(const ScramKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}
ScramKey exclusive_or(const ScramKey& a, const ScramKey& b);
/// In constant time.
bool equal_keys(const ScramKey& a, const ScramKey& b);
void wipe(ScramKey& key);
void wipe(std::string& secret);

std::string encode_base64(std::string_view bytes);
/// Only the one canonical form, with padding and no white space. `bytes_max` is checked first.
std::optional<std::string> decode_base64(std::string_view text, size_t bytes_max);
std::optional<ScramKey> decode_key(std::string_view text);

/// Printable ASCII without comma, and something of it.
bool is_scram_nonce(std::string_view text);

/// The value of the attribute `name=value` that `message` begins with; it and its comma are cut
/// off. Empty if another attribute is there.
std::optional<std::string_view> take_attribute(std::string_view& message, char name);

/// Decimal digits, at least 1.
std::optional<uint32_t> parse_iterations(std::string_view text);

}  // namespace pgrecall::wire
