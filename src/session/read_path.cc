#include "session/read_path.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/fault.h"

namespace pgrecall::session {

using sql::BypassReason;

namespace {

std::string name_of(const sql::Catalog* catalog, sql::Oid oid) {
  const sql::Relation* relation = catalog == nullptr ? nullptr : catalog->relation(oid);
  if (relation == nullptr) return "(dropped)";
  const auto schema = catalog->schemas.find(relation->schema);
  return (schema == catalog->schemas.end() ? std::string() : schema->second + ".") + relation->name;
}

}  // namespace

BypassReason ReadPath::reason_now(const ReadRequest& request) const {
  const SessionCore& core = core_;
  if (core.worker.shared.mode.load(std::memory_order_relaxed) == config::CacheMode::kOff) {
    return BypassReason::kCacheOff;
  }
  if (request.entry->reason != BypassReason::kNoBypass) return request.entry->reason;
  if (core.context->cache_off) return BypassReason::kCacheOff;
  if (core.status == 'E') return BypassReason::kFailedTransaction;
  if (core.outdated()) return BypassReason::kUnsettledSettings;
  const bool snapshot = core.snapshot_isolation || !core.context->read_committed;
  if (snapshot && !fault(Fault::kSnapshotIsolation)) return BypassReason::kIsolation;
  if (core.server != nullptr) {
    if (core.owed()) return BypassReason::kOwed;
    const auto* writes = static_cast<TrackedWrites*>(core.server->observer.get());
    if (writes->transaction_wrote() && !fault(Fault::kHitInOwnTransaction)) {
      return BypassReason::kOwnWrites;
    }
    if (!core.settings.synchronised()) return BypassReason::kUnsettledSettings;
    if (core.server->baseline()->in_recovery) return BypassReason::kNoControlRole;
  }
  constexpr uint32_t kBlind = sql::kSessionTemporary | sql::kSessionListen |
                              sql::kSessionAdvisoryLock | sql::kSessionUnknown | kUnproved;
  if ((core.pins & kBlind) != 0) return BypassReason::kPinned;
  return BypassReason::kNoBypass;
}

bool ReadPath::usable(const cache::CachedResult& result, const ReadRequest& request) const {
  if (request.needs_description && result.row_description_bytes == 0) return false;
  const TimePoint now = core_.worker.clock.now();
  if (now >= result.expires_at) return false;
  const int64_t hint_ms = request.entry->canonical.hints.ttl_ms;
  if (hint_ms >= 0 && now - result.stamped_at >= std::chrono::milliseconds(hint_ms)) return false;
  return invalidation::EpochTable::holds(result.stamp);
}

bool ReadPath::find_usable(const ReadRequest& request) {
  result_ = core_.worker.shared.results.find(request.key);
  kind_ = stats::HitKind::kTier1;
  if (!result_) return false;
  if (usable(*result_, request)) return true;
  note_outdated(request);
  return false;
}

/// A miss of what was remembered: the dependency that has moved, if one has.
void ReadPath::note_outdated(const ReadRequest& request) {
  const Plan& plan = *request.plan;
  const auto& parts = result_->stamp.parts;
  const invalidation::EpochSlot* moved = nullptr;
  // The shared catalogs come first in a stamp. They say least: what is opaque moves the database as
  // well.
  for (size_t i = 1; i <= parts.size() && moved == nullptr; ++i) {
    const auto& part = parts[i % parts.size()];
    const uint64_t word = part.slot->word();
    if (word != part.word && !invalidation::EpochSlot::fenced(word)) moved = part.slot;
  }
  if (moved == nullptr) return;
  const auto at = std::find(plan.slots.begin(), plan.slots.end(), moved);
  const auto index = static_cast<size_t>(at - plan.slots.begin());
  std::string name = index == 0 ? "(shared catalogs)" : "(whole database)";
  if (at != plan.slots.end() && index > 1) {
    const auto& kept = plan.policy.ttl_only ? plan.analysis.policy_reads : plan.analysis.reads;
    name = name_of(core_.database->catalog().get(), kept[index - 2]);
  }
  stats::FingerprintStats& shape = *plan.fingerprint_stats;
  shape.last_invalidator.set(core_.worker.shared.stats.intern_table(core_.database->name(), name));
  shape.invalidated_at.set(
      static_cast<uint64_t>(core_.worker.precise_now().time_since_epoch().count()));
}

Verdict ReadPath::decide(const ReadRequest& request) {
  would_hit_ = false;
  reason_ = reason_now(request);
  const bool ended = std::exchange(flight_ended_, false) && wait_key_ == request.key.bytes;
  if (reason_ != BypassReason::kNoBypass) return Verdict::kBypass;
  if (ended) {
    wait_flight_ = 0;
    result_ = std::move(flight_result_);
    kind_ = stats::HitKind::kJoin;
    if (result_ && (!request.needs_description || result_->row_description_bytes != 0)) {
      return Verdict::kHit;
    }
    if (find_usable(request)) return Verdict::kHit;
    lead_flight_ = 0;
    return miss(request);  // goes on by itself: without joining or leading again
  }
  if (wait_flight_ != 0) {
    // Decided again because more of the client's bytes have come. A second joining would be
    // answered as well, and that answer be taken for one to the client's next read.
    if (wait_key_ == request.key.bytes) return Verdict::kWait;
    leave_flight();
  }
  if (find_usable(request)) {
    if (serving()) return Verdict::kHit;
    would_hit_ = true;
  }
  result_ = nullptr;
  if (lead_flight_ != 0 && lead_key_ != request.key.bytes) end_flight(nullptr);
  if (question_ && question_->key != request.key.bytes) question_ = nullptr;
  if (question_ && !question_->settled) return take_answer(request);
  if (lead_flight_ != 0) return miss(request);
  if (!invalidation::EpochTable::stamp(request.plan->slots, &stamp_)) {
    reason_ = BypassReason::kFence;
    return Verdict::kBypass;
  }
  if (core_.worker.shared.mode.load(std::memory_order_relaxed) == config::CacheMode::kObserve) {
    return Verdict::kMiss;
  }
  const cache::JoinerId me{core_.worker.index, core_.session_id, ++query_number_};
  const cache::Holds holds = core_.server == nullptr ? cache::Holds::kNothing
                             : core_.status == 'I'   ? cache::Holds::kLease
                                                     : cache::Holds::kTransaction;
  const cache::Join join = core_.worker.shared.flights.join(request.key, stamp_, me, holds);
  if (join.kind == cache::JoinKind::kWait) {
    wait_flight_ = join.flight;
    wait_key_ = request.key.bytes;
    return Verdict::kWait;
  }
  lead_flight_ = join.kind == cache::JoinKind::kLead ? join.flight : 0;
  if (lead_flight_ != 0) lead_key_ = request.key.bytes;
  return core_.worker.store == nullptr ? Verdict::kMiss : ask_tier_two(request);
}

bool ReadPath::serving() const {
  return core_.worker.shared.mode.load(std::memory_order_relaxed) == config::CacheMode::kOn;
}

Verdict ReadPath::miss(const ReadRequest& request) {
  if (invalidation::EpochTable::stamp(request.plan->slots, &stamp_)) return Verdict::kMiss;
  end_flight(nullptr);
  reason_ = BypassReason::kFence;
  return Verdict::kBypass;
}

void ReadPath::answered_otherwise() {
  question_ = nullptr;
  leave_flight();
  end_flight(nullptr);
}

void ReadPath::served(const Plan& plan) {
  question_ = nullptr;
  leave_flight();
  end_flight(nullptr);  // a client that led while waiting for its lease and then found the answer
  core_.worker.stats.hit(*plan.fingerprint_stats, kind_, core_.worker.precise_now() - started_,
                         result_->origin_time, result_->bytes.size());
  result_ = nullptr;
}

void ReadPath::estimated(const Plan& plan, size_t bytes) {
  answered_otherwise();
  core_.worker.stats.hit(*plan.fingerprint_stats, stats::HitKind::kEstimate,
                         core_.worker.precise_now() - started_, {}, bytes);
}

void ReadPath::bypassed(const Plan& plan, BypassReason reason) {
  answered_otherwise();
  const Plan* read = &plan;
  std::shared_ptr<const PlanSet> inner;
  if (plan.analysis.kind == sql::StatementKind::kExecute) {
    if (!core_.executes_read(plan.analysis.name, &inner)) return;
    if (inner) read = &inner->plans.front();
    if (reason != BypassReason::kInterrupted) reason = BypassReason::kExecute;
  }
  if (!plan.counts_as_read) return;
  core_.worker.stats.bypass(*read->fingerprint_stats, static_cast<uint8_t>(reason));
}

void ReadPath::bypassed_unknown(BypassReason reason) {
  answered_otherwise();
  stats::WorkerStats& stats = core_.worker.stats;
  stats.bypass(stats.fingerprint(0), static_cast<uint8_t>(reason));
}

void ReadPath::interrupted() {
  const auto plans = std::exchange(waiting_, nullptr);
  if (!plans) return;
  for (const Plan& plan : plans->plans) bypassed(plan, BypassReason::kInterrupted);
}

void ReadPath::forwarded_miss(const ReadRequest& request) {
  PGR_ASSERT(fill_ == nullptr);
  leave_flight();
  core_.worker.stats.miss(*request.plan->fingerprint_stats);
  if (std::exchange(would_hit_, false)) core_.worker.stats.observed_hits.add();
  auto fill = std::make_unique<Fill>();
  fill->flight = std::exchange(lead_flight_, 0);
  fill->key = request.key.bytes;
  fill->key_hash = request.key.hash;
  fill->plans = request.entry->plans;
  fill->plan = request.plan;
  fill->hint_ttl_ms = request.entry->canonical.hints.ttl_ms;
  fill->sent = core_.worker.precise_now();
  fill->result = std::make_shared<cache::CachedResult>();
  // Rule 1: a fresh stamp, taken before the bytes leave and before the catalog is found unchanged.
  const bool stamped = invalidation::EpochTable::stamp(request.plan->slots, &fill->result->stamp);
  fill->catalog_version = core_.database->current_version();
  if (!stamped || fill->catalog_version != request.entry->plans->catalog_version) {
    fill->refused = true;
    fill->why = BypassReason::kFence;
    lead_flight_ = std::exchange(fill->flight, 0);
    end_flight(nullptr);
  }
  if (fill->flight != 0) {
    core_.worker.shared.flights.restamp(fill->flight, fill->result->stamp);
    core_.worker.shared.flights.set_leader_has_lease(fill->flight);
  }
  fill->result->stamped_at = core_.worker.clock.now();
  question_ = nullptr;
  const bool in_tier_two = core_.worker.store != nullptr && request.plan->policy.redis && serving();
  if (in_tier_two && !fill->refused) fill->tier_two_key = tier_two_key(request);
  fill_ = std::move(fill);
}

void ReadPath::on_flight(uint64_t query, cache::CachedResultPtr result) {
  if (wait_flight_ == 0 || query != query_number_) return;
  flight_ended_ = true;
  flight_result_ = std::move(result);
  wait_flight_ = 0;
}

/// Nothing of a flight that was waited for outlives the read that waited.
void ReadPath::leave_flight() {
  if (wait_flight_ != 0) {
    core_.worker.shared.flights.leave(wait_flight_,
                                      {core_.worker.index, core_.session_id, query_number_});
    wait_flight_ = 0;
  }
  flight_ended_ = false;
  flight_result_ = nullptr;
}

void ReadPath::stop_waiting() {
  answered_otherwise();
  if (fill_) {
    refuse(BypassReason::kInterrupted);
    finish(true);
  }
}

void ReadPath::stop_leading() {
  end_flight(nullptr);
  if (fill_ == nullptr) return;
  lead_flight_ = std::exchange(fill_->flight, 0);
  end_flight(nullptr);
}

/// Without its Sync, when the answer comes and when it ends is up to the client.
void ReadPath::leave_unsynced() {
  if (core_.server != nullptr && core_.server->queue().unsynced()) stop_leading();
}

void ReadPath::record(char type, std::string_view bytes) {
  if (!fill_ || fill_->refused) return;
  cache::CachedResult& result = *fill_->result;
  const size_t most =
      std::min(fill_->plan->policy.max_bytes, core_.worker.shared.config.cache.entry_max_bytes);
  if (result.bytes.size() + bytes.size() > most) return refuse(BypassReason::kTooLarge);
  if (type == 'T') {
    if (!result.bytes.empty()) return;  // described twice
    result.row_description_bytes = static_cast<uint32_t>(bytes.size());
  }
  if (type == 'D') ++result.rows;
  result.bytes.append(bytes);
}

void ReadPath::refuse(BypassReason reason) {
  if (!fill_ || fill_->refused) return;
  stop_leading();  // there will be nothing for those who wait
  fill_->refused = true;
  fill_->why = reason;
  fill_->result->bytes.clear();
  fill_->result->bytes.shrink_to_fit();
}

void ReadPath::complete() {
  if (fill_) fill_->complete = true;
}

void ReadPath::finish(bool error) {
  if (!fill_) return;
  const TimePoint now = core_.worker.precise_now();
  fill_->result->origin_time = now - fill_->sent;
  lead_flight_ = std::exchange(fill_->flight, 0);
  if (!error && fill_->complete) {
    core_.worker.stats.origin(*fill_->plan->fingerprint_stats, fill_->result->origin_time,
                              now - started_);
  }
  if (error) refuse(BypassReason::kServerError);
  const bool stored = fill_->complete && !fill_->refused && store();
  if (stored) {
    core_.worker.stats.fill();
    end_flight(fill_->result);
  } else {
    core_.worker.stats.refuse_fill(static_cast<uint8_t>(fill_->why));
    // A refused fill would hide the broken rule.
    const bool whole = !error && fill_->complete && !fill_->refused;
    end_flight(whole && fault(Fault::kJoinWithoutCheck) ? fill_->result : nullptr);
  }
  fill_ = nullptr;
}

bool ReadPath::store() {
  Fill& fill = *fill_;
  if (fault(Fault::kStampAfterReply)) {
    invalidation::EpochTable::stamp(fill.plan->slots, &fill.result->stamp);
  }
  if (!invalidation::EpochTable::may_fill(fill.result->stamp)) {
    fill.why = BypassReason::kFence;
    return false;
  }
  if (fill.result->origin_time < fill.plan->policy.min_query) {
    fill.why = BypassReason::kRule;
    return false;
  }
  fill.result->fingerprint = fill.plan->fingerprint;
  fill.result->expires_at = expiry(fill);
  fill.result->bytes.shrink_to_fit();
  put_in_tier_two();
  fill.why = BypassReason::kTooLarge;
  return core_.worker.shared.results.insert({fill.key_hash, fill.key}, fill.result);
}

TimePoint ReadPath::expiry(const Fill& fill) {
  const policy::Policy& policy = fill.plan->policy;
  Duration life = policy.ttl;
  if (fill.hint_ttl_ms >= 0)
    life = std::min<Duration>(life, std::chrono::milliseconds(fill.hint_ttl_ms));
  // Without a feed nobody tells of writes past pgrecall; only a rule may accept that for longer.
  if (!policy.ttl_only) {
    life = std::min<Duration>(life, core_.worker.shared.config.cache.max_age_without_feed);
  }
  const double share = 1.0 - policy.jitter * random_share();
  return fill.result->stamped_at +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(life) * share);
}

double ReadPath::random_share() {
  uint64_t& state = core_.worker.random_state;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return static_cast<double>(state >> 11) / static_cast<double>(uint64_t{1} << 53);
}

void ReadPath::end_flight(cache::CachedResultPtr result) {
  const cache::FlightId flight = std::exchange(lead_flight_, 0);
  if (flight == 0) return;
  auto finished = core_.worker.shared.flights.finish(flight, std::move(result));
  if (!finished.joiners.empty()) {
    core_.worker.host.tell_joiners(std::move(finished.joiners), std::move(finished.result));
  }
}

}  // namespace pgrecall::session
