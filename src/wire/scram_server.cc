#include "pgrecall/wire/scram_server.h"

#include <fmt/format.h>

#include "wire/scram_crypto.h"

namespace pgrecall::wire {

namespace {

constexpr size_t kSaltBytesMax = 1024;
constexpr size_t kMockSaltBytes = 16;  // as PostgreSQL's own

Error malformed() {
  return {"malformed SCRAM message", "08P01"};
}

Error openssl_failed() {
  return {"SCRAM login: OpenSSL failed", "XX000"};
}

/// Cuts `text` at the first `separator` and returns what is before it.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view before = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return before;
}

}  // namespace

Result<ScramSecret> ScramSecret::parse(std::string_view text) {
  const Error error{"the stored secret is not of the form SCRAM-SHA-256$iterations:salt$key:key",
                    "28P01"};
  if (take_until(text, '$') != kScramSha256) return error;
  const auto iterations = parse_iterations(take_until(text, ':'));
  const auto salt = decode_base64(take_until(text, '$'), kSaltBytesMax);
  const auto stored_key = decode_key(take_until(text, ':'));
  const auto server_key = decode_key(text);
  if (!iterations || *iterations > INT32_MAX || !salt || salt->empty() || !stored_key ||
      !server_key)
    return error;
  return ScramSecret{*salt, *iterations, *stored_key, *server_key};
}

Result<ScramSecret> ScramSecret::from_password(std::string_view password, std::string_view salt,
                                               uint32_t iterations) {
  PGR_ASSERT(iterations > 0 && iterations <= INT32_MAX && !salt.empty());
  ScramSecret secret;
  secret.salt = salt;
  secret.iterations = iterations;
  ScramKey salted_password;
  ScramKey client_key;
  const bool derived = pbkdf2_sha256(password, salt, iterations, salted_password) &&
                       hmac_sha256(as_text(salted_password), "Client Key", client_key) &&
                       sha256(as_text(client_key), secret.stored_key) &&
                       hmac_sha256(as_text(salted_password), "Server Key", secret.server_key);
  wipe(salted_password);
  wipe(client_key);
  if (!derived) return openssl_failed();
  return secret;
}

Result<ScramSecret> ScramSecret::make_mock(std::string_view user, std::string_view process_secret) {
  ScramKey digest;
  if (!hmac_sha256(process_secret, user, digest)) return openssl_failed();
  ScramSecret secret;
  secret.salt = as_text(digest).substr(0, kMockSaltBytes);
  secret.iterations = kScramIterationsDefault;
  secret.mock = true;
  return secret;
}

std::string ScramSecret::format() const {
  return fmt::format("{}${}:{}${}:{}", kScramSha256, iterations, encode_base64(salt),
                     encode_base64(as_text(stored_key)), encode_base64(as_text(server_key)));
}

ScramServer::ScramServer(ScramSecret secret, std::string server_nonce, const ScramLimits& limits)
    : secret_(std::move(secret)), nonce_(std::move(server_nonce)), limits_(limits) {
  PGR_ASSERT(is_scram_nonce(nonce_));
}

ScramServer::~ScramServer() {
  wipe(secret_.server_key);
  wipe(keys_.client_key);
  wipe(keys_.server_key);
}

Result<std::string> ScramServer::server_first(std::string_view client_first) {
  if (step_ != Step::kStart) return malformed();
  step_ = Step::kFailed;  // until proved otherwise
  if (client_first.size() > limits_.message_bytes) return malformed();
  // The header: no channel binding ("n", or "y" from a client that could), no other identity.
  std::string_view unread = client_first;
  const std::string_view flag = take_until(unread, ',');
  const std::string_view identity = take_until(unread, ',');
  if ((flag != "n" && flag != "y") || !identity.empty()) return malformed();
  channel_binding_ = encode_base64(std::string(flag) + ",,");
  client_first_bare_ = unread;
  // Extensions behind the nonce are optional ones and ignored.
  const auto user = take_attribute(unread, 'n');
  const auto client_nonce = user ? take_attribute(unread, 'r') : std::nullopt;
  if (!client_nonce || !is_scram_nonce(*client_nonce) || client_nonce->size() > limits_.nonce_bytes)
    return malformed();
  nonce_.insert(0, *client_nonce);
  server_first_ =
      fmt::format("r={},s={},i={}", nonce_, encode_base64(secret_.salt), secret_.iterations);
  step_ = Step::kFirstSent;
  return server_first_;
}

Result<std::string> ScramServer::server_final(std::string_view client_final) {
  if (step_ != Step::kFirstSent) return malformed();
  step_ = Step::kFailed;
  if (client_final.size() > limits_.message_bytes) return malformed();
  const size_t proof_at = client_final.rfind(",p=");  // always the last attribute
  if (proof_at == std::string_view::npos) return malformed();
  const std::string_view without_proof = client_final.substr(0, proof_at);
  std::string_view unread = without_proof;
  const auto binding = take_attribute(unread, 'c');
  const auto nonce = binding ? take_attribute(unread, 'r') : std::nullopt;
  const auto proof = decode_key(client_final.substr(proof_at + 3));
  if (!nonce || !proof || *binding != channel_binding_ || *nonce != nonce_) return malformed();

  const std::string auth_message =
      client_first_bare_ + "," + server_first_ + "," + std::string(without_proof);
  if (Status status = check_proof(auth_message, *proof); !status) return status.error();
  ScramKey signature;
  if (!hmac_sha256(as_text(secret_.server_key), auth_message, signature)) return openssl_failed();
  step_ = Step::kDone;
  return "v=" + encode_base64(as_text(signature));
}

Status ScramServer::check_proof(std::string_view auth_message, const ScramKey& proof) {
  ScramKey signature;
  ScramKey stored_key;
  if (!hmac_sha256(as_text(secret_.stored_key), auth_message, signature)) return openssl_failed();
  ScramKey client_key = exclusive_or(proof, signature);
  if (!sha256(as_text(client_key), stored_key)) return openssl_failed();
  const bool right = equal_keys(stored_key, secret_.stored_key);
  if (!right || secret_.mock) {
    wipe(client_key);
    return Error{"password authentication failed", "28P01"};
  }
  keys_ = {secret_.salt, secret_.iterations, client_key, secret_.server_key};
  wipe(client_key);
  return Ok{};
}

}  // namespace pgrecall::wire
