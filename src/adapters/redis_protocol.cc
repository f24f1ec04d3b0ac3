#include "adapters/redis_protocol.h"

#include <hiredis/hiredis.h>

#include <utility>
#include <vector>

#include "pgrecall/base/assert.h"

namespace pgrecall::adapters {
namespace {

RedisReply::Kind kind_of(int type) {
  switch (type) {
    case REDIS_REPLY_STATUS:
      return RedisReply::Kind::kStatus;
    case REDIS_REPLY_ERROR:
      return RedisReply::Kind::kError;
    default:
      return RedisReply::Kind::kString;
  }
}

// The reader builds replies through these. Null is an error: an array is refused before anything is
// allocated for it.
void* create_string(const redisReadTask* task, char* text, size_t length) {
  return new RedisReply{kind_of(task->type), std::string(text, length), 0};
}
template <typename Count>  // an int up to hiredis 0.14, then a size_t
void* create_array(const redisReadTask*, Count) {
  return nullptr;
}
void* create_integer(const redisReadTask*, long long number) {
  return new RedisReply{RedisReply::Kind::kInteger, {}, number};
}
void* create_nil(const redisReadTask*) {
  return new RedisReply;
}
void free_object(void* reply) {
  delete static_cast<RedisReply*>(reply);
}

/// Filled by name, for hiredis 1.0 has two members more: RESP3's double and boolean. Left empty
/// they would yield no pointers but small numbers.
template <typename Functions>
Functions reply_functions() {
  Functions table{};
  table.createString = create_string;
  table.createArray = create_array;
  table.createInteger = create_integer;
  table.createNil = create_nil;
  table.freeObject = free_object;
  if constexpr (requires { table.createDouble; }) {
    table.createDouble = [](auto...) -> void* { return nullptr; };
    table.createBool = [](auto...) -> void* { return nullptr; };
  }
  return table;
}

redisReplyObjectFunctions functions = reply_functions<redisReplyObjectFunctions>();

}  // namespace

void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
  std::vector<const char*> texts;
  std::vector<size_t> lengths;
  for (std::string_view argument : arguments) {
    texts.push_back(argument.data());
    lengths.push_back(argument.size());
  }
  char* command = nullptr;
  const int bytes = redisFormatCommandArgv(&command, static_cast<int>(texts.size()), texts.data(),
                                           lengths.data());
  PGR_ASSERT(bytes > 0);
  out.append(command, static_cast<size_t>(bytes));
  redisFreeCommand(command);
}

void RedisReplies::FreeReader::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

RedisReplies::RedisReplies(size_t reply_bytes_max)
    : reader_(redisReaderCreateWithFunctions(&functions)), reply_bytes_max_(reply_bytes_max) {
  PGR_ASSERT(reader_ != nullptr);
}

RedisReplies::~RedisReplies() = default;

void RedisReplies::feed(std::string_view bytes) {
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

Result<std::optional<RedisReply>> RedisReplies::next() {
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK)
    return Error{std::string("Redis broke its protocol: ") + reader_->errstr, ""};
  std::unique_ptr<RedisReply> owned(static_cast<RedisReply*>(reply));
  if (owned) return std::optional<RedisReply>(std::move(*owned));
  if (reader_->len - reader_->pos > reply_bytes_max_)
    return Error{"Redis sent a reply that is too large", ""};
  return std::optional<RedisReply>();
}

}  // namespace pgrecall::adapters
