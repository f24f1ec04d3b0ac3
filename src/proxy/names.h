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

/// What tells of writes past pgrecall.
inline std::string_view feed_name(config::FeedMode mode) {
  switch (mode) {
    case config::FeedMode::kOff:
      return "none";
  }
  return "";
}

}  // namespace pgrecall::proxy
