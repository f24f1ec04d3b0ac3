#include "pgrecall/adapters/catalog_loader.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/test_postgres.h"

namespace pgrecall::adapters {
namespace {

using sql::Catalog;
using sql::Oid;
using sql::Relation;

/// One server for all tests of the process; every test works in a database of its own.
class CatalogLoaderTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new support::TestPostgres(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    if (!server_->running()) GTEST_SKIP() << server_->problem();
    static int databases = 0;
    database_ = "d" + std::to_string(++databases);
    auto maintenance = connect("postgres", "postgres");
    run(maintenance, "CREATE DATABASE " + database_);
    owner_ = std::make_unique<ControlConnection>(connect("postgres", database_));
    control_ = std::make_unique<ControlConnection>(connect("postgres", database_));
  }

  static ControlConnection connect(const std::string& user, const std::string& database) {
    ControlOptions options;
    options.port = server_->port();
    options.user = user;
    options.database = database;
    auto connection = ControlConnection::connect(options);
    EXPECT_TRUE(connection.ok()) << connection.error().message;
    return std::move(connection).value();
  }

  static Rows run(ControlConnection& connection, const std::string& sql) {
    auto rows = connection.exec(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << (rows.ok() ? "" : rows.error().message);
    return rows.ok() ? std::move(rows).value() : Rows{};
  }

  /// Runs what an owner of tables would.
  void ddl(const std::string& sql) { run(*owner_, "SET search_path = public;" + sql); }

  std::shared_ptr<Catalog> load() { return load(*control_); }
  static std::shared_ptr<Catalog> load(ControlConnection& connection) {
    auto catalog = load_catalog(connection);
    EXPECT_TRUE(catalog.ok()) << (catalog.ok() ? "" : catalog.error().message);
    return catalog.ok() ? *catalog : std::make_shared<Catalog>();
  }

  std::string digest() {
    const auto digest = catalog_digest(*control_);
    EXPECT_TRUE(digest.ok()) << (digest.ok() ? "" : digest.error().message);
    return digest.ok() ? *digest : "";
  }

  static const Relation& relation(const Catalog& catalog, std::string_view name) {
    static const Relation kNone;
    const Relation* found = catalog.relation(catalog.schema("public"), name);
    EXPECT_NE(found, nullptr) << name;
    return found != nullptr ? *found : kNone;
  }

  static support::TestPostgres* server_;
  std::string database_;
  std::unique_ptr<ControlConnection> owner_;
  std::unique_ptr<ControlConnection> control_;
};

support::TestPostgres* CatalogLoaderTest::server_ = nullptr;

bool holds(const std::vector<Oid>& list, Oid oid) {
  return std::find(list.begin(), list.end(), oid) != list.end();
}

bool mentions(const std::vector<std::string>& texts, const std::string& word) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(word) != std::string::npos; });
}

TEST_F(CatalogLoaderTest, ReadsIdentityColumnsAndBuiltIns) {
  ddl("CREATE TABLE t (a int, gone int, \"B c\" text DEFAULT 'x', g int GENERATED ALWAYS AS (a + 1)"
      " STORED, CHECK (a > 0)); ALTER TABLE t DROP COLUMN gone;"
      "CREATE UNLOGGED TABLE u (a int); CREATE SEQUENCE s; CREATE INDEX i ON t (a)");
  const auto first = load();
  const auto second = load();
  EXPECT_GT(first->version, 0U);
  EXPECT_GT(second->version, first->version);
  EXPECT_NE(first->system_identifier, 0U);
  EXPECT_EQ(first->database_name, database_);
  EXPECT_GE(first->server_version_num, 130000);
  EXPECT_TRUE(first->complete);

  const Relation& t = relation(*first, "t");
  ASSERT_EQ(t.columns.size(), 3U);
  EXPECT_EQ(t.columns[1].name, "B c");
  EXPECT_EQ(t.columns[1].number, 3);
  EXPECT_EQ(t.columns[1].type, 25U);
  EXPECT_TRUE(t.columns[2].generated);
  EXPECT_FALSE(t.columns[0].generated);
  EXPECT_EQ(t.write_expressions.size(), 3U);
  EXPECT_TRUE(mentions(t.write_expressions, "(a > 0)"));
  EXPECT_EQ(t.reltuples, first->server_version_num < 140000 ? 0 : -1);
  EXPECT_EQ(t.persistence, 'p');
  EXPECT_EQ(relation(*first, "u").persistence, 'u');
  EXPECT_EQ(relation(*first, "s").kind, 'S');
  EXPECT_EQ(first->relation(first->schema("public"), "i"), nullptr);
  EXPECT_NE(first->relation(first->schema("pg_catalog"), "pg_class"), nullptr);
  EXPECT_NE(first->relation(first->schema("information_schema"), "tables"), nullptr);
  EXPECT_EQ(first->schema("pg_toast"), sql::kInvalidOid);

  EXPECT_GT(first->functions.size(), 3000U);
  const auto& lower = first->functions_named("lower");
  EXPECT_TRUE(std::any_of(lower.begin(), lower.end(), [](const sql::Function* f) {
    return f->volatility == 'i' && f->language == "internal" && f->argument_count == 1;
  }));
  EXPECT_FALSE(first->operators_named("=").empty());
  ASSERT_EQ(first->types_named("date").size(), 1U);
  EXPECT_EQ(first->types_named("date")[0]->category, 'D');
  EXPECT_EQ(first->types_named("_int4")[0]->element, 23U);
}

