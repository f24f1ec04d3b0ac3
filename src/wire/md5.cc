#include "pgrecall/wire/md5.h"

#include <openssl/evp.h>

#include <array>

namespace pgrecall::wire {

namespace {

constexpr std::string_view kPrefix = "md5";
constexpr size_t kHexDigits = 32;

/// "md5" and the digest in hex.
Result<std::string> prefixed_md5(const std::string& data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  size_t size = 0;
  if (EVP_Q_digest(nullptr, "MD5", nullptr, data.data(), data.size(), digest.data(), &size) != 1)
    return Error{"md5 login: OpenSSL offers no MD5 here (FIPS mode?)", "0A000"};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(kPrefix);
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

}  // namespace

Result<std::string> md5_secret(std::string_view password, std::string_view user) {
  return prefixed_md5(std::string(password) + std::string(user));
}

Result<std::string> md5_response_from_secret(std::string_view secret, std::string_view salt) {
  if (!secret.starts_with(kPrefix) || secret.size() != kPrefix.size() + kHexDigits)
    return Error{"md5 login: the stored secret is not of the form md5 and 32 hex digits", "28P01"};
  return prefixed_md5(std::string(secret.substr(kPrefix.size())) + std::string(salt));
}

Result<std::string> md5_response(std::string_view password, std::string_view user,
                                 std::string_view salt) {
  const Result<std::string> secret = md5_secret(password, user);
  if (!secret) return secret.error();
  return md5_response_from_secret(secret.value(), salt);
}

}  // namespace pgrecall::wire
