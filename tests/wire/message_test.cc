#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "pgrecall/wire/message.h"
#include "wire/samples.h"

namespace pgrecall::wire {

namespace {

/// Memory of exactly this size, so that the address sanitizer sees a read of one byte beyond.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view bytes) : size_(bytes.size()), bytes_(new char[bytes.size()]) {
    std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<char[]> bytes_;
};

std::vector<std::string> reencode_whole(Direction direction, std::string_view bytes) {
  if (direction == Direction::kStartup) return reencode_startup(bytes);
  Frame frame;
  if (peek_frame(bytes, INT32_MAX, &frame) != Peek::kFrame || frame.bytes.size() != bytes.size())
    return {};
  return reencode(direction, frame);
}

/// The same payload under a length word that fits it.
std::string relabelled(const Sample& sample, const std::string& payload) {
  const std::string rest = with_length(payload);
  return sample.direction == Direction::kStartup ? rest : sample.bytes[0] + rest;
}

std::string payload_of(const Sample& sample) {
  return sample.bytes.substr(sample.direction == Direction::kStartup ? 4 : 5);
}

}  // namespace

TEST(Messages, EverySampleDecodesAndEncodesToItself) {
  for (const Sample& sample : all_samples()) {
    const ExactCopy copy(sample.bytes);
    const auto results = reencode_whole(sample.direction, copy.view());
    ASSERT_FALSE(results.empty()) << sample.name;
    for (const std::string& result : results) EXPECT_EQ(result, sample.bytes) << sample.name;
  }
}

TEST(Messages, EveryMessageTypeOfTheProtocolHasASample) {
  std::set<char> front, back;
  for (const Sample& sample : all_samples()) {
    if (sample.direction == Direction::kFrontend) front.insert(sample.bytes[0]);
    if (sample.direction == Direction::kBackend) back.insert(sample.bytes[0]);
  }
  for (int c = 0; c < 256; ++c) {
    const char type = static_cast<char>(c);
    EXPECT_EQ(is_frontend_type(type), front.count(type) == 1) << c;
    EXPECT_EQ(is_backend_type(type), back.count(type) == 1) << c;
  }
}

TEST(Messages, APayloadCutAnywhereIsRefused) {
  for (const Sample& sample : all_samples()) {
    if (sample.open_ended) continue;
    const std::string payload = payload_of(sample);
    for (size_t size = 0; size < payload.size(); ++size) {
      // A shorter cancel key is a proper one, down to four bytes.
      if (sample.name == std::string_view("CancelRequest32") && size >= 12) continue;
      const ExactCopy copy(relabelled(sample, payload.substr(0, size)));
      EXPECT_TRUE(reencode_whole(sample.direction, copy.view()).empty())
          << sample.name << " cut to " << size;
    }
  }
}

TEST(Messages, OpenEndedPayloadsCutAnywhereStayInsideTheirBytes) {
  for (const Sample& sample : all_samples()) {
    const std::string payload = payload_of(sample);
    for (size_t size = 0; sample.open_ended && size < payload.size(); ++size) {
      const std::string cut = relabelled(sample, payload.substr(0, size));
      const ExactCopy copy(cut);
      for (const std::string& result : reencode_whole(sample.direction, copy.view()))
        EXPECT_EQ(result, cut) << sample.name;
    }
  }
}

TEST(Messages, BytesBehindTheLastFieldAreRefused) {
  for (const Sample& sample : all_samples()) {
    if (sample.open_ended || sample.name == std::string_view("BackendKeyData") ||
        sample.name == std::string_view("CancelRequest"))
      continue;
    for (const char extra : {'\0', 'x'}) {
      const ExactCopy copy(relabelled(sample, payload_of(sample) + extra));
      EXPECT_TRUE(reencode_whole(sample.direction, copy.view()).empty()) << sample.name;
    }
  }
}

TEST(Messages, AStartupPacketOfAnotherLengthThanItSaysIsRefused) {
  for (const Sample& sample : startup_samples()) {
    EXPECT_TRUE(reencode_startup(sample.bytes + '\0').empty()) << sample.name;
    EXPECT_TRUE(reencode_startup(sample.bytes.substr(0, sample.bytes.size() - 1)).empty());
  }
}

