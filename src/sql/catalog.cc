#include "pgrecall/sql/catalog.h"

#include <algorithm>

#include "sql/function_rules.h"

namespace pgrecall::sql {
namespace {

template <typename Map>
auto find(const Map& map, Oid oid) -> const typename Map::mapped_type* {
  const auto found = map.find(oid);
  return found == map.end() ? nullptr : &found->second;
}

/// Adds every object of `objects` to `index` under its name.
template <typename Objects, typename Index>
void index_by_name(const Objects& objects, Index& index) {
  index.clear();
  index.reserve(objects.size());
  for (const auto& [oid, object] : objects) index[object.name].push_back(&object);
}

template <typename Index>
auto find_all(const Index& index, std::string_view name) -> const typename Index::mapped_type& {
  static const typename Index::mapped_type kNone;
  const auto found = index.find(name);
  return found == index.end() ? kNone : found->second;
}

}  // namespace

void Catalog::index() {
  schema_by_name_.clear();
  for (const auto& [oid, name] : schemas) schema_by_name_.emplace(name, oid);
  role_by_name_.clear();
  for (const auto& [oid, role] : roles) role_by_name_.emplace(role.name, oid);
  index_by_name(relations, relation_by_name_);
  index_by_name(functions, function_by_name_);
  index_by_name(operators, operator_by_name_);
  index_by_name(types, type_by_name_);
  has_domains_ = std::any_of(types.begin(), types.end(), [](const auto& entry) {
    return entry.second.kind == 'd' && entry.first >= kFirstNormalOid;
  });
  index_casts();
  index_operator_classes();
}

void Catalog::index_casts() {
  for (const Cast& cast : casts) {
    const Function* called = function(cast.function);
    if (called != nullptr && judge_function(*called) == Verdict::kSafe) continue;
    const bool from_users = cast.source >= kFirstNormalOid;
    const bool to_users = cast.target >= kFirstNormalOid;
    // `x::int` runs the code only where x is of the type of users.
    if (to_users || !from_users) code_targets_.insert(cast.target);
    if (from_users && (!cast.only_explicit || !to_users)) code_converted_.insert(cast.source);
    if (cast.only_explicit) continue;
    if (to_users) code_converted_.insert(cast.target);
    if (!from_users && !to_users) code_converts_built_ins_ = true;
  }
}

void Catalog::index_operator_classes() {
  for (const OperatorClass& entry : operator_classes) {
    if (entry.sorts_unasked) code_converted_.insert(entry.input);
  }
  index_foreign_keys();
}

/// A foreign key looks rows up on the other side: that is planned, and an index of it may be used.
void Catalog::index_foreign_keys() {
  const auto runs_code = [](const Relation& relation) {
    return !relation.index_functions.empty() || !relation.planned_expressions.empty();
  };
  const auto add = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  std::vector<std::pair<Oid, Relation>> found;  // where to, and copies of what: one step only
  const auto note = [&](Oid to, const Relation& from) {
    Relation copy;
    copy.index_functions = from.index_functions;
    copy.planned_expressions = from.planned_expressions;
    found.emplace_back(to, std::move(copy));
  };
  for (const auto& [oid, parent] : relations) {
    for (const ForeignKey& key : parent.referenced_by) {
      const Relation* child = relation(key.child);
      if (child == nullptr || child == &parent) continue;
      if (runs_code(parent)) note(child->oid, parent);
      if (runs_code(*child)) note(oid, *child);
    }
  }
  for (const auto& [oid, from] : found) {
    Relation& to = relations.at(oid);
    add(to.index_functions, from.index_functions);
    add(to.planned_expressions, from.planned_expressions);
  }
}

const Relation* Catalog::relation(Oid oid) const {
  return find(relations, oid);
}

const Relation* Catalog::relation(Oid schema, std::string_view name) const {
  for (const Relation* candidate : find_all(relation_by_name_, name))
    if (candidate->schema == schema) return candidate;
  return nullptr;
}

Oid Catalog::schema(std::string_view name) const {
  const auto found = schema_by_name_.find(name);
  return found == schema_by_name_.end() ? kInvalidOid : found->second;
}

Oid Catalog::role(std::string_view name) const {
  const auto found = role_by_name_.find(name);
  return found == role_by_name_.end() ? kInvalidOid : found->second;
}

const Role* Catalog::role(Oid oid) const {
  return find(roles, oid);
}

bool Catalog::may_use(Oid role_oid, Oid schema) const {
  const std::vector<Oid>* users = find(schema_users, schema);
  const Role* asking = role(role_oid);
  if (users == nullptr || asking == nullptr || asking->superuser) return true;
  return std::any_of(users->begin(), users->end(), [&](Oid user) {
    const auto& others = asking->has_privileges_of;
    return user == role_oid || std::find(others.begin(), others.end(), user) != others.end();
  });
}

const Function* Catalog::function(Oid oid) const {
  return find(functions, oid);
}

const std::vector<const Function*>& Catalog::functions_named(std::string_view name) const {
  return find_all(function_by_name_, name);
}

const std::vector<const Operator*>& Catalog::operators_named(std::string_view name) const {
  return find_all(operator_by_name_, name);
}

const std::vector<const Type*>& Catalog::types_named(std::string_view name) const {
  return find_all(type_by_name_, name);
}

}  // namespace pgrecall::sql
