// Assertions for what cannot happen. PGR_ASSERT is cheap and stays on in release builds; PGR_DCHECK
// may cost something and is on only where fault points are compiled in (dev and sanitizer builds).
#pragma once

namespace pgrecall {

/// Prints the failed expression and its place on stderr and aborts the process.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace pgrecall

#define PGR_ASSERT(expression)                        \
  (__builtin_expect(static_cast<bool>(expression), 1) \
       ? static_cast<void>(0)                         \
       : ::pgrecall::assertion_failed(#expression, __FILE__, __LINE__))

#ifdef PGRECALL_FAULTS
#define PGR_DCHECK(expression) PGR_ASSERT(expression)
#else
#define PGR_DCHECK(expression) static_cast<void>(0)
#endif
