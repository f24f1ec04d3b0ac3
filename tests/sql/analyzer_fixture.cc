#include "sql/analyzer_fixture.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

namespace pgrecall::sql::testing {
namespace {

constexpr Oid kPgCatalog = 11;
constexpr Oid kPublic = 2200;
constexpr Oid kTenant = 30000;
constexpr Oid kInformationSchema = 13000;

std::vector<std::vector<std::string>> read_rows(const std::string& name) {
  std::ifstream file(std::string(PGRECALL_SOURCE_DIR) + "/tests/sql/fixture/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::vector<std::vector<std::string>> rows;
  std::string line;
  while (std::getline(file, line)) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == '\t') {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    rows.push_back(std::move(fields));
  }
  return rows;
}

Oid schema_of(const std::string& name) {
  return name == "pg_catalog" ? kPgCatalog : kPublic;
}
Oid number(const std::string& text) {
  return static_cast<Oid>(std::stoul(text));
}

/// Builds the catalog step by step; relations get oids in the order of their creation.
class Builder {
 public:
  explicit Builder(int server_version_num) {
    catalog_.system_identifier = 1;
    catalog_.database = 5;
    catalog_.database_name = "site";
    catalog_.server_version_num = server_version_num;
    catalog_.version = 1;
    catalog_.schemas = {{kPgCatalog, "pg_catalog"},
                        {kPublic, "public"},
                        {kTenant, "tenant"},
                        {kInformationSchema, "information_schema"}};
    read_functions();
    read_operators();
    read_types();
    if (server_version_num >= 160000) read_newer_functions();
  }

  Relation& relation(const std::string& name, const std::string& columns = "id int4",
                     char kind = 'r', Oid schema = kPublic) {
    Relation relation;
    relation.oid = next_++;
    relation.schema = schema;
    relation.name = name;
    relation.kind = kind;
    std::istringstream words(columns);
    std::string column;
    std::string type;
    int16_t position = 1;
    while (words >> column >> type) {
      relation.columns.push_back({column, position++, type_oid(type)});
    }
    return catalog_.relations[relation.oid] = std::move(relation);
  }

  Relation& view(const std::string& name, const std::string& columns, const std::string& body,
                 std::vector<std::string> rewrite_relations = {}, char kind = 'v') {
    Relation& view = relation(name, columns, kind);
    view.view_definition = body;
    for (const std::string& base : rewrite_relations) view.rewrite_relations.push_back(oid(base));
    return view;
  }

  void key(const std::string& parent, const std::string& child, char on_delete, char on_update,
           int16_t column = 1) {
    Relation& relation = find(parent);
    relation.referenced_by.push_back({next_++,
                                      oid(child),
                                      relation.oid,
                                      on_update,
                                      on_delete,
                                      {column},
                                      parent + "_" + child + "_fk"});
  }

  void inherit(const std::string& parent, const std::string& child) {
    find(parent).children.push_back(oid(child));
    find(parent).has_subclass = true;
    find(child).parents.push_back(oid(parent));
  }

  /// A btree operator class that calls a function of users.
  void operator_class(const std::string& name, const std::string& type, bool sorts_unasked) {
    catalog_.operator_classes.push_back({name, type_oid(type), sorts_unasked});
  }

  Oid function(const std::string& name, char volatility, int16_t arguments,
               const std::string& result, Oid schema = kPublic) {
    Function function;
    function.oid = next_++;
    function.schema = schema;
    function.name = name;
    function.volatility = volatility;
    function.language = "plpgsql";
    function.argument_count = arguments;
    function.return_type = type_oid(result);
    catalog_.functions[function.oid] = function;
    return function.oid;
  }

  void binary_operator(const std::string& name, Oid function) {
    const Oid oid = next_++;
    catalog_.operators[oid] = {oid, kPublic, name, function};
  }

