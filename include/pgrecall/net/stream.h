// Stream: one TCP or unix-socket connection. See docs/adr/003-poll-not-streams.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "pgrecall/base/byte_buffer.h"
#include "pgrecall/base/clock.h"
#include "pgrecall/net/address.h"
#include "pgrecall/net/loop.h"

namespace pgrecall::net {

struct PollHandle;

/// Hears what happens on a Stream. Called on the loop's thread, never from within a call to the
/// Stream but `read_now`. From any of these calls the Stream may be written to, paused, detached or
/// destroyed.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  /// An outgoing connection is established; reading has begun. What was written before now leaves.
  virtual void on_connected() {}
  /// `bytes` is never empty and lies in the loop's one read buffer: valid during the call.
  virtual void on_readable_bytes(std::string_view bytes) = 0;
  /// Everything written has left, after some of it had to wait.
  virtual void on_writable_drained() = 0;
  /// The connection is over: the peer's orderly end (0) or an errno. Exactly once, unless the
  /// Stream is detached or destroyed first; nothing is called after it. The socket stays open until
  /// the Stream is destroyed.
  virtual void on_end(int error) = 0;
};

/// Owned by its user; used on the thread of its loop only. Close-on-exec, non-blocking, TCP_NODELAY
/// and SO_KEEPALIVE, no SIGPIPE. The handler outlives the Stream or is replaced first.
///
/// A turn takes at most `kReadsPerEvent` read buffers from one Stream, so a busy peer cannot starve
/// the others. What is pending is not bounded here: the user stops producing while `pending()` is
/// high and goes on with `on_writable_drained`.
class Stream {
 public:
  static constexpr size_t kReadBufferBytes = 64 * 1024;
  static constexpr int kReadsPerEvent = 4;

  /// Takes a connected socket over and starts reading.
  static std::unique_ptr<Stream> adopt(Loop& loop, int fd, StreamHandler& handler);
  /// Starts connecting. Whatever fails, also at once, arrives as `on_end`. No timeout of its own.
  static std::unique_ptr<Stream> connect(Loop& loop, const Address& address,
                                         StreamHandler& handler);
  ~Stream();  ///< closes at once; what is pending is lost
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void set_handler(StreamHandler& handler) { handler_ = &handler; }

  /// Sends at once if nothing is pending; what the kernel does not take is copied and sent later.
  /// After the end, or after a failed send, it does nothing. A failed send arrives as `on_end`,
  /// after what the peer had still sent was delivered (at once while reading is paused).
  void write(std::string_view bytes);
  size_t pending() const { return pending_.size(); }

  /// While paused and with nothing pending, nothing is noticed, not even the peer's end.
  void pause_reading();
  void resume_reading();
  bool reading() const { return reading_; }

  /// Delivers what has arrived, as the loop will when it looks at the socket next: for a timer that
  /// is about to call the peer silent, since timers come before sockets in a turn.
  void read_now();

  /// Reads no more for the handler, sends what is pending, ends the sending direction, waits a
  /// moment for the peer's end (so that a reset does not destroy what it has not read yet), then
  /// calls `on_end`; at the latest after `linger`.
  void shutdown_after_flush(Duration linger = std::chrono::seconds(5));

  /// Stops polling and gives the socket up, for `adopt` on any loop. Nothing may be pending, being
  /// connected or ended. Not a byte is lost: what was read was delivered, the rest is in the
  /// kernel.
  int detach();

  bool connected() const { return phase_ == Phase::kOpen || phase_ == Phase::kFlushing; }
  int fd() const { return fd_; }  ///< for getpeername and kin; -1 after `detach`

 private:
  enum class Phase : uint8_t {
    kConnecting,
    kOpen,
    kFlushing,   ///< shutdown_after_flush: output is leaving
    kLingering,  ///< the sending direction is closed, the peer's end is awaited
    kEnded       ///< on_end was called, or the socket was given up
  };

  Stream(Loop& loop, int fd, StreamHandler& handler, Phase phase);
  static void on_poll(void* owner, int status, int events);
  void attach();
  void release();
  void update_interest();
  void handle_event(int status, int events);
  void handle_error_condition();
  void finish_connect();
  void read_some(int reads_max);
  void discard_input();
  void flush();
  void finish_sending();
  void send_failed(int error);
  void schedule_end(int error);
  void deliver_end();
  void end(int error);
  friend struct LoopState;

  Loop& loop_;
  StreamHandler* handler_;
  PollHandle* poll_ = nullptr;  ///< lives on until libuv has closed it
  int fd_;
  int interest_ = 0;        ///< the events libuv watches for
  int end_error_ = 0;       ///< what on_end will say once it is due
  int32_t end_index_ = -1;  ///< place in the loop's list of ends to deliver, -1: none is due
  Phase phase_;
  bool reading_ = true;
  bool peer_ended_ = false;   ///< seen while flushing
  bool send_failed_ = false;  ///< no more output; what the peer sent is still delivered
  ByteBuffer pending_;
  TimePoint linger_until_{};
  std::unique_ptr<Timer> linger_timer_;
};

}  // namespace pgrecall::net
