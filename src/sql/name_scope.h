// NameScope: how names of one text resolve over the catalog.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/analyzer.h"
#include "sql/facts.h"
#include "sql/function_rules.h"
#include "sql/tree.h"

namespace pgrecall::sql {

/// What a relation name stands for. `relation` is null where the catalog knows none.
struct FoundRelation {
  const Relation* relation = nullptr;
  bool system = false;     ///< in pg_catalog, information_schema or pg_toast
  bool temporary = false;  ///< named through pg_temp
};

/// What values of a type may turn into, as far as moving dates are concerned.
struct TypeFacts {
  bool known = false;
  bool may_be_text = true;     ///< of category string, or not known
  bool is_clock_type = false;  ///< date, time, timestamp..., also inside an array, range or domain
  bool is_zoned_time = false;  ///< time with time zone: its offset may come from the clock
  bool is_array = false;
  bool is_registry = false;        ///< regclass and kin
  bool is_user = false;            ///< outside pg_catalog and no enum
  bool is_domain = false;          ///< checks of a domain may call functions
  bool cast_runs_code = false;     ///< a cast to it may call a function of users
  bool converted_by_code = false;  ///< such a cast may be applied to its values unasked
};

/// Borrows the catalog; immutable; one per text (the session's path, or that of the catalog's own
/// texts, in which everything outside pg_catalog is qualified).
class NameScope {
 public:
  NameScope(const Catalog& catalog, const ResolveScope& scope);
  /// The scope of view bodies, policies and defaults.
  explicit NameScope(const Catalog& catalog);

  const Catalog& catalog() const { return catalog_; }

  /// Adds the schemas that decided the name to `facts.schemas`.
  FoundRelation find_relation(std::string_view database, std::string_view schema,
                              std::string_view name, Facts& facts) const;

  /// The worst verdict over every function of that name that the call could reach. `arguments` is
  /// the number of arguments of the call.
  struct Judged {
    Verdict verdict = Verdict::kUnknown;
    const Function* function = nullptr;  ///< the one with that verdict
    bool may_return_text = true;
    bool clock = false;                     ///< one of the candidates is now() or kin
    bool result_converted_by_code = false;  ///< see TypeFacts
  };
  Judged judge_call(const QualifiedName& name, int arguments, Facts& facts) const;
  Judged judge_operator(const QualifiedName& name, Facts& facts) const;

  TypeFacts type(const TypeName& name, Facts& facts) const;
  TypeFacts type(Oid oid) const;
  /// True for types whose input, output and comparison are known to be built-in or vouched for.
  bool is_trusted_type(Oid oid) const;
  /// True if one of the types of that name could be meant.
  bool is_type_name(std::string_view name, TypeFacts& type) const;
  /// True if values of the type are checked by a domain: the type, its elements or its columns.
  bool is_domain(Oid oid) const;

  /// `schema.name` for people; without pg_catalog.
  std::string describe(Oid schema, std::string_view name) const;

 private:
  bool visible(Oid schema, std::string_view qualifier) const;
  void note_path(std::string_view qualifier, Facts& facts) const;
  TypeFacts facts_of(const Type& type, int depth) const;
  void note_parts(const Type& type, int depth, TypeFacts& facts) const;
  void note_casts(Oid type, TypeFacts& facts) const;
  bool is_trusted(Oid oid, int depth) const;
  bool of_vouched_extension(const Type& type) const;

  const Catalog& catalog_;
  std::vector<Oid> path_;  ///< with pg_catalog at its place
  bool system_relations_loaded_;
};

bool is_system_schema(std::string_view name);

}  // namespace pgrecall::sql