TEST_F(CatalogLoaderTest, ReadsViewsWithQualifiedNamesAndWhatTheyName) {
  ddl("CREATE TABLE t (a int); CREATE TABLE u (a int);"
      "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql STABLE AS 'select 1';"
      "CREATE VIEW v AS SELECT lower('x'), f(t.a) AS a FROM t;"
      "CREATE VIEW w AS SELECT * FROM v JOIN u USING (a);"
      "CREATE MATERIALIZED VIEW m AS SELECT * FROM t");
  const auto catalog = load();
  const Relation& v = relation(*catalog, "v");
  EXPECT_EQ(v.kind, 'v');
  EXPECT_NE(v.view_definition.find("FROM public.t"), std::string::npos) << v.view_definition;
  EXPECT_NE(v.view_definition.find("public.f("), std::string::npos) << v.view_definition;
  EXPECT_EQ(v.rewrite_relations, std::vector<Oid>{relation(*catalog, "t").oid});
  ASSERT_EQ(v.rewrite_functions.size(), 1U);
  EXPECT_EQ(catalog->function(v.rewrite_functions[0])->name, "f");
  const Relation& w = relation(*catalog, "w");
  EXPECT_EQ(w.rewrite_relations.size(), 2U);
  EXPECT_TRUE(holds(w.rewrite_relations, v.oid));
  EXPECT_TRUE(holds(w.rewrite_relations, relation(*catalog, "u").oid));
  EXPECT_EQ(relation(*catalog, "m").kind, 'm');
  EXPECT_NE(relation(*catalog, "m").view_definition.find("public.t"), std::string::npos);
}

TEST_F(CatalogLoaderTest, ReadsInheritanceAndPartitions) {
  ddl("CREATE TABLE p (a int, b int) PARTITION BY LIST (a);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (b);"
      "CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1);"
      "CREATE TABLE base (a int); CREATE TABLE other (b int);"
      "CREATE TABLE child () INHERITS (base, other)");
  const auto catalog = load();
  const Relation& p = relation(*catalog, "p");
  const Relation& p1 = relation(*catalog, "p1");
  const Relation& child = relation(*catalog, "child");
  EXPECT_EQ(p.kind, 'p');
  EXPECT_TRUE(p.has_subclass);
  EXPECT_EQ(p.children, std::vector<Oid>{p1.oid});
  EXPECT_EQ(p1.children, std::vector<Oid>{relation(*catalog, "p11").oid});
  EXPECT_EQ(relation(*catalog, "p11").parents, std::vector<Oid>{p1.oid});
  EXPECT_EQ(child.parents.size(), 2U);
  EXPECT_TRUE(holds(relation(*catalog, "other").children, child.oid));
}

TEST_F(CatalogLoaderTest, ReadsForeignKeysFromTheParentsSide) {
  ddl("CREATE TABLE parent (a int, b int, c int, PRIMARY KEY (c, a));"
      "CREATE TABLE child (x int, y int, CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES parent (a, c)"
      " ON DELETE CASCADE ON UPDATE SET NULL)");
  const auto catalog = load();
  const Relation& parent = relation(*catalog, "parent");
  ASSERT_EQ(parent.referenced_by.size(), 1U);
  const sql::ForeignKey& key = parent.referenced_by[0];
  EXPECT_EQ(key.name, "fk");
  EXPECT_EQ(key.child, relation(*catalog, "child").oid);
  EXPECT_EQ(key.parent, parent.oid);
  EXPECT_EQ(key.on_delete, 'c');
  EXPECT_EQ(key.on_update, 'n');
  EXPECT_EQ(key.parent_columns, (std::vector<int16_t>{1, 3}));
  EXPECT_FALSE(parent.has_user_triggers);
  EXPECT_FALSE(relation(*catalog, "child").has_user_triggers);
}

