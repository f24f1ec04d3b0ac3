// ReadPath: hit, miss or bypass; and what becomes of a miss's answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "session/session_core.h"

namespace pgrecall::session {

/// One cacheable look-up: what is asked, under which key. Views live as long as the message.
struct ReadRequest {
  TextEntry* entry = nullptr;
  const Plan* plan = nullptr;
  cache::CacheKeyView key;
  bool needs_description = true;  ///< the answer must begin with a RowDescription
};

enum class Verdict : uint8_t {
  kHit,     ///< `result()` may be shown
  kWait,    ///< another client asks the same, or tier two is asked: blocked until it is told
  kMiss,    ///< cacheable: forward, and record the answer
  kBypass,  ///< forward
};

/// One per session. A request is decided again after each wait; counters move only with the final
/// verdict, which the caller confirms by `served`, `forwarded_miss` or `bypassed`.
///
/// Where the worker has a store (tier two), whoever leads a flight or goes alone asks it once
/// before it becomes a miss; joiners wait for that, too. A client inside a transaction on the
/// server does not: others may wait for its locks.
class ReadPath {
 public:
  explicit ReadPath(SessionCore& core) : core_(core) {}

  Verdict decide(const ReadRequest& request);
  const cache::CachedResultPtr& result() const { return result_; }
  sql::BypassReason reason() const { return reason_; }
  void set_reason(sql::BypassReason reason) { reason_ = reason; }

  /// What was decided is answered in another way: nobody waits for this client any more.
  void answered_otherwise();
  void served(const Plan& plan);
  /// A COUNT was answered by an estimate of `bytes`.
  void estimated(const Plan& plan, size_t bytes);
  /// Whatever is no read is not counted.
  void bypassed(const Plan& plan, sql::BypassReason reason);
  /// Of something that only the server knows.
  void bypassed_unknown(sql::BypassReason reason);
  /// What the client's next message says, while it waits for an answer or a connection; null: it is
  /// being handled.
  void set_waiting(std::shared_ptr<const PlanSet> plans) { waiting_ = std::move(plans); }
  /// Its wait has ended without either.
  void interrupted();
  /// The miss is about to leave: takes the stamp (rule 1), leads the flight, starts recording.
  void forwarded_miss(const ReadRequest& request);

  /// A flight this client waits for has ended.
  void on_flight(uint64_t query, cache::CachedResultPtr result);
  bool waiting() const { return wait_flight_ != 0 || (question_ && !question_->answered); }
  void stop_waiting();
  /// What leads a flight cannot say when its answer will be complete: the joiners ask themselves.
  void stop_leading();
  /// All that the client has sent so far has been looked at.
  void input_handled() {
    if (fill_ != nullptr && fill_->flight != 0) leave_unsynced();
  }

  // The recording of the one miss in flight.
  bool recording() const { return fill_ != nullptr; }
  void record(char type, std::string_view bytes);
  void refuse(sql::BypassReason reason);
  void complete();          ///< CommandComplete arrived
  void finish(bool error);  ///< ReadyForQuery arrived: stores or drops

  /// When the statement under way was read; for latencies.
  void start_clock() { started_ = core_.worker.precise_now(); }

 private:
  struct Fill {
    std::string key;
    uint64_t key_hash = 0;
    std::string tier_two_key;  ///< empty: kept out of tier two
    std::shared_ptr<cache::CachedResult> result;
    std::shared_ptr<const PlanSet> plans;  ///< keeps `plan` alive
    const Plan* plan = nullptr;
    uint64_t catalog_version = 0;
    cache::FlightId flight = 0;
    TimePoint sent{};
    int64_t hint_ttl_ms = -1;
    bool complete = false;
    bool refused = false;
    sql::BypassReason why = sql::BypassReason::kInterrupted;
  };

  /// What tier two was asked for the statement under way. Whoever answers holds it weakly: a late
  /// answer to a question that was given up falls through.
  struct Question {
    std::string key;  ///< of tier one: another key is another question
    std::string tier_two_key;
    std::string value;
    bool answered = false;
    bool waited_for = false;  ///< the answer did not come at once
    bool settled = false;     ///< the answer was looked at
  };

  sql::BypassReason reason_now(const ReadRequest& request) const;
  bool usable(const cache::CachedResult& result, const ReadRequest& request) const;
  /// Of tier one, as `result_`.
  bool find_usable(const ReadRequest& request);
  void note_outdated(const ReadRequest& request);
  Verdict miss(const ReadRequest& request);
  bool serving() const;
  std::string tier_two_key(const ReadRequest& request) const;
  Verdict ask_tier_two(const ReadRequest& request);
  Verdict take_answer(const ReadRequest& request);
  cache::CachedResultPtr decode_answer(const ReadRequest& request) const;
  void put_in_tier_two();
  void end_flight(cache::CachedResultPtr result);
  void leave_unsynced();
  void leave_flight();
  TimePoint expiry(const Fill& fill);
  bool store();
  double random_share();

  SessionCore& core_;
  cache::CachedResultPtr result_;
  sql::BypassReason reason_ = sql::BypassReason::kNoBypass;
  std::unique_ptr<Fill> fill_;
  std::shared_ptr<Question> question_;
  std::shared_ptr<const PlanSet> waiting_;
  invalidation::Stamp stamp_;
  cache::FlightId lead_flight_ = 0;
  std::string lead_key_;  ///< the flight's: another key must not use it
  cache::FlightId wait_flight_ = 0;
  std::string wait_key_;  ///< the awaited flight's
  uint64_t query_number_ = 0;
  bool flight_ended_ = false;
  bool would_hit_ = false;  ///< of the read under way, in mode observe
  cache::CachedResultPtr flight_result_;
  stats::HitKind kind_ = stats::HitKind::kTier1;
  TimePoint started_{};
};

}  // namespace pgrecall::session
