"""COPY in and out, failing and abandoned, in both protocols."""
from support.conversation import READY, End, Until, conversation, ready
from support.wire import (bind, copy_data, copy_done, copy_fail, describe_portal, execute, extended, flush, parse,
                          query, sync)

IN = "COPY copied FROM STDIN"
OUT = "COPY (SELECT id, v FROM t ORDER BY id) TO STDOUT"
ROWS = copy_data(b"1\tone\n") + copy_data(b"2\ttw") + copy_data(b"o\n3\t\\N\n")
EMPTY = ("TRUNCATE copied",)
READ = "SELECT * FROM copied ORDER BY a"
START = parse("", IN) + bind("", "") + execute()


def writes(name, *steps, **keywords):
    return conversation(name, *steps, setup=EMPTY, **keywords)


CONVERSATIONS = (
    conversation("copy_out", query(OUT), repeat=2),
    conversation("copy_out_binary", query("COPY (TABLE t ORDER BY id) TO STDOUT (FORMAT binary)")),
    conversation("copy_out_in_extended", parse("", OUT) + bind("", "") + describe_portal("") + execute() + sync(),
                 READY, extended("SELECT 1") + sync()),
    conversation("copy_out_fails_midway", query("COPY (SELECT 1 / (4 - id) FROM t ORDER BY id) TO STDOUT"), READY,
                 query("SELECT count(*) FROM t")),
    conversation("copy_out_among_others", query(f"SELECT 1; {OUT}; SELECT 2") + query(OUT), ready(2)),
    writes("copy_in", query(IN), Until("G"), ROWS + copy_done(), READY, query(READ)),
    writes("copy_in_without_waiting", query(IN) + ROWS + copy_done() + query(READ), ready(2)),
    writes("copy_in_end_marker", query(IN) + copy_data(b"1\tone\n\\.\n") + copy_done(), READY, query(READ)),
    writes("copy_in_nothing", query(IN), Until("G"), copy_done(), READY, query(READ)),
    writes("copy_in_fails_by_client", query(IN), Until("G"), ROWS + copy_fail("changed my mind"), READY,
           query(READ)),
    writes("copy_in_fails_by_server", query(IN), Until("G"), copy_data(b"bad\tone\n"), Until("Z"), query(READ)),
    writes("copy_in_fails_by_server_in_one_send",
           query(IN) + copy_data(b"bad\tone\n") + copy_data(b"2\ttwo\n") + copy_done() + query(READ), ready(2)),
    writes("copy_in_interrupted_by_query", query(IN), Until("G"), query("SELECT 1"), End()),
    writes("copy_in_with_flush_and_sync_inside", query(IN), Until("G"), ROWS + flush() + sync() + copy_done(),
           READY, query(READ)),
    writes("copy_in_among_others", query(f"SELECT 1; {IN}; SELECT 2"), Until("G"), ROWS + copy_done(), READY,
           query(READ)),
    writes("copy_in_unknown_table", query("COPY nosuch FROM STDIN"), READY, copy_data(b"1\n") + copy_done()
           + query(READ)),
    writes("copy_in_extended", START + sync(), Until("G"), ROWS + copy_done() + sync(), READY, query(READ)),
    writes("copy_in_extended_swallows_an_early_sync", START + sync() + ROWS + copy_done() + sync() + query(READ),
           ready(2)),
    writes("copy_in_extended_with_flush", START + flush(), Until("G"), ROWS + copy_done() + flush(), Until("C"),
           sync(), READY, query(READ)),
    writes("copy_in_extended_fails_by_client", START + flush(), Until("G"), ROWS + copy_fail("no") + sync(),
           READY, query(READ)),
    writes("copy_in_extended_fails_by_server", START + flush(), Until("G"),
           copy_data(b"bad\n") + copy_data(b"2\ttwo\n") + copy_done() + sync(), READY, query(READ)),
    writes("copy_in_then_more_in_one_sync", START + ROWS + copy_done() + extended(READ) + sync()),
    writes("copy_in_in_a_block", query("BEGIN"), READY, query(IN), Until("G"), ROWS + copy_done(), READY,
           query(READ), READY, query("ROLLBACK"), READY, query(READ)),
    conversation("stray_copy_messages", copy_data(b"x") + copy_done() + copy_fail("y") + query("SELECT 1")),
)
