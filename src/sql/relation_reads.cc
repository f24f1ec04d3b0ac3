// What reading a relation depends on: its family, the bodies of views, row-level security.
#include <algorithm>

#include "sql/family.h"
#include "sql/parsed_text.h"
#include "sql/query_walker.h"
#include "sql/walker_level.h"

namespace pgrecall::sql {
namespace {

/// The context shown to people while a text of the catalog is walked.
class ContextGuard {
 public:
  ContextGuard(Expansion& expansion, const std::string& context)
      : expansion_(expansion), outer_(expansion.context), in_policy_(expansion.in_policy) {
    expansion_.context = context;
    ++expansion_.texts;
  }
  ~ContextGuard() {
    expansion_.context = outer_;
    expansion_.in_policy = in_policy_;
    --expansion_.texts;
  }
  ContextGuard(const ContextGuard&) = delete;
  ContextGuard& operator=(const ContextGuard&) = delete;

 private:
  Expansion& expansion_;
  std::string outer_;
  bool in_policy_;
};

}  // namespace

void QueryWalker::read_range_var(const RangeVar& name) {
  const FoundRelation found =
      names_.find_relation(name.catalogname, name.schemaname, name.relname, facts_);
  if (found.system) {
    facts_.refuse(BypassReason::kSystemCatalog, in_context(name.relname));
    return;
  }
  if (found.relation == nullptr) {
    // It may be a view that calls anything: of this session, or newer than the catalog snapshot.
    const BypassReason why =
        found.temporary ? BypassReason::kTemporaryTable : BypassReason::kUnknownRelation;
    facts_.refuse(why, in_context(name.relname));
    facts_.make_opaque(in_context(name.relname));
    return;
  }
  if (expansion_.texts == 0) facts_.named.push_back(found.relation->oid);
  read(*found.relation, name.inh != 0);
}

bool QueryWalker::begin_read(const Relation& relation, bool inherit) {
  const uint64_t key =
      (uint64_t{relation.oid} << 2) | (inherit ? 2U : 0U) | (expansion_.in_policy ? 1U : 0U);
  auto& done = expansion_.reads_done;
  if (std::find(done.begin(), done.end(), key) != done.end()) return false;
  done.push_back(key);
  return true;
}

void QueryWalker::read(const Relation& relation, bool inherit) {
  if (!begin_read(relation, inherit)) return;
  const Catalog& catalog = names_.catalog();
  add_family(catalog, relation, inherit, facts_.reads);
  if (expansion_.in_policy) add_family(catalog, relation, inherit, facts_.policy_reads);
  check_kind(relation);
  check_columns(relation);
  judge_conversions(relation);
  judge_planning(relation);
  if (inherit && !relation.children.empty()) {
    for (const Relation* member : family_members(catalog, relation)) {
      check_kind(*member);
      if (member != &relation) judge_planning(*member);
    }
  }
  if (relation.row_security) read_policies(relation);
  if (relation.kind == 'v') read_view(relation);
}

void QueryWalker::check_kind(const Relation& relation) {
  const auto label = [&] { return in_context(names_.describe(relation.schema, relation.name)); };
  switch (relation.kind) {
    case 'r':
    case 'p':
    case 'v':
    case 'm':
      break;
    case 'f':
      return facts_.refuse(BypassReason::kForeignTable, label());
    case 'S':
      return facts_.refuse(BypassReason::kSystemCatalog, label() + " is a sequence");
    default:
      facts_.refuse(BypassReason::kUnknownRelation, label());
  }
  if (relation.persistence == 'u') facts_.refuse(BypassReason::kUnloggedTable, label());
  if (relation.persistence == 't') facts_.refuse(BypassReason::kTemporaryTable, label());
}

void QueryWalker::check_columns(const Relation& relation) {
  for (const Column& column : relation.columns) {
    if (names_.is_trusted_type(column.type)) {
      if (!names_.type(column.type).is_zoned_time) continue;
      facts_.refuse(BypassReason::kClockFunction, in_context(column.name + " is a timetz"));
      return;
    }
    facts_.refuse(BypassReason::kUnknownType,
                  in_context(names_.describe(relation.schema, relation.name) + "." + column.name));
    return;
  }
}

/// Values of these columns may be converted or compared by functions of users without a word of it
/// in the text. Nothing converts built-in types, but their order may be one of users.
void QueryWalker::judge_conversions(const Relation& relation) {
  const bool compares = names_.catalog().code_compares();
  for (const Column& column : relation.columns) {
    if (column.type < kFirstNormalOid && !compares) continue;
    if (!names_.type(column.type).converted_by_code) continue;
    return run_cast(in_context("values of " + names_.describe(relation.schema, relation.name) +
                               "." + column.name));
  }
}

/// The planner loads the indexes and checks of what is read, and runs what is constant in them; an
/// index may be scanned, or compared with, whatever the text says.
void QueryWalker::judge_planning(const Relation& relation) {
  for (const Oid oid : relation.index_functions) judge_listed_function(oid);
  for (const std::string& text : relation.planned_expressions) {
    const auto parsed = parse_catalog_text("SELECT (" + text + "\n)");
    const Node* node = parsed != nullptr ? parsed->statements[0].node : nullptr;
    if (node == nullptr) {
      run_cast(in_context("a check or index of " + relation.name));
    } else {
      judge_constants(inner(node));
    }
  }
}

/// True if a column is named in it. Functions and operators that only have constants are judged.
bool QueryWalker::judge_constants(const Message* message) {
  bool has_column = message->descriptor == &pg_query__column_ref__descriptor;
  for_each_child(message, [&](const Message* child) {
    if (judge_constants(child)) has_column = true;
  });
  if (has_column) return true;
  if (message->descriptor == &pg_query__func_call__descriptor) {
    const auto& call = *reinterpret_cast<const FuncCall*>(message);
    const QualifiedName name = name_of(call.n_funcname, call.funcname);
    apply_code(names_.judge_call(name, static_cast<int>(call.n_args), facts_), name.name);
  } else if (message->descriptor == &pg_query__a__expr__descriptor) {
    const auto& expression = *reinterpret_cast<const PgQuery__AExpr*>(message);
    const QualifiedName name = name_of(expression.n_name, expression.name);
    apply_code(names_.judge_operator(name, facts_), name.name);
  }
  return false;
}

/// Of what a text of the catalog calls, only what may run code of users counts.
void QueryWalker::apply_code(const NameScope::Judged& judged, std::string_view name) {
  if (judged.verdict >= Verdict::kUnknown) apply(judged, name);
}

void QueryWalker::read_view(const Relation& view) {
  const std::string name = names_.describe(view.schema, view.name);
  std::shared_ptr<const ParsedText> parsed;
  if (!view.view_definition.empty() && expansion_.texts < kTextDepthMax) {
    parsed = parse_catalog_text(view.view_definition);
  }
  const ContextGuard guard(expansion_, " in view " + name);
  if (parsed == nullptr) {
    facts_.refuse(BypassReason::kUnreadableView, name);
    facts_.make_opaque(name);
  } else {
    QueryWalker(expansion_.catalog_names, facts_, expansion_).query(parsed->statements[0].node);
  }
  // What the catalog knows of the body must be part of what we found in it.
  for (const Oid oid : view.rewrite_relations) {
    const Relation* relation = names_.catalog().relation(oid);
    if (relation != nullptr && relation->oid != view.oid && !is_listed(facts_.reads, oid)) {
      read(*relation, true);
    }
  }
  for (const Oid oid : view.rewrite_functions) judge_listed_function(oid);
}

void QueryWalker::refresh(const Relation& matview) {
  facts_.named.push_back(matview.oid);
  add_family(names_.catalog(), matview, false, facts_.writes);
  read_view(matview);
  judge_write_expressions(matview);  // its indexes are built anew
}

void QueryWalker::judge_listed_function(Oid oid) {
  const Function* function = names_.catalog().function(oid);
  NameScope::Judged judged;
  judged.function = function;
  if (function != nullptr) judged.verdict = judge_function(*function);
  judged.clock = judged.verdict == Verdict::kClock;
  apply(judged, "a function");
}

void QueryWalker::read_policies(const Relation& relation) {
  const std::string name = names_.describe(relation.schema, relation.name);
  const ContextGuard guard(expansion_, " in a policy of " + name);
  expansion_.in_policy = true;
  if (expansion_.texts > kTextDepthMax) {
    facts_.refuse(BypassReason::kUnreadablePolicy, name);
    facts_.make_opaque(name);
    return;
  }
  QueryWalker walker(expansion_.catalog_names, facts_, expansion_);
  for (const std::string& policy : relation.policies) {
    walker.expression_text(policy, relation, BypassReason::kUnreadablePolicy);
  }
  for (const Oid oid : relation.policy_relations) {
    const Relation* other = names_.catalog().relation(oid);
    if (other != nullptr && !is_listed(facts_.policy_reads, oid)) walker.read(*other, true);
  }
  for (const Oid oid : relation.policy_functions) judge_listed_function(oid);
}

void QueryWalker::expression_text(const std::string& text, const Relation& relation,
                                  BypassReason unreadable) {
  const auto parsed = parse_catalog_text("SELECT (" + text + "\n)");
  const Node* node = parsed != nullptr ? parsed->statements[0].node : nullptr;
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
    const std::string name = names_.describe(relation.schema, relation.name);
    facts_.refuse(unreadable, name);
    facts_.make_opaque(name);
    return;
  }
  Level level;
  LevelGuard guard(level_, level);
  level.range.push_back({relation.name, &relation, {}, true});
  nodes(node->select_stmt->n_target_list, node->select_stmt->target_list);
}

}  // namespace pgrecall::sql
