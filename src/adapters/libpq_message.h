// What libpq says, as one short line for logs, the admin port and stderr.
#pragma once

#include <string>
#include <string_view>

namespace pgrecall::adapters {

/// The message without line breaks, libpq's hints, source locations and the address in front of
/// each attempt; the same reason of several attempts stands there once. Passwords of URLs are
/// masked: a URL given as a host name comes back in the message.
///
/// "connection to server at "h" (::1), port 5432 failed: FATAL:  3D000: database "x" does not
/// exist\n" becomes "FATAL: database "x" does not exist".
std::string clean_libpq_message(std::string_view message);

}  // namespace pgrecall::adapters
