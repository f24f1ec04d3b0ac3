// SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677), the client's side. No I/O: the caller
// brings the nonce and carries the messages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"

namespace pgrecall::wire {

constexpr std::string_view kScramSha256 = "SCRAM-SHA-256";
constexpr size_t kScramKeyBytes = 32;
using ScramKey = std::array<unsigned char, kScramKeyBytes>;

/// What a server may ask of us; beyond it the login fails.
struct ScramLimits {
  size_t message_bytes = 4096;
  size_t nonce_bytes = 256;  ///< client's and server's part together
  size_t salt_bytes = 256;   ///< decoded
  /// The derivation runs on the caller's thread, roughly 0.2 us an iteration: keep ScramKeys.
  uint32_t iterations = 1'000'000;
};

/// What a password becomes under one salt and iteration count. Keeping it saves the key derivation
/// (milliseconds at PostgreSQL's default) at the next login; it is as secret as the password.
struct ScramKeys {
  std::string salt;
  uint32_t iterations = 0;
  ScramKey client_key{};
  ScramKey server_key{};
};

/// One login. `client_first`, `client_final` and `verify_server` succeed once each, in this order;
/// out of turn (a server may send anything at any time) or after a failure they are an error.
/// Passwords are taken as they are: no SASLprep, so a password whose normal form (NFKC) differs
/// from its bytes does not log in.
class ScramClient {
 public:
  /// `client_nonce`: at least 18 random bytes in printable form without comma (base64 is).
  ScramClient(std::string password, std::string client_nonce, const ScramLimits& limits = {});
  /// From keys of an earlier login, or learned from a client's proof. `password` may be empty; it
  /// is used if the server's salt or iteration count has changed.
  ScramClient(ScramKeys keys, std::string password, std::string client_nonce,
              const ScramLimits& limits = {});
  ~ScramClient();
  ScramClient(const ScramClient&) = delete;
  ScramClient& operator=(const ScramClient&) = delete;

  /// Data of SASLInitialResponse. PostgreSQL takes the user of start-up and ignores this one.
  Result<std::string> client_first(std::string_view user = {});
  /// Data of SASLResponse, from the data of AuthenticationSASLContinue.
  Result<std::string> client_final(std::string_view server_first);
  /// Checks the data of AuthenticationSASLFinal: only who knows the secret can have sent it. Until
  /// this succeeded nothing the server sent may be believed.
  Status verify_server(std::string_view server_final);

  /// After `client_final`.
  const ScramKeys& keys() const { return keys_; }

 private:
  Status check_nonce(std::string_view nonce) const;
  Status ensure_keys(std::string_view salt, uint32_t iterations);

  enum class Step { kStart, kFirstSent, kFinalSent, kDone, kFailed };
  Step step_ = Step::kStart;
  std::string password_;
  std::string nonce_;
  ScramLimits limits_;
  ScramKeys keys_;
  std::string client_first_bare_;
  ScramKey server_signature_{};
};

}  // namespace pgrecall::wire
