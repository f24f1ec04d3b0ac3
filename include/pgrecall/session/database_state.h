// DatabaseState: what the whole process knows of one database, and whether that is still current.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/invalidation/epoch_table.h"
#include "pgrecall/sql/catalog.h"

namespace pgrecall::session {

class DatabaseState;

/// The control plane: re-reads catalogs and watches backends, on a thread of its own. Any thread.
class CatalogPort {
 public:
  virtual ~CatalogPort() = default;
  /// The catalog may have changed. Calls `DatabaseState::publish` when it is known again and
  /// settles `fence` (if not 0) after that. `certain`: it did change, re-read without asking.
  virtual void reread(DatabaseState& database, invalidation::FenceToken fence, bool certain) = 0;
  /// A client has logged in to the database: there is one of that name.
  virtual void logged_in(DatabaseState& database) = 0;
  /// Gives up the connection to a database that is about to be dropped, renamed or copied.
  virtual void release(std::string_view database) = 0;
  /// Settles the fences once the backend is known to be gone from the primary.
  virtual void settle_when_gone(DatabaseState& database, uint32_t process_id,
                                std::string backend_start,
                                std::vector<invalidation::FenceToken> fences) = 0;

  /// Grows when the server is found to have read its configuration again: every connection may have
  /// other defaults than when it was inspected. One load.
  uint64_t configuration() const { return configuration_.load(std::memory_order_seq_cst); }

 protected:
  std::atomic<uint64_t> configuration_{1};
};

/// One per name of a database that a client has logged in to, never removed. Any thread. While the
/// catalog is not current, reads are bypassed and writes are opaque.
class DatabaseState {
 public:
  DatabaseState(std::string name, invalidation::EpochTable& epochs, CatalogPort& port)
      : name_(std::move(name)), epochs_(epochs), port_(port) {}

  const std::string& name() const { return name_; }

  /// The version of the current snapshot; 0 while there is none or it may be outdated. One load.
  uint64_t current_version() const { return current_version_.load(std::memory_order_seq_cst); }
  /// The last snapshot, current or not; null before the first.
  std::shared_ptr<const sql::Catalog> catalog() const;

  /// From now on the snapshot does not count; starts a re-read. Call it *before* the epochs that
  /// the change advances.
  void suspect();
  void changed(invalidation::FenceToken fence);

  /// Number of suspicions so far. The control plane reads it before it takes a snapshot.
  uint64_t suspicions() const { return suspicions_.load(std::memory_order_seq_cst); }
  /// A snapshot (or the news that the old one still holds) taken after `suspicions` were known.
  /// Ignored if there have been others since.
  void publish(std::shared_ptr<const sql::Catalog> catalog, uint64_t suspicions);
  /// The control connection is lost: nothing is current until the next publish.
  void lose();
  /// The control plane asks the server now whether the snapshot still holds; `publish` is its
  /// answer.
  void asked(TimePoint now) { asked_at_ = now; }
  /// As `lose`, if the last answer belongs to a question from before `oldest`: the server, or the
  /// control connection, hangs.
  void expire(TimePoint oldest);

  /// What every read depends on: the cluster's shared catalogs and the database.
  invalidation::DependencyId relation_dependency(sql::Oid relation) const;
  /// Taken by opaque statements and DDL; by cluster commands. Known even before a catalog is: the
  /// name stands in for the oid, which nobody depends on then.
  invalidation::DependencyId database_dependency() const;
  invalidation::DependencyId shared_dependency() const;
  /// Taken by DDL alone: what was planned before it moved may have met other definitions.
  invalidation::DependencyId definitions_dependency() const;
  /// What a statement of unknown effect may have changed: this database, and what all share.
  std::vector<invalidation::DependencyId> opaque_dependencies() const {
    return {database_dependency(), shared_dependency()};
  }
  /// What DDL changes; `opaquely`: beside it, code of unknown effect may run.
  std::vector<invalidation::DependencyId> definition_dependencies(bool opaquely) const {
    if (!opaquely) return {database_dependency(), definitions_dependency()};
    return {database_dependency(), definitions_dependency(), shared_dependency()};
  }
  const invalidation::EpochSlot* slot(invalidation::DependencyId id) { return epochs_.slot(id); }

  CatalogPort& port() { return port_; }

 private:
  const std::string name_;
  invalidation::EpochTable& epochs_;
  CatalogPort& port_;
  std::atomic<uint64_t> current_version_{0};
  std::atomic<uint64_t> suspicions_{0};
  TimePoint asked_at_{};                ///< control plane's thread only
  std::atomic<TimePoint> confirmed_{};  ///< when the question was asked that confirmed the snapshot
  mutable std::mutex mutex_;
  std::shared_ptr<const sql::Catalog> catalog_;
};

class DatabaseDirectory {
 public:
  DatabaseDirectory(invalidation::EpochTable& epochs, CatalogPort& port)
      : epochs_(epochs), port_(port) {}
  /// Only for a name that a login has shown to exist: anybody can name anything.
  DatabaseState& database(std::string_view name);
  CatalogPort& port() const { return port_; }
  std::vector<DatabaseState*> all() const;

 private:
  invalidation::EpochTable& epochs_;
  CatalogPort& port_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<DatabaseState>> databases_;
};

}  // namespace pgrecall::session
