// CachedResult: the encoded answer of one SELECT, immutable, with the proof it is served under.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pgrecall/base/clock.h"
#include "pgrecall/invalidation/epoch_table.h"

namespace pgrecall::cache {

/// Immutable and shared between threads by reference count; lives while a cache or a client being
/// answered holds it. Bytes are PostgreSQL v3 messages as the server sent them: first an optional
/// RowDescription, then DataRows, then CommandComplete; never ReadyForQuery.
struct CachedResult {
  std::string bytes;
  uint32_t row_description_bytes = 0;  ///< length of the leading RowDescription, 0: there is none
  uint64_t rows = 0;
  invalidation::Stamp stamp;
  TimePoint stamped_at{};    ///< when the stamp was taken: age counts from here
  TimePoint expires_at{};    ///< past this it is never served
  uint32_t fingerprint = 0;  ///< index into the statistics
  Duration origin_time{};    ///< what PostgreSQL took

  std::string_view row_description() const {
    return std::string_view(bytes).substr(0, row_description_bytes);
  }
  std::string_view rows_and_completion() const {
    return std::string_view(bytes).substr(row_description_bytes);
  }
};

using CachedResultPtr = std::shared_ptr<const CachedResult>;

}  // namespace pgrecall::cache
