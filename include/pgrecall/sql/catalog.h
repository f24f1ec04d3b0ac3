// Catalog: an immutable snapshot of what the analysis needs to know of one database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgrecall::sql {

using Oid = uint32_t;
constexpr Oid kInvalidOid = 0;
/// Objects below this oid were made by initdb (access/transam.h, FirstNormalObjectId).
constexpr Oid kFirstNormalOid = 16384;

/// Stands for a policy or write expression that could not be read. It does not parse.
constexpr std::string_view kUnreadableText = "<unreadable>";

struct Column {
  std::string name;
  int16_t number = 0;  ///< pg_attribute.attnum, from 1; dropped columns are absent
  Oid type = kInvalidOid;
  bool generated = false;  ///< GENERATED ALWAYS AS (expression)
};

/// One foreign key, seen from the referenced (parent) side.
struct ForeignKey {
  Oid constraint = kInvalidOid;
  Oid child = kInvalidOid;
  Oid parent = kInvalidOid;
  char on_update = 'a';  ///< pg_constraint.confupdtype: a no action, r restrict, c cascade, n, d
  char on_delete = 'a';
  std::vector<int16_t> parent_columns;
  std::string name;
};

struct Relation {
  Oid oid = kInvalidOid;
  Oid schema = kInvalidOid;
  std::string name;
  char kind = 'r';         ///< pg_class.relkind
  char persistence = 'p';  ///< pg_class.relpersistence: p, u (unlogged), t (temporary)
  bool row_security = false;
  bool has_subclass = false;  ///< inheritance or partition children exist
  double reltuples = -1;      ///< pg_class.reltuples
  std::vector<Column> columns;
  std::vector<Oid> children;  ///< direct inheritance and partition children
  std::vector<Oid> parents;
  std::vector<Oid>
      rewrite_relations;  ///< relations named by its rules (a view's body, transitively not)
  std::vector<Oid> rewrite_functions;  ///< functions outside pg_catalog named by its rules
  std::string view_definition;         ///< pg_get_viewdef for v and m, empty elsewhere
  bool has_rules = false;              ///< a rule other than a view's own _RETURN
  bool has_user_triggers = false;      ///< any enabled trigger that is not an internal one
  std::vector<std::string> policies;   ///< USING and WITH CHECK expressions as SQL text
  std::vector<Oid> policy_relations;   ///< from pg_depend of its policies
  std::vector<Oid> policy_functions;
  /// Defaults, generated columns, checks, and expressions of indexes and partition keys that call
  /// functions outside pg_catalog, as SQL text.
  std::vector<std::string> write_expressions;
  /// Of these, checks and those of indexes and partition keys that name functions or operators of
  /// users: the planner of a read runs what is constant in them.
  std::vector<std::string> planned_expressions;
  /// Functions of users that its indexes, keys and exclusion constraints call; none that is in C
  /// or of an extension. `index` adds, as above, those of the other sides of its foreign keys.
  std::vector<Oid> index_functions;
  std::vector<ForeignKey> referenced_by;  ///< foreign keys of others that point here
};

struct Function {
  Oid oid = kInvalidOid;
  Oid schema = kInvalidOid;
  std::string name;
  char volatility = 'v';  ///< pg_proc.provolatile: i, s, v
  char kind = 'f';        ///< pg_proc.prokind: f, p, a, w
  bool returns_set = false;
  std::string language;   ///< internal, c, sql, plpgsql ...
  std::string extension;  ///< name of the owning extension or empty
  int16_t argument_count = 0;
  Oid return_type = kInvalidOid;
};

struct Role {
  Oid oid = kInvalidOid;
  std::string name;
  bool superuser = false;
  bool bypass_rls = false;
  std::vector<Oid> has_privileges_of;  ///< the roles it is a member of, however indirectly
};

struct Operator {
  Oid oid = kInvalidOid;
  Oid schema = kInvalidOid;
  std::string name;
  Oid function = kInvalidOid;
};

struct Type {
  Oid oid = kInvalidOid;
  Oid schema = kInvalidOid;
  std::string name;
  char kind = 'b';  ///< pg_type.typtype: b base, c composite, d domain, e enum, p pseudo, r range
  char category = 'U';  ///< pg_type.typcategory: D date/time, S string, A array ...
  Oid element = kInvalidOid;
  Oid base = kInvalidOid;  ///< of a domain
};

