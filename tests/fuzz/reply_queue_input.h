// The reply queue under any order of pushes and server messages, decoded from bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "pgrecall/base/assert.h"
#include "pgrecall/upstream/reply_queue.h"

namespace pgrecall::upstream {

/// Each byte is one event. Asserts what must hold whatever happens.
inline void drive_reply_queue(const uint8_t* data, size_t size) {
  static constexpr std::string_view kTypes = "123tTnDCIsGHWdcVZENSAX";
  ReplyQueue queue;
  for (size_t i = 0; i < size; ++i) {
    const uint8_t byte = data[i];
    const uint8_t low = byte & 0x3f;
    if (byte < 0x40) {
      const auto reply = static_cast<Reply>(1 + low % 10);
      const auto route = static_cast<Route>(low / 10 % 3);
      const size_t before = queue.size();
      queue.push(reply, route, low);
      PGR_ASSERT(queue.size() - before <= 1);
      if (reply == Reply::kSync) PGR_ASSERT(!queue.skipping_to_sync());
    } else if (byte < 0x50) {
      if (!queue.empty() || queue.skipping_to_sync()) queue.push_own("own", byte);
    } else if (byte < 0x60) {
      queue.end_copy_in();
    } else {
      const char type = kTypes[(byte - 0x60) % kTypes.size()];
      const size_t before = queue.size();
      const bool skipped = queue.skipping();
      const Step step = queue.on_message(type);
      PGR_ASSERT(queue.size() <= before);
      if (type == 'A') PGR_ASSERT(step.route == Route::kForward);
      if (step.bad) return;  // the connection ends
      if (step.completes) PGR_ASSERT(queue.size() < before);
      if (queue.copy_in()) PGR_ASSERT(!queue.empty() || type == 'G' || type == 'W' || skipped);
      std::string own;
      uint32_t note = 0;
      while (queue.take_own(&own, &note)) PGR_ASSERT(own == "own");
    }
    if (queue.empty() && !queue.uncertain()) PGR_ASSERT(!queue.owes_client());
    if (queue.owes_ready()) PGR_ASSERT(queue.owes_client());
    if (queue.skipping_to_sync()) PGR_ASSERT(queue.empty());
  }
  queue.clear();
  PGR_ASSERT(queue.empty() && !queue.owes_client() && !queue.unsynced() && !queue.copy_in());
}

}  // namespace pgrecall::upstream
