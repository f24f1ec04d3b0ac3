// QueryWalker: walks a query, its views and policies, and collects Facts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/facts.h"
#include "sql/name_scope.h"
#include "sql/tree.h"

namespace pgrecall::sql {

enum class WriteKind : uint8_t { kInsert, kUpdate, kDelete, kTruncate };

/// Shared by all walkers of one statement: what was expanded already, and how deep we are.
struct Expansion {
  explicit Expansion(const Catalog& catalog) : catalog_names(catalog) {}

  NameScope catalog_names;  ///< for the texts of the catalog
  std::vector<uint64_t> reads_done;
  std::vector<uint64_t> writes_done;
  std::vector<Oid> checks_done;
  const PgQuery__IntoClause* accounted_into = nullptr;  ///< of a SELECT INTO: its caller knows
  std::string context;                                  ///< " in view v", for people
  int depth = 0;                                        ///< nodes between the root and here
  int texts = 0;  ///< views and policies between the statement and here
  bool in_policy = false;
};

/// Conservative: what it does not understand is visited child by child, and what it cannot resolve
/// makes the statement uncacheable and, if it may run code, opaque. One text, one thread,
/// recursive.
class QueryWalker {
 public:
  QueryWalker(const NameScope& names, Facts& facts, Expansion& expansion)
      : names_(names), facts_(facts), expansion_(expansion) {}

  /// A SELECT, INSERT, UPDATE, DELETE or MERGE; anything else is opaque.
  void query(const Node* node);
  /// Any expression or list of them.
  void expression(const Message* message);
  void expression(const Node* node) {
    if (node != nullptr) visit(node);
  }

  void read_range_var(const RangeVar& name);
  void read(const Relation& relation, bool inherit);
  /// Adds the closure of a write to `name`. `columns`: the columns an UPDATE sets; null: unknown.
  void write_range_var(const RangeVar& name, WriteKind kind,
                       const std::vector<std::string_view>* columns = nullptr);
  void truncate(const RangeVar& name, bool cascade);
  /// Writes the materialised view and judges what its query runs.
  void refresh(const Relation& matview);
  /// Defaults, checks and generated columns of `relation`, and the checks of its domains.
  void judge_write_expressions(const Relation& relation);
  void judge_conversions(const Relation& relation);

 private:
  /// `is_plain`: values of this column are no text, or literals and parameters as they stand.
  struct OutputColumn {
    std::string_view name;
    bool is_plain = false;
    bool is_star = false;  ///< stands for any number of columns
  };
  struct RangeEntry {
    std::string_view name;
    const Relation* relation = nullptr;
    std::vector<OutputColumn> columns;  ///< where `relation` is null
    bool known = false;                 ///< the columns are known
  };
  struct NamedQuery {
    std::string_view name;
    std::vector<OutputColumn> columns;
    bool known = false;
  };
  struct Level {
    std::vector<NamedQuery> ctes;
    std::vector<RangeEntry> range;
    Level* outer = nullptr;
  };
  struct Write {
    const Relation* relation;
    WriteKind kind;
    bool inherit;
    std::optional<std::vector<int16_t>> columns;  ///< none: any
  };
  class LevelGuard;

  // query_walker.cc
  void select(const SelectStmt& statement, std::vector<OutputColumn>* output);
  void select_body(const SelectStmt& statement, std::vector<OutputColumn>* output);
  void values_lists(const SelectStmt& statement, std::vector<OutputColumn>* output);
  void with_clause(const PgQuery__WithClause* with);
  void common_table(const PgQuery__CommonTableExpr& cte, NamedQuery& entry);
  void insert(const PgQuery__InsertStmt& statement);
  void update(const PgQuery__UpdateStmt& statement);
  void remove(const PgQuery__DeleteStmt& statement);
  void merge(const PgQuery__MergeStmt& statement);
  void writes(std::string_view verb, const RangeVar* target);
  void nodes(size_t count, Node* const* list);

  // range_walker.cc
  void range_item(const Node* node);
  void range_var(const RangeVar& name);
  void range_subselect(const PgQuery__RangeSubselect& item);
  void range_target(const RangeVar* name);
  void join(const PgQuery__JoinExpr& item);
  void rename_columns(const PgQuery__Alias* alias, RangeEntry& entry);
  static bool has_star(const std::vector<OutputColumn>& columns);
  const NamedQuery* find_cte(std::string_view name) const;

  // expression_walker.cc
  void visit(const Node* node);
  void visit_inner(const Node* node);
  void visit_children(const Message* message);
  void function_call(const FuncCall& call);
  bool setting_call(const FuncCall& call);
  void read_spatial_reference(const Function& function);
  void column_ref(const ColumnRef& ref);
  void indirection(const PgQuery__AIndirection& steps);
  void attribute(std::string_view name);
  void system_column(std::string_view name);
  void operator_class(size_t count, Node* const* name);
  void exclusion(const PgQuery__Constraint& constraint);
  void operators(const PgQuery__AExpr& expression);
  void sub_link(const PgQuery__SubLink& link);
  void type_cast(const PgQuery__TypeCast& cast);
  void type_name(const TypeName& name);
  void run_cast(const std::string& what);
  void fill_row(const NameScope::Judged& judged);
  void cast_to(const TypeFacts& type, std::string_view name, const Node* argument);
  void value_function(const PgQuery__SQLValueFunction& function);
  void judge_operator(const QualifiedName& name);
  void apply(const NameScope::Judged& judged, std::string_view name);
  std::string in_context(std::string what) const { return what + expansion_.context; }

  // newer_walker.cc
  void newer(const Message& message);
  void keyword_call(std::string_view keyword, int arguments);
  void judge_json_casts();

  // plain_value.cc: is the value of an expression no text, or a literal or parameter as it stands?
  bool is_plain_value(const Node* node, bool as_array);
  bool is_plain_column(const ColumnRef& ref, bool as_array);
  bool is_plain_call(const FuncCall& call, bool as_array);
  bool all_plain(size_t count, Node* const* list, bool as_array);
  enum class Lookup : uint8_t { kNone, kPlain, kMaybeText };
  Lookup look_up(const RangeEntry& entry, std::string_view column, bool as_array) const;
  bool column_exists(std::string_view relation, std::string_view column) const;

  // relation_reads.cc
  bool begin_read(const Relation& relation, bool inherit);
  void check_kind(const Relation& relation);
  void check_columns(const Relation& relation);
  void judge_planning(const Relation& relation);
  bool judge_constants(const Message* message);
  void apply_code(const NameScope::Judged& judged, std::string_view name);
  void read_view(const Relation& view);
  void read_policies(const Relation& relation);
  void judge_listed_function(Oid oid);
  void expression_text(const std::string& text, const Relation& relation, BypassReason unreadable);

  // write_closure.cc
  void write(Write first);
  void write_one(const Write& write, std::vector<Write>& pending);
  void write_view(const Write& write, std::vector<Write>& pending);
  void foreign_key_actions(const Write& write, std::vector<Write>& pending);
  void make_opaque_for(std::string_view what, const Relation& relation);

  const NameScope& names_;
  Facts& facts_;
  Expansion& expansion_;
  Level* level_ = nullptr;
  std::vector<std::string_view> safe_operators_;  ///< unqualified; views into the parse tree
};

}  // namespace pgrecall::sql
