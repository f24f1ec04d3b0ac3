#include "pgrecall/session/database_state.h"

#include <functional>
#include <utility>

namespace pgrecall::session {

using invalidation::DependencyId;
using invalidation::DependencyKind;

std::shared_ptr<const sql::Catalog> DatabaseState::catalog() const {
  std::lock_guard lock(mutex_);
  return catalog_;
}

void DatabaseState::suspect() {
  suspicions_.fetch_add(1);
  current_version_.store(0);
  port_.reread(*this, 0, false);
}

void DatabaseState::changed(invalidation::FenceToken fence) {
  suspicions_.fetch_add(1);
  current_version_.store(0);
  port_.reread(*this, fence, true);
}

void DatabaseState::publish(std::shared_ptr<const sql::Catalog> catalog, uint64_t suspicions) {
  std::lock_guard lock(mutex_);
  const uint64_t version = catalog->version;
  catalog_ = std::move(catalog);
  if (suspicions_.load() != suspicions) return;
  confirmed_.store(asked_at_);
  current_version_.store(version);
  // A suspicion between the check and the store must win.
  if (suspicions_.load() != suspicions) current_version_.store(0);
}

void DatabaseState::lose() {
  suspicions_.fetch_add(1);
  current_version_.store(0);
}

void DatabaseState::expire(TimePoint oldest) {
  if (current_version_.load() != 0 && confirmed_.load() < oldest) lose();
}

DependencyId DatabaseState::relation_dependency(sql::Oid relation) const {
  std::lock_guard lock(mutex_);
  return dependency_id(catalog_ ? catalog_->system_identifier : 0,
                       catalog_ ? catalog_->database : 0, DependencyKind::kRelation, relation);
}

DependencyId DatabaseState::database_dependency() const {
  // By name, so that it exists, and can be raised, before the catalog was ever read.
  const auto hash = static_cast<uint32_t>(std::hash<std::string>()(name_));
  return dependency_id(0, hash, DependencyKind::kDatabase, 0);
}

DependencyId DatabaseState::shared_dependency() const {
  return dependency_id(0, 0, DependencyKind::kShared, 0);
}

DependencyId DatabaseState::definitions_dependency() const {
  const auto hash = static_cast<uint32_t>(std::hash<std::string>()(name_));
  return dependency_id(0, hash, DependencyKind::kDefinitions, 0);
}

DatabaseState& DatabaseDirectory::database(std::string_view name) {
  std::lock_guard lock(mutex_);
  std::unique_ptr<DatabaseState>& database = databases_[std::string(name)];
  if (!database) {
    database = std::make_unique<DatabaseState>(std::string(name), epochs_, port_);
  }
  return *database;
}

std::vector<DatabaseState*> DatabaseDirectory::all() const {
  std::lock_guard lock(mutex_);
  std::vector<DatabaseState*> databases;
  for (const auto& [name, database] : databases_) databases.push_back(database.get());
  return databases;
}

}  // namespace pgrecall::session
