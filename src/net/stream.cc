#include "pgrecall/net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "net/loop_state.h"
#include "net/poll_handle.h"

namespace pgrecall::net {
namespace {

/// What the kernel holds of one socket is far below this; see `deliver_end`.
constexpr int kReadsBeforeEnd = 256;
/// How long the peer's end is awaited once everything has left.
constexpr Duration kAwaitPeerEnd = std::chrono::seconds(1);

void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // refused by a unix socket: no harm
}

int socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

/// A connect to a free port of this host's ephemeral range may meet itself.
bool connected_to_itself(int fd) {
  sockaddr_storage own{}, peer{};
  socklen_t own_length = sizeof own, peer_length = sizeof peer;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_length) != 0) return false;
  if (own.ss_family == AF_UNIX) return false;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0) return false;
  return own_length == peer_length && std::memcmp(&own, &peer, own_length) == 0;
}

ssize_t receive(int fd, char* buffer) {
  ssize_t count;
  do {
    count = recv(fd, buffer, Stream::kReadBufferBytes, 0);
  } while (count < 0 && errno == EINTR);
  return count;
}

ssize_t send_now(int fd, std::string_view bytes) {
  ssize_t count;
  do {
    count = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return count;
}

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

Stream::Stream(Loop& loop, int fd, StreamHandler& handler, Phase phase)
    : loop_(loop), handler_(&handler), fd_(fd), phase_(phase) {}

std::unique_ptr<Stream> Stream::adopt(Loop& loop, int fd, StreamHandler& handler) {
  std::unique_ptr<Stream> stream(new Stream(loop, fd, handler, Phase::kOpen));
  set_options(fd);
  stream->attach();
  return stream;
}

std::unique_ptr<Stream> Stream::connect(Loop& loop, const Address& address,
                                        StreamHandler& handler) {
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int socket_errno = errno;
  std::unique_ptr<Stream> stream(new Stream(loop, fd, handler, Phase::kConnecting));
  if (fd < 0) {
    stream->schedule_end(socket_errno);
    return stream;
  }
  set_options(fd);
  if (::connect(fd, address.get(), address.length()) != 0 && errno != EINPROGRESS)
    stream->schedule_end(errno);
  else
    stream->attach();
  return stream;
}

Stream::~Stream() {
  if (end_index_ >= 0) loop_.state().remove_end(*this);
  release();
  if (fd_ >= 0) close(fd_);
}

void Stream::attach() {
  int error = 0;
  poll_ = PollHandle::open(loop_.state(), fd_, this, &Stream::on_poll, error);
  if (poll_ == nullptr)
    schedule_end(error);
  else
    update_interest();
}

void Stream::release() {
  if (poll_ == nullptr) return;
  std::exchange(poll_, nullptr)->release();
}

void Stream::update_interest() {
  if (poll_ == nullptr) return;
  int wanted = 0;
  switch (phase_) {
    case Phase::kConnecting:
      wanted = UV_WRITABLE;
      break;
    case Phase::kOpen:
      wanted = (reading_ ? UV_READABLE : 0) | (pending_.empty() ? 0 : UV_WRITABLE);
      break;
    case Phase::kFlushing:
      wanted = (peer_ended_ ? 0 : UV_READABLE) | UV_WRITABLE;
      break;
    case Phase::kLingering:
      wanted = UV_READABLE;
      break;
    case Phase::kEnded:
      break;
  }
  if (wanted == interest_) return;
  interest_ = wanted;
  poll_->watch(wanted);
}

void Stream::on_poll(void* owner, int status, int events) {
  static_cast<Stream*>(owner)->handle_event(status, events);
}

void Stream::handle_event(int status, int events) {
  PollHandle* const poll = poll_;
  if (status < 0) interest_ = 0;  // libuv has stopped watching
  if (phase_ == Phase::kConnecting) {
    finish_connect();
    return;
  }
  if (status < 0) {
    handle_error_condition();
  } else {
    if ((events & UV_WRITABLE) != 0) flush();
    if ((events & UV_READABLE) != 0 && poll->owner != nullptr) {
      if (phase_ != Phase::kOpen)
        discard_input();
      else if (reading_)
        read_some(kReadsPerEvent);
    }
  }
  if (poll->owner != nullptr) update_interest();
}

// The kernel reports an error without naming it. Reading finds it, after the data before it.
void Stream::handle_error_condition() {
  if (phase_ != Phase::kOpen && !peer_ended_) {
    discard_input();
  } else if (phase_ == Phase::kOpen && reading_) {
    read_some(kReadsPerEvent);
  } else {
    const int error = socket_error(fd_);
    end(error != 0 ? error : EPIPE);
  }
}

void Stream::finish_connect() {
  int error = socket_error(fd_);
  if (error == 0 && connected_to_itself(fd_)) error = ECONNREFUSED;
  if (error != 0) {
    end(error);
    return;
  }
  PollHandle* const poll = poll_;
  phase_ = Phase::kOpen;
  handler_->on_connected();
  if (poll->owner == nullptr) return;
  if (!pending_.empty()) flush();
  if (poll->owner != nullptr) update_interest();
}

void Stream::read_some(int reads_max) {
  PollHandle* const poll = poll_;
  char* const buffer = loop_.state().read_buffer.get();
  for (int i = 0; i < reads_max; ++i) {
    const ssize_t count = receive(fd_, buffer);
    if (count <= 0) {
      const int error = count == 0 ? 0 : errno;
      if (!would_block(error)) end(error);
      return;
    }
    handler_->on_readable_bytes({buffer, static_cast<size_t>(count)});
    if (poll->owner == nullptr || phase_ != Phase::kOpen || !reading_) return;
    if (static_cast<size_t>(count) < kReadBufferBytes) return;
  }
}

void Stream::read_now() {
  if (phase_ == Phase::kOpen && reading_ && poll_ != nullptr) read_some(kReadsPerEvent);
}

void Stream::discard_input() {
  char* const buffer = loop_.state().read_buffer.get();
  for (int i = 0; i < kReadsPerEvent; ++i) {
    const ssize_t count = receive(fd_, buffer);
    if (count > 0) continue;
    const int error = count == 0 ? 0 : errno;
    if (would_block(error)) return;
    peer_ended_ = true;
    if (phase_ == Phase::kLingering || error != 0) end(error);
    return;
  }
}

void Stream::write(std::string_view bytes) {
  if (bytes.empty() || send_failed_) return;
  if (phase_ == Phase::kOpen && pending_.empty()) {
    const ssize_t count = send_now(fd_, bytes);
    if (count < 0 && !would_block(errno)) {
      send_failed(errno);
      return;
    }
    if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
    if (bytes.empty()) return;
  } else if (phase_ != Phase::kOpen && phase_ != Phase::kConnecting) {
    return;
  }
  pending_.append(bytes);
  update_interest();
}

void Stream::flush() {
  if (!pending_.empty()) {
    const ssize_t count = send_now(fd_, pending_.view());
    if (count < 0) {
      if (!would_block(errno)) send_failed(errno);
      return;
    }
    pending_.consume(static_cast<size_t>(count));
    if (!pending_.empty()) return;
    if (phase_ == Phase::kOpen) {
      handler_->on_writable_drained();
      return;
    }
  }
  if (phase_ == Phase::kFlushing) finish_sending();
}

void Stream::finish_sending() {
  if (peer_ended_) {
    schedule_end(0);
    return;
  }
  phase_ = Phase::kLingering;
  ::shutdown(fd_, SHUT_WR);
  linger_timer_->start(std::min(kAwaitPeerEnd, linger_until_ - loop_.now()));
}

// What the peer sent before it went is worth more than the error: a server's FATAL, for example.
void Stream::send_failed(int error) {
  send_failed_ = true;
  pending_.clear();
  schedule_end(error);
  update_interest();
}

void Stream::schedule_end(int error) {
  if (end_index_ >= 0 || phase_ == Phase::kEnded) return;
  end_error_ = error;
  loop_.state().add_end(*this);
}

void Stream::deliver_end() {
  if (phase_ == Phase::kOpen && reading_ && poll_ != nullptr) {
    PollHandle* const poll = poll_;
    const int error = end_error_;
    read_some(kReadsBeforeEnd);
    if (poll->owner == nullptr) return;
    end(error);
    return;
  }
  end(end_error_);
}

void Stream::end(int error) {
  if (end_index_ >= 0) loop_.state().remove_end(*this);
  phase_ = Phase::kEnded;
  release();
  pending_.release();
  linger_timer_.reset();
  handler_->on_end(error);
}

void Stream::pause_reading() {
  reading_ = false;
  update_interest();
}

void Stream::resume_reading() {
  reading_ = true;
  update_interest();
}

void Stream::shutdown_after_flush(Duration linger) {
  if (phase_ == Phase::kConnecting) schedule_end(ECANCELED);
  if (phase_ != Phase::kOpen || end_index_ >= 0) return;
  phase_ = Phase::kFlushing;
  linger_until_ = loop_.now() + linger;
  linger_timer_ = loop_.make_timer([this] { end(phase_ == Phase::kLingering ? 0 : ETIMEDOUT); });
  linger_timer_->start(linger);
  if (pending_.empty()) finish_sending();
  update_interest();
}

int Stream::detach() {
  PGR_ASSERT(phase_ == Phase::kOpen && pending_.empty() && end_index_ < 0);
  release();
  phase_ = Phase::kEnded;
  return std::exchange(fd_, -1);
}

}  // namespace pgrecall::net
