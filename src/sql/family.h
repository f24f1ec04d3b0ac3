// Inheritance and partition families: which ids stand for a relation in read and write sets.
#pragma once

#include <vector>

#include "pgrecall/sql/catalog.h"

namespace pgrecall::sql {

/// A family with more descendants than this is represented by its root.
constexpr size_t kFamilyMax = 64;

/// `relation` and all its descendants, each once.
std::vector<const Relation*> family_members(const Catalog& catalog, const Relation& relation);

/// The partitioned tables that `relation` is a partition of, at any level. Before version 15 their
/// triggers and foreign keys do not show on the partition itself.
std::vector<const Relation*> partitioned_ancestors(const Catalog& catalog,
                                                   const Relation& relation);

/// Adds the ids that stand for reading or writing `relation` (with its descendants if `inherit`).
/// Reads and writes use this one function, so two sets that share a member share an id: every
/// member is named itself, unless one of its roots has more than kFamilyMax descendants; then by
/// those.
void add_family(const Catalog& catalog, const Relation& relation, bool inherit,
                std::vector<Oid>& ids);

}  // namespace pgrecall::sql
