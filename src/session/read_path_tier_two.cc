// Tier two: what another worker asked before, or what tier one had no room for.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "pgrecall/cache/entry_codec.h"
#include "session/read_path.h"

namespace pgrecall::session {
namespace {

/// A key of tier one begins with two ids of this process: session context and shape.
constexpr size_t kIdBytes = 2 * sizeof(uint64_t);

void append_part(std::string& out, std::string_view part) {
  const uint64_t size = part.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += part;
}

/// The store names this process in its run id, so entries come back to the process that wrote them
/// or to none, and all times may be of its monotonic clock: no step of the wall clock prolongs a
/// life.
cache::StoreIdentity identity_of(const cache::EntryStore& store) {
  return {store.run_id(), store.run_id()};
}

cache::TwoClocks clocks_at(TimePoint now) {
  using std::chrono::microseconds;
  return {now, std::chrono::duration_cast<microseconds>(now.time_since_epoch()).count()};
}

/// The proof must speak of everything that the plan depends on. Joiners rely on it as well: they
/// were checked against the flight's stamp, which is of the same slots.
bool covers(const invalidation::Stamp& stamp,
            const std::vector<const invalidation::EpochSlot*>& slots) {
  return std::equal(stamp.parts.begin(), stamp.parts.end(), slots.begin(), slots.end(),
                    [](const auto& part, const auto* slot) { return part.slot == slot; });
}

/// Waiting as long as PostgreSQL usually takes for this shape costs at most twice that. Nothing is
/// known yet: as long as the store allows.
Duration patience_for(const Plan& plan) {
  stats::HistogramSnapshot origin_us;
  plan.fingerprint_stats->origin_us.add_to(origin_us);
  if (origin_us.count == 0) return Duration::max();
  return std::chrono::microseconds(origin_us.percentile(0.5));
}

}  // namespace

/// Independent of the process: the ids are replaced by what they stand for. Empty if that is not at
/// hand any more.
std::string ReadPath::tier_two_key(const ReadRequest& request) const {
  const SessionContext& context = *core_.context;
  const std::string_view key = request.key.bytes;
  if (key.size() < kIdBytes || std::memcmp(key.data(), &context.id, sizeof context.id) != 0) {
    return {};
  }
  const TextEntry& entry = *request.entry;
  // Where literals matter to the analysis, a shape's id stands for one text.
  const bool whole_text = entry.shape->literal_sensitive;
  const std::string_view statement = whole_text ? entry.text : entry.canonical.shape;
  std::string out;
  out.reserve(context.text.size() + statement.size() + key.size() + 1);
  append_part(out, context.text);
  out += whole_text ? 't' : 's';
  append_part(out, statement);
  out += key.substr(kIdBytes);
  return out;
}

Verdict ReadPath::ask_tier_two(const ReadRequest& request) {
  cache::EntryStore& store = *core_.worker.store;
  const bool in_transaction = core_.server != nullptr && core_.status != 'I';
  if (question_ || in_transaction || !request.plan->policy.redis || !store.available()) {
    return Verdict::kMiss;
  }
  auto question = std::make_shared<Question>();
  question->tier_two_key = tier_two_key(request);
  if (question->tier_two_key.empty()) return Verdict::kMiss;
  question->key = request.key.bytes;
  question_ = question;
  const std::string_view key = question->tier_two_key;
  store.get({cache::hash_key(key), key}, patience_for(*request.plan),
            [this, weak = std::weak_ptr<Question>(question)](std::string value) {
              const auto asked = weak.lock();
              if (!asked) return;
              asked->value = std::move(value);
              asked->answered = true;
              if (asked->waited_for) core_.worker.host.resume_later(core_.session);
            });
  question->waited_for = !question->answered;
  return take_answer(request);
}

Verdict ReadPath::take_answer(const ReadRequest& request) {
  if (!question_->answered) return Verdict::kWait;
  question_->settled = true;
  result_ = decode_answer(request);
  question_->value = {};
  if (!result_) return miss(request);
  kind_ = stats::HitKind::kTier2;
  core_.worker.shared.results.insert(request.key, result_);
  end_flight(result_);
  return Verdict::kHit;
}

/// Rule 3: only now that the value is here are the epochs looked at.
cache::CachedResultPtr ReadPath::decode_answer(const ReadRequest& request) const {
  const Question& question = *question_;
  if (question.value.empty() || !serving()) return nullptr;
  const std::string_view key = question.tier_two_key;
  const cache::DecodedEntry entry = cache::decode_entry(
      {cache::hash_key(key), key}, question.value, identity_of(*core_.worker.store),
      clocks_at(core_.worker.clock.now()), core_.worker.shared.epochs);
  if (entry.verdict != cache::EntryVerdict::kGood) return nullptr;
  if (!covers(entry.result->stamp, request.plan->slots)) return nullptr;
  if (!usable(*entry.result, request)) return nullptr;
  return entry.result;
}

void ReadPath::put_in_tier_two() {
  const Fill& fill = *fill_;
  const TimePoint now = core_.worker.clock.now();
  if (fill.tier_two_key.empty() || fill.result->expires_at <= now) return;
  cache::EntryStore& store = *core_.worker.store;
  if (!store.available()) return;
  const cache::CacheKeyView key{cache::hash_key(fill.tier_two_key), fill.tier_two_key};
  store.put(key, cache::encode_entry(key, *fill.result, identity_of(store), clocks_at(now)),
            fill.result->expires_at - now);
}

}  // namespace pgrecall::session
