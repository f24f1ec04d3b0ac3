#include "sql/family.h"

#include <unordered_set>

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

/// The roots of `member` whose families are too big to be listed.
std::vector<Oid> big_roots(const Catalog& catalog, const Relation& member) {
  std::vector<Oid> roots;
  if (member.parents.empty() && member.children.empty()) return roots;
  for (const Relation* ancestor : reachable(catalog, member, &Relation::parents, SIZE_MAX)) {
    if (ancestor->parents.empty() && is_big(catalog, *ancestor)) roots.push_back(ancestor->oid);
  }
  return roots;
}

}  // namespace

std::vector<const Relation*> family_members(const Catalog& catalog, const Relation& relation) {
  return reachable(catalog, relation, &Relation::children, SIZE_MAX);
}

void add_family(const Catalog& catalog, const Relation& relation, bool inherit,
                std::vector<Oid>& ids) {
  ids.push_back(relation.oid);
  if (relation.children.empty() && relation.parents.empty()) return;
  const auto members =
      inherit ? family_members(catalog, relation) : std::vector<const Relation*>{&relation};
  std::unordered_set<Oid> known_roots;
  for (const Relation* member : members) {
    const std::vector<Oid> roots = big_roots(catalog, *member);
    if (roots.empty()) ids.push_back(member->oid);
    for (const Oid root : roots) {
      if (known_roots.insert(root).second) ids.push_back(root);
    }
  }
}

}  // namespace pgrecall::sql
