#include <gtest/gtest.h>

#include "pgrecall/wire/frame.h"
#include "wire/samples.h"

namespace pgrecall::wire {

TEST(Framing, EveryPrefixOfAMessageNeedsMoreAndTheWholeIsAFrame) {
  for (const Sample& sample : all_samples()) {
    if (sample.direction == Direction::kStartup) continue;
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      Frame frame;
      EXPECT_EQ(peek_frame(sample.bytes.substr(0, size), 10000, &frame), Peek::kNeedMore);
    }
    const std::string stream = sample.bytes + "Q";
    Frame frame;
    ASSERT_EQ(peek_frame(stream, 10000, &frame), Peek::kFrame);
    EXPECT_EQ(frame.type, sample.bytes[0]);
    EXPECT_EQ(frame.bytes, sample.bytes);
    EXPECT_EQ(frame.payload, std::string_view(sample.bytes).substr(5));
    EXPECT_EQ(frame.bytes.data(), stream.data()) << "a view, no copy";
  }
}

TEST(Framing, TheHeaderIsKnownAfterFiveBytesAndTellsTheTotalSize) {
  FrameHeader header;
  const std::string begin = bytes_of("'d' 3b9aca00");
  for (size_t size = 0; size < 5; ++size)
    EXPECT_EQ(peek_header(begin.substr(0, size), INT32_MAX, &header), Peek::kNeedMore);
  ASSERT_EQ(peek_header(begin, INT32_MAX, &header), Peek::kFrame);
  EXPECT_EQ(header.type, 'd');
  EXPECT_EQ(header.total_bytes, 1000000001U);
}

TEST(Framing, LengthsThatCannotBeAreBadBeforeAnythingIsAwaited) {
  FrameHeader header;
  Frame frame;
  for (const char* length : {"00000000", "00000003", "80000000", "ffffffff", "80000004"}) {
    const std::string bytes = bytes_of("'Q' " + std::string(length));
    EXPECT_EQ(peek_header(bytes, SIZE_MAX, &header), Peek::kBad) << length;
    EXPECT_EQ(peek_frame(bytes, SIZE_MAX, &frame), Peek::kBad) << length;
  }
}

TEST(Framing, TheBoundIsOnTheLengthWord) {
  Frame frame;
  const std::string bytes = message_of('Q', "'select 1' 00");
  EXPECT_EQ(peek_frame(bytes, 13, &frame), Peek::kFrame);
  EXPECT_EQ(peek_frame(bytes, 12, &frame), Peek::kBad);
  EXPECT_EQ(peek_frame(bytes.substr(0, 5), 12, &frame), Peek::kBad);
}

TEST(Framing, Trap32_AStartupPacketHasAtMost10000BytesBehindItsLength) {
  std::string_view packet;
  for (const Sample& sample : startup_samples()) {
    for (size_t size = 0; size < sample.bytes.size(); ++size)
      EXPECT_EQ(peek_startup(sample.bytes.substr(0, size), &packet), Peek::kNeedMore);
    const std::string stream = sample.bytes + "p";
    ASSERT_EQ(peek_startup(stream, &packet), Peek::kFrame);
    EXPECT_EQ(packet, sample.bytes);
  }
  const std::string largest = with_length(std::string(10000, 'x'));
  EXPECT_EQ(peek_startup(largest, &packet), Peek::kFrame);
  const std::string too_large = with_length(std::string(10001, 'x'));
  EXPECT_EQ(peek_startup(too_large.substr(0, 4), &packet), Peek::kBad);
  for (const char* length : {"00000000", "00000004", "00000007", "80000008", "ffffffff"})
    EXPECT_EQ(peek_startup(bytes_of(length), &packet), Peek::kBad) << length;
  EXPECT_EQ(peek_startup(bytes_of("16030100"), &packet), Peek::kBad) << "a TLS handshake";
}

}  // namespace pgrecall::wire
