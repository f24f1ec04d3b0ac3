// Redis' protocol (RESP2) by hiredis' formatter and reader; no socket.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pgrecall/base/result.h"

struct redisReader;

namespace pgrecall::adapters {

struct RedisReply {
  enum class Kind : uint8_t { kString, kStatus, kInteger, kNil, kError };
  Kind kind = Kind::kNil;
  std::string text;  ///< of strings, statuses and errors
  long long number = 0;
};

/// Appends one command as RESP.
void append_command(std::string& out, std::initializer_list<std::string_view> arguments);

/// Cuts a stream of bytes into replies. Owned by one connection. We never ask for an array, so one
/// is an error of the peer; so is a reply above the bound, as soon as it is above it.
class RedisReplies {
 public:
  explicit RedisReplies(size_t reply_bytes_max);
  ~RedisReplies();
  RedisReplies(const RedisReplies&) = delete;
  RedisReplies& operator=(const RedisReplies&) = delete;

  void feed(std::string_view bytes);
  /// The next reply, none if it is not complete yet, or an error after which nothing can be read.
  Result<std::optional<RedisReply>> next();

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, FreeReader> reader_;
  size_t reply_bytes_max_;
};

}  // namespace pgrecall::adapters