TEST(Messages, RandomChangesNeverReadOutsideAndWhatDecodesEncodesToItself) {
  std::mt19937 random(20240);
  const auto samples = all_samples();
  size_t decoded = 0, refused = 0;
  for (int round = 0; round < 300000; ++round) {
    const Sample& sample = samples[random() % samples.size()];
    std::string bytes = sample.bytes;
    for (unsigned change = random() % 4 + 1; change > 0; --change) {
      const size_t at = random() % bytes.size();
      constexpr char kTelling[] = {0, 1, 4, 127, -128, -1};
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = kTelling[random() % sizeof kTelling];
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
        default:
          if (bytes.size() > 5) bytes.erase(at, 1);
      }
    }
    // Half of the time the frame is made whole again, so that the decoders see the damage.
    Sample damaged = sample;
    damaged.bytes = bytes;
    if (round % 2 == 0 && bytes.size() >= 5) bytes = relabelled(damaged, payload_of(damaged));
    const ExactCopy copy(bytes);
    const auto results = reencode_whole(sample.direction, copy.view());
    for (const std::string& result : results) ASSERT_EQ(result, bytes) << sample.name;
    ++(results.empty() ? refused : decoded);
  }
  EXPECT_GT(decoded, 1000U);  // the test is worth its name only if both happen
  EXPECT_GT(refused, 1000U);
}

TEST(Messages, BindGivesFormatsAndValuesAsTheServerWouldTakeThem) {
  const auto samples = frontend_samples();
  const std::string payload = payload_of(sample_named(samples, "Bind"));
  const auto bind = Bind::decode(payload);
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->portal, "p");
  EXPECT_EQ(bind->statement, "s1");
  ASSERT_EQ(bind->parameters.size(), 3U);
  auto value = bind->parameters.begin();
  EXPECT_EQ(*value++, "x");
  EXPECT_EQ(*value++, std::nullopt);
  EXPECT_EQ(*value++, "");
  EXPECT_EQ(value, bind->parameters.end());
  EXPECT_EQ(bind->parameter_formats.of(0), kTextFormat);
  EXPECT_EQ(bind->parameter_formats.of(1), kBinaryFormat);
  EXPECT_EQ(bind->parameter_formats.of(9), kTextFormat);
  EXPECT_EQ(bind->result_formats.of(9), kBinaryFormat) << "one format is for all";
  EXPECT_EQ(FormatList().of(0), kTextFormat) << "none means text";
}

TEST(Messages, ANegativeLengthOtherThanNullIsRefused) {
  for (const char* length : {"fffffffe", "80000000"}) {
    const std::string value(length);
    EXPECT_FALSE(DataRow::decode(bytes_of("0001 " + value)));
    EXPECT_FALSE(Bind::decode(bytes_of("00 00 0000 0001 " + value + " 0000")));
    EXPECT_FALSE(FunctionCallResponse::decode(bytes_of(value)));
    EXPECT_FALSE(SaslInitialResponse::decode(bytes_of("'M' 00 " + value)));
    EXPECT_FALSE(NegotiateProtocolVersion::decode(bytes_of("00030000 " + value)));
  }
}

TEST(Messages, ALengthBeyondThePayloadIsRefusedWithoutBeingBelieved) {
  EXPECT_FALSE(DataRow::decode(bytes_of("0001 7fffffff 'x'")));
  EXPECT_FALSE(DataRow::decode(bytes_of("ffff")));
  EXPECT_FALSE(RowDescription::decode(bytes_of("ffff 'a' 00")));
  EXPECT_FALSE(NegotiateProtocolVersion::decode(bytes_of("00030000 7fffffff 'a' 00")));
}

TEST(Messages, CountsAreUnsignedSoThat65535ParametersAreProper) {
  std::string payload = bytes_of("00 00 0000 ffff");
  for (int i = 0; i < 65535; ++i) append_value(payload, std::nullopt);
  payload += bytes_of("0000");
  const auto bind = Bind::decode(payload);
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->parameters.size(), 65535U);
  std::string again;
  bind->encode(again);
  EXPECT_EQ(std::string_view(again).substr(5), payload);
}