TEST_F(CatalogLoaderTest, ReadsTriggersAndRules) {
  ddl("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'begin return null; end';"
      "CREATE TABLE plain (a int unique deferrable); CREATE TABLE watched (a int);"
      "CREATE TABLE off (a int); CREATE TABLE p (a int) PARTITION BY LIST (a);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
      "CREATE TRIGGER t AFTER INSERT ON watched EXECUTE FUNCTION note();"
      "CREATE TRIGGER t AFTER INSERT ON off EXECUTE FUNCTION note(); ALTER TABLE off DISABLE "
      "TRIGGER t;"
      "CREATE TRIGGER t AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note();"
      "CREATE TABLE ruled (a int); CREATE RULE go AS ON DELETE TO ruled DO INSTEAD DELETE FROM "
      "plain;"
      "CREATE VIEW v AS SELECT * FROM plain");
  const auto catalog = load();
  EXPECT_TRUE(relation(*catalog, "watched").has_user_triggers);
  EXPECT_TRUE(relation(*catalog, "p").has_user_triggers);
  EXPECT_TRUE(relation(*catalog, "p1").has_user_triggers);
  EXPECT_FALSE(relation(*catalog, "off").has_user_triggers);
  EXPECT_FALSE(relation(*catalog, "plain").has_user_triggers);
  EXPECT_TRUE(relation(*catalog, "ruled").has_rules);
  EXPECT_TRUE(
      holds(relation(*catalog, "ruled").rewrite_relations, relation(*catalog, "plain").oid));
  EXPECT_FALSE(relation(*catalog, "v").has_rules);
  EXPECT_FALSE(relation(*catalog, "plain").has_rules);
}

TEST_F(CatalogLoaderTest, ReadsPoliciesWithTheRelationsAndFunctionsTheyName) {
  ddl("CREATE TABLE members (who text); CREATE TABLE docs (a int, who text);"
      "CREATE FUNCTION allowed(text) RETURNS bool LANGUAGE sql STABLE AS 'select true';"
      "ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"
      "CREATE POLICY p ON docs USING (EXISTS (SELECT 1 FROM members m WHERE m.who = docs.who))"
      " WITH CHECK (allowed(who)); CREATE POLICY q ON members USING (true)");
  const auto catalog = load();
  const Relation& docs = relation(*catalog, "docs");
  EXPECT_TRUE(docs.row_security);
  ASSERT_EQ(docs.policies.size(), 2U);
  EXPECT_TRUE(mentions(docs.policies, "public.members"));
  EXPECT_TRUE(mentions(docs.policies, "public.allowed(who)"));
  EXPECT_EQ(docs.policy_relations, std::vector<Oid>{relation(*catalog, "members").oid});
  ASSERT_EQ(docs.policy_functions.size(), 1U);
  EXPECT_EQ(catalog->function(docs.policy_functions[0])->name, "allowed");
  EXPECT_FALSE(relation(*catalog, "members").row_security);
  EXPECT_EQ(relation(*catalog, "members").policies, std::vector<std::string>{"true"});
}

