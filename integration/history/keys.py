"""The keys of the history: each is something whose version only grows, whatever table, view or
column shows it."""

ROWS = 8
PLAIN_TABLES = ("t0", "t1", "t2", "t3")  # plain, partitions, triggers, views
CLIENTS_MAX = 32

NAMES = ["nothing"]  # by key; 0 is none


def _space(name, count):
    """Reserves `count` keys; key n of the space stands for the row with id n + 1."""
    first = len(NAMES)
    NAMES.extend(f"{name}[{index + 1}]" for index in range(count))
    return first - 1  # base + id is the key


PLAIN = {table: _space(table, ROWS) for table in PLAIN_TABLES}
PAIR = _space("pair", ROWS)          # pa and pb, always written together
CASCADE = _space("cascade", ROWS)    # ca and what ON UPDATE CASCADE makes of cb
DEFERRED = _space("deferred", ROWS)  # u, with a deferred unique constraint
OWNED = _space("owned", CLIENTS_MAX)   # o, row of one client
COPIED = _space("copied", CLIENTS_MAX)  # copied, rows appended by one client
ASYNC = _space("async", CLIENTS_MAX)   # y, written with synchronous_commit = off
SOURCE = _space("source", CLIENTS_MAX)  # m, the source of a materialised view
REFRESHED = _space("refreshed", 1)      # mv, that view: what its REFRESH has shown
MISSING = _space("missing", CLIENTS_MAX)  # x, rows inserted past pgrecall, then hit by 23505
GENERATION_OF_VIEW = _space("view generation", 1) + 1
GENERATION_OF_COLUMNS = _space("column generation", 1) + 1
GENERATION_OF_GRANTS = _space("grant generation", 1) + 1
COUNT = len(NAMES)


STEP = 10**9


def first(key):
    """The version that a row of this key starts with. The versions of all keys are apart, so that the
    answer to another question is recognised."""
    return key * STEP + 1


def plain(table, row):
    return PLAIN[table] + row
