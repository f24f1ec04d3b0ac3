#include "pgrecall/wire/scram.h"

#include <fmt/format.h>

#include "wire/scram_crypto.h"

namespace pgrecall::wire {

namespace {

constexpr std::string_view kChannelBindingHeader = "n,,";  // no channel binding
constexpr std::string_view kChannelBinding = "c=biws";     // the same in base64

Error protocol_error(std::string what) {
  return {"SCRAM login to the server: " + std::move(what), "08P01"};
}

/// A user name's comma and equals sign are escaped (RFC 5802, saslname).
std::string escape_name(std::string_view name) {
  std::string escaped;
  for (const char c : name) {
    if (c == ',')
      escaped += "=2C";
    else if (c == '=')
      escaped += "=3D";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

ScramClient::ScramClient(std::string password, std::string client_nonce, const ScramLimits& limits)
    : password_(std::move(password)), nonce_(std::move(client_nonce)), limits_(limits) {
  PGR_ASSERT(is_scram_nonce(nonce_));
}

ScramClient::ScramClient(ScramKeys keys, std::string password, std::string client_nonce,
                         const ScramLimits& limits)
    : ScramClient(std::move(password), std::move(client_nonce), limits) {
  keys_ = std::move(keys);
}

ScramClient::~ScramClient() {
  wipe(password_);
  wipe(keys_.client_key);
  wipe(keys_.server_key);
}

Result<std::string> ScramClient::client_first(std::string_view user) {
  if (step_ != Step::kStart) return protocol_error("a second beginning");
  step_ = Step::kFirstSent;
  client_first_bare_ = "n=" + escape_name(user) + ",r=" + nonce_;
  return std::string(kChannelBindingHeader) + client_first_bare_;
}

Result<std::string> ScramClient::client_final(std::string_view server_first) {
  if (step_ != Step::kFirstSent) return protocol_error("a challenge that nothing asked for");
  step_ = Step::kFailed;  // until proved otherwise
  if (server_first.size() > limits_.message_bytes) return protocol_error("challenge too long");
  std::string_view unread = server_first;
  const auto nonce = take_attribute(unread, 'r');
  const auto encoded_salt = nonce ? take_attribute(unread, 's') : std::nullopt;
  const auto iteration_text = encoded_salt ? take_attribute(unread, 'i') : std::nullopt;
  if (!iteration_text || !unread.empty() || server_first.ends_with(','))
    return protocol_error("malformed challenge");
  if (Status status = check_nonce(*nonce); !status) return status.error();
  const auto salt = decode_base64(*encoded_salt, limits_.salt_bytes);
  if (!salt || salt->empty()) return protocol_error("malformed or too long salt");
  const auto iterations = parse_iterations(*iteration_text);
  if (!iterations || *iterations > limits_.iterations)
    return protocol_error(
        fmt::format("bad iteration count, allowed are 1 to {}", limits_.iterations));
  if (Status status = ensure_keys(*salt, *iterations); !status) return status.error();

  const std::string without_proof = std::string(kChannelBinding) + ",r=" + std::string(*nonce);
  const std::string auth_message =
      client_first_bare_ + "," + std::string(server_first) + "," + without_proof;
  ScramKey stored_key;
  ScramKey client_signature;
  if (!sha256(as_text(keys_.client_key), stored_key) ||
      !hmac_sha256(as_text(stored_key), auth_message, client_signature) ||
      !hmac_sha256(as_text(keys_.server_key), auth_message, server_signature_))
    return protocol_error("OpenSSL failed");
  step_ = Step::kFinalSent;
  const ScramKey proof = exclusive_or(keys_.client_key, client_signature);
  return without_proof + ",p=" + encode_base64(as_text(proof));
}

Status ScramClient::verify_server(std::string_view server_final) {
  if (step_ != Step::kFinalSent) return protocol_error("an outcome that nothing asked for");
  step_ = Step::kFailed;
  std::string_view unread = server_final;
  if (take_attribute(unread, 'e')) return protocol_error("refused by the server");
  const auto signature_text = take_attribute(unread, 'v');
  const auto signature = signature_text ? decode_key(*signature_text) : std::nullopt;
  if (!signature || !unread.empty() || server_final.ends_with(','))
    return protocol_error("malformed outcome");
  if (!equal_keys(*signature, server_signature_))
    return Error{"SCRAM login to the server: it could not prove that it knows the password",
                 "28000"};
  step_ = Step::kDone;
  return Ok{};
}

Status ScramClient::check_nonce(std::string_view nonce) const {
  if (nonce.size() > limits_.nonce_bytes) return protocol_error("nonce too long");
  if (!is_scram_nonce(nonce) || !nonce.starts_with(nonce_) || nonce.size() == nonce_.size())
    return protocol_error("the nonce is no continuation of ours");
  return Ok{};
}

Status ScramClient::ensure_keys(std::string_view salt, uint32_t iterations) {
  if (keys_.iterations == iterations && keys_.salt == salt) return Ok{};
  if (password_.empty())
    return Error{"SCRAM login to the server: no password known for its salt and iteration count",
                 "28P01"};
  ScramKey salted_password;
  const bool derived = pbkdf2_sha256(password_, salt, iterations, salted_password) &&
                       hmac_sha256(as_text(salted_password), "Client Key", keys_.client_key) &&
                       hmac_sha256(as_text(salted_password), "Server Key", keys_.server_key);
  wipe(salted_password);
  if (!derived) return protocol_error("OpenSSL failed");
  keys_.salt = salt;
  keys_.iterations = iterations;
  return Ok{};
}

}  // namespace pgrecall::wire
