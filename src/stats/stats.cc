#include "pgrecall/stats/stats.h"

#define XXH_INLINE_ALL  // libpg_query exports XXH symbols of another version
#include <xxhash.h>

#include <algorithm>

#include "pgrecall/base/assert.h"
#include "stats/slots.h"

namespace pgrecall::stats {
namespace {

std::string hex(uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 0; i < 16; ++i) text[15 - i] = kDigits[(value >> (4 * i)) & 15];
  return text;
}

/// Cuts without splitting a UTF-8 character.
std::string_view cut(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return text.substr(0, bytes_max);
}

std::string name_of(const std::vector<std::string>& names, size_t index) {
  return index < names.size() ? names[index] : "reason_" + std::to_string(index);
}

using Sums = std::array<uint64_t, kReasonsMax>;

template <typename Counters>
void add_counters(const Counters& counters, Sums& sums) {
  for (size_t i = 0; i < kReasonsMax; ++i) sums[i] += counters[i].get();
}

NamedCounts named(const Sums& sums, const std::vector<std::string>& names) {
  NamedCounts counts;
  for (size_t i = 0; i < kReasonsMax; ++i) {
    if (sums[i] != 0) counts.emplace_back(name_of(names, i), sums[i]);
  }
  return counts;
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double Snapshot::hit_rate() const {
  return share(hits, hits + misses);
}

double Snapshot::read_hit_rate() const {
  return share(hits, reads());
}

WorkerStats::WorkerStats(size_t fingerprints_max, size_t tables_max)
    : fingerprints_(std::make_unique<Slots<FingerprintStats>>(fingerprints_max)),
      tables_(std::make_unique<Slots<TableStats>>(tables_max)) {}

WorkerStats::~WorkerStats() = default;

FingerprintStats& WorkerStats::fingerprint(uint32_t index) {
  return fingerprints_->at(index);
}

TableStats& WorkerStats::table(uint32_t index) {
  return tables_->at(index);
}

const FingerprintStats* WorkerStats::find_fingerprint(uint32_t index) const {
  return fingerprints_->find(index);
}

const TableStats* WorkerStats::find_table(uint32_t index) const {
  return tables_->find(index);
}

Stats::Stats(StatsOptions options) : options_(std::move(options)) {
  PGR_ASSERT(options_.workers > 0);
  for (size_t i = 0; i < options_.workers; ++i)
    workers_.push_back(
        std::make_unique<WorkerStats>(options_.fingerprints_max, options_.tables_max));
  names_.fingerprints.push_back(
      std::make_shared<const Fingerprint>(Fingerprint{"other", "", "", {}}));
  names_.tables.push_back(std::make_shared<const Table>(Table{"", "other"}));
}

Stats::~Stats() = default;

uint32_t Stats::intern_fingerprint(std::string_view database, std::string_view shape,
                                   std::span<const uint32_t> tables) {
  // The tables are part of the identity: under another search_path one text reads other tables.
  std::string key(database);
  key += '\0';
  key.append(reinterpret_cast<const char*>(tables.data()), tables.size_bytes());
  key += '\0';
  const XXH128_hash_t digest = XXH3_128bits(shape.data(), shape.size());
  key.append(reinterpret_cast<const char*>(&digest), sizeof digest);

  std::lock_guard lock(mutex_);
  const auto found = fingerprint_by_key_.find(key);
  if (found != fingerprint_by_key_.end()) return found->second;
  if (names_.fingerprints.size() > options_.fingerprints_max) return 0;
  const auto index = static_cast<uint32_t>(names_.fingerprints.size());
  names_.fingerprints.push_back(std::make_shared<const Fingerprint>(
      Fingerprint{hex(digest.low64),
                  std::string(database),
                  std::string(cut(shape, options_.sample_bytes_max)),
                  {tables.begin(), tables.end()}}));
  fingerprint_by_key_.emplace(std::move(key), index);
  return index;
}

uint32_t Stats::intern_table(std::string_view database, std::string_view name) {
  std::string key(database);
  key += '\0';
  key += name;
  std::lock_guard lock(mutex_);
  const auto found = table_by_key_.find(key);
  if (found != table_by_key_.end()) return found->second;
  if (names_.tables.size() > options_.tables_max) return 0;
  const auto index = static_cast<uint32_t>(names_.tables.size());
  names_.tables.push_back(
      std::make_shared<const Table>(Table{std::string(database), std::string(name)}));
  table_by_key_.emplace(std::move(key), index);
  return index;
}

void Stats::add_worker(const WorkerStats& worker, Snapshot& into) const {
  into.hits_tier1 += worker.hits[static_cast<size_t>(HitKind::kTier1)].get();
  into.hits_tier2 += worker.hits[static_cast<size_t>(HitKind::kTier2)].get();
  into.joins += worker.hits[static_cast<size_t>(HitKind::kJoin)].get();
  into.count_estimates += worker.hits[static_cast<size_t>(HitKind::kEstimate)].get();
  into.misses += worker.misses.get();
  into.fills += worker.fills.get();
  into.observed_hits += worker.observed_hits.get();
  into.writes += worker.writes.get();
  into.opaque_writes += worker.opaque_writes.get();
  into.server_queries += worker.server_queries.get();
  into.local_answers += worker.local_answers.get();
  into.clients += worker.clients.get();
  into.clients_total += worker.clients_total.get();
  into.client_errors += worker.client_errors.get();
  into.bytes_from_clients += worker.bytes_from_clients.get();
  into.bytes_to_clients += worker.bytes_to_clients.get();
  into.bytes_from_servers += worker.bytes_from_servers.get();
  into.bytes_to_servers += worker.bytes_to_servers.get();
  worker.hit_latency.add_to(into.hit_latency_ns);
  worker.miss_latency.add_to(into.miss_latency_ns);
  worker.origin_latency.add_to(into.origin_latency_ns);
}

void Stats::add_fingerprints(const Names& names, Snapshot& into) const {
  for (uint32_t index = 0; index < names.fingerprints.size(); ++index) {
    const Fingerprint& known = *names.fingerprints[index];
    FingerprintSnapshot row{known.hash, known.database, known.sample, {}};
    Sums bypasses{};
    HistogramSnapshot origin;
    uint64_t invalidated_at = 0;
    for (const auto& worker : workers_) {
      const FingerprintStats* counted = worker->find_fingerprint(index);
      if (counted == nullptr) continue;
      row.hits += counted->hits.get();
      row.misses += counted->misses.get();
      row.bytes_served += counted->bytes_served.get();
      row.time_saved_us += counted->time_saved_us.get();
      add_counters(counted->bypasses, bypasses);
      counted->origin_us.add_to(origin);
      const uint32_t table = counted->last_invalidator.get();
      if (table >= names.tables.size() || counted->invalidated_at.get() <= invalidated_at) continue;
      invalidated_at = counted->invalidated_at.get();
      row.last_invalidator = names.tables[table]->name;
    }
    row.bypasses = named(bypasses, options_.bypass_names);
    row.calls = row.hits + row.misses;
    for (const uint64_t count : bypasses) row.calls += count;
    if (row.calls == 0) continue;
    row.origin_p50_us = origin.percentile(0.50);
    row.origin_p99_us = origin.percentile(0.99);
    for (const uint32_t table : known.tables) {
      row.tables.push_back(names.tables[table]->name);
      into.tables[table].reads += row.calls;
      into.tables[table].hits += row.hits;
      into.tables[table].misses += row.misses;
    }
    into.fingerprints.push_back(std::move(row));
  }
}

void Stats::add_tables(const Names& names, Snapshot& into) const {
  for (uint32_t index = 0; index < names.tables.size(); ++index) {
    TableSnapshot row{names.tables[index]->database, names.tables[index]->name};
    for (const auto& worker : workers_) {
      const TableStats* counted = worker->find_table(index);
      if (counted == nullptr) continue;
      row.writes += counted->writes.get();
    }
    if (table_invalidations_) row.invalidations = table_invalidations_(row.database, row.name);
    into.tables.push_back(std::move(row));
  }
}

Snapshot Stats::snapshot() const {
  Snapshot into;
  Sums bypasses{};
  Sums refusals{};
  Names names;
  {
    std::lock_guard lock(mutex_);
    names = names_;
  }
  if (invalidations_) into.invalidations = invalidations_();
  for (const auto& worker : workers_) {
    add_worker(*worker, into);
    add_counters(worker->bypasses, bypasses);
    add_counters(worker->fill_refusals, refusals);
  }
  into.hits = into.hits_tier1 + into.hits_tier2 + into.joins + into.count_estimates;
  into.bypasses = named(bypasses, options_.bypass_names);
  for (const uint64_t count : bypasses) into.bypasses_total += count;
  into.fill_refusals = named(refusals, options_.fill_refusal_names);

  add_tables(names, into);
  add_fingerprints(names, into);  // adds to the rows of the tables, which are still in index order
  std::erase_if(into.tables, [](const TableSnapshot& row) {
    return row.reads + row.writes + row.invalidations == 0;
  });
  std::stable_sort(into.tables.begin(), into.tables.end(),
                   [](const auto& a, const auto& b) { return a.reads > b.reads; });
  std::stable_sort(into.fingerprints.begin(), into.fingerprints.end(),
                   [](const auto& a, const auto& b) { return a.calls > b.calls; });
  return into;
}

}  // namespace pgrecall::stats
