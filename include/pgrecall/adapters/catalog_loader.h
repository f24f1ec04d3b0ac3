// From a live database to sql::Catalog, and a digest that tells when to read it again.
#pragma once

#include <memory>
#include <string>

#include "pgrecall/adapters/control_connection.h"
#include "pgrecall/base/result.h"
#include "pgrecall/sql/catalog.h"

namespace pgrecall::adapters {

/// Reads the catalog of the connection's database in one REPEATABLE READ transaction and indexes
/// it. Needs no privilege beyond CONNECT; versions 13 to 18. `database_epoch` stays 0: the caller,
/// who read it before calling, sets it before sharing the catalog.
///
/// Temporary relations of sessions, indexes, TOAST tables and composite types are left out. System
/// relations are there, without the texts of their views and defaults.
///
/// The functions that print expressions look at the newest state rather than at the transaction's
/// snapshot, so a definition changed during the load may be mixed into it. Whoever keeps the
/// catalog therefore takes `catalog_digest` BEFORE loading: the next digest differs then.
///
/// Texts of relations that somebody holds (or awaits) an ACCESS EXCLUSIVE lock on cannot be read
/// without waiting. They are left unreadable (sql::kUnreadableText, or an empty view definition)
/// and the catalog says `complete == false`: load it again soon, even if the digest stays.
Result<std::shared_ptr<sql::Catalog>> load_catalog(ControlConnection& connection);

/// A text that changes whenever whenever something that a Catalog holds, or that decides who
/// may see what, has changed: definitions, privileges, roles, memberships, settings of roles and
/// databases, a reload of the configuration, a restart or a failover. For people it shows which
/// catalog changed. It stays the same over INSERT, ANALYZE, VACUUM, index and temporary-table
/// commands; TRUNCATE and REFRESH MATERIALIZED VIEW change it.
///
/// It reads the catalogs from end to end: its cost grows with the number of columns of all tables
/// (2 ms for a Django project, 100 ms for 5,000 tables). Where a feed tells of transactions that
/// may have changed the catalog of the database, `shared_digest` is enough in between.
Result<std::string> catalog_digest(ControlConnection& connection);

/// The part of `catalog_digest` that no feed of one database carries: roles, memberships, settings
/// of roles and databases, the configuration, restart and failover. Costs 1 ms whatever the size.
Result<std::string> shared_digest(ControlConnection& connection);

}  // namespace pgrecall::adapters
