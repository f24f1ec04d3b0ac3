#include "proxy/control_plane.h"

#include <algorithm>
#include <utility>

#include "pgrecall/adapters/catalog_loader.h"
#include "pgrecall/base/fault.h"
#include "pgrecall/base/log.h"

namespace pgrecall::proxy {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(500);
constexpr auto kWatchInterval = std::chrono::milliseconds(50);
constexpr auto kReleased = std::chrono::seconds(1);
constexpr size_t kQuestionsMax = 1000;

}  // namespace

ControlPlane::ControlPlane(const config::Config& config, invalidation::EpochTable& epochs)
    : config_(config), epochs_(epochs) {}

ControlPlane::~ControlPlane() {
  stop();
}

Status ControlPlane::start() {
  auto thread = net::start_thread("control", net::kParserStackBytes, [this] { run(); });
  if (!thread.ok()) return thread.error();
  thread_ = std::move(thread.value());
  return Ok{};
}

void ControlPlane::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_) thread_->join();
  thread_.reset();
}

ControlPlane::Record& ControlPlane::record(session::DatabaseState& database) {
  std::unique_ptr<Record>& record = records_[database.name()];
  if (!record) {
    record = std::make_unique<Record>();
    record->state = &database;
  }
  return *record;
}

void ControlPlane::reread(session::DatabaseState& database, invalidation::FenceToken fence,
                          bool certain) {
  {
    std::lock_guard lock(mutex_);
    Record& entry = record(database);
    entry.wanted = true;
    entry.certain = entry.certain || certain;
    if (fence != 0) {
      entry.fences.push_back(fence);
      entry.dormant = false;
    }
  }
  changed_.notify_all();
}

void ControlPlane::logged_in(session::DatabaseState& database) {
  {
    std::lock_guard lock(mutex_);
    Record& entry = record(database);
    entry.wanted = true;
    entry.dormant = false;
  }
  changed_.notify_all();
}

void ControlPlane::settle_when_gone(session::DatabaseState& database, uint32_t process_id,
                                    std::string backend_start,
                                    std::vector<invalidation::FenceToken> fences) {
  if (fault(Fault::kUnknownFallsAtOnce)) {
    for (invalidation::FenceToken fence : fences) epochs_.settle_rolled_back(fence);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    watches_.push_back({&database, process_id, std::move(backend_start), std::move(fences)});
    record(database);
  }
  changed_.notify_all();
}

void ControlPlane::release(std::string_view database) {
  {
    std::lock_guard lock(mutex_);
    const auto at = records_.find(database);
    if (at == records_.end()) return;
    at->second->closed_until = Clock::now() + kReleased;
    at->second->wanted = true;
  }
  changed_.notify_all();
}

void ControlPlane::ask(session::DatabaseState& database,
                       std::function<void(adapters::ControlConnection*)> question) {
  {
    std::lock_guard lock(mutex_);
    Record& entry = record(database);
    if (entry.questions.size() < kQuestionsMax) {
      entry.questions.push_back(std::move(question));
      changed_.notify_all();
      return;
    }
  }
  question(nullptr);
}

std::vector<admin::ControlStatus> ControlPlane::status() const {
  std::lock_guard lock(mutex_);
  std::vector<admin::ControlStatus> all;
  for (const auto& [name, entry] : records_) {
    admin::ControlStatus status;
    status.database = name;
    status.error = entry->error;
    status.connected = entry->error.empty() && entry->catalog != nullptr;
    if (entry->catalog) {
      status.catalog_version = entry->catalog->version;
      status.catalog_current = entry->state->current_version() != 0;
      status.relations = entry->catalog->relations.size();
    }
    all.push_back(std::move(status));
  }
  return all;
}

bool ControlPlane::due(const Record& record, Clock::time_point now) const {
  if (record.dormant) return false;
  if (now < record.closed_until) return record.connection.has_value();
  if (!record.error.empty()) return now >= record.next;
  return record.wanted || !record.questions.empty() || now >= record.next;
}

