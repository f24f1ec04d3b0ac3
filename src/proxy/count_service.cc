#include "proxy/count_service.h"

#include <algorithm>
#include <utility>

#include "pgrecall/adapters/count_estimator.h"

namespace pgrecall::proxy {

namespace {

bool same(const invalidation::Stamp& a, const invalidation::Stamp& b) {
  return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
                    [](const auto& one, const auto& other) {
                      return one.slot == other.slot && one.word == other.word;
                    });
}

}  // namespace

bool CountService::estimate(session::DatabaseState& database, sql::Oid relation, sql::Oid role,
                            const policy::Policy& policy, const invalidation::Stamp& now,
                            int64_t* rows) {
  const uint64_t version = database.current_version();
  if (version == 0 || role == sql::kInvalidOid) return false;
  std::unique_lock lock(mutex_);
  const Key key{database.name(), relation, role};
  if (known_.size() >= kTablesMax && !known_.contains(key)) return false;
  Known& known = known_[key];
  const auto age = Clock::now() - known.at;
  // A privilege or a policy may have changed with the catalog: nothing older counts.
  const bool usable = known.valid && known.catalog_version == version && same(known.stamp, now);
  const bool asks = !known.asked && (!usable || age > config_.counts.refresh);
  if (asks) {
    known.asked = true;
    known.asked_under = now;
  }
  bool shown = false;
  if (usable && age <= 2 * config_.counts.refresh) {
    known.shown = policy::estimate_count(known.facts, policy.min_rows, policy.max_error);
    shown = known.shown.refusal == policy::CountRefusal::kNone;
    *rows = known.shown.rows;
  }
  lock.unlock();
  if (asks) ask(database, key);  // may answer at once, and locks
  return shown;
}

void CountService::ask(session::DatabaseState& database, const Key& key) {
  control_.ask(database, [this, key, &database](adapters::ControlConnection* connection) {
    const uint64_t version = database.current_version();
    auto facts = connection == nullptr
                     ? Result<policy::CountFacts>(Error{"no control connection", ""})
                     : adapters::count_facts(*connection, std::get<1>(key), std::get<2>(key));
    const auto catalog = database.catalog();
    std::lock_guard lock(mutex_);
    Known& known = known_[key];
    known.asked = false;
    known.valid = facts.ok() && version != 0;
    if (!known.valid) return;
    known.facts = std::move(facts.value());
    known.catalog_version = version;
    known.stamp = std::move(known.asked_under);
    known.at = Clock::now();
    const sql::Relation* relation = catalog ? catalog->relation(std::get<1>(key)) : nullptr;
    if (relation != nullptr) known.table = relation->name;
  });
}

std::vector<admin::CountEstimate> CountService::status() const {
  std::lock_guard lock(mutex_);
  std::vector<admin::CountEstimate> all;
  for (const auto& [key, known] : known_) {
    if (!known.valid || known.shown.refusal != policy::CountRefusal::kNone) continue;
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - known.at);
    all.push_back({std::get<0>(key), known.table, static_cast<double>(known.shown.rows),
                   known.shown.error, static_cast<uint64_t>(age.count())});
  }
  return all;
}

}  // namespace pgrecall::proxy
