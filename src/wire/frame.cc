#include "pgrecall/wire/frame.h"

#include "pgrecall/wire/big_endian.h"

namespace pgrecall::wire {

namespace {

constexpr size_t kLengthBytes = 4;

}  // namespace

Peek peek_header(std::string_view input, size_t length_max, FrameHeader* header) {
  if (input.size() < kFrameHeaderBytes) return Peek::kNeedMore;
  // As an unsigned number a negative length is beyond any bound.
  const uint32_t length = load_u32(input.data() + 1);
  if (length < kLengthBytes || length > INT32_MAX || length > length_max) return Peek::kBad;
  *header = {input[0], size_t{length} + 1};
  return Peek::kFrame;
}

Peek peek_frame(std::string_view input, size_t length_max, Frame* frame) {
  FrameHeader header;
  const Peek peek = peek_header(input, length_max, &header);
  if (peek != Peek::kFrame) return peek;
  if (input.size() < header.total_bytes) return Peek::kNeedMore;
  frame->type = header.type;
  frame->bytes = input.substr(0, header.total_bytes);
  frame->payload = frame->bytes.substr(kFrameHeaderBytes);
  return Peek::kFrame;
}

Peek peek_startup(std::string_view input, std::string_view* packet) {
  constexpr size_t kCodeBytes = 4;
  if (input.size() < kLengthBytes) return Peek::kNeedMore;
  const uint32_t length = load_u32(input.data());
  if (length < kLengthBytes + kCodeBytes || length > kLengthBytes + kStartupBytesMax)
    return Peek::kBad;
  if (input.size() < length) return Peek::kNeedMore;
  *packet = input.substr(0, length);
  return Peek::kFrame;
}

}  // namespace pgrecall::wire
