"""Conversations whose bytes through pgrecall must equal those of PostgreSQL. Each module holds a
tuple CONVERSATIONS; SCHEMA is what their database contains."""
from . import copy, cursors, extended, prepared, simple, startup, transactions

SCHEMA = (
    "CREATE TABLE t (id int PRIMARY KEY, v text)",
    "CREATE TABLE deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE copied (a int, b text)",
    "CREATE TABLE wide (i2 int2, i4 int4, i8 int8, f8 float8, n numeric(10,3), b bool, y bytea, d date,"
    " ts timestamptz, j jsonb, a int[], u uuid)",
    "INSERT INTO t SELECT g, 'value ' || g FROM generate_series(1, 5) g",
    "INSERT INTO wide VALUES (1, 2, 3, 4.5, 6.789, true, '\\x00ff', '2020-01-02', '2020-01-02 03:04:05+00',"
    " '{\"k\": [1, 2]}', '{1,2,3}', '00000000-0000-0000-0000-000000000001')",
    "CREATE FUNCTION notices(n int) RETURNS int LANGUAGE plpgsql AS $$BEGIN FOR i IN 1..n LOOP"
    " RAISE NOTICE 'notice %', i; END LOOP; RETURN n; END$$",
)

RESET_T = ("TRUNCATE t", "INSERT INTO t SELECT g, 'value ' || g FROM generate_series(1, 5) g")

ALL = (simple.CONVERSATIONS + transactions.CONVERSATIONS + extended.CONVERSATIONS + prepared.CONVERSATIONS
       + copy.CONVERSATIONS + cursors.CONVERSATIONS + startup.CONVERSATIONS)
