"""The tables of the history, each a way in which a write can reach what a read shows."""
from . import keys

_PLAIN = "id int PRIMARY KEY, v bigint NOT NULL, w bigint NOT NULL DEFAULT 0"

_TABLES = f"""
CREATE TABLE t0 ({_PLAIN});
CREATE TABLE t1 ({_PLAIN}) PARTITION BY RANGE (id);
CREATE TABLE t1_low PARTITION OF t1 FOR VALUES FROM (MINVALUE) TO (3);
CREATE TABLE t1_high PARTITION OF t1 FOR VALUES FROM (3) TO (MAXVALUE);
CREATE TABLE t2 ({_PLAIN});
CREATE TABLE t3 ({_PLAIN});
CREATE TABLE s0 (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE s2 (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE pa (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE pb (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE ca (id int PRIMARY KEY, v bigint NOT NULL UNIQUE);
CREATE TABLE cb (id int PRIMARY KEY, v bigint NOT NULL REFERENCES ca (v) ON UPDATE CASCADE);
CREATE TABLE u (id int PRIMARY KEY, v bigint NOT NULL, slot int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE o (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE copied (id int NOT NULL, v bigint NOT NULL);
CREATE TABLE y (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE m (id int PRIMARY KEY, v bigint NOT NULL);
CREATE TABLE x (id int NOT NULL, v bigint NOT NULL, UNIQUE (id, v));
CREATE TABLE d (id int PRIMARY KEY, g_0 int NOT NULL);
CREATE TABLE g (id int PRIMARY KEY, v bigint NOT NULL);
CREATE VIEW t3_view AS SELECT id, v, w FROM t3;
CREATE VIEW t3_view2 AS SELECT id, v FROM t3_view;
CREATE VIEW t2_and_s0 AS SELECT a.id, a.v AS v, b.v AS v2 FROM t2 a JOIN s0 b USING (id);
CREATE VIEW generation AS SELECT id, 0 AS g FROM g;
"""

_FUNCTIONS = """
CREATE FUNCTION shadow_static() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE s0 SET v = NEW.v WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER shadow_static AFTER INSERT OR UPDATE ON t2 FOR EACH ROW EXECUTE FUNCTION shadow_static();
CREATE FUNCTION shadow_dynamic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'UPDATE ' || TG_ARGV[0] || ' SET v = $1 WHERE id = $2' USING NEW.v, NEW.id; RETURN NULL; END $$;
CREATE TRIGGER shadow_dynamic AFTER INSERT OR UPDATE ON t2 FOR EACH ROW EXECUTE FUNCTION shadow_dynamic('s2');
CREATE FUNCTION bump(int, bigint) RETURNS bigint LANGUAGE sql AS
$$ UPDATE t3 SET v = v + 1, w = $2 WHERE id = $1 RETURNING v $$;
CREATE FUNCTION bump_dynamic(tab text, int, bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN EXECUTE format('UPDATE %I SET v = v + 1, w = $2 WHERE id = $1 RETURNING v', tab) INTO r USING $2, $3;
RETURN r; END $$;
CREATE PROCEDURE bump_twice(int, bigint) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE o SET v = greatest(v, $2 - 1) WHERE id = $1; COMMIT;
  UPDATE o SET v = greatest(v, $2) WHERE id = $1;
END $$;
CREATE FUNCTION read_owned(int) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT v FROM o WHERE id = $1 $$;
CREATE ROLE reader LOGIN PASSWORD 'secret';
GRANT SELECT ON g TO reader;
"""


def _fill(table, base, rows):
    return f"INSERT INTO {table} (id, v) SELECT i, ({base} + i) * {keys.STEP}::bigint + 1 FROM generate_series(1, {rows}) i"


def _rows():
    for table in keys.PLAIN_TABLES:
        yield _fill(table, keys.PLAIN[table], keys.ROWS)
    for table, base in (("s0", keys.PLAIN["t2"]), ("s2", keys.PLAIN["t2"]), ("pa", keys.PAIR), ("pb", keys.PAIR),
                        ("ca", keys.CASCADE), ("cb", keys.CASCADE)):
        yield _fill(table, base, keys.ROWS)
    yield f"INSERT INTO u SELECT id, (id + {keys.DEFERRED}) * {keys.STEP}::bigint + 1, id FROM pa"
    for table, base in (("o", keys.OWNED), ("copied", keys.COPIED), ("y", keys.ASYNC), ("m", keys.SOURCE)):
        yield _fill(table, base, keys.CLIENTS_MAX)
    yield "INSERT INTO d VALUES (1, 0)"
    yield "INSERT INTO g VALUES (1, 0)"
    yield "CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM m"


def create(server, database):
    """Makes the tables past pgrecall."""
    server.sql(database, _TABLES, _FUNCTIONS, *_rows())
