#include "fuzz/session_input.h"
// Fuzz targets are one source each; the world is shared with the tests of the session.
#include "session/fake_postgres.cc"
#include "session/world.cc"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4096) pgrecall::session::testing::SessionInput(data, size).run();
  return 0;
}
