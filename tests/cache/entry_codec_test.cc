#include "pgrecall/cache/entry_codec.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace pgrecall::cache {
namespace {

using namespace std::chrono_literals;
using invalidation::EpochSlot;
using invalidation::EpochTable;

std::string message(char type, std::string_view payload) {
  const auto length = static_cast<uint32_t>(payload.size() + 4);
  std::string out(1, type);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift & 0xff);
  return out.append(payload);
}

class EntryCodecTest : public ::testing::Test {
 protected:
  EntryCodecTest() {
    const std::array<const EpochSlot*, 2> slots = {table_.slot(11), table_.slot(22)};
    EXPECT_TRUE(EpochTable::stamp(slots, &result_.stamp));
    const std::string description = message('T', "columns");
    result_.bytes =
        description + message('D', "row one") + message('D', "row two") + message('C', "SELECT 2");
    result_.row_description_bytes = static_cast<uint32_t>(description.size());
    result_.rows = 2;
    result_.stamped_at = now_.steady - 5s;
    result_.expires_at = now_.steady + 60s;
    result_.origin_time = 1234us;
  }
  std::string encode() const { return encode_entry(key(), result_, identity_, now_); }
  DecodedEntry decode(std::string_view value) const {
    return decode_entry(key(), value, identity_, now_, table_);
  }
  static CacheKeyView key(std::string_view bytes = "user, settings, select 1") {
    return {hash_key(bytes), bytes};
  }
  /// Makes the checksum right again, so that the checks behind it are reached.
  static void seal(std::string& value) {
    const uint64_t checksum = XXH3_64bits(value.data() + 16, value.size() - 16);
    std::memcpy(value.data() + 8, &checksum, sizeof checksum);
  }

