#include "pgrecall/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace pgrecall {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "pgrecall: assertion failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace pgrecall