TEST(Messages, UnknownSubtypesAreRefused) {
  EXPECT_FALSE(Describe::decode(bytes_of("'X' 00")));
  EXPECT_FALSE(Close::decode(bytes_of("'s' 00")));
  EXPECT_FALSE(ReadyForQuery::decode("X"));
  EXPECT_FALSE(AuthenticationPlain::decode(bytes_of("00000006")));
  EXPECT_EQ(authentication_code(bytes_of("00000006")), 6U);
  EXPECT_EQ(authentication_code("abc"), std::nullopt);
}

TEST(Messages, NothingMayFollowTheEndOfTheFieldsOfAnError) {
  EXPECT_FALSE(ErrorResponse::decode(bytes_of("00 'x' 00 00")));
  EXPECT_FALSE(NoticeResponse::decode(bytes_of("'Mx' 00 00 'C23505' 00 00")));
}

TEST(Messages, ACancelKeyHas4To256Bytes) {
  for (const size_t size : {0U, 3U, 4U, 256U, 257U}) {
    const bool proper = size >= 4 && size <= 256;
    const std::string key(size, 'k');
    EXPECT_EQ(BackendKeyData::decode("abcd" + key).has_value(), proper) << size;
    EXPECT_EQ(CancelRequest::decode(message_of(0, "04d2162e 00000001 '" + key + "'")).has_value(),
              proper)
        << size;
  }
}

TEST(Messages, RowDescriptionFieldsAreReadInFull) {
  const auto samples = answer_samples();
  const std::string payload = payload_of(sample_named(samples, "RowDescription"));
  const auto description = RowDescription::decode(payload);
  ASSERT_TRUE(description);
  const FieldDescription first = *description->fields.begin();
  EXPECT_EQ(first.name, "id");
  EXPECT_EQ(first.table, 0x4001U);
  EXPECT_EQ(first.column, 1);
  EXPECT_EQ(first.type, 23U);
  EXPECT_EQ(first.type_size, 4);
  EXPECT_EQ(first.type_modifier, -1);
  EXPECT_EQ(first.format, kBinaryFormat);
  const FieldDescription second = *std::next(description->fields.begin());
  EXPECT_EQ(second.name, "?column?");
  EXPECT_EQ(second.type_size, -1);
}

TEST(Startup, PacketsAreToldApartByTheirCode) {
  const auto samples = startup_samples();
  const auto kind = [&](std::string_view name) {
    return startup_kind(sample_named(samples, name).bytes);
  };
  EXPECT_EQ(kind("StartupMessage"), StartupKind::kStartup);
  EXPECT_EQ(kind("StartupMessage32"), StartupKind::kStartup);
  EXPECT_EQ(kind("SSLRequest"), StartupKind::kSslRequest);
  EXPECT_EQ(kind("GSSENCRequest"), StartupKind::kGssEncRequest);
  EXPECT_EQ(kind("CancelRequest"), StartupKind::kCancelRequest);
  EXPECT_EQ(startup_kind(message_of(0, "00030000f0f0")), StartupKind::kStartup);
  EXPECT_EQ(startup_kind(message_of(0, "00020000")), StartupKind::kUnsupported);
  EXPECT_EQ(startup_kind(message_of(0, "04d20000")), StartupKind::kUnsupported);
  EXPECT_EQ(startup_kind("abc"), StartupKind::kUnsupported);
}

TEST(Startup, TheLastOfARepeatedParameterCountsAndAnEmptyNameEndsTheList) {
  const std::string packet =
      message_of(0, "0003270f 'user' 00 'a' 00 'x' 00 00 'user' 00 'b' 00 00");
  const auto message = StartupMessage::decode(packet);
  ASSERT_TRUE(message);
  EXPECT_EQ(protocol_minor(message->version), 9999U);
  EXPECT_EQ(message->parameters.size(), 3U);
  EXPECT_EQ(message->parameter("user"), "b");
  EXPECT_EQ(message->parameter("x"), "");
  EXPECT_EQ(message->parameter("database"), std::nullopt);
  EXPECT_FALSE(StartupMessage::decode(message_of(0, "00030000 00 'user' 00 'a' 00 00")));
  EXPECT_FALSE(StartupMessage::decode(message_of(0, "00030000 00 'x' 00 'user' 00 'a' 00 00")));
}

}  // namespace pgrecall::wire