  EpochTable table_{1000};
  StoreIdentity identity_{.generation = 77, .run_id = 88};
  TwoClocks now_{TimePoint(1000s), 1'700'000'000'000'000};
  CachedResult result_;
};

TEST_F(EntryCodecTest, AnEntryComesBackAsItWentOut) {
  const DecodedEntry decoded = decode(encode());
  ASSERT_EQ(decoded.verdict, EntryVerdict::kGood);
  EXPECT_EQ(decoded.result->bytes, result_.bytes);
  EXPECT_EQ(decoded.result->row_description(), result_.row_description());
  EXPECT_EQ(decoded.result->rows, 2U);
  EXPECT_EQ(decoded.result->stamped_at, result_.stamped_at);
  EXPECT_EQ(decoded.result->expires_at, result_.expires_at);
  EXPECT_EQ(decoded.result->origin_time, result_.origin_time);
  EXPECT_TRUE(EpochTable::holds(decoded.result->stamp));
  table_.advance(std::array<invalidation::DependencyId, 1>{22});
  EXPECT_FALSE(EpochTable::holds(decode(encode()).result->stamp)) << "the stamp is the old one";
}

TEST_F(EntryCodecTest, AnAnswerWithoutRowDescriptionOrRowsIsGood) {
  result_.bytes = message('C', "SELECT 0");
  result_.row_description_bytes = 0;
  EXPECT_EQ(decode(encode()).verdict, EntryVerdict::kGood);
}

TEST_F(EntryCodecTest, AnotherProcessStoreOrKeyIsForeign) {
  const std::string value = encode();
  StoreIdentity other = identity_;
  other.generation ^= 1;
  EXPECT_EQ(decode_entry(key(), value, other, now_, table_).verdict, EntryVerdict::kForeign);
  other = identity_;
  other.run_id ^= 1;
  EXPECT_EQ(decode_entry(key(), value, other, now_, table_).verdict, EntryVerdict::kForeign);
  EXPECT_EQ(decode_entry(key("user, settings, select 2"), value, identity_, now_, table_).verdict,
            EntryVerdict::kForeign)
      << "a collision of hashes";
}

TEST_F(EntryCodecTest, TimeGoesOnBetweenWritingAndReading) {
  const std::string value = encode();
  TwoClocks later{now_.steady + 59s, now_.unix_us + 59'000'000};
  EXPECT_EQ(decode_entry(key(), value, identity_, later, table_).verdict, EntryVerdict::kGood);
  later = {now_.steady + 60s, now_.unix_us + 60'000'000};
  EXPECT_EQ(decode_entry(key(), value, identity_, later, table_).verdict, EntryVerdict::kExpired);
}

TEST_F(EntryCodecTest, AStampOfAnUnknownDependencyIsRefused) {
  const std::string value = encode();
  EpochTable other(1000);
  other.slot(11);
  EXPECT_EQ(decode_entry(key(), value, identity_, now_, other).verdict, EntryVerdict::kBad);
  EXPECT_EQ(other.slots(), 1U) << "decoding creates no slots";
}

TEST_F(EntryCodecTest, AFencedWordOrAnEmptyStampIsRefused) {
  result_.stamp.parts[0].word |= 1;
  EXPECT_EQ(decode(encode()).verdict, EntryVerdict::kBad);
  result_.stamp.parts.clear();
  EXPECT_EQ(decode(encode()).verdict, EntryVerdict::kBad);
}

TEST_F(EntryCodecTest, ABodyThatIsNoAnswerIsRefused) {
  const std::string row = message('D', "row");
  const std::string done = message('C', "SELECT 1");
  for (const std::string& body :
       {std::string(), row, done + done, done + row, row + message('E', "error"),
        row + done + message('Z', "I"), row + "C", message('T', "columns") + done,
        row.substr(0, row.size() - 1) + done, std::string("D\0\0\0\3", 5) + done,
        std::string("C\xff\xff\xff\xff", 5)}) {
    result_.bytes = body;
    result_.row_description_bytes = 0;
    EXPECT_EQ(decode(encode()).verdict, EntryVerdict::kBad) << body;
  }
  result_.bytes = message('T', "columns") + done;
  result_.row_description_bytes = 5;
  EXPECT_EQ(decode(encode()).verdict, EntryVerdict::kBad);
}

TEST_F(EntryCodecTest, Trap29_EveryCutAndEveryChangedByteIsRefused) {
  const std::string value = encode();
  for (size_t length = 0; length < value.size(); ++length)
    ASSERT_NE(decode(value.substr(0, length)).verdict, EntryVerdict::kGood) << length;
  ASSERT_NE(decode(value + '\0').verdict, EntryVerdict::kGood);
  for (size_t i = 0; i < value.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = value;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      ASSERT_NE(decode(changed).verdict, EntryVerdict::kGood) << "byte " << i << " bit " << bit;
    }
  }
}

// The checksum protects against accidents only. Behind it every length must still be checked.
TEST_F(EntryCodecTest, Trap29_PoisonWithARightChecksumNeverReadsOutOfBounds) {
  const std::string value = encode();
  std::mt19937 random(1);
  size_t good = 0;
  for (int round = 0; round < 200000; ++round) {
    std::string changed = value;
    for (uint32_t edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = 16 + random() % (changed.size() - 16);
      switch (random() % 4) {
        case 0:
          changed[at] = static_cast<char>(random());
          break;
        case 1:
          changed[at] = static_cast<char>(random() % 2 == 0 ? 0xff : 0);
          break;
        case 2:
          changed.insert(at, 1 + random() % 8, static_cast<char>(random()));
          break;
        default:
          if (changed.size() > 60) changed.erase(at, 1 + random() % 8);
      }
      if (changed.size() < 40) changed = value;
    }
    seal(changed);
    const DecodedEntry decoded = decode(changed);
    ASSERT_EQ(decoded.result != nullptr, decoded.verdict == EntryVerdict::kGood);
    if (decoded.result == nullptr) continue;
    ++good;
    ASSERT_LE(decoded.result->row_description_bytes, decoded.result->bytes.size());
    ASSERT_FALSE(decoded.result->stamp.parts.empty());
  }
  EXPECT_GT(good, 0U) << "a changed row is still an answer: else the checks were never passed";
}

}  // namespace
}  // namespace pgrecall::cache