/// In turn, by name: one that is wanted again and again must not starve the others.
ControlPlane::Record* ControlPlane::next_due(Clock::time_point now, Clock::time_point* wake) {
  Record* first = nullptr;
  for (auto& [name, entry] : records_) {
    if (!due(*entry, now)) {
      if (!entry->dormant) *wake = std::min(*wake, std::max(entry->next, entry->closed_until));
      continue;
    }
    if (name > served_) {
      served_ = name;
      return entry.get();
    }
    if (first == nullptr) first = entry.get();
  }
  if (first != nullptr) served_ = first->state->name();
  return first;
}

void ControlPlane::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto now = Clock::now();
    auto wake = now + config_.feed.catalog_interval;
    if (Record* next = next_due(now, &wake); next != nullptr) {
      lock.unlock();
      serve(*next);
      check_watches();
      lock.lock();
      continue;
    }
    if (!watches_.empty()) {
      lock.unlock();
      check_watches();
      lock.lock();
      wake = std::min(wake, Clock::now() + kWatchInterval);
    }
    if (!stopping_) changed_.wait_until(lock, wake);
  }
}

void ControlPlane::serve(Record& record) {
  bool released;
  {
    std::lock_guard lock(mutex_);
    released = Clock::now() < record.closed_until;
    // Asked for again meanwhile: the next look is when the time is over.
    if (released) record.wanted = true;
  }
  if (released) {
    record.connection.reset();
    record.state->lose();
    return;
  }
  if (!record.connection && !connect(record)) return;
  refresh(record);
  if (record.connection) answer(record);
}

bool ControlPlane::connect(Record& record) {
  adapters::ControlOptions options;
  options.host = config_.upstream.host;
  options.port = config_.upstream.port;
  options.user = config_.upstream.user;
  options.password = config_.upstream.password;
  options.database = record.state->name();
  auto connection = adapters::ControlConnection::connect(options);
  if (!connection.ok()) {
    lost(record, connection.error());
    return false;
  }
  record.connection.emplace(std::move(connection.value()));
  record.digest.clear();
  note(record, {});
  // While there was no connection nobody watched over what is remembered.
  if (std::exchange(record.ever_connected, true) && !fault(Fault::kGenerationKept)) {
    epochs_.advance_all();
  }
  return true;
}

void ControlPlane::note(Record& record, std::string error) {
  std::lock_guard lock(mutex_);
  if (error.empty() && record.outage.back()) {
    log::info("control role connected",
              {{"database", record.state->name()},
               {"role", config_.upstream.user},
               {"server_version", record.connection->server_version_num()}});
  } else if (!error.empty() && record.outage.lost(error)) {
    log::warn("control role not connected: everything is a bypass",
              {{"database", record.state->name()}, {"reason", error}});
  }
  record.error = std::move(error);
}

void ControlPlane::lost(Record& record, const Error& error) {
  record.state->lose();
  if (record.connection && !fault(Fault::kGenerationKept)) epochs_.advance_all();
  record.connection.reset();
  note(record, error.message.empty() ? "connection lost" : error.message);
  std::deque<std::function<void(adapters::ControlConnection*)>> questions;
  {
    std::lock_guard lock(mutex_);
    questions.swap(record.questions);
  }
  for (const auto& question : questions) question(nullptr);
  std::lock_guard lock(mutex_);
  record.next = Clock::now() + kRetry;
  // A database that does not exist is not asked for until a client names it again.
  if (error.sqlstate == "3D000") {
    record.dormant = true;
    record.catalog = nullptr;
    for (invalidation::FenceToken fence : record.fences) epochs_.settle_committed(fence);
    record.fences.clear();
  }
}

void ControlPlane::refresh(Record& record) {
  bool certain = false;
  std::vector<invalidation::FenceToken> fences;
  {
    std::lock_guard lock(mutex_);
    record.wanted = false;
    certain = std::exchange(record.certain, false);
    fences = record.fences;
  }
  // What is suspected from here on needs another look, and has it: `wanted` was cleared before.
  const uint64_t suspicions = record.state->suspicions();
  record.state->asked(Clock::now());
  auto digest = adapters::catalog_digest(*record.connection);
  if (!digest.ok()) {
    std::lock_guard lock(mutex_);
    record.wanted = true;
    record.certain = record.certain || certain;
  }
  if (!digest.ok()) return lost(record, digest.error());
  note_configuration(record, *digest);
  if (!certain && record.catalog && record.digest == *digest && record.catalog->complete) {
    record.state->publish(record.catalog, suspicions);
  } else if (!load(record, suspicions, certain, *digest)) {
    return;
  }
  std::lock_guard lock(mutex_);
  for (invalidation::FenceToken fence : fences) {
    epochs_.settle_committed(fence);
    std::erase(record.fences, fence);
  }
  record.next = Clock::now() + config_.feed.catalog_interval;
}

