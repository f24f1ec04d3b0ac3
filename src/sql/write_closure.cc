// What a write touches: the family, the base of an updatable view, foreign-key actions. Rules and
// triggers of users make it opaque, and so do defaults and checks that call their functions.
#include <algorithm>

#include "sql/family.h"
#include "sql/parsed_text.h"
#include "sql/query_walker.h"
#include "sql/walker_level.h"

namespace pgrecall::sql {
namespace {

std::vector<const Relation*> members_of(const Catalog& catalog, const Relation& relation,
                                        bool inherit) {
  if (!inherit || relation.children.empty()) return {&relation};
  return family_members(catalog, relation);
}

/// The numbers of named columns; none (any column) if a name is not a column of the relation.
std::optional<std::vector<int16_t>> column_numbers(const Relation& relation,
                                                   const std::vector<std::string_view>* names) {
  if (names == nullptr) return std::nullopt;
  std::vector<int16_t> numbers;
  for (const std::string_view name : *names) {
    const auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                    [&](const Column& column) { return column.name == name; });
    if (found == relation.columns.end()) return std::nullopt;
    numbers.push_back(found->number);
  }
  return numbers;
}

/// True if setting `columns` (none: any) may change one of `key`, also through a generated column.
bool sets_one_of(const Relation& relation, const std::optional<std::vector<int16_t>>& columns,
                 const std::vector<int16_t>& key) {
  if (!columns.has_value()) return true;
  return std::any_of(key.begin(), key.end(), [&](int16_t number) {
    if (std::find(columns->begin(), columns->end(), number) != columns->end()) return true;
    return std::any_of(relation.columns.begin(), relation.columns.end(), [&](const Column& column) {
      return column.number == number && column.generated;
    });
  });
}

bool is_updatable_kind(char kind) {
  return kind == 'r' || kind == 'p' || kind == 'v';
}

}  // namespace

void QueryWalker::write_range_var(const RangeVar& name, WriteKind kind,
                                  const std::vector<std::string_view>* columns) {
  facts_.writes_something = true;
  const FoundRelation found =
      names_.find_relation(name.catalogname, name.schemaname, name.relname, facts_);
  if (found.relation == nullptr || found.system) {
    facts_.make_opaque(in_context(name.relname));
    return;
  }
  const Relation& relation = *found.relation;
  if (expansion_.texts == 0) facts_.named.push_back(relation.oid);
  write({&relation, kind, name.inh != 0, column_numbers(relation, columns)});
}

void QueryWalker::make_opaque_for(std::string_view what, const Relation& relation) {
  facts_.make_opaque(std::string(what) + names_.describe(relation.schema, relation.name));
}

void QueryWalker::write(Write first) {
  std::vector<Write> pending{std::move(first)};
  while (!pending.empty()) {
    const Write next = std::move(pending.back());
    pending.pop_back();
    const uint64_t key = (uint64_t{next.relation->oid} << 4) |
                         (static_cast<uint64_t>(next.kind) << 2) | (next.inherit ? 2U : 0U) |
                         (next.columns.has_value() ? 1U : 0U);
    auto& done = expansion_.writes_done;
    if (!next.columns.has_value()) {
      if (std::find(done.begin(), done.end(), key) != done.end()) continue;
      done.push_back(key);
    }
    write_one(next, pending);
  }
}

void QueryWalker::write_one(const Write& write, std::vector<Write>& pending) {
  const Catalog& catalog = names_.catalog();
  add_family(catalog, *write.relation, write.inherit, facts_.writes);
  for (const Relation* member : members_of(catalog, *write.relation, write.inherit)) {
    if (!is_updatable_kind(member->kind)) make_opaque_for("a write to ", *member);
    if (member->has_rules) make_opaque_for("rules of ", *member);
    if (member->has_user_triggers) make_opaque_for("triggers of ", *member);
    if (member->row_security) read_policies(*member);
    if (write.kind != WriteKind::kTruncate) judge_planning(*member);
    if (write.kind == WriteKind::kInsert || write.kind == WriteKind::kUpdate) {
      judge_write_expressions(*member);
    }
    const Write of_member{member, write.kind, false, write.columns};
    if (member->kind == 'v') write_view(of_member, pending);
    foreign_key_actions(of_member, pending);
    for (const Relation* ancestor : partitioned_ancestors(catalog, *member)) {
      if (ancestor->has_user_triggers) make_opaque_for("triggers of ", *ancestor);
      // Its key is computed for a row that is put into the partition itself.
      if (write.kind == WriteKind::kInsert || write.kind == WriteKind::kUpdate) {
        judge_write_expressions(*ancestor);
      }
      foreign_key_actions({ancestor, write.kind, false, std::nullopt}, pending);
    }
  }
  // Before version 15 a row that an UPDATE moves to another partition fires ON DELETE actions.
  if (write.kind == WriteKind::kUpdate && write.relation->kind == 'p' &&
      catalog.server_version_num < 150000) {
    pending.push_back({write.relation, WriteKind::kDelete, write.inherit, std::nullopt});
  }
}

