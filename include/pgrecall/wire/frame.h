// Framing: finds the first message of a byte stream, in either direction, without copying it.
#pragma once

#include <cstddef>
#include <string_view>

namespace pgrecall::wire {

/// One message inside the caller's buffer; the views live as long as that buffer.
struct Frame {
  char type = 0;
  std::string_view payload;
  std::string_view bytes;  ///< type, length and payload
};

/// kNeedMore: the input is a proper beginning. kBad: no continuation makes this a message; the
/// connection ends (08P01).
enum class Peek { kFrame, kNeedMore, kBad };

/// Looks at the first frame of `input`. `length_max` bounds the length word, which counts itself
/// and the payload but not the type. It is checked before anything is waited for, so nobody
/// buffers more than `length_max + 1` bytes. Types are not checked (see message.h).
Peek peek_frame(std::string_view input, size_t length_max, Frame* frame);

/// What the first five bytes say, for messages that are streamed rather than gathered.
struct FrameHeader {
  char type = 0;
  size_t total_bytes = 0;  ///< type and length word included
};
constexpr size_t kFrameHeaderBytes = 5;

/// kFrame as soon as five bytes are there.
Peek peek_header(std::string_view input, size_t length_max, FrameHeader* header);

/// PostgreSQL's own bound on what follows the length word of a start-up packet
/// (MAX_STARTUP_PACKET_LENGTH in libpq/pqcomm.h).
constexpr size_t kStartupBytesMax = 10000;

/// Start-up packets have no type: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.
/// `packet` includes the length word, so `packet->size()` is what to consume; see startup.h.
Peek peek_startup(std::string_view input, std::string_view* packet);

/// First byte of a TLS handshake, which a client of PostgreSQL 17 may send with no SSLRequest
/// before it (sslnegotiation=direct). As a start-up packet it is kBad.
constexpr char kTlsHandshake = 0x16;

}  // namespace pgrecall::wire