TEST_F(CatalogLoaderTest, ReadsFunctionsRolesTypesAndExtensions) {
  ddl("CREATE FUNCTION f(a int, b int DEFAULT 1) RETURNS SETOF text LANGUAGE plpgsql IMMUTABLE"
      " AS 'begin end'; CREATE PROCEDURE pr() LANGUAGE sql AS 'select 1';"
      "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE mood AS ENUM ('a');"
      "CREATE ROLE careful_" +
      database_ + " BYPASSRLS");
  const auto catalog = load();
  ASSERT_EQ(catalog->functions_named("f").size(), 1U);
  const sql::Function& f = *catalog->functions_named("f")[0];
  EXPECT_EQ(f.language, "plpgsql");
  EXPECT_EQ(f.volatility, 'i');
  EXPECT_TRUE(f.returns_set);
  EXPECT_EQ(f.argument_count, 2);
  EXPECT_EQ(f.return_type, 25U);
  EXPECT_EQ(f.extension, "");
  EXPECT_EQ(catalog->functions_named("pr")[0]->kind, 'p');
  EXPECT_EQ(catalog->functions_named("plpgsql_call_handler")[0]->extension, "plpgsql");
  EXPECT_EQ(catalog->types_named("positive")[0]->kind, 'd');
  EXPECT_EQ(catalog->types_named("positive")[0]->base, 23U);
  EXPECT_EQ(catalog->types_named("mood")[0]->kind, 'e');
  const sql::Role* role = catalog->role(catalog->role("careful_" + database_));
  ASSERT_NE(role, nullptr);
  EXPECT_TRUE(role->bypass_rls);
  EXPECT_FALSE(role->superuser);
  EXPECT_TRUE(catalog->role(catalog->role("postgres"))->superuser);
}

TEST_F(CatalogLoaderTest, ListsIndexExpressionsOnlyWhereTheyCallUserFunctions) {
  ddl("CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select $1';"
      "CREATE TABLE t (a text); CREATE INDEX ON t (lower(a)); CREATE TABLE u (a text);"
      "CREATE INDEX ON u (norm(a)) WHERE norm(a) > 'x'");
  const auto catalog = load();
  EXPECT_TRUE(relation(*catalog, "t").write_expressions.empty());
  EXPECT_EQ(relation(*catalog, "u").write_expressions.size(), 2U);
  EXPECT_TRUE(mentions(relation(*catalog, "u").write_expressions, "public.norm(a)"));
}

TEST_F(CatalogLoaderTest, LeavesOutTemporaryObjectsOfSessions) {
  ddl("CREATE TABLE t (a int); CREATE TEMP TABLE hidden (a int); CREATE TEMP TABLE t (b int);"
      "CREATE TEMP TABLE heir () INHERITS (public.t)");
  const auto catalog = load();
  EXPECT_EQ(catalog->types_named("hidden").size(), 0U);
  EXPECT_EQ(relation(*catalog, "t").columns[0].name, "a");
  for (const auto& [oid, relation] : catalog->relations) EXPECT_NE(relation.persistence, 't');
  for (const auto& [oid, name] : catalog->schemas) EXPECT_FALSE(name.starts_with("pg_temp"));
}