  void cast(const std::string& source, const std::string& target, Oid function,
            bool only_explicit) {
    catalog_.casts.push_back({type_oid(source), type_oid(target), function, only_explicit});
  }

  void type(const std::string& name, char kind, char category, const std::string& base = "") {
    Type type;
    type.oid = next_++;
    type.schema = kPublic;
    type.name = name;
    type.kind = kind;
    type.category = category;
    if (kind == 'd') type.base = type_oid(base);
    types_[name] = type.oid;
    catalog_.types[type.oid] = type;
  }

  Relation& find(const std::string& name) { return catalog_.relations.at(oid(name)); }

  Oid oid(const std::string& name) const {
    for (const auto& [oid, relation] : catalog_.relations) {
      if (relation.name == name && relation.schema == kPublic) return oid;
    }
    ADD_FAILURE() << "no relation " << name;
    return kInvalidOid;
  }

  Catalog take() {
    catalog_.index();
    return std::move(catalog_);
  }

 private:
  /// Of version 16: SYSTEM_USER, and those that look at the checks of a type.
  void read_newer_functions() {
    newer_function(6210, "pg_input_is_valid", 2, "bool");
    newer_function(6211, "pg_input_error_info", 2, "record");
    newer_function(6311, "system_user", 0, "text");
  }

  void newer_function(Oid oid, const std::string& name, int16_t arguments,
                      const std::string& result) {
    Function function;
    function.oid = oid;
    function.schema = kPgCatalog;
    function.name = name;
    function.volatility = 's';
    function.language = "internal";
    function.argument_count = arguments;
    function.return_type = type_oid(result);
    catalog_.functions[oid] = function;
  }

  void read_functions() {
    for (const auto& row : read_rows("functions.tsv")) {
      Function function;
      function.oid = number(row.at(0));
      function.schema = schema_of(row[1]);
      function.name = row[2];
      function.volatility = row[3][0];
      function.kind = row[4][0];
      function.returns_set = row[5] == "1";
      function.language = row[6];
      function.extension = row[7];
      function.argument_count = static_cast<int16_t>(std::stoi(row[8]));
      function.return_type = number(row.at(9));
      catalog_.functions[function.oid] = function;
    }
  }

  void read_operators() {
    for (const auto& row : read_rows("operators.tsv")) {
      catalog_.operators[number(row.at(0))] = {number(row[0]), schema_of(row[1]), row[2],
                                               number(row.at(3))};
    }
  }

  void read_types() {
    for (const auto& row : read_rows("types.tsv")) {
      Type type;
      type.oid = number(row.at(0));
      type.schema = schema_of(row[1]);
      type.name = row[2];
      type.kind = row[3][0];
      type.category = row[4][0];
      type.element = number(row[5]);
      type.base = number(row.at(6));
      types_[type.name] = type.oid;
      catalog_.types[type.oid] = type;
    }
  }

  Oid type_oid(const std::string& name) const {
    const auto found = types_.find(name);
    if (found != types_.end()) return found->second;
    ADD_FAILURE() << "no type " << name;
    return kInvalidOid;
  }

