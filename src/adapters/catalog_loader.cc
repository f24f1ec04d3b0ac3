#include "pgrecall/adapters/catalog_loader.h"

#include <atomic>
#include <charconv>

#include "adapters/catalog_queries.h"

namespace pgrecall::adapters {
namespace {

using sql::Catalog;
using sql::Oid;

std::atomic<uint64_t> catalogs_loaded{0};

/// Fills one Catalog. Stops asking after the first error, which is kept.
class Loader {
 public:
  explicit Loader(ControlConnection& connection) : connection_(connection) {}

  Result<std::shared_ptr<Catalog>> load() {
    begin();
    identity();
    schemas_and_roles();
    relations();
    columns();
    families();
    rule_dependencies();
    views();
    policies();
    write_expressions();
    operator_classes();
    foreign_keys();
    functions();
    operators_casts_and_types();
    return finish();
  }

 private:
  /// Calls `visit(result, row)` for every row.
  template <typename Visit>
  void for_each(const char* query, Visit visit) {
    if (failed_) return;
    const auto result = connection_.query(query);
    if (!result.ok()) return fail(result.error());
    for (size_t row = 0; row < result->rows(); ++row) visit(*result, row);
  }

  void fail(const Error& error) {
    if (!failed_) error_ = error;
    failed_ = true;
  }

  /// Null if the relation is none of those that are loaded.
  sql::Relation* relation(Oid oid) {
    const auto found = catalog_->relations.find(oid);
    return found == catalog_->relations.end() ? nullptr : &found->second;
  }

  void begin();
  void identity();
  void schemas_and_roles();
  void relations();
  void columns();
  void families();
  void rule_dependencies();
  void views();
  void policies();
  void add_policy(sql::Relation& relation, const QueryResult& result, size_t row, size_t column);
  void write_expressions();
  void operator_classes();
  void foreign_keys();
  void functions();
  void operators_casts_and_types();
  Result<std::shared_ptr<Catalog>> finish();

  ControlConnection& connection_;
  std::shared_ptr<Catalog> catalog_ = std::make_shared<Catalog>();
  bool failed_ = false;
  Error error_;
};

void Loader::begin() {
  const auto begun = connection_.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!begun.ok()) fail(begun.error());
}

void Loader::identity() {
  catalog_->server_version_num = connection_.server_version_num();
  bool may_read_control_file = false;
  for_each(kDatabaseQuery, [&](const QueryResult& result, size_t row) {
    catalog_->database = result.oid(row, 0);
    catalog_->database_name = result.text(row, 1);
    may_read_control_file = result.boolean(row, 2);
    catalog_->has_event_triggers = result.boolean(row, 3);
    catalog_->has_login_triggers = result.boolean(row, 4);
  });
  if (!may_read_control_file) return;
  for_each(kSystemIdentifierQuery, [&](const QueryResult& result, size_t row) {
    catalog_->system_identifier = static_cast<uint64_t>(result.integer(row, 0));
  });
}

void Loader::schemas_and_roles() {
  for_each(kSchemasQuery, [&](const QueryResult& result, size_t row) {
    catalog_->schemas.emplace(result.oid(row, 0), result.text(row, 1));
  });
  for_each(kSchemaUsersQuery, [&](const QueryResult& result, size_t row) {
    std::vector<Oid>& users = catalog_->schema_users[result.oid(row, 0)];
    if (!result.is_null(row, 1)) users.push_back(result.oid(row, 1));
  });
  for_each(kRolesQuery, [&](const QueryResult& result, size_t row) {
    sql::Role role;
    role.oid = result.oid(row, 0);
    role.name = result.text(row, 1);
    role.superuser = result.boolean(row, 2);
    role.bypass_rls = result.boolean(row, 3);
    catalog_->roles.emplace(role.oid, std::move(role));
  });
  for_each(kPrivilegesOfQuery, [&](const QueryResult& result, size_t row) {
    const auto member = catalog_->roles.find(result.oid(row, 0));
    if (member == catalog_->roles.end()) return;
    member->second.has_privileges_of.push_back(result.oid(row, 1));
  });
}

void Loader::relations() {
  for_each(kRelationsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation relation;
    relation.oid = result.oid(row, 0);
    relation.schema = result.oid(row, 1);
    relation.name = result.text(row, 2);
    relation.kind = result.character(row, 3);
    relation.persistence = result.character(row, 4);
    relation.row_security = result.boolean(row, 5);
    relation.has_subclass = result.boolean(row, 6);
    relation.reltuples = result.real(row, 7);
    relation.has_rules = result.boolean(row, 8);
    relation.has_user_triggers = result.boolean(row, 9);
    catalog_->relations.emplace(relation.oid, std::move(relation));
  });
}

void Loader::columns() {
  for_each(kColumnsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner == nullptr) return;
    sql::Column column;
    column.name = result.text(row, 1);
    column.number = static_cast<int16_t>(result.integer(row, 2));
    column.type = result.oid(row, 3);
    column.generated = result.boolean(row, 4);
    owner->columns.push_back(std::move(column));
  });
}

void Loader::families() {
  for_each(kInheritsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* parent = relation(result.oid(row, 0));
    sql::Relation* child = relation(result.oid(row, 1));
    if (parent == nullptr || child == nullptr) return;  // indexes, temporary tables
    parent->children.push_back(child->oid);
    child->parents.push_back(parent->oid);
  });
}

