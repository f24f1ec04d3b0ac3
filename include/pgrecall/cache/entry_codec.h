// The value that tier two keeps: one cached result with everything needed to refuse it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgrecall/base/clock.h"
#include "pgrecall/cache/cached_result.h"
#include "pgrecall/cache/result_cache.h"
#include "pgrecall/invalidation/epoch_table.h"

namespace pgrecall::cache {

/// What both sides of the codec must agree on. An entry written under other ids is never served:
/// its stamp speaks of epochs that the reader does not know.
struct StoreIdentity {
  uint64_t generation = 0;  ///< random, of the process whose epochs the stamps speak of
  uint64_t run_id = 0;      ///< of the store (EntryStore::run_id)
};

/// Now, on both clocks: the process's and the wall's. Entries carry wall time.
struct TwoClocks {
  TimePoint steady{};
  int64_t unix_us = 0;
};

enum class EntryVerdict : uint8_t {
  kGood,
  kForeign,  ///< of another process, deployment or life of the store, or of another key
  kExpired,
  kBad  ///< cut, changed, of another format version, or not made by us
};

struct DecodedEntry {
  EntryVerdict verdict = EntryVerdict::kBad;
  CachedResultPtr result;  ///< only if kGood; `fingerprint` is 0
};

/// Little-endian: a header (magic, format version, checksum of all that follows it, identity,
/// times, lengths), the full key, the stamp as (dependency id, epoch word) pairs, the body.
std::string encode_entry(const CacheKeyView& key, const CachedResult& result,
                         const StoreIdentity& identity, const TwoClocks& now);

/// Total: any bytes may be given, and everything that is not exactly what `encode_entry` made under
/// the same key and identity is refused; the body must be a RowDescription (or none), DataRows and
/// one CommandComplete. Whether a good result may be shown is rule 3 and the caller's business.
DecodedEntry decode_entry(const CacheKeyView& key, std::string_view value,
                          const StoreIdentity& identity, const TwoClocks& now,
                          const invalidation::EpochTable& table);

}  // namespace pgrecall::cache
