// Decodes arbitrary bytes as a stream of messages, both ways, and encodes again what decodes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pgrecall/base/assert.h"
#include "pgrecall/wire/command_tag.h"
#include "pgrecall/wire/error_fields.h"
#include "pgrecall/wire/scram.h"
#include "pgrecall/wire/scram_server.h"
#include "wire/reencode.h"

namespace pgrecall::wire {

namespace {

void fuzz_stream(Direction direction, std::string_view input) {
  Frame frame;
  while (peek_frame(input, 1 << 20, &frame) == Peek::kFrame) {
    FrameHeader header;
    PGR_ASSERT(peek_header(input, 1 << 20, &header) == Peek::kFrame);
    PGR_ASSERT(header.type == frame.type && header.total_bytes == frame.bytes.size());
    for (const std::string& again : reencode(direction, frame)) PGR_ASSERT(again == frame.bytes);
    if (direction == Direction::kBackend) {
      PGR_ASSERT(inside(frame.payload, read_sqlstate(frame.payload)));
      PGR_ASSERT(inside(frame.payload, read_error_fields(frame.payload).constraint));
      PGR_ASSERT(inside(frame.payload, parse_command_tag(frame.payload).verb));
      strip_plus_mechanisms(frame.payload).ok();
    }
    input.remove_prefix(frame.bytes.size());
  }
}

void fuzz_startup(std::string_view input) {
  std::string_view packet;
  if (peek_startup(input, &packet) != Peek::kFrame) return;
  for (const std::string& again : reencode_startup(packet)) PGR_ASSERT(again == packet);
}

void fuzz_login(std::string_view input) {
  ScramLimits limits;
  limits.iterations = 2;  // the derivation is OpenSSL's and would only cost time
  ScramClient client("pencil", "nonce", limits);
  client.client_first().ok();
  if (client.client_final(input).ok()) PGR_ASSERT(!client.verify_server(input).ok());
  ScramServer server(ScramSecret{"salt", 1, {}, {}}, "nonce");
  if (server.server_first(input).ok()) PGR_ASSERT(!server.server_final(input).ok());
  if (const auto secret = ScramSecret::parse(input); secret.ok())
    PGR_ASSERT(secret.value().format().size() <= input.size());
}

}  // namespace

}  // namespace pgrecall::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pgrecall::wire;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  fuzz_stream(Direction::kFrontend, input);
  fuzz_stream(Direction::kBackend, input);
  fuzz_startup(input);
  fuzz_login(input);
  return 0;
}
