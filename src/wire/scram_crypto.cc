#include "wire/scram_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>

namespace pgrecall::wire {

namespace {

const unsigned char* octets(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

bool hmac_sha256(std::string_view key, std::string_view data, ScramKey& out) {
  size_t size = 0;
  return EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                   octets(data), data.size(), out.data(), out.size(), &size) != nullptr &&
         size == out.size();
}

bool sha256(std::string_view data, ScramKey& out) {
  size_t size = 0;
  return EVP_Q_digest(nullptr, "SHA256", nullptr, data.data(), data.size(), out.data(), &size) ==
             1 &&
         size == out.size();
}

bool pbkdf2_sha256(std::string_view password, std::string_view salt, uint32_t iterations,
                   ScramKey& out) {
  return PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), octets(salt),
                           static_cast<int>(salt.size()), static_cast<int>(iterations),
                           EVP_sha256(), static_cast<int>(out.size()), out.data()) == 1;
}

ScramKey exclusive_or(const ScramKey& a, const ScramKey& b) {
  ScramKey out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<unsigned char>(a[i] ^ b[i]);
  return out;
}

bool equal_keys(const ScramKey& a, const ScramKey& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(ScramKey& key) {
  OPENSSL_cleanse(key.data(), key.size());
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

std::string encode_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL adds a zero
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), octets(bytes),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::optional<std::string> decode_base64(std::string_view text, size_t bytes_max) {
  if (text.size() % 4 != 0 || text.size() / 4 * 3 > bytes_max + 2) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), octets(text),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  if (static_cast<size_t>(size) < padding) return std::nullopt;
  bytes.resize(static_cast<size_t>(size) - padding);
  // OpenSSL forgives white space and stray padding; who forged such a text finds no mercy here.
  if (bytes.size() > bytes_max || encode_base64(bytes) != text) return std::nullopt;
  return bytes;
}

std::optional<ScramKey> decode_key(std::string_view text) {
  const auto bytes = decode_base64(text, kScramKeyBytes);
  if (!bytes || bytes->size() != kScramKeyBytes) return std::nullopt;
  ScramKey key;
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return key;
}

bool is_scram_nonce(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > ' ' && c < 0x7F && c != ','; });
}

std::optional<std::string_view> take_attribute(std::string_view& message, char name) {
  if (message.size() < 2 || message[0] != name || message[1] != '=') return std::nullopt;
  const size_t comma = message.find(',');
  const std::string_view value =
      message.substr(2, comma == std::string_view::npos ? comma : comma - 2);
  message = comma == std::string_view::npos ? std::string_view() : message.substr(comma + 1);
  return value;
}

std::optional<uint32_t> parse_iterations(std::string_view text) {
  uint32_t number = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (text.empty() || error != std::errc() || end != last || number == 0) return std::nullopt;
  return number;
}

}  // namespace pgrecall::wire
