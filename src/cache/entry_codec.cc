#include "pgrecall/cache/entry_codec.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

namespace pgrecall::cache {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::string_view kMagic = "PGRE";
constexpr uint8_t kFormatVersion = 1;
constexpr size_t kPreludeBytes = 4 + 4 + 8;  ///< magic, version and padding, checksum
constexpr size_t kHeaderBytes = kPreludeBytes + 6 * 8 + 3 * 4 + 8;
constexpr size_t kPartBytes = 16;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Reads from the front; the caller has checked that enough is there.
template <typename T>
T take(std::string_view& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

std::string_view take_bytes(std::string_view& bytes, size_t count) {
  const std::string_view front = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return front;
}

int64_t to_unix(TimePoint time, const TwoClocks& now) {
  return now.unix_us + duration_cast<microseconds>(time - now.steady).count();
}

TimePoint to_steady(int64_t unix_us, const TwoClocks& now) {
  return now.steady + microseconds(unix_us - now.unix_us);
}

/// What is further away than a century is not ours, and could overflow what is computed from it.
constexpr int64_t kCenturyUs = int64_t{100} * 365 * 86400 * 1'000'000;

bool plausible(int64_t unix_us, const TwoClocks& now) {
  return unix_us > now.unix_us - kCenturyUs && unix_us < now.unix_us + kCenturyUs;
}

uint32_t big_endian_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// The length of the message at the front (type and length included), 0 if it is cut or malformed.
size_t message_bytes(std::string_view bytes) {
  if (bytes.size() < 5) return 0;
  const size_t length = big_endian_u32(bytes.substr(1));
  return length < 4 || length + 1 > bytes.size() ? 0 : length + 1;
}

bool body_is_an_answer(std::string_view body, size_t row_description_bytes) {
  if (row_description_bytes > 0) {
    if (message_bytes(body) != row_description_bytes || body.front() != 'T') return false;
    body.remove_prefix(row_description_bytes);
  }
  while (!body.empty() && body.front() == 'D') {
    const size_t bytes = message_bytes(body);
    if (bytes == 0) return false;
    body.remove_prefix(bytes);
  }
  return !body.empty() && body.front() == 'C' && message_bytes(body) == body.size();
}

struct Header {
  StoreIdentity identity;
  int64_t stamped_us;
  int64_t expires_us;
  int64_t origin_us;
  uint64_t rows;
  uint32_t row_description_bytes;
  uint32_t key_bytes;
  uint32_t parts;
  uint64_t body_bytes;
};

/// `bytes` begins behind the prelude and is long enough.
Header take_header(std::string_view& bytes) {
  Header header;
  header.identity.generation = take<uint64_t>(bytes);
  header.identity.run_id = take<uint64_t>(bytes);
  header.stamped_us = take<int64_t>(bytes);
  header.expires_us = take<int64_t>(bytes);
  header.origin_us = take<int64_t>(bytes);
  header.rows = take<uint64_t>(bytes);
  header.row_description_bytes = take<uint32_t>(bytes);
  header.key_bytes = take<uint32_t>(bytes);
  header.parts = take<uint32_t>(bytes);
  header.body_bytes = take<uint64_t>(bytes);
  return header;
}

bool lengths_fit(const Header& header, size_t rest) {
  if (header.key_bytes > rest) return false;
  rest -= header.key_bytes;
  if (header.parts == 0 || header.parts > rest / kPartBytes) return false;
  rest -= header.parts * kPartBytes;
  return header.body_bytes == rest && header.row_description_bytes <= header.body_bytes;
}

/// Intact, and of this format.
bool prelude_is_good(std::string_view value) {
  if (value.size() < kHeaderBytes || !value.starts_with(kMagic)) return false;
  value.remove_prefix(kMagic.size());
  if (take<uint32_t>(value) != kFormatVersion) return false;
  const uint64_t checksum = take<uint64_t>(value);
  return checksum == XXH3_64bits(value.data(), value.size());
}

/// False if the stamp names a dependency or a word that this process cannot have written.
bool take_stamp(std::string_view& bytes, uint32_t parts, const invalidation::EpochTable& table,
                invalidation::Stamp* stamp) {
  stamp->parts.reserve(parts);
  for (uint32_t i = 0; i < parts; ++i) {
    const invalidation::EpochSlot* slot = table.find(take<uint64_t>(bytes));
    const auto word = take<uint64_t>(bytes);
    if (slot == nullptr || invalidation::EpochSlot::fenced(word)) return false;
    stamp->parts.push_back({slot, word});
  }
  return true;
}

}  // namespace

std::string encode_entry(const CacheKeyView& key, const CachedResult& result,
                         const StoreIdentity& identity, const TwoClocks& now) {
  const auto& parts = result.stamp.parts;
  std::string out;
  out.reserve(kHeaderBytes + key.bytes.size() + parts.size() * kPartBytes + result.bytes.size());
  out += kMagic;
  put<uint32_t>(out, kFormatVersion);
  put<uint64_t>(out, 0);
  put<uint64_t>(out, identity.generation);
  put<uint64_t>(out, identity.run_id);
  put<int64_t>(out, to_unix(result.stamped_at, now));
  put<int64_t>(out, to_unix(result.expires_at, now));
  put<int64_t>(out, duration_cast<microseconds>(result.origin_time).count());
  put<uint64_t>(out, result.rows);
  put<uint32_t>(out, result.row_description_bytes);
  put<uint32_t>(out, static_cast<uint32_t>(key.bytes.size()));
  put<uint32_t>(out, static_cast<uint32_t>(parts.size()));
  put<uint64_t>(out, result.bytes.size());
  out += key.bytes;
  for (const invalidation::Stamp::Part& part : parts) {
    put<uint64_t>(out, part.slot->id());
    put<uint64_t>(out, part.word);
  }
  out += result.bytes;
  const uint64_t checksum = XXH3_64bits(out.data() + kPreludeBytes, out.size() - kPreludeBytes);
  std::memcpy(out.data() + kPreludeBytes - sizeof checksum, &checksum, sizeof checksum);
  return out;
}

DecodedEntry decode_entry(const CacheKeyView& key, std::string_view value,
                          const StoreIdentity& identity, const TwoClocks& now,
                          const invalidation::EpochTable& table) {
  if (!prelude_is_good(value)) return {};
  value.remove_prefix(kPreludeBytes);
  const Header header = take_header(value);
  if (!lengths_fit(header, value.size())) return {};
  if (header.identity.generation != identity.generation ||
      header.identity.run_id != identity.run_id || take_bytes(value, header.key_bytes) != key.bytes)
    return {EntryVerdict::kForeign, nullptr};
  if (!plausible(header.stamped_us, now) || !plausible(header.expires_us, now) ||
      header.origin_us < 0 || header.origin_us > kCenturyUs)
    return {};
  if (header.expires_us <= now.unix_us) return {EntryVerdict::kExpired, nullptr};
  auto result = std::make_shared<CachedResult>();
  if (!take_stamp(value, header.parts, table, &result->stamp)) return {};
  if (!body_is_an_answer(value, header.row_description_bytes)) return {};
  result->bytes = value;
  result->row_description_bytes = header.row_description_bytes;
  result->rows = header.rows;
  result->stamped_at = to_steady(header.stamped_us, now);
  result->expires_at = to_steady(header.expires_us, now);
  result->origin_time = microseconds(header.origin_us);
  return {EntryVerdict::kGood, std::move(result)};
}

}  // namespace pgrecall::cache
