// Which requests the admin port answers: a page of another site must neither read nor change.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgrecall::admin {

/// The headers that decide; nothing if a header is absent.
struct RequestOrigin {
  std::optional<std::string> host;
  std::optional<std::string> origin;
  std::string content_type;
};

/// Why a GET is refused; empty if it is not. On a loopback address the Host header must be an
/// address, "localhost" or the configured name, so that no foreign name can be pointed here (DNS
/// rebinding). Elsewhere any name may lead here.
std::string refuse_get(const std::string& bound_host, const RequestOrigin& request);

/// Why a POST is refused: only application/json, which a foreign page cannot send unasked, and
/// only without an Origin or with our own.
std::string refuse_post(const std::string& bound_host, const RequestOrigin& request);

}  // namespace pgrecall::admin
