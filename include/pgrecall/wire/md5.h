// The answer to AuthenticationMD5Password.
#pragma once

#include <string>
#include <string_view>

#include "pgrecall/base/result.h"

namespace pgrecall::wire {

/// "md5" and 32 hex digits: md5(md5(password user) salt). Fails where OpenSSL offers no MD5 (FIPS).
Result<std::string> md5_response(std::string_view password, std::string_view user,
                                 std::string_view salt);

/// What pg_authid stores for such a user, "md5" and 32 hex digits: md5(password user).
Result<std::string> md5_secret(std::string_view password, std::string_view user);

/// The answer when only the stored secret is known.
Result<std::string> md5_response_from_secret(std::string_view secret, std::string_view salt);

}  // namespace pgrecall::wire
