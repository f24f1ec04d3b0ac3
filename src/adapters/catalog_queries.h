// The SQL of the catalog loader. Every query runs with search_path = pg_catalog.
#pragma once

namespace pgrecall::adapters {

/// What a schema must not be to count: TOAST and the temporary schemas of sessions.
#define PGR_PERMANENT_SCHEMA(column)                                     \
  column                                                                 \
      " NOT IN (SELECT oid FROM pg_namespace WHERE nspname = 'pg_toast'" \
      " OR nspname LIKE 'pg\\_temp\\_%' OR nspname LIKE 'pg\\_toast\\_temp\\_%')"

/// Relations that a statement can name in FROM or as its target.
#define PGR_NAMED_RELATION_KINDS "('r', 'p', 'v', 'm', 'f', 'S')"

/// Relations on which an ACCESS SHARE lock would have to wait.
#define PGR_LOCKED                                                                             \
  "locked AS MATERIALIZED (SELECT DISTINCT relation FROM pg_locks WHERE locktype = 'relation'" \
  " AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid() AND database IN (0,"          \
  " (SELECT oid FROM pg_database WHERE datname = current_database())))"

constexpr const char* kDatabaseQuery =
    "SELECT oid, datname, has_function_privilege('pg_control_system()', 'EXECUTE'),"
    " EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled <> 'D' AND evtevent <> 'login'),"
    " EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled <> 'D' AND evtevent = 'login')"
    " FROM pg_database WHERE datname = current_database()";

constexpr const char* kSystemIdentifierQuery = "SELECT system_identifier FROM pg_control_system()";

constexpr const char* kSchemasQuery =
    "SELECT oid, nspname FROM pg_namespace WHERE " PGR_PERMANENT_SCHEMA("oid");

/// One row with NULL for a schema that nobody may use. Asked for grants rather than for every role:
/// a site may have a schema and a role for each tenant.
constexpr const char* kSchemaUsersQuery =
    "SELECT n.oid, a.grantee FROM pg_namespace n LEFT JOIN LATERAL"
    " (SELECT grantee FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)))"
    "  WHERE privilege_type = 'USAGE' UNION SELECT oid FROM pg_roles"
    "  WHERE rolname IN ('pg_read_all_data', 'pg_write_all_data')) a ON true"
    " WHERE NOT has_schema_privilege('public'::name, n.oid, 'USAGE')"
    " AND " PGR_PERMANENT_SCHEMA("n.oid");

/// Up to version 15 it is the member that inherits or not, then the membership.
constexpr const char* kPrivilegesOfQuery =
    "WITH RECURSIVE edge AS (SELECT m.member, m.roleid FROM pg_auth_members m"
    "  JOIN pg_roles r ON r.oid = m.member"
    "  WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)"
    " UNION SELECT d.datdba, r.oid FROM pg_database d, pg_roles r"
    "  WHERE d.datname = current_database() AND r.rolname = 'pg_database_owner'),"
    " reach AS (SELECT member, roleid FROM edge"
    " UNION SELECT r.member, e.roleid FROM reach r JOIN edge e ON e.member = r.roleid)"
    " SELECT member, roleid FROM reach";

constexpr const char* kRolesQuery = "SELECT oid, rolname, rolsuper, rolbypassrls FROM pg_roles";

/// A trigger of a user may count as internal: up to version 14 those that a partition inherits do.
/// Functions of internal triggers proper (foreign keys, deferred uniqueness) are built in.
constexpr const char* kRelationsQuery =
    "SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relpersistence, c.relrowsecurity,"
    " c.relhassubclass, c.reltuples,"
    " c.relhasrules AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid"
    "   AND r.ev_type <> '1'),"
    " c.relhastriggers AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid"
    "   AND t.tgenabled <> 'D' AND (NOT t.tgisinternal OR t.tgfoid >= 16384))"
    " FROM pg_class c WHERE c.relkind IN " PGR_NAMED_RELATION_KINDS
    " AND " PGR_PERMANENT_SCHEMA("c.relnamespace");

constexpr const char* kColumnsQuery =
    "SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.attgenerated <> ''"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    " AND " PGR_PERMANENT_SCHEMA("c.relnamespace") " ORDER BY a.attrelid, a.attnum";

constexpr const char* kInheritsQuery =
    "SELECT inhparent, inhrelid FROM pg_inherits ORDER BY inhparent, inhrelid";

/// Dependencies on what initdb made are not all recorded; system views are not listed at all.
constexpr const char* kRuleDependenciesQuery =
    "SELECT DISTINCT r.ev_class, d.refclassid = 'pg_proc'::regclass, d.refobjid"
    " FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
    " LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid"
    " WHERE r.ev_class >= 16384 AND ((d.refclassid = 'pg_class'::regclass"
    " AND d.refobjid <> r.ev_class) OR p.pronamespace <> 'pg_catalog'::regnamespace"
    " OR p.oid >= 16384) ORDER BY 1, 2, 3";

/// pg_get_viewdef locks the view and what it names.
constexpr const char* kViewsQuery =
    "WITH " PGR_LOCKED
    " SELECT c.oid, CASE WHEN EXISTS (SELECT FROM locked WHERE relation = c.oid)"
    " OR EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass"
    "  AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass"
    "  JOIN locked ON locked.relation = d.refobjid WHERE r.ev_class = c.oid)"
    " THEN NULL ELSE pg_get_viewdef(c.oid) END"
    " FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384"
    " AND " PGR_PERMANENT_SCHEMA("c.relnamespace");

/// The third column says that there is something to read.
constexpr const char* kPoliciesQuery =
    "WITH " PGR_LOCKED
    ", p AS (SELECT *, EXISTS (SELECT FROM locked WHERE relation = polrelid)"
    " OR EXISTS (SELECT FROM pg_depend d JOIN locked ON locked.relation = d.refobjid"
    "  WHERE d.classid = 'pg_policy'::regclass AND d.objid = pg_policy.oid"
    "  AND d.refclassid = 'pg_class'::regclass) AS unreadable FROM pg_policy)"
    " SELECT polrelid, CASE WHEN NOT unreadable THEN pg_get_expr(polqual, polrelid) END,"
    " polqual IS NOT NULL,"
    " CASE WHEN NOT unreadable THEN pg_get_expr(polwithcheck, polrelid) END,"
    " polwithcheck IS NOT NULL FROM p ORDER BY polrelid, p.oid";

constexpr const char* kPolicyDependenciesQuery =
    "SELECT DISTINCT p.polrelid, d.refclassid = 'pg_proc'::regclass, d.refobjid"
    " FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid"
    " LEFT JOIN pg_proc f ON d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid"
    " WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid)"
    " OR f.pronamespace <> 'pg_catalog'::regnamespace OR f.oid >= 16384 ORDER BY 1, 2, 3";

#define PGR_NAMES_USERS_CODE(class, object)                                                       \
  "EXISTS (SELECT FROM pg_depend d WHERE d.classid = '" class "'::regclass AND d.objid = " object \
                                                              " AND d.refclassid IN "             \
                                                              "('pg_proc'::regclass, "            \
                                                              "'pg_operator'::regclass)"          \
                                                              " AND d.refobjid >= 16384)"

/// From version 17 on, pg_get_expr locks the relation. Expressions of indexes and partition keys
/// are immutable by their label, so they matter only where the label is a user's. The third column
/// says that the planner of a read may run what is constant in it.
constexpr const char* kWriteExpressionsQuery =
    "WITH " PGR_LOCKED
    // A default names no column: deparsed without its relation, since naming the columns of a wide
    // table takes time that grows with the square of their number.
    ", e AS (SELECT adrelid AS relation, adbin AS expression,"
    "  CASE WHEN a.attgenerated = '' THEN 0 ELSE adrelid END AS context, false AS planned"
    "  FROM pg_attrdef JOIN pg_attribute a ON attrelid = adrelid AND attnum = adnum"
    " UNION ALL SELECT conrelid, conbin, conrelid, " PGR_NAMES_USERS_CODE("pg_constraint", "c.oid")
    "  FROM pg_constraint c WHERE contype = 'c' AND conrelid <> 0"
    " UNION ALL SELECT i.indrelid, x, i.indrelid, true FROM pg_index i,"
    "  LATERAL (VALUES (i.indexprs), (i.indpred)) AS v (x)"
    "  WHERE x IS NOT NULL AND " PGR_NAMES_USERS_CODE("pg_class", "i.indexrelid")
    " UNION ALL SELECT k.partrelid, k.partexprs, k.partrelid, true FROM pg_partitioned_table k"
    "  WHERE k.partexprs IS NOT NULL AND " PGR_NAMES_USERS_CODE("pg_class", "k.partrelid") ")"
    " SELECT relation, CASE WHEN NOT EXISTS (SELECT FROM locked WHERE locked.relation = e.relation)"
    " THEN pg_get_expr(expression, context) END, planned FROM e WHERE relation >= 16384";

/// Functions in C and those of extensions are made by people who would not let a comparison write.
/// Of a family of initdb only what is exactly of the class counts: others add their own types.
#define PGR_CLASS_FUNCTIONS                                                                   \
  "code AS MATERIALIZED (SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang" \
  "  WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') AND NOT EXISTS"              \
  "  (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid"      \
  "   AND d.deptype = 'e')),"                                                                 \
  " class_function AS MATERIALIZED (SELECT o.oid AS class, m.function FROM"                   \
  "  (SELECT amprocfamily AS family, amproclefttype AS a, amprocrighttype AS b,"              \
  "    amproc::oid AS function FROM pg_amproc"                                                \
  "   UNION ALL SELECT amopfamily, amoplefttype, amoprighttype, oprcode::oid"                 \
  "    FROM pg_amop JOIN pg_operator p ON p.oid = amopopr) m"                                 \
  "  JOIN pg_opclass o ON o.opcfamily = m.family"                                             \
  "   AND (o.oid >= 16384 OR (o.opcintype = m.a AND o.opcintype = m.b))"                      \
  "  WHERE m.function IN (SELECT oid FROM code))"

/// Sorting and hashing are done by the default classes of btree (403) and hash (405).
constexpr const char* kOperatorClassesQuery =
    "WITH " PGR_CLASS_FUNCTIONS
    " SELECT DISTINCT o.opcname, o.opcintype,"
    " o.opcdefault AND o.opcmethod IN (403, 405)"
    " FROM class_function f JOIN pg_opclass o ON o.oid = f.class";

constexpr const char* kIndexFunctionsQuery =
    "WITH " PGR_CLASS_FUNCTIONS
    " SELECT DISTINCT relation, function FROM ("
    "  SELECT i.indrelid AS relation, f.function FROM pg_index i"
    "   JOIN class_function f ON f.class = ANY (i.indclass)"
    "  UNION ALL SELECT k.partrelid, f.function FROM pg_partitioned_table k"
    "   JOIN class_function f ON f.class = ANY (k.partclass)"
    "  UNION ALL SELECT c.conrelid, o.oprcode::oid FROM pg_constraint c JOIN pg_operator o"
    "   ON o.oid = ANY (c.conexclop || c.conpfeqop || c.conppeqop || c.conffeqop)"
    "   WHERE o.oprcode::oid IN (SELECT oid FROM code)) w WHERE relation >= 16384";

constexpr const char* kForeignKeysQuery =
    "SELECT oid, conname, conrelid, confrelid, confupdtype, confdeltype,"
    " array_to_string(confkey, ' ') FROM pg_constraint WHERE contype = 'f' ORDER BY oid";

constexpr const char* kFunctionsQuery =
    "SELECT p.oid, p.pronamespace, p.proname, p.provolatile, p.prokind, p.proretset, l.lanname,"
    " e.extname, p.pronargs, p.prorettype FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid"
    "  AND d.objsubid = 0 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"
    " LEFT JOIN pg_extension e ON e.oid = d.refobjid"
    " WHERE " PGR_PERMANENT_SCHEMA("p.pronamespace");

constexpr const char* kOperatorsQuery =
    "SELECT oid, oprnamespace, oprname, oprcode::oid FROM pg_operator"
    " WHERE " PGR_PERMANENT_SCHEMA("oprnamespace");

constexpr const char* kCastsQuery =
    "SELECT castsource, casttarget, castfunc, castcontext = 'e' FROM pg_cast"
    " WHERE oid >= 16384 AND castfunc <> 0";

constexpr const char* kTypesQuery =
    "SELECT oid, typnamespace, typname, typtype, typcategory, typelem, typbasetype FROM pg_type"
    " WHERE " PGR_PERMANENT_SCHEMA("typnamespace");

#undef PGR_CLASS_FUNCTIONS
#undef PGR_NAMES_USERS_CODE
#undef PGR_PERMANENT_SCHEMA
#undef PGR_NAMED_RELATION_KINDS
#undef PGR_LOCKED

}  // namespace pgrecall::adapters
