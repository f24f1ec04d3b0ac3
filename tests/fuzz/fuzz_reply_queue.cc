#include "fuzz/reply_queue_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pgrecall::upstream::drive_reply_queue(data, size);
  return 0;
}
