#include "sql/family.h"

#include <unordered_map>
#include <unordered_set>

#include "sql/facts.h"

namespace pgrecall::sql {
namespace {

using Edges = std::vector<Oid> Relation::*;

/// Breadth first along `edges`, each relation once, at most `limit` of them.
std::vector<const Relation*> reachable(const Catalog& catalog, const Relation& from, Edges edges,
                                       size_t limit) {
  std::vector<const Relation*> found{&from};
  if ((from.*edges).empty()) return found;
  std::unordered_set<Oid> seen{from.oid};
  for (size_t i = 0; i < found.size() && found.size() < limit; ++i) {
    for (const Oid next : found[i]->*edges) {
      const Relation* relation = catalog.relation(next);
      if (relation != nullptr && seen.insert(next).second) found.push_back(relation);
    }
  }
  return found;
}

bool is_big(const Catalog& catalog, const Relation& root) {
  return reachable(catalog, root, &Relation::children, kFamilyMax + 2).size() > kFamilyMax + 1;
}

/// The roots of `member` whose families are too big to be listed. `known` remembers which are.
std::vector<Oid> big_roots(const Catalog& catalog, const Relation& member,
                           std::unordered_map<Oid, bool>& known) {
  std::vector<Oid> roots;
  if (member.parents.empty() && member.children.empty()) return roots;
  for (const Relation* ancestor : reachable(catalog, member, &Relation::parents, SIZE_MAX)) {
    if (!ancestor->parents.empty()) continue;
    const auto [entry, inserted] = known.try_emplace(ancestor->oid, false);
    if (inserted) entry->second = is_big(catalog, *ancestor);
    if (entry->second) roots.push_back(ancestor->oid);
  }
  return roots;
}

}  // namespace

std::vector<const Relation*> family_members(const Catalog& catalog, const Relation& relation) {
  return reachable(catalog, relation, &Relation::children, SIZE_MAX);
}

std::vector<const Relation*> partitioned_ancestors(const Catalog& catalog,
                                                   const Relation& relation) {
  std::vector<const Relation*> found;
  if (relation.parents.empty()) return found;
  for (const Relation* ancestor : reachable(catalog, relation, &Relation::parents, SIZE_MAX)) {
    if (ancestor != &relation && ancestor->kind == 'p') found.push_back(ancestor);
  }
  return found;
}

void add_family(const Catalog& catalog, const Relation& relation, bool inherit,
                std::vector<Oid>& ids) {
  ids.push_back(relation.oid);
  if (relation.children.empty() && relation.parents.empty()) return;
  std::unordered_map<Oid, bool> known;
  const std::vector<Oid> own_roots = big_roots(catalog, relation, known);
  ids.insert(ids.end(), own_roots.begin(), own_roots.end());
  // All partitions of a partitioned table have one root.
  if (!inherit || (relation.kind == 'p' && !own_roots.empty())) return;
  for (const Relation* member : family_members(catalog, relation)) {
    const std::vector<Oid> roots = big_roots(catalog, *member, known);
    if (roots.empty()) ids.push_back(member->oid);
    for (const Oid root : roots) add_unique(ids, root);
  }
}

}  // namespace pgrecall::sql
