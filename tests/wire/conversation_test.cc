// A conversation recorded with a real server: what the codec says of it, at every split point.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "pgrecall/base/byte_buffer.h"
#include "wire/samples.h"

namespace pgrecall::wire {

namespace {

struct Recording {
  std::string frontend;  ///< start-up packet first
  std::string backend;
};

Recording read_recording() {
  std::ifstream file(PGRECALL_SOURCE_DIR "/tests/wire/data/conversation.txt");
  Recording recording;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("F ")) recording.frontend += bytes_of(std::string_view(line).substr(2));
    if (line.starts_with("B ")) recording.backend += bytes_of(std::string_view(line).substr(2));
  }
  return recording;
}

/// A reader as a session has it: bytes come in pieces, whole messages go out.
class Receiver {
 public:
  explicit Receiver(bool startup) : startup_(startup) {}

  void receive(std::string_view bytes) {
    buffer_.append(bytes);
    for (;;) {
      Frame frame;
      std::string_view packet;
      const Peek peek = startup_ ? peek_startup(buffer_.view(), &packet)
                                 : peek_frame(buffer_.view(), 1 << 20, &frame);
      ASSERT_NE(peek, Peek::kBad);
      if (peek == Peek::kNeedMore) return;
      if (!startup_) packet = frame.bytes;
      startup_ = false;
      messages.emplace_back(packet);
      buffer_.consume(packet.size());
    }
  }
  bool idle() const { return buffer_.empty(); }

  std::vector<std::string> messages;

 private:
  bool startup_;
  ByteBuffer buffer_;
};

std::vector<std::string> messages_of(const std::string& stream, bool startup) {
  Receiver receiver(startup);
  receiver.receive(stream);
  EXPECT_TRUE(receiver.idle());
  return receiver.messages;
}

}  // namespace

TEST(Conversation, EveryRecordedMessageDecodesAndEncodesToItself) {
  const Recording recording = read_recording();
  const auto frontend = messages_of(recording.frontend, true);
  const auto backend = messages_of(recording.backend, false);
  ASSERT_GT(frontend.size(), 40U);
  ASSERT_GT(backend.size(), 90U);
  EXPECT_EQ(reencode_startup(frontend[0]), std::vector<std::string>{frontend[0]});
  const auto check = [](Direction direction, const std::string& message) {
    Frame frame;
    ASSERT_EQ(peek_frame(message, message.size(), &frame), Peek::kFrame);
    const auto results = reencode(direction, frame);
    ASSERT_FALSE(results.empty()) << message;
    for (const std::string& result : results) EXPECT_EQ(result, message);
  };
  for (size_t i = 1; i < frontend.size(); ++i) check(Direction::kFrontend, frontend[i]);
  for (const std::string& message : backend) check(Direction::kBackend, message);
}

TEST(Conversation, TheRecordingCoversTheProtocol) {
  std::set<char> seen;
  for (const std::string& message : messages_of(read_recording().backend, false))
    seen.insert(message[0]);
  for (const char type : std::string_view("RKSZTDCENIA123tnsGHdcVv"))
    EXPECT_EQ(seen.count(type), 1U) << type;
}

TEST(Conversation, Trap27_EverySplitPointGivesTheSameMessages) {
  const Recording recording = read_recording();
  for (const bool startup : {true, false}) {
    const std::string& stream = startup ? recording.frontend : recording.backend;
    const auto expected = messages_of(stream, startup);
    for (size_t split = 0; split <= stream.size(); ++split) {
      Receiver receiver(startup);
      receiver.receive(std::string_view(stream).substr(0, split));
      receiver.receive(std::string_view(stream).substr(split));
      ASSERT_EQ(receiver.messages, expected) << split;
      ASSERT_TRUE(receiver.idle());
    }
    Receiver byte_by_byte(startup);
    for (const char byte : stream) byte_by_byte.receive({&byte, 1});
    EXPECT_EQ(byte_by_byte.messages, expected);
  }
}

TEST(Conversation, ANewerProtocolIsAnsweredWithTheWholeVersionWord) {
  for (const std::string& message : messages_of(read_recording().backend, false)) {
    if (message[0] != kNegotiateProtocolVersion) continue;
    const auto answer = NegotiateProtocolVersion::decode(std::string_view(message).substr(5));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->version, kProtocol30);
    EXPECT_EQ(*answer->unsupported_options.begin(), "_pq_.none");
    return;
  }
  FAIL() << "none recorded";
}

}  // namespace pgrecall::wire