/// Before the epochs move and anything is current again: whoever plans or stores after that looks
/// at the configuration that its connection was inspected under.
void ControlPlane::note_configuration(Record& record, std::string_view digest) {
  const size_t at = digest.find(" configured=");
  const std::string_view configured = digest.substr(at, digest.find(" started=") - at);
  // The first look counts as well: nobody knows what was read since the first connection there.
  if (record.configured != configured) configuration_.fetch_add(1);
  record.configured = configured;
}

bool ControlPlane::load(Record& record, uint64_t suspicions, bool certain,
                        const std::string& digest) {
  const bool changed_outside = record.catalog && record.digest != digest;
  // The digest tells a restart, too: the broken rule must not be hidden by it.
  if (changed_outside && !fault(Fault::kGenerationKept)) {
    // First nothing counts, then the epochs move, then the new snapshot counts.
    record.state->lose();
    suspicions = record.state->suspicions();
    const invalidation::DependencyId ids[] = {record.state->database_dependency()};
    epochs_.advance(ids);
  }
  auto catalog = adapters::load_catalog(*record.connection);
  if (!catalog.ok()) {
    {
      std::lock_guard lock(mutex_);
      record.wanted = true;
      record.certain = record.certain || certain;
    }
    lost(record, catalog.error());
    return false;
  }
  catalog.value()->version = next_version_++;
  {
    std::lock_guard lock(mutex_);
    record.catalog = std::move(catalog.value());
  }
  record.digest = digest;
  record.state->publish(record.catalog, suspicions);
  return true;
}

void ControlPlane::answer(Record& record) {
  while (true) {
    std::function<void(adapters::ControlConnection*)> question;
    {
      std::lock_guard lock(mutex_);
      if (record.questions.empty()) return;
      question = std::move(record.questions.front());
      record.questions.pop_front();
    }
    question(&*record.connection);
  }
}

/// Any connection shows all backends of the cluster; one's own database may be gone.
ControlPlane::Record* ControlPlane::connected_record(const Record& preferred) {
  std::lock_guard lock(mutex_);
  Record* any = nullptr;
  for (auto& [name, entry] : records_) {
    if (!entry->connection) continue;
    if (entry.get() == &preferred) return entry.get();
    any = entry.get();
  }
  return any;
}

bool ControlPlane::is_gone(const Watch& watch) {
  Record* entry;
  {
    std::lock_guard lock(mutex_);
    entry = &record(*watch.state);
  }
  // Of a database that is gone no backend is left.
  if (watch.process_id == 0 || entry->dormant) return true;
  Record* asked = connected_record(*entry);
  if (asked == nullptr) return false;
  const auto answer = adapters::backend_gone(*asked->connection, static_cast<int>(watch.process_id),
                                             watch.backend_start);
  if (!answer.ok()) lost(*asked, answer.error());
  return answer.ok() && *answer;
}

void ControlPlane::check_watches() {
  std::vector<Watch> watches;
  {
    std::lock_guard lock(mutex_);
    watches.swap(watches_);
  }
  std::vector<Watch> left;
  for (Watch& watch : watches) {
    if (!is_gone(watch)) {
      left.push_back(std::move(watch));
      continue;
    }
    // What it committed may have changed the catalog: first that is read again.
    for (invalidation::FenceToken fence : watch.fences) reread(*watch.state, fence, true);
  }
  std::lock_guard lock(mutex_);
  watches_.insert(watches_.end(), std::make_move_iterator(left.begin()),
                  std::make_move_iterator(left.end()));
}

}  // namespace pgrecall::proxy
