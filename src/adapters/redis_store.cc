#include "pgrecall/adapters/redis_store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "adapters/redis_protocol.h"

namespace pgrecall::adapters {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// Beyond the value itself: the reply's frame and what of the next replies is read with it.
constexpr size_t kReplySlackBytes = 2 * net::Stream::kReadBufferBytes;
constexpr size_t kKeepOutBytes = 64 * 1024;
constexpr Duration kLookMin = milliseconds(1);
constexpr Duration kLookMax = milliseconds(5);
constexpr int kLooksPerTimeout = 8;

/// Errors that say that this server is of no use now: it is loading, a replica, or wants a login.
bool ends_the_connection(std::string_view error) {
  constexpr std::array<std::string_view, 7> kCodes = {
      "LOADING", "READONLY", "MASTERDOWN", "NOAUTH", "NOPERM", "WRONGPASS", "MOVED"};
  const std::string_view code = error.substr(0, error.find(' '));
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

/// Of the text that INFO answers; 0 if it is not there.
uint64_t run_id_in(std::string_view info) {
  constexpr std::string_view kField = "run_id:";
  const size_t at = info.find(kField);
  if (at == std::string_view::npos) return 0;
  std::string_view id = info.substr(at + kField.size());
  id = id.substr(0, id.find_first_of("\r\n"));
  return XXH3_64bits(id.data(), id.size());
}

/// What a refused login may say to people. A server without AUTH repeats its arguments.
std::string without_arguments(const std::string& error) {
  return error.substr(0, error.find(", with args"));
}

}  // namespace

RedisStore::RedisStore(net::Loop& loop, RedisOptions options)
    : loop_(loop),
      options_(std::move(options)),
      look_(std::clamp(options_.timeout / kLooksPerTimeout, kLookMin, kLookMax)),
      timer_(loop.make_timer([this] { on_timer(); })),
      retry_after_(options_.retry_min),
      self_(std::make_shared<RedisStore*>(this)) {
  connect();
}

RedisStore::~RedisStore() = default;

// ---- Entries ----

std::string RedisStore::entry_key(const cache::CacheKeyView& key) const {
  const XXH128_hash_t hash = XXH3_128bits(key.bytes.data(), key.bytes.size());
  return fmt::format("{}:e1:{:016x}{:016x}", options_.prefix, hash.high64, hash.low64);
}

bool RedisStore::has_room(size_t bytes) const {
  return state_ == State::kReady && commands_.size() < options_.commands_max &&
         out_.size() + stream_->pending() + bytes <= options_.pending_bytes_max;
}

void RedisStore::get(const cache::CacheKeyView& key, Duration patience, GetCallback done) {
  const std::string name = entry_key(key);
  if (!has_room(name.size())) return done({});
  ++stats_.gets;
  append_command(out_, {"GET", name});
  enqueue(Command::Kind::kGet, options_.timeout, patience, std::move(done));
}

void RedisStore::put(const cache::CacheKeyView& key, std::string_view value,
                     Duration time_to_live) {
  const auto ttl_ms = duration_cast<milliseconds>(time_to_live).count();
  if (ttl_ms < 1 || value.size() > options_.value_bytes_max || !has_room(value.size())) return;
  append_command(out_, {"SET", entry_key(key), value, "PX", std::to_string(ttl_ms)});
  enqueue(Command::Kind::kPut, options_.timeout, options_.timeout, nullptr);
}

/// One more than fit: the first may be due at once.
uint64_t RedisStore::look_after(Duration wait) const {
  return looks_ + 1 + static_cast<uint64_t>((wait + look_ - Duration(1)) / look_);
}

void RedisStore::enqueue(Command::Kind kind, Duration timeout, Duration patience,
                         GetCallback done) {
  commands_.push_back({kind, look_after(std::min(patience, timeout)), look_after(timeout),
                       loop_.now(), std::move(done)});
  if (!timer_->active()) timer_->start(look_);
  flush_at_end_of_turn();
}

/// One write for all that one turn of the loop asks for.
void RedisStore::flush_at_end_of_turn() {
  if (flush_due_) return;
  flush_due_ = true;
  loop_.defer([weak = std::weak_ptr<RedisStore*>(self_)] {
    if (auto self = weak.lock()) (*self)->flush();
  });
}

void RedisStore::flush() {
  flush_due_ = false;
  if (stream_) stream_->write(out_);
  out_.clear();
  if (out_.capacity() > kKeepOutBytes) out_.shrink_to_fit();
}

// ---- The connection ----

void RedisStore::connect() {
  change_state(State::kConnecting);
  timer_->start(options_.connect_timeout);
  if (!options_.socket_path.empty()) {
    Result<net::Address> address = net::Address::unix_path(options_.socket_path);
    if (!address.ok()) return fail(address.error().message);
    return connect_to(*address);
  }
  resolution_ = net::resolve(loop_, options_.endpoint, [this](auto addresses) {
    resolution_.reset();
    if (!addresses.ok()) return fail(addresses.error().message);
    connect_to(addresses->at(tries_++ % addresses->size()));
  });
}

/// The login leaves as soon as the connection stands; nothing else does before it was answered.
void RedisStore::connect_to(const net::Address& address) {
  stream_ = net::Stream::connect(loop_, address, *this);
  replies_ = std::make_unique<RedisReplies>(options_.value_bytes_max + kReplySlackBytes);
  timer_->stop();  // from now on the login is looked after
  auto ask = [this](Command::Kind kind, std::initializer_list<std::string_view> arguments) {
    append_command(out_, arguments);
    enqueue(kind, options_.connect_timeout, options_.connect_timeout, nullptr);
  };
  const std::string database = std::to_string(options_.database);
  if (!options_.user.empty())
    ask(Command::Kind::kLogin, {"AUTH", options_.user, options_.password});
  else if (!options_.password.empty())
    ask(Command::Kind::kLogin, {"AUTH", options_.password});
  if (options_.database != 0) ask(Command::Kind::kLogin, {"SELECT", database});
  ask(Command::Kind::kInfo, {"INFO", "server"});
}

void RedisStore::on_connected() {}

void RedisStore::on_readable_bytes(std::string_view bytes) {
  replies_->feed(bytes);
  while (replies_) {
    Result<std::optional<RedisReply>> reply = replies_->next();
    if (!reply.ok()) return fail(reply.error().message);
    if (!reply->has_value()) return;
    on_reply(std::move(**reply));
  }
}

void RedisStore::on_end(int error) {
  fail(error == 0 ? "Redis closed the connection" : std::strerror(error));
}

void RedisStore::on_reply(RedisReply reply) {
  if (commands_.empty()) return fail("Redis sent a reply that nobody asked for");
  Command command = std::move(commands_.front());
  commands_.pop_front();
  if (command.kind == Command::Kind::kGet || command.kind == Command::Kind::kPut)
    on_entry_reply(command, reply);
  else
    on_login_reply(command.kind, reply);
}

void RedisStore::on_login_reply(Command::Kind kind, const RedisReply& reply) {
  const bool refused = reply.kind == RedisReply::Kind::kError;
  if (kind == Command::Kind::kLogin) {
    if (refused) fail("Redis refused the login: " + without_arguments(reply.text));
    return;
  }
  if (refused && ends_the_connection(reply.text) && !reply.text.starts_with("NOPERM"))
    return fail("Redis refused: " + reply.text);
  run_id_ = refused ? 0 : run_id_in(reply.text);  // an account may be denied INFO: no run id then
  change_state(State::kReady);
}

void RedisStore::on_entry_reply(Command& command, RedisReply& reply) {
  const bool failed = reply.kind == RedisReply::Kind::kError;
  if (failed) {
    ++stats_.errors;
  } else {
    retry_after_ = options_.retry_min;
    if (command.kind == Command::Kind::kPut) ++stats_.puts;
  }
  if (when_answered_) when_answered_(loop_.now() - command.asked_at);
  if (command.done) {
    const bool found = reply.kind == RedisReply::Kind::kString;
    command.done(found ? std::move(reply.text) : std::string());
  }
  if (failed && state_ == State::kReady && ends_the_connection(reply.text))
    give_up("Redis refused: " + reply.text);  // counted as the reply that it is
}

void RedisStore::on_timer() {
  if (state_ == State::kWaiting) return connect();
  if (!commands_.empty()) return on_look();
  if (resolution_) fail("the host name could not be looked up in time");
}

void RedisStore::on_look() {
  ++looks_;
  const auto late = [this] { return !commands_.empty() && commands_.front().late_at <= looks_; };
  if (late() && stream_) stream_->read_now();
  if (state_ == State::kWaiting) return;  // that was its end
  if (late()) {
    if (state_ != State::kReady) return fail("Redis did not answer the login in time");
    ++stats_.timeouts;
    return give_up("Redis did not answer a command in time");
  }
  give_up_impatient();
  if (!commands_.empty()) timer_->start(look_);
}

void RedisStore::give_up_impatient() {
  for (size_t i = 0; i < commands_.size(); ++i) {  // a callback may add commands
    if (commands_[i].given_up_at > looks_ || !commands_[i].done) continue;
    ++stats_.unawaited;
    std::exchange(commands_[i].done, nullptr)({});
  }
}

void RedisStore::change_state(State state) {
  state_ = state;
  if (listener_) listener_(state);
}

/// An error that no figure has counted yet ends the connection.
void RedisStore::fail(std::string why) {
  ++stats_.errors;
  give_up(std::move(why));
}

/// Opens the breaker: everything that waits is a miss, and after a pause there is another try.
void RedisStore::give_up(std::string why) {
  last_error_ = std::move(why);
  resolution_.reset();
  stream_.reset();
  replies_.reset();
  out_.clear();
  run_id_ = 0;
  timer_->start(retry_after_);
  retry_after_ = std::min(retry_after_ * 2, options_.retry_max);
  std::deque<Command> waiting = std::exchange(commands_, {});
  change_state(State::kWaiting);
  for (Command& command : waiting) {
    if (command.done) command.done({});
  }
}

}  // namespace pgrecall::adapters
