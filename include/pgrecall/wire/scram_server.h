// SCRAM-SHA-256, the server's side: pgrecall checking a client itself. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"
#include "pgrecall/wire/scram.h"

namespace pgrecall::wire {

constexpr uint32_t kScramIterationsDefault = 4096;

/// What a server stores of a password: enough to check a proof, not enough to log in elsewhere.
struct ScramSecret {
  std::string salt;
  uint32_t iterations = 0;
  ScramKey stored_key{};
  ScramKey server_key{};
  bool mock = false;  ///< no proof is ever right

  /// From pg_authid.rolpassword: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
  static Result<ScramSecret> parse(std::string_view text);
  static Result<ScramSecret> from_password(std::string_view password, std::string_view salt,
                                           uint32_t iterations = kScramIterationsDefault);
  /// For a user who does not exist or has no password: the exchange looks and lasts as for any
  /// other, with the same salt each time, and fails at its end. `process_secret` is random.
  static Result<ScramSecret> make_mock(std::string_view user, std::string_view process_secret);
  /// The form that `parse` reads.
  std::string format() const;
};

/// One login of one client. `server_first`, then `server_final`; out of turn or after a failure
/// they are an error. Malformed messages are 08P01, a wrong proof is 28P01.
class ScramServer {
 public:
  /// `server_nonce`: at least 18 random bytes in printable form without comma (base64 is).
  ScramServer(ScramSecret secret, std::string server_nonce, const ScramLimits& limits = {});
  ~ScramServer();
  ScramServer(const ScramServer&) = delete;
  ScramServer& operator=(const ScramServer&) = delete;

  /// Data of AuthenticationSASLContinue, from the data of SASLInitialResponse.
  Result<std::string> server_first(std::string_view client_first);
  /// Data of AuthenticationSASLFinal, from the data of SASLResponse.
  Result<std::string> server_final(std::string_view client_final);

  /// After success: what logs in to a PostgreSQL that holds the same secret, with no password. Give
  /// it to ScramClient.
  const ScramKeys& keys() const { return keys_; }

 private:
  Status check_proof(std::string_view auth_message, const ScramKey& proof);

  enum class Step { kStart, kFirstSent, kDone, kFailed };
  Step step_ = Step::kStart;
  ScramSecret secret_;
  std::string nonce_;  ///< the server's part, then both
  ScramLimits limits_;
  ScramKeys keys_;
  std::string channel_binding_;  ///< the client's header in base64
  std::string client_first_bare_;
  std::string server_first_;
};

}  // namespace pgrecall::wire