void Loader::rule_dependencies() {
  for_each(kRuleDependenciesQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner == nullptr) return;
    auto& list = result.boolean(row, 1) ? owner->rewrite_functions : owner->rewrite_relations;
    list.push_back(result.oid(row, 2));
  });
}

void Loader::views() {
  for_each(kViewsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* view = relation(result.oid(row, 0));
    if (view == nullptr) return;
    view->view_definition = result.text(row, 1);
    if (result.is_null(row, 1)) catalog_->complete = false;
  });
}

/// `column` holds the expression, the next one whether there is any.
void Loader::add_policy(sql::Relation& relation, const QueryResult& result, size_t row,
                        size_t column) {
  if (!result.boolean(row, column + 1)) return;
  const bool unreadable = result.is_null(row, column);
  if (unreadable) catalog_->complete = false;
  relation.policies.emplace_back(unreadable ? sql::kUnreadableText : result.text(row, column));
}

void Loader::policies() {
  for_each(kPoliciesQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner == nullptr) return;
    add_policy(*owner, result, row, 1);
    add_policy(*owner, result, row, 3);
  });
  for_each(kPolicyDependenciesQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner == nullptr) return;
    auto& list = result.boolean(row, 1) ? owner->policy_functions : owner->policy_relations;
    list.push_back(result.oid(row, 2));
  });
}

void Loader::write_expressions() {
  for_each(kWriteExpressionsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner == nullptr) return;
    const bool unreadable = result.is_null(row, 1);
    if (unreadable) catalog_->complete = false;
    owner->write_expressions.emplace_back(unreadable ? sql::kUnreadableText : result.text(row, 1));
    if (result.boolean(row, 2))
      owner->planned_expressions.push_back(owner->write_expressions.back());
  });
}

void Loader::operator_classes() {
  for_each(kOperatorClassesQuery, [&](const QueryResult& result, size_t row) {
    catalog_->operator_classes.push_back(
        {std::string(result.text(row, 0)), result.oid(row, 1), result.boolean(row, 2)});
  });
  for_each(kIndexFunctionsQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* owner = relation(result.oid(row, 0));
    if (owner != nullptr) owner->index_functions.push_back(result.oid(row, 1));
  });
}

std::vector<int16_t> parse_column_numbers(std::string_view text) {
  std::vector<int16_t> numbers;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int16_t number = 0;
    const auto [next, problem] = std::from_chars(at, end, number);
    if (problem != std::errc()) break;
    numbers.push_back(number);
    at = next < end ? next + 1 : end;
  }
  return numbers;
}

void Loader::foreign_keys() {
  for_each(kForeignKeysQuery, [&](const QueryResult& result, size_t row) {
    sql::Relation* parent = relation(result.oid(row, 3));
    if (parent == nullptr) return;
    sql::ForeignKey key;
    key.constraint = result.oid(row, 0);
    key.name = result.text(row, 1);
    key.child = result.oid(row, 2);
    key.parent = parent->oid;
    key.on_update = result.character(row, 4);
    key.on_delete = result.character(row, 5);
    key.parent_columns = parse_column_numbers(result.text(row, 6));
    parent->referenced_by.push_back(std::move(key));
  });
}

void Loader::functions() {
  for_each(kFunctionsQuery, [&](const QueryResult& result, size_t row) {
    sql::Function function;
    function.oid = result.oid(row, 0);
    function.schema = result.oid(row, 1);
    function.name = result.text(row, 2);
    function.volatility = result.character(row, 3);
    function.kind = result.character(row, 4);
    function.returns_set = result.boolean(row, 5);
    function.language = result.text(row, 6);
    function.extension = result.text(row, 7);
    function.argument_count = static_cast<int16_t>(result.integer(row, 8));
    function.return_type = result.oid(row, 9);
    catalog_->functions.emplace(function.oid, std::move(function));
  });
}

void Loader::operators_casts_and_types() {
  for_each(kOperatorsQuery, [&](const QueryResult& result, size_t row) {
    sql::Operator op;
    op.oid = result.oid(row, 0);
    op.schema = result.oid(row, 1);
    op.name = result.text(row, 2);
    op.function = result.oid(row, 3);
    catalog_->operators.emplace(op.oid, std::move(op));
  });
  for_each(kCastsQuery, [&](const QueryResult& result, size_t row) {
    catalog_->casts.push_back(
        {result.oid(row, 0), result.oid(row, 1), result.oid(row, 2), result.boolean(row, 3)});
  });
  for_each(kTypesQuery, [&](const QueryResult& result, size_t row) {
    sql::Type type;
    type.oid = result.oid(row, 0);
    type.schema = result.oid(row, 1);
    type.name = result.text(row, 2);
    type.kind = result.character(row, 3);
    type.category = result.character(row, 4);
    type.element = result.oid(row, 5);
    type.base = result.oid(row, 6);
    catalog_->types.emplace(type.oid, std::move(type));
  });
}

Result<std::shared_ptr<Catalog>> Loader::finish() {
  const auto ended = connection_.exec(failed_ ? "ROLLBACK" : "COMMIT");
  if (!ended.ok()) fail(ended.error());
  if (failed_) return error_;
  catalog_->version = ++catalogs_loaded;
  catalog_->index();
  return catalog_;
}

}  // namespace

Result<std::shared_ptr<sql::Catalog>> load_catalog(ControlConnection& connection) {
  return Loader(connection).load();
}

}  // namespace pgrecall::adapters
