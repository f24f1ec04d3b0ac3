// EntryStore: the port behind which tier two (Redis) stands. Asynchronous by contract.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "pgrecall/cache/result_cache.h"

namespace pgrecall::cache {

/// One per worker; called and calling back on the worker's thread only. An implementation may call
/// back at once. Every bad, late or unreachable value is a miss; nothing here is ever an error to a
/// client.
class EntryStore {
 public:
  virtual ~EntryStore() = default;

  /// `value` is empty on a miss. `patience`: how long the answer is worth waiting for; after that
  /// it is a miss, which says nothing about the store.
  using GetCallback = std::function<void(std::string value)>;
  virtual void get(const CacheKeyView& key, Duration patience, GetCallback done) = 0;
  virtual void put(const CacheKeyView& key, std::string_view value, Duration time_to_live) = 0;
  virtual bool available() const = 0;
  /// Names one life of the store: other after a restart. 0: none, or not known yet. Part of every
  /// encoded entry, see entry_codec.h.
  virtual uint64_t run_id() const { return 0; }
};

}  // namespace pgrecall::cache