TEST_F(CatalogLoaderTest, WorksForARoleWithoutAnyPrivilege) {
  const std::string role = "weak_" + database_;
  ddl("CREATE TABLE t (a int DEFAULT 7); CREATE VIEW v AS SELECT * FROM t;"
      "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (a > 0);"
      "CREATE ROLE " +
      role + " LOGIN");
  auto weak = connect(role, database_);
  const auto strong_catalog = load();
  const auto weak_catalog = load(weak);
  EXPECT_EQ(weak_catalog->relations.size(), strong_catalog->relations.size());
  EXPECT_EQ(weak_catalog->roles.size(), strong_catalog->roles.size());
  EXPECT_EQ(relation(*weak_catalog, "v").view_definition,
            relation(*strong_catalog, "v").view_definition);
  EXPECT_EQ(relation(*weak_catalog, "t").policies, std::vector<std::string>{"(a > 0)"});
  const auto before = catalog_digest(weak);
  ASSERT_TRUE(before.ok()) << before.error().message;
  ddl("CREATE ROLE other_" + database_);
  EXPECT_NE(catalog_digest(weak).value(), before.value());
  // Where even the control file is closed, all but the system identifier is there.
  ddl("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
  EXPECT_EQ(load(weak)->system_identifier, 0U);
  EXPECT_TRUE(catalog_digest(weak).ok());
}

TEST_F(CatalogLoaderTest, DoesNotWaitForLockedRelations) {
  ddl("CREATE TABLE t (a int); CREATE TABLE free (a int); CREATE VIEW v AS SELECT * FROM t;"
      "CREATE VIEW over AS SELECT * FROM v; CREATE VIEW w AS SELECT * FROM free;"
      "ALTER TABLE free ENABLE ROW LEVEL SECURITY;"
      "CREATE POLICY p ON free USING (EXISTS (SELECT FROM t)); CREATE POLICY q ON free USING "
      "(true)");
  ddl("BEGIN; LOCK TABLE t");
  const auto locked = load();
  EXPECT_FALSE(locked->complete);
  EXPECT_EQ(relation(*locked, "v").view_definition, "");
  EXPECT_NE(relation(*locked, "w").view_definition, "");
  EXPECT_TRUE(mentions(relation(*locked, "free").policies, std::string(sql::kUnreadableText)));
  EXPECT_TRUE(mentions(relation(*locked, "free").policies, "true"));
  run(*owner_, "COMMIT");
  const auto unlocked = load();
  EXPECT_TRUE(unlocked->complete);
  EXPECT_NE(relation(*unlocked, "v").view_definition, "");
}

TEST_F(CatalogLoaderTest, ReportsAnErrorAndCanGoOn) {
  ASSERT_TRUE(control_->exec("SET lock_timeout = 1").ok());
  ASSERT_TRUE(owner_->exec("BEGIN; LOCK TABLE pg_catalog.pg_policy").ok());
  const auto failed = load_catalog(*control_);
  EXPECT_FALSE(failed.ok());
  run(*owner_, "ROLLBACK");
  ASSERT_TRUE(control_->exec("SET lock_timeout = 0").ok());
  EXPECT_TRUE(load_catalog(*control_).ok());
}

TEST_F(CatalogLoaderTest, KnowsWhetherDdlFiresEventTriggers) {
  EXPECT_FALSE(load()->has_event_triggers);
  ddl("CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'begin end';"
      "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION on_ddl()");
  EXPECT_TRUE(load()->has_event_triggers);
  ddl("ALTER EVENT TRIGGER e DISABLE");
  EXPECT_FALSE(load()->has_event_triggers);
  ddl("ALTER EVENT TRIGGER e ENABLE REPLICA");
  EXPECT_TRUE(load()->has_event_triggers);
}

/// Whatever the way in which a role came to the right, or lost it: as the server says.
TEST_F(CatalogLoaderTest, KnowsWhoMayUseWhichSchema) {
  std::string roles;
  for (const char* role : {"a", "b", "c", "d", "e"})
    roles += " CREATE ROLE " + database_ + role + ";";
  const std::string a = database_ + "a";
  const std::string b = database_ + "b";
  const std::string c = database_ + "c";
  const std::string d = database_ + "d";
  const std::string e = database_ + "e";
  ddl(roles +
      "CREATE SCHEMA open; GRANT USAGE ON SCHEMA open TO PUBLIC; CREATE SCHEMA plain;"
      "CREATE SCHEMA owned AUTHORIZATION " +
      a + "; CREATE SCHEMA emptied AUTHORIZATION " + a + "; REVOKE ALL ON SCHEMA emptied FROM " +
      a +
      "; CREATE SCHEMA given; GRANT USAGE ON SCHEMA"
      " given TO " +
      b + "; GRANT CREATE ON SCHEMA plain TO " + b + "; GRANT " + a + " TO " + b + "; GRANT " + b +
      " TO " + c + "; ALTER ROLE " + d + " NOINHERIT; GRANT " + b + " TO " + d + "; ALTER ROLE " +
      e + " SUPERUSER; ALTER DATABASE " + database_ + " OWNER TO " + c);
  if (load()->server_version_num >= 140000) {
    const std::string all = database_ + "all";
    ddl("CREATE ROLE " + all + "; GRANT pg_read_all_data TO " + all +
        "; GRANT USAGE ON SCHEMA plain TO pg_database_owner");
  }
  const auto catalog = load();
  const Rows rows = run(*control_,
                        "SELECT r.oid, n.oid, has_schema_privilege(r.oid, n.oid, 'USAGE')::int,"
                        " rolname || ' ' || nspname FROM pg_roles r, pg_namespace n"
                        " WHERE nspname NOT LIKE 'pg\\_t%'");
  int closed = 0;
  for (const auto& row : rows) {
    const auto role = static_cast<Oid>(std::stoul(row.at(0).value()));
    const auto schema = static_cast<Oid>(std::stoul(row.at(1).value()));
    EXPECT_EQ(catalog->may_use(role, schema), row.at(2) == "1") << row.at(3).value();
    closed += row.at(2) == "1" ? 0 : 1;
  }
  EXPECT_GT(closed, 20);
  EXPECT_TRUE(catalog->may_use(sql::kInvalidOid, catalog->schema("owned")));
}

TEST_F(CatalogLoaderTest, DigestChangesWithWhateverTheCatalogOrPrivilegesDependOn) {
  const std::string alice = "alice_" + database_;
  const std::string group = "group_" + database_;
  ddl("CREATE TABLE t (a int, b varchar(10)); CREATE TABLE doomed (a int);"
      "CREATE VIEW v AS SELECT a FROM t; CREATE SCHEMA s; CREATE TYPE mood AS ENUM ('a');"
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1';"
      "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'begin return null; end';"
      "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'begin end';"
      "CREATE MATERIALIZED VIEW m AS SELECT a FROM t; CREATE UNIQUE INDEX ON m (a);"
      "CREATE ROLE " +
      alice + "; CREATE ROLE " + group);
  const std::vector<std::string> changes = {
      "GRANT SELECT ON t TO " + alice,
      "REVOKE SELECT ON t FROM " + alice,
      "GRANT SELECT (a) ON t TO " + alice,
      "GRANT USAGE ON SCHEMA s TO " + alice,
      "REVOKE USAGE ON SCHEMA s FROM " + alice,
      "GRANT EXECUTE ON FUNCTION f() TO " + alice,
      "GRANT SELECT ON pg_catalog.pg_statistic TO " + alice,
      "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO " + alice,
      "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
      "CREATE POLICY p ON t USING (true)",
      "ALTER POLICY p ON t USING (a > 1)",
      "ALTER ROLE " + alice + " SET search_path = s",
      "ALTER ROLE " + alice + " IN DATABASE " + database_ + " SET timezone = 'UTC'",
      "ALTER DATABASE " + database_ + " SET extra_float_digits = 1",
      "ALTER DATABASE " + database_ + " RESET extra_float_digits",
      "GRANT " + group + " TO " + alice,
      "REVOKE " + group + " FROM " + alice,
      "ALTER ROLE " + alice + " BYPASSRLS",
      "ALTER ROLE " + alice + " NOINHERIT",
      "ALTER SCHEMA s OWNER TO " + alice,
      "ALTER ROLE " + group + " RENAME TO renamed_" + group,
      "CREATE OR REPLACE VIEW v AS SELECT a + 1 AS a FROM t",
      "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'",
      "CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION note()",
      "ALTER TABLE t DISABLE TRIGGER x",
      "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING",
      "DROP TABLE doomed",
      "ALTER TABLE t ADD COLUMN c int",
      "ALTER TABLE t RENAME COLUMN c TO d",
      "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)",
      "ALTER TABLE t ALTER COLUMN d SET DEFAULT 5",
      "ALTER TABLE t DROP COLUMN d",
      "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
      "CREATE TABLE part (a int) PARTITION BY LIST (a)",
      "CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1)",
      "ALTER TABLE part DETACH PARTITION part1",
      "ALTER TABLE t SET SCHEMA s",
      "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION on_ddl()",
      "ALTER EVENT TRIGGER e DISABLE",
      "ALTER EVENT TRIGGER e ENABLE ALWAYS",
      "DROP EVENT TRIGGER e",
      "CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE plpgsql AS 'begin return 0; end'",
      "CREATE OPERATOR CLASS odd FOR TYPE int USING btree AS OPERATOR 3 =, FUNCTION 1 cmp(int,"
      " int)",
      "CREATE INDEX ON s.t (a odd)",
      "ALTER OPERATOR FAMILY odd USING btree ADD OPERATOR 1 < (int, int)",
      "ALTER OPERATOR FAMILY odd USING btree ADD FUNCTION 4 (int, int) btequalimage(oid)",
      "DROP INDEX s.t_a_idx",
      "ALTER TABLE s.t ADD EXCLUDE USING btree (a WITH =)",
      "ALTER TYPE mood ADD VALUE 'b'",
      "ALTER TYPE mood RENAME VALUE 'a' TO 'z'",
      "CREATE CAST (text AS mood) WITH INOUT",
      "CREATE COLLATION mine FROM \"C\"",
      "ALTER EXTENSION plpgsql ADD FUNCTION f()",
      "REFRESH MATERIALIZED VIEW m",
      "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
      "DROP SCHEMA s CASCADE"};
  std::string before = digest();
  for (const std::string& change : changes) {
    ddl(change);
    const std::string after = digest();
    EXPECT_NE(after, before) << change;
    before = after;
  }
}

TEST_F(CatalogLoaderTest, DigestChangesWithTheConfigurationAndWithARestart) {
  std::string before = digest();
  run(*owner_, "SELECT pg_reload_conf()");
  // The reload reaches the control connection's backend by a signal.
  std::string after = digest();
  while (after == before) after = digest();
  EXPECT_NE(after.find("configured="), std::string::npos);
  EXPECT_NE(after.find("timeline=00000001"), std::string::npos) << after;
  ASSERT_TRUE(server_->restart()) << server_->problem();
  EXPECT_FALSE(catalog_digest(*control_).ok());
  EXPECT_FALSE(control_->connected());
  control_ = std::make_unique<ControlConnection>(connect("postgres", database_));
  EXPECT_NE(digest(), after);
}

TEST_F(CatalogLoaderTest, DigestStaysTheSameOverWhatMeansNothing) {
  ddl("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE heap (a int);"
      "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g; ANALYZE t");
  const std::string before = digest();
  auto other = connect("postgres", database_);
  const std::vector<std::string> noise = {
      "SELECT * FROM public.t",
      "INSERT INTO public.t SELECT g, 'x' FROM generate_series(1000, 20000) g",
      "UPDATE public.t SET b = 'y'",
      "DELETE FROM public.t WHERE a > 500",
      "ANALYZE public.t",
      "VACUUM public.t",
      "VACUUM FREEZE pg_catalog.pg_class",
      "CREATE TEMP TABLE mine (a serial PRIMARY KEY, b text DEFAULT 'x', CHECK (a > 0))",
      "INSERT INTO mine (b) VALUES ('z')",
      "CREATE TEMP VIEW my_view AS SELECT * FROM mine",
      "CREATE INDEX ON mine (lower(b)) WHERE b > 'a'",
      "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'select 1'",
      "DROP TABLE mine CASCADE",
      "CREATE INDEX named ON public.t (b)",
      "REINDEX TABLE public.t",
      "DROP INDEX public.named",
      "COMMENT ON TABLE public.t IS 'no change'",
      "BEGIN; CREATE TABLE public.undone (a int); ROLLBACK",
      "CREATE STATISTICS public.st ON a, b FROM public.t"};
  for (const std::string& statement : noise) {
    run(other, statement);
    EXPECT_EQ(digest(), before) << statement;
  }
}

TEST_F(CatalogLoaderTest, KnowsBackendsByTheirStart) {
  auto other = std::make_unique<ControlConnection>(connect("postgres", database_));
  const int pid = other->backend_pid();
  const auto start = backend_start(*control_, pid);
  ASSERT_TRUE(start.ok() && start->has_value());
  EXPECT_FALSE(backend_gone(*control_, pid, **start).value());
  EXPECT_TRUE(backend_gone(*control_, pid, "2001-01-01 00:00:00.000000").value());

  const std::string role = "weak_" + database_;
  ddl("CREATE ROLE " + role + " LOGIN");
  auto weak = connect(role, database_);
  EXPECT_FALSE(backend_start(weak, pid)->has_value());
  EXPECT_FALSE(backend_gone(weak, pid, **start).value());
  EXPECT_FALSE(backend_gone(weak, pid, "2001-01-01 00:00:00.000000").value());

  run(*control_, "SELECT pg_terminate_backend(" + std::to_string(pid) + ")");
  while (!backend_gone(weak, pid, **start).value()) {
  }
  EXPECT_FALSE(backend_start(*control_, pid)->has_value());
}

TEST_F(CatalogLoaderTest, ErrorsCarryTheirSqlstate) {
  const auto failed = control_->exec("SELECT 1/0");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().sqlstate, "22012");
  EXPECT_EQ(failed.error().message, "division by zero");
  EXPECT_TRUE(control_->connected());
  const auto rows = control_->exec("SELECT $1::int + 1, NULL", {"41"});
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows.value()[0][0], "42");
  EXPECT_FALSE(rows.value()[0][1].has_value());
  ControlOptions nowhere;
  nowhere.host = "/nonexistent";
  const auto refused = ControlConnection::connect(nowhere);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().sqlstate, "08006");
  ControlOptions missing;
  missing.port = server_->port();
  missing.database = "a:  53300: b";
  const auto unknown = ControlConnection::connect(missing);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().sqlstate, "3D000");
  EXPECT_EQ(unknown.error().message.find("LOCATION"), std::string::npos);
}

}  // namespace
}  // namespace pgrecall::adapters
