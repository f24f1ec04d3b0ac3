// Names of configured values as people see them.
#pragma once

#include <string_view>

#include "pgrecall/config/config.h"

namespace pgrecall::proxy {

inline std::string_view mode_name(config::CacheMode mode) {
  switch (mode) {
    case config::CacheMode::kOn:
      return "on";
    case config::CacheMode::kObserve:
      return "observe";
    case config::CacheMode::kOff:
      return "off";
  }
  return "";
}

}  // namespace pgrecall::proxy