/// A cast of users (pg_cast) that calls a function.
struct Cast {
  Oid source = kInvalidOid;
  Oid target = kInvalidOid;
  Oid function = kInvalidOid;
  bool only_explicit = false;  ///< otherwise PostgreSQL applies it unasked, too
};

/// An operator class that calls a function of users, as in `Relation::index_functions`.
struct OperatorClass {
  std::string name;
  Oid input = kInvalidOid;     ///< the type whose values it compares
  bool sorts_unasked = false;  ///< for ORDER BY, DISTINCT and kin of that type
};

/// Immutable once built; shared by all threads as `std::shared_ptr<const Catalog>`. The builder
/// (adapters) fills the maps and calls `index()` once. Pointers live as long as the snapshot.
class Catalog {
 public:
  Catalog() = default;
  Catalog(Catalog&&) = default;  // a copy would point into the original
  Catalog& operator=(Catalog&&) = default;

  uint64_t system_identifier = 0;
  Oid database = kInvalidOid;
  std::string database_name;
  int server_version_num = 0;
  uint64_t version = 0;         ///< grows with every snapshot of this process; never 0 once built
  uint64_t database_epoch = 0;  ///< the database epoch word read before the snapshot was taken
  /// False: some texts could not be read because their relations were locked; load again soon.
  bool complete = true;
  bool has_event_triggers = false;  ///< enabled ones, that DDL may fire
  bool has_login_triggers = false;  ///< enabled ones: each new server connection runs them

  std::unordered_map<Oid, Relation> relations;
  std::unordered_map<Oid, Function> functions;
  std::unordered_map<Oid, Operator> operators;
  std::unordered_map<Oid, Type> types;
  std::vector<Cast> casts;
  std::vector<OperatorClass> operator_classes;
  std::unordered_map<Oid, Role> roles;
  std::unordered_map<Oid, std::string> schemas;
  /// Who was given USAGE on a schema that not everybody may use. Absent: everybody.
  std::unordered_map<Oid, std::vector<Oid>> schema_users;

  /// Builds the name indexes; call once after filling.
  void index();

  const Relation* relation(Oid oid) const;
  /// By exact (already folded) names. Null if there is none.
  const Relation* relation(Oid schema, std::string_view name) const;
  Oid schema(std::string_view name) const;  ///< kInvalidOid if there is none
  Oid role(std::string_view name) const;    ///< kInvalidOid if there is none
  const Role* role(Oid oid) const;
  /// False if the role has no USAGE on the schema: PostgreSQL passes over it in a search_path.
  bool may_use(Oid role, Oid schema) const;
  const Function* function(Oid oid) const;
  /// Every function, operator or type of that name in any schema. Empty if there is none.
  const std::vector<const Function*>& functions_named(std::string_view name) const;
  const std::vector<const Operator*>& operators_named(std::string_view name) const;
  const std::vector<const Type*>& types_named(std::string_view name) const;

  /// A cast that names this type may call a function that is not known to be harmless.
  bool code_casts_to(Oid type) const { return code_targets_.contains(type); }
  /// So may any expression or assignment with a value of this type: by a cast, or because it is
  /// compared.
  bool code_converts(Oid type) const { return code_converted_.contains(type); }
  /// As `code_converts` between built-in types: any statement may run it.
  bool casts_run_code() const { return !code_targets_.empty() || !code_converted_.empty(); }
  bool code_converts_built_ins() const { return code_converts_built_ins_; }
  /// There are domains, whose checks may call anything.
  bool has_domains() const { return has_domains_; }
  /// Values of types of users may be compared by their functions, those inside rows and ranges too.
  bool code_compares() const { return !operator_classes.empty(); }

 private:
  void index_casts();
  void index_operator_classes();
  void index_foreign_keys();

  std::unordered_set<Oid> code_targets_;
  std::unordered_set<Oid> code_converted_;
  bool code_converts_built_ins_ = false;
  bool has_domains_ = false;

  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename V>
  using NameMap = std::unordered_map<std::string, V, StringHash, std::equal_to<>>;

  NameMap<Oid> schema_by_name_;
  NameMap<Oid> role_by_name_;
  NameMap<std::vector<const Relation*>> relation_by_name_;
  NameMap<std::vector<const Function*>> function_by_name_;
  NameMap<std::vector<const Operator*>> operator_by_name_;
  NameMap<std::vector<const Type*>> type_by_name_;
};

}  // namespace pgrecall::sql
