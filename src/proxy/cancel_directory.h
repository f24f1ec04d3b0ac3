// CancelDirectory: from the key of a CancelRequest to the session it names.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "pgrecall/base/ids.h"
#include "pgrecall/session/session_host.h"

namespace pgrecall::proxy {

/// Process-wide; any thread. Keys come from the kernel's generator and are compared in constant
/// time.
class CancelDirectory {
 public:
  struct Target {
    uint32_t worker = 0;
    SlotId session;
  };

  session::CancelKey add(Target target);
  void remove(uint32_t process_id);
  std::optional<Target> find(uint32_t process_id, std::string_view secret) const;

 private:
  struct Entry {
    std::string secret;
    Target target;
  };
  mutable std::mutex mutex_;
  std::unordered_map<uint32_t, Entry> entries_;
};

}  // namespace pgrecall::proxy