  Catalog catalog_;
  std::unordered_map<std::string, Oid> types_;
  Oid next_ = 40000;
};

void add_django(Builder& b) {
  b.relation("auth_user",
             "id int4 password varchar last_login timestamptz is_superuser bool username varchar "
             "first_name varchar last_name varchar email varchar is_staff bool is_active bool "
             "date_joined timestamptz");
  b.relation("auth_group", "id int4 name varchar");
  b.relation("auth_user_groups", "id int4 user_id int4 group_id int4");
  b.relation("auth_permission", "id int4 name varchar content_type_id int4 codename varchar");
  b.relation("django_content_type", "id int4 app_label varchar model varchar");
  b.relation("django_session", "session_key varchar session_data text expire_date timestamptz");
  b.relation("django_migrations", "id int4 app varchar name varchar applied timestamptz");
  b.relation("django_admin_log",
             "id int4 action_time timestamptz object_id text object_repr varchar action_flag int2 "
             "change_message text content_type_id int4 user_id int4");
  b.relation("blog_post",
             "id int4 title varchar body text created timestamptz day date published bool "
             "price numeric data jsonb tags _text views int4 author_id int4 updated timestamp "
             "days _date search tsvector");
  b.relation("blog_comment", "id int4 text text created timestamptz post_id int4 author_id int4");
  b.relation("blog_tag", "id int4 name varchar");
  b.relation("blog_post_tags", "id int4 post_id int4 tag_id int4");
  b.relation("blog_post_id_seq", "last_value int8 log_cnt int8 is_called bool", 'S');
  b.find("blog_post").write_expressions = {"nextval('public.blog_post_id_seq'::regclass)",
                                           "(price >= (0)::numeric)", "now()"};
}

void add_references(Builder& b) {
  b.relation("parent", "id int4 code text name text");
  b.relation("child_cascade", "id int4 parent_id int4 note text");
  b.relation("grandchild", "id int4 child_id int4");
  b.relation("child_null", "id int4 parent_id int4");
  b.relation("child_restrict", "id int4 parent_id int4");
  b.relation("child_update", "id int4 parent_code text");
  b.key("parent", "child_cascade", 'c', 'a');
  b.key("child_cascade", "grandchild", 'c', 'a');
  b.key("parent", "child_null", 'n', 'a');
  b.key("parent", "child_restrict", 'r', 'a');
  b.key("parent", "child_update", 'a', 'c', 2);
  b.relation("tree", "id int4 parent_id int4");
  b.key("tree", "tree", 'c', 'a');
  b.relation("loop_a", "id int4 b_id int4");
  b.relation("loop_b", "id int4 a_id int4");
  b.key("loop_a", "loop_b", 'c', 'c');
  b.key("loop_b", "loop_a", 'c', 'c');
  b.relation("watched", "id int4").has_user_triggers = true;
  b.relation("watched_parent", "id int4");
  b.relation("watched_child", "id int4 parent_id int4").has_user_triggers = true;
  b.key("watched_parent", "watched_child", 'c', 'a');
  b.relation("ruled", "id int4").has_rules = true;
  b.relation("logged", "id int4 at timestamptz").write_expressions = {"public.log_it(id)"};
  b.relation("moving", "id int4 v text").write_expressions = {
      "set_config('app.x'::text, 'a'::text, false)"};
  b.relation("locking", "id int4 v bool").write_expressions = {"pg_try_advisory_lock((1)::bigint)"};
  b.relation("checked", "id int4").write_expressions = {"(public.immutable_one(id) > 0)"};
}

void add_families(Builder& b) {
  b.relation("events", "id int4 at timestamptz", 'p');
  b.relation("events_2023", "id int4 at timestamptz");
  b.relation("events_2024", "id int4 at timestamptz", 'p');
  b.relation("events_2024_a", "id int4 at timestamptz");
  b.inherit("events", "events_2023");
  b.inherit("events", "events_2024");
  b.inherit("events_2024", "events_2024_a");
  b.relation("event_note", "id int4 event_id int4");
  b.key("events", "event_note", 'c', 'a');
  b.relation("animal", "id int4 name text");
  b.relation("cat", "id int4 name text lives int4");
  b.inherit("animal", "cat");
  b.relation("metrics", "id int4", 'p');
  for (int i = 0; i < 70; ++i) {
    const std::string name = "metrics_" + std::to_string(i);
    b.relation(name, "id int4");
    b.inherit("metrics", name);
  }
  b.relation("mixed", "id int4", 'p');
  b.relation("mixed_far", "id int4", 'f');
  b.inherit("mixed", "mixed_far");
}

void add_views(Builder& b) {
  b.view("v_post", "id int4 title varchar created timestamptz",
         " SELECT blog_post.id,\n    blog_post.title,\n    blog_post.created\n   FROM "
         "public.blog_post\n  WHERE blog_post.published;",
         {"blog_post"});
  b.view("v_nested", "id int4 username varchar",
         " SELECT p.id, u.username FROM (public.v_post p JOIN public.auth_user u ON ((u.id = "
         "p.id)));",
         {"v_post", "auth_user"});
  b.view("v_now", "id int4", " SELECT id FROM public.blog_post WHERE (created < now());",
         {"blog_post"});
  b.view("v_random", "id int4 r float8", " SELECT id, random() AS r FROM public.blog_post;",
         {"blog_post"});
  b.view("v_lock", "id int4", " SELECT id FROM public.blog_post FOR UPDATE;", {"blog_post"});
  b.view("v_log", "id int4", " SELECT id, public.log_it(id) AS l FROM public.blog_post;",
         {"blog_post"});
  b.view("v_broken", "id int4", " SELECT FROM WHERE;");
  b.view("v_hidden", "id int4", " SELECT 1 AS id;", {"blog_tag"});
  b.view("mv_count", "author_id int4 n int8",
         " SELECT author_id, count(*) AS n FROM public.blog_post GROUP BY author_id;",
         {"blog_post"}, 'm');
  b.view("mv_log", "id int4", " SELECT public.log_it(id) FROM public.blog_post;", {"blog_post"},
         'm');
  b.relation("u_tab", "id int4").persistence = 'u';
  b.relation("f_tab", "id int4", 'f');
  b.relation("blog_post", "id int4 title varchar created timestamptz", 'r', kTenant);
  b.relation("only_here", "id int4", 'r', kTenant);
}

void secure(Relation& relation, std::vector<std::string> policies) {
  relation.row_security = true;
  relation.policies = std::move(policies);
}

void add_policies(Builder& b) {
  b.relation("members", "doc_id int4 name text");
  secure(b.relation("docs", "id int4 body text"),
         {"(EXISTS ( SELECT 1\n   FROM public.members m\n  WHERE ((m.doc_id = docs.id) AND (m.name "
          "= CURRENT_USER))))"});
  secure(b.relation("tenant_docs", "id int4 tenant text"),
         {"(tenant = current_setting('app.tenant'::text))"});
  secure(b.relation("fn_docs", "id int4"), {"public.may_see(id)"});
  secure(b.relation("clock_docs", "id int4 until timestamptz"), {"(until > now())"});
  secure(b.relation("bad_docs", "id int4"), {"id ="});
  secure(b.relation("cycle_a", "id int4"), {"(id IN ( SELECT cycle_b.id FROM public.cycle_b))"});
  secure(b.relation("cycle_b", "id int4"), {"(id IN ( SELECT cycle_a.id FROM public.cycle_a))"});
  b.relation("hidden_dep", "id int4");
  secure(b.relation("listed_docs", "id int4"), {"true"});
  b.find("listed_docs").policy_relations.push_back(b.oid("hidden_dep"));
  b.view("v_docs", "id int4", " SELECT id FROM public.docs;", {"docs"});
}

void add_types(Builder& b) {
  b.type("mood", 'e', 'E');
  b.type("email", 'd', 'S', "text");
  b.type("weird", 'b', 'U');
  b.type("minted", 'e', 'E');
  b.type("coined", 'e', 'E');
  b.type("ranked", 'e', 'E');
  b.relation("t_mood", "id int4 m mood");
  b.relation("t_email", "id int4 e email");
  b.type("t_email", 'c', 'C');
  b.relation("t_weird", "id int4 w weird");
  b.relation("t_citext", "id int4 c citext");
  b.relation("t_hstore", "id int4 h hstore");
  b.relation("t_minted", "id int4 m minted");
  b.relation("t_coined", "id int4 c coined");
  b.type("t_coined", 'c', 'C');
  b.relation("t_outer", "id int4 o t_coined");
}

void add_functions(Builder& b) {
  b.function("log_it", 'v', 1, "int4");
  b.function("immutable_one", 'i', 1, "int4");
  b.function("may_see", 's', 1, "bool");
  b.function("headline", 'i', 1, "text");
  b.function("lower", 'i', 1, "text", kTenant);
  b.binary_operator("<@@@>", b.function("join_up", 'v', 2, "int4"));
  b.cast("int4", "minted", b.function("mint", 'v', 1, "minted"), true);
  b.cast("coined", "int4", b.function("melt", 'v', 1, "int4"), false);
}

/// What indexes, keys and the order of a type call without being named.
void add_comparisons(Builder& b) {
  const Oid compares = b.function("compare", 'v', 2, "int4");
  b.operator_class("odd_ops", "int4", false);
  b.operator_class("ranked_ops", "ranked", true);
  b.relation("t_ranked", "id int4 r ranked");
  b.relation("t_odd", "id int4").index_functions = {compares};
  b.relation("t_odd_child", "id int4 odd_id int4");
  b.key("t_odd", "t_odd_child", 'a', 'a');
  Relation& folded = b.relation("t_folded", "id int4");
  folded.planned_expressions = {"(id > public.immutable_one(0))"};
  folded.write_expressions = folded.planned_expressions;
  b.relation("t_folded_child", "id int4 folded_id int4");
  b.key("t_folded", "t_folded_child", 'a', 'a');
  b.view("mv_computed", "id int4", " SELECT blog_tag.id FROM public.blog_tag;", {"blog_tag"}, 'm')
      .write_expressions = {"(public.immutable_one(id) + 1)"};
  Relation& computed = b.relation("t_computed", "id int4");
  computed.planned_expressions = {"(public.immutable_one(id) + 1)"};
  computed.write_expressions = computed.planned_expressions;
  Relation& indexed = b.relation("t_indexed", "id int4 h hstore");
  indexed.planned_expressions = {"(h OPERATOR(public.->) 'a'::text)"};
  indexed.write_expressions = indexed.planned_expressions;
  b.relation("t_keyed", "id int4", 'p').index_functions = {compares};
  b.relation("t_keyed_1", "id int4");
  b.inherit("t_keyed", "t_keyed_1");
}

Catalog build(int server_version_num) {
  Builder builder(server_version_num);
  add_types(builder);
  add_functions(builder);
  add_django(builder);
  add_references(builder);
  add_families(builder);
  add_views(builder);
  add_policies(builder);
  add_comparisons(builder);
  return builder.take();
}

/// Things of users that are called like words of the grammar or like built-in functions.
void add_odd_names(Builder& b) {
  for (const char* word : {"substring", "overlay", "over", "filter", "join_up"})
    b.function(word, 'v', 1, "int4");
  for (const char* word : {"values", "recursive"}) {
    b.view(word, "id int4", " SELECT public.log_it(1) AS id;");
  }
  for (const char* word : {"join", "abs", "twice"}) b.type(word, 'd', 'S', "text");
  b.relation("twice", "id int4", 'r', kTenant);
}

}  // namespace

const Catalog& fixture_catalog() {
  static const Catalog catalog = build(150000);
  return catalog;
}

const Catalog& fixture_catalog_of(int server_version_num) {
  static std::map<int, Catalog> catalogs;
  const auto known = catalogs.find(server_version_num);
  if (known != catalogs.end()) return known->second;
  return catalogs[server_version_num] = build(server_version_num);
}

const Catalog& catalog_with_odd_names() {
  static const Catalog catalog = [] {
    Builder builder(150000);
    add_types(builder);
    add_functions(builder);
    add_odd_names(builder);
    return builder.take();
  }();
  return catalog;
}

const Catalog& catalog_with_event_triggers() {
  static const Catalog catalog = [] {
    Catalog made = build(150000);
    made.has_event_triggers = true;
    return made;
  }();
  return catalog;
}

}  // namespace pgrecall::sql::testing