/// An updatable view has exactly one relation in FROM (sql-createview); rules and INSTEAD OF
/// triggers were seen before.
void QueryWalker::write_view(const Write& write, std::vector<Write>& pending) {
  const Relation& view = *write.relation;
  read(view, true);  // its conditions run functions, and its policies may read
  const auto parsed =
      view.view_definition.empty() ? nullptr : parse_catalog_text(view.view_definition);
  const Node* node = parsed != nullptr ? parsed->statements[0].node : nullptr;
  const SelectStmt* body = node != nullptr && node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT
                               ? node->select_stmt
                               : nullptr;
  const Relation* base = nullptr;
  bool inherit = true;
  if (body != nullptr && body->n_from_clause == 1 &&
      body->from_clause[0]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
    const RangeVar& name = *body->from_clause[0]->range_var;
    const FoundRelation found = expansion_.catalog_names.find_relation(
        name.catalogname, name.schemaname, name.relname, facts_);
    if (!found.system) base = found.relation;
    inherit = name.inh != 0;
  }
  if (base == nullptr) {
    make_opaque_for("a write to view ", view);
    return;
  }
  pending.push_back({base, write.kind, inherit, std::nullopt});
}

void QueryWalker::foreign_key_actions(const Write& write, std::vector<Write>& pending) {
  if (write.kind == WriteKind::kInsert || write.kind == WriteKind::kTruncate) return;
  const Catalog& catalog = names_.catalog();
  const bool is_delete = write.kind == WriteKind::kDelete;
  for (const ForeignKey& key : write.relation->referenced_by) {
    const char action = is_delete ? key.on_delete : key.on_update;
    if (action != 'c' && action != 'n' && action != 'd') continue;
    if (!is_delete && !sets_one_of(*write.relation, write.columns, key.parent_columns)) continue;
    const Relation* child = catalog.relation(key.child);
    if (child == nullptr) {
      facts_.make_opaque("foreign key " + key.name);
      continue;
    }
    const bool deletes = is_delete && action == 'c';
    pending.push_back(
        {child, deletes ? WriteKind::kDelete : WriteKind::kUpdate, true, std::nullopt});
  }
}

void QueryWalker::judge_write_expressions(const Relation& relation) {
  auto& done = expansion_.checks_done;
  if (std::find(done.begin(), done.end(), relation.oid) != done.end()) return;
  done.push_back(relation.oid);
  judge_conversions(relation);
  for (const Oid oid : relation.index_functions) judge_listed_function(oid);
  const std::string name = names_.describe(relation.schema, relation.name);
  for (const Column& column : relation.columns) {
    if (column.type < kFirstNormalOid || !names_.is_domain(column.type)) continue;
    facts_.make_opaque("domain of " + name + "." + column.name);
  }
  if (relation.write_expressions.empty()) return;
  // Reads of a check or default are no reads of the statement; what they may run or leave counts.
  Facts facts;
  Expansion expansion(names_.catalog());
  expansion.context = " in a default or check of " + name;
  expansion.texts = 1;
  QueryWalker walker(expansion.catalog_names, facts, expansion);
  for (const std::string& text : relation.write_expressions) {
    walker.expression_text(text, relation, BypassReason::kUnparsed);
  }
  facts_.runs_code = facts_.runs_code || facts.runs_code;
  if (facts.opaque) facts_.make_opaque(facts.detail);
  facts_.session_effects |= facts.session_effects;
  facts_.locks = facts_.locks || facts.locks;
  facts_.cluster = facts_.cluster || facts.cluster;
  facts_.uses_clock = facts_.uses_clock || facts.uses_clock;
}

void QueryWalker::truncate(const RangeVar& name, bool cascade) {
  write_range_var(name, WriteKind::kTruncate);
  const FoundRelation found =
      names_.find_relation(name.catalogname, name.schemaname, name.relname, facts_);
  if (!cascade || found.relation == nullptr) return;
  const Catalog& catalog = names_.catalog();
  std::vector<const Relation*> pending = members_of(catalog, *found.relation, name.inh != 0);
  for (size_t i = 0; i < pending.size(); ++i) {
    std::vector<const Relation*> referenced = partitioned_ancestors(catalog, *pending[i]);
    referenced.push_back(pending[i]);
    for (const Relation* relation : referenced) {
      for (const ForeignKey& key : relation->referenced_by) {
        const Relation* child = catalog.relation(key.child);
        if (child == nullptr) {
          facts_.make_opaque("foreign key " + key.name);
          continue;
        }
        write({child, WriteKind::kTruncate, true, std::nullopt});
        for (const Relation* member : members_of(catalog, *child, true)) {
          if (std::find(pending.begin(), pending.end(), member) == pending.end()) {
            pending.push_back(member);
          }
        }
      }
    }
  }
}

}  // namespace pgrecall::sql
