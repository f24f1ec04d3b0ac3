#include "sql/name_scope.h"

#include <algorithm>

#include "sql/grammar.h"

namespace pgrecall::sql {
namespace {

constexpr int kTypeDepthMax = 32;

bool is_temporary_schema(std::string_view name) {
  return name.starts_with("pg_temp");
}

/// Built-in types that a moving word such as 'today' turns into a date.
bool is_clock_type_name(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "date",   "daterange",    "datemultirange", "time",           "timestamp", "timestamptz",
      "timetz", "tsmultirange", "tsrange",        "tstzmultirange", "tstzrange",
  };
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// The worse of two readings of one name.
TypeFacts worse(const TypeFacts& a, const TypeFacts& b) {
  TypeFacts both;
  both.known = a.known && b.known;
  both.may_be_text = a.may_be_text || b.may_be_text;
  both.is_clock_type = a.is_clock_type || b.is_clock_type;
  both.is_zoned_time = a.is_zoned_time || b.is_zoned_time;
  both.is_array = a.is_array || b.is_array;
  both.is_registry = a.is_registry || b.is_registry;
  both.is_user = a.is_user || b.is_user;
  both.is_domain = a.is_domain || b.is_domain;
  both.cast_runs_code = a.cast_runs_code || b.cast_runs_code;
  both.converted_by_code = a.converted_by_code || b.converted_by_code;
  return both;
}

}  // namespace

void add_unique(std::vector<Oid>& oids, Oid oid) {
  if (std::find(oids.begin(), oids.end(), oid) == oids.end()) oids.push_back(oid);
}

void sort_unique(std::vector<Oid>& oids) {
  std::sort(oids.begin(), oids.end());
  oids.erase(std::unique(oids.begin(), oids.end()), oids.end());
}

bool is_listed(const std::vector<Oid>& oids, Oid oid) {
  return std::find(oids.begin(), oids.end(), oid) != oids.end();
}

bool is_system_schema(std::string_view name) {
  return name == "pg_catalog" || name == "information_schema" || name == "pg_toast";
}

NameScope::NameScope(const Catalog& catalog, const ResolveScope& scope)
    : catalog_(catalog),
      system_relations_loaded_(catalog.relation(kPgCatalogOid, "pg_class") != nullptr) {
  path_.reserve(scope.search_path.size() + 1);
  if (!scope.catalog_listed) path_.push_back(kPgCatalogOid);
  path_.insert(path_.end(), scope.search_path.begin(), scope.search_path.end());
}

NameScope::NameScope(const Catalog& catalog) : NameScope(catalog, ResolveScope{}) {}

FoundRelation NameScope::find_relation(std::string_view database, std::string_view schema,
                                       std::string_view name, Facts& facts) const {
  FoundRelation found;
  if (!database.empty() && database != catalog_.database_name) return found;
  if (!schema.empty()) {
    if (is_temporary_schema(schema)) {
      found.temporary = true;
      return found;
    }
    const Oid oid = catalog_.schema(schema);
    found.system = is_system_schema(schema);
    if (oid == kInvalidOid) return found;
    if (!found.system) add_unique(facts.schemas, oid);
    found.relation = catalog_.relation(oid, name);
    if (found.relation != nullptr && found.relation->oid >= kFirstNormalOid) {
      found.system = schema == "pg_toast";  // an extension's own, put into pg_catalog
    }
    return found;
  }
  for (const Oid oid : path_) {
    if (oid != kPgCatalogOid) add_unique(facts.schemas, oid);
    found.relation = catalog_.relation(oid, name);
    if (found.relation != nullptr) {
      found.system = found.relation->oid < kFirstNormalOid;
      return found;
    }
    if (oid == kPgCatalogOid && !system_relations_loaded_ && name.starts_with("pg_")) {
      found.system = true;
      return found;
    }
  }
  return found;
}

bool NameScope::visible(Oid schema, std::string_view qualifier) const {
  if (qualifier.empty()) return std::find(path_.begin(), path_.end(), schema) != path_.end();
  if (qualifier == "pg_catalog") return schema == kPgCatalogOid;
  return schema == catalog_.schema(qualifier);
}

void NameScope::note_path(std::string_view qualifier, Facts& facts) const {
  if (qualifier == "pg_catalog") return;
  if (!qualifier.empty()) {
    const Oid oid = catalog_.schema(qualifier);
    if (oid != kInvalidOid) add_unique(facts.schemas, oid);
    return;
  }
  for (const Oid oid : path_) {
    if (oid != kPgCatalogOid) add_unique(facts.schemas, oid);
  }
}

NameScope::Judged NameScope::judge_call(const QualifiedName& name, int arguments,
                                        Facts& facts) const {
  note_path(name.qualifier, facts);
  const auto& candidates = catalog_.functions_named(name.name);
  // Of the built-in forms those with just this number of arguments count; without any, all do
  // (variadic arguments, defaults). Of the others all do: the catalog knows no defaults.
  const bool exact = std::any_of(candidates.begin(), candidates.end(), [&](const Function* f) {
    return f->schema == kPgCatalogOid && f->argument_count == arguments;
  });
  Judged judged;
  bool any = false;
  bool text = false;
  bool converted = false;
  for (const Function* function : candidates) {
    if (!visible(function->schema, name.qualifier)) continue;
    const bool built_in = function->schema == kPgCatalogOid && function->oid < kFirstNormalOid;
    if (exact && built_in && function->argument_count != arguments) continue;
    const Verdict verdict = judge_function(*function);
    if (!any || verdict > judged.verdict) judged = {verdict, function, true, judged.clock};
    judged.clock = judged.clock || verdict == Verdict::kClock;
    any = true;
    const TypeFacts result = type(function->return_type);
    text = text || result.may_be_text;
    converted = converted || result.converted_by_code;
  }
  judged.may_return_text = !any || text;
  judged.result_converted_by_code = converted;
  // To the server it may be a keyword, though not to the grammar built in.
  const int since = any || !name.qualifier.empty() ? 0 : keyword_since(name.name);
  if (since != 0 && catalog_.server_version_num / 10000 >= since) {
    judged.verdict = Verdict::kUnlisted;
  }
  return judged;
}

NameScope::Judged NameScope::judge_operator(const QualifiedName& name, Facts& facts) const {
  note_path(name.qualifier, facts);
  Judged judged;
  bool any = false;
  bool text = false;
  bool converted = false;
  for (const Operator* candidate : catalog_.operators_named(name.name)) {
    if (!visible(candidate->schema, name.qualifier)) continue;
    const Function* function = catalog_.function(candidate->function);
    if (function == nullptr) continue;
    const Verdict verdict = judge_function(*function);
    if (!any || verdict > judged.verdict) judged = {verdict, function, true, false};
    any = true;
    const TypeFacts result = type(function->return_type);
    text = text || result.may_be_text;
    converted = converted || result.converted_by_code;
  }
  judged.may_return_text = !any || text;
  judged.result_converted_by_code = converted;
  return judged;
}

TypeFacts NameScope::type(const TypeName& name, Facts& facts) const {
  TypeFacts result;
  const QualifiedName qualified = name_of(name.n_names, name.names);
  note_path(qualified.qualifier, facts);
  bool any = false;
  for (const Type* candidate : catalog_.types_named(qualified.name)) {
    if (!visible(candidate->schema, qualified.qualifier)) continue;
    const TypeFacts of_candidate = facts_of(*candidate, 0);
    result = any ? worse(result, of_candidate) : of_candidate;
    any = true;
  }
  if (!any && find_relation({}, qualified.qualifier, qualified.name, facts).relation != nullptr) {
    result.known = true;  // the row type of a table
    result.is_user = true;
  }
  if (name.pct_type != 0 || name.setof != 0) result = TypeFacts{};
  if (name.n_array_bounds > 0) result.is_array = true;
  return result;
}

TypeFacts NameScope::type(Oid oid) const {
  const auto found = catalog_.types.find(oid);
  return found == catalog_.types.end() ? TypeFacts{} : facts_of(found->second, 0);
}

TypeFacts NameScope::facts_of(const Type& type, int depth) const {
  TypeFacts result;
  if (depth > kTypeDepthMax) return result;
  if (type.kind == 'd' || (type.category == 'A' && type.element != kInvalidOid)) {
    const auto inner_type = catalog_.types.find(type.kind == 'd' ? type.base : type.element);
    if (inner_type == catalog_.types.end()) return result;
    result = facts_of(inner_type->second, depth + 1);
    if (type.kind == 'd') result.is_domain = true;
    if (type.category == 'A') result.is_array = true;
    if (type.kind == 'd' && type.oid >= kFirstNormalOid) result.is_user = true;
    note_casts(type.oid, result);
    return result;
  }
  result.known = true;
  const bool built_in = type.oid < kFirstNormalOid && type.schema == kPgCatalogOid;
  // Polymorphic results may be text; those of arrays and ranges cannot become a date.
  const bool polymorphic_safe = type.name == "anyarray" || type.name == "anyrange" ||
                                type.name == "anymultirange" || type.name == "anycompatiblearray" ||
                                type.name == "anycompatiblerange" ||
                                type.name == "anycompatiblemultirange";
  result.may_be_text =
      type.category == 'S' || type.category == 'X' || (type.kind == 'p' && !polymorphic_safe);
  result.is_array = type.name == "anyarray" || type.name == "anycompatiblearray";
  result.is_clock_type = built_in && is_clock_type_name(type.name);
  result.is_zoned_time = built_in && type.name == "timetz";
  // Text search configurations change by DDL only.
  result.is_registry = built_in && type.name.starts_with("reg") && type.name != "regconfig" &&
                       type.name != "regdictionary";
  result.is_user = !built_in && type.kind != 'e' && !of_vouched_extension(type);
  result.is_domain = type.kind == 'c' && is_domain(type.oid);
  note_casts(type.oid, result);
  if (catalog_.code_compares() || catalog_.casts_run_code()) note_parts(type, depth, result);
  return result;
}

void NameScope::note_casts(Oid type, TypeFacts& facts) const {
  facts.cast_runs_code = facts.cast_runs_code || catalog_.code_casts_to(type);
  facts.converted_by_code = facts.converted_by_code || catalog_.code_converts(type);
}

/// Rows and ranges are compared by comparing what they hold; of some the catalog does not know
/// what.
void NameScope::note_parts(const Type& type, int depth, TypeFacts& facts) const {
  if (type.oid < kFirstNormalOid) return;
  if (type.kind == 'r' || type.kind == 'm') facts.converted_by_code = true;
  if (type.kind != 'c') return;
  const Relation* shape = catalog_.relation(type.schema, type.name);
  const auto is_code = [&](const Column& column) {
    const auto found = catalog_.types.find(column.type);
    return found == catalog_.types.end() || facts_of(found->second, depth + 1).converted_by_code;
  };
  facts.converted_by_code = facts.converted_by_code || shape == nullptr ||
                            std::any_of(shape->columns.begin(), shape->columns.end(), is_code);
}

bool NameScope::is_type_name(std::string_view name, TypeFacts& type) const {
  bool any = false;
  for (const Type* candidate : catalog_.types_named(name)) {
    const TypeFacts of_candidate = facts_of(*candidate, 0);
    type = any ? worse(type, of_candidate) : of_candidate;
    any = true;
  }
  return any;
}

bool NameScope::is_trusted_type(Oid oid) const {
  return oid < kFirstNormalOid || is_trusted(oid, 0);
}

bool NameScope::is_trusted(Oid oid, int depth) const {
  if (oid < kFirstNormalOid) return oid != kInvalidOid;
  const auto found = catalog_.types.find(oid);
  if (found == catalog_.types.end() || depth > kTypeDepthMax) return false;
  const Type& type = found->second;
  if (type.kind == 'e') return true;
  if (type.kind == 'd') return is_trusted(type.base, depth + 1);
  if (type.category == 'A' && type.element != kInvalidOid) {
    return is_trusted(type.element, depth + 1);
  }
  if (type.kind == 'c') {
    const Relation* shape = catalog_.relation(type.schema, type.name);
    return shape != nullptr &&
           std::all_of(shape->columns.begin(), shape->columns.end(),
                       [&](const Column& column) { return is_trusted(column.type, depth + 1); });
  }
  return of_vouched_extension(type);
}

/// A type belongs to a vouched extension if a C function of the extension makes its values.
bool NameScope::of_vouched_extension(const Type& type) const {
  const auto makes_it = [&](const Function& function) {
    return function.return_type == type.oid && function.language == "c" &&
           is_vouched_extension(function.extension);
  };
  for (const char* suffix : {"_in", "in"}) {
    for (const Function* function : catalog_.functions_named(type.name + suffix)) {
      if (makes_it(*function)) return true;
    }
  }
  return std::any_of(catalog_.functions.begin(), catalog_.functions.end(),
                     [&](const auto& entry) { return makes_it(entry.second); });
}

bool NameScope::is_domain(Oid oid) const {
  const auto found = catalog_.types.find(oid);
  if (found == catalog_.types.end()) return false;
  if (found->second.kind == 'd') return oid >= kFirstNormalOid;
  if (found->second.kind == 'c') {
    const Relation* shape = catalog_.relation(found->second.schema, found->second.name);
    return shape == nullptr || std::any_of(shape->columns.begin(), shape->columns.end(),
                                           [&](const Column& c) { return is_domain(c.type); });
  }
  return found->second.category == 'A' && found->second.element != kInvalidOid &&
         is_domain(found->second.element);
}

std::string NameScope::describe(Oid schema, std::string_view name) const {
  const auto found = catalog_.schemas.find(schema);
  if (schema == kPgCatalogOid || found == catalog_.schemas.end()) return std::string(name);
  return found->second + "." + std::string(name);
}

}  // namespace pgrecall::sql
