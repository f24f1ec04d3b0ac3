"""Extended Query: pipelines, Flush, Describe, Close, portals, row limits, errors that skip to Sync."""
from support.conversation import READY, Until, conversation, ready
from support.wire import (bind, close_portal, close_statement, describe_portal, describe_statement, execute,
                          extended, flush, parse, query, sync)

READ = "SELECT id, v FROM t ORDER BY id"
BY_ID = "SELECT v FROM t WHERE id = $1"
INT4 = 23


def one(sql=READ, values=(), **keywords):
    return extended(sql, values, **keywords)


WARM = (one() + sync(), READY, one() + sync(), READY)  # the second may already be a hit

CONVERSATIONS = (
    conversation("extended_read", one() + sync(), repeat=3),
    conversation("extended_read_one_message_at_a_time", parse("", READ), bind("", ""), describe_portal(""),
                 execute(), sync(), repeat=3),
    conversation("extended_parameter", one(BY_ID, ["2"]) + sync(), repeat=3),
    conversation("parameter_types", one(BY_ID, ["2"], types=[INT4]) + sync(), READY,
                 one("SELECT $1::int8 + 1", ["2"], types=[20]) + sync(), READY,
                 one("SELECT $1", ["2"]) + sync(), READY,
                 one(BY_ID, [b"\0\0\0\3"], types=[INT4], value_formats=[1]) + sync(), repeat=2),
    conversation("null_and_wrong_parameters", one(BY_ID, [None]) + sync(), READY, one(BY_ID, ["abc"]) + sync(),
                 READY, one(BY_ID, []) + sync(), READY, one(BY_ID, ["1", "2"]) + sync(), READY,
                 one(BY_ID, [b"\0"], value_formats=[1]) + sync()),
    conversation("binary_results", one("SELECT * FROM wide", result_formats=[1]) + sync(), repeat=2),
    conversation("mixed_formats", one("SELECT i4, n, ts, v FROM wide, t WHERE id = 1", result_formats=[1, 0, 1, 0])
                 + sync(), repeat=2),
    conversation("wrong_formats", one(READ, result_formats=[1, 0, 1]) + sync(), READY,
                 one(READ, result_formats=[7]) + sync(), READY,
                 one(BY_ID, ["1"], value_formats=[0, 1]) + sync()),
    conversation("no_describe", parse("", READ) + bind("", "") + execute() + sync(), repeat=3),
    conversation("describe_statement_before_bind", parse("", BY_ID) + describe_statement("") + flush(),
                 Until("T"), bind("", "", ["1"]) + execute() + sync(), repeat=2),
    conversation("describe_both", parse("", READ) + describe_statement("") + bind("", "") + describe_portal("")
                 + execute() + sync(), repeat=3),
    conversation("describe_after_execute", parse("", READ) + bind("", "") + execute() + describe_portal("")
                 + describe_statement("") + sync(), repeat=3),
    conversation("describe_twice", parse("", READ) + bind("", "") + describe_portal("") * 2 + execute() + sync(),
                 repeat=3),
    conversation("describe_without_execute", parse("", READ) + bind("", "") + describe_portal("") + sync(),
                 READY, one() + sync(), repeat=2),
    conversation("describe_formats", parse("", READ) + bind("", "", result_formats=[1]) + describe_portal("")
                 + describe_statement("") + execute() + sync(), repeat=2),
    conversation("describe_of_no_result", parse("", "UPDATE t SET v = v WHERE id = $1") + describe_statement("")
                 + bind("", "", ["1"]) + describe_portal("") + execute() + sync()),
    conversation("describe_unknown", describe_statement("nosuch") + sync(), READY,
                 describe_portal("nosuch") + sync()),
    conversation("flush_without_sync", one() + flush(), Until("C"), sync(), repeat=3),
    conversation("flush_after_parse", parse("", READ) + flush(), Until("1"), bind("", "") + flush(), Until("2"),
                 execute() + flush(), Until("C"), sync(), repeat=3),
    conversation("many_reads_before_one_sync", one() + one(BY_ID, ["1"]) + one() + one(BY_ID, ["2"]) + sync(),
                 repeat=3),
    conversation("hit_behind_miss", *WARM, one("SELECT pg_backend_pid() * 0") + one() + sync()),
    conversation("miss_behind_hit", *WARM, one() + one("SELECT pg_backend_pid() * 0") + sync()),
    conversation("hit_miss_hit_miss", *WARM,
                 one() + one("SELECT pg_backend_pid() * 0") + one() + one("SELECT pg_backend_pid() * 0") + sync()),
    conversation("hits_in_several_syncs", *WARM, one() + sync() + one() + sync() + one() + sync(), ready(3)),
    conversation("hit_and_miss_in_several_syncs", *WARM,
                 one("SELECT pg_backend_pid() * 0") + sync() + one() + sync()
                 + one("SELECT pg_backend_pid() * 0") + sync() + one() + sync(), ready(4)),
    conversation("simple_between_extended", *WARM, one() + sync() + query(READ) + one() + sync() + query(READ),
                 ready(4), repeat=2),
    conversation("query_without_sync_before", parse("", READ) + bind("", "") + query("SELECT 1") + execute()
                 + sync(), ready(2)),
    conversation("error_skips_to_sync", one("SELECT 1/0") + one() + query("") + sync() + one() + sync(), ready(2),
                 repeat=2),
    conversation("error_behind_hit", *WARM, one() + one("SELECT 1/0") + one() + sync() + one() + sync(),
                 ready(2)),
    conversation("error_in_parse_then_more", parse("", "SELEC") + bind("", "") + execute() + sync() + one()
                 + sync(), ready(2), repeat=2),
    conversation("error_then_flush", one("SELECT 1/0") + flush(), Until("E"), one() + flush() + sync(), READY,
                 one() + sync()),
    conversation("two_syncs_and_empty_ones", sync() + sync() + one() + sync() + sync(), ready(4), repeat=2),
    conversation("write_is_undone_by_later_error",
                 one("UPDATE t SET v = 'lost'") + one("SELECT 1/0") + sync(), READY, one() + sync()),
    conversation("read_after_write_in_one_sync",
                 one("UPDATE t SET v = 'seen' WHERE id = 1") + one() + sync(), READY,
                 one("UPDATE t SET v = 'value 1' WHERE id = 1") + one() + sync(), READY, one() + sync(),
                 repeat=2),
    conversation("block_in_extended", one("BEGIN") + sync(), READY, one() + sync(), READY, one("COMMIT") + sync(),
                 repeat=3),
    conversation("block_in_one_sync", one("BEGIN") + one() + one("COMMIT") + sync(), repeat=3),
    conversation("failed_block_in_extended", one("BEGIN") + sync(), READY, one("SELECT 1/0") + sync(), READY,
                 one() + sync(), READY, one("COMMIT") + sync(), READY, one() + sync()),
    conversation("savepoints_in_extended", one("BEGIN") + one("SAVEPOINT a") + one() + one("ROLLBACK TO a")
                 + one("RELEASE a") + one("COMMIT") + sync(), repeat=2),
    conversation("prepared_block_commands", parse("b", "BEGIN") + parse("c", "COMMIT") + sync(), READY,
                 bind("", "b") + execute() + sync(), READY, one() + sync(), READY, bind("", "c") + execute()
                 + sync(), READY, close_statement("b") + close_statement("c") + sync(), repeat=2),
    conversation("describe_of_block_commands", parse("", "BEGIN") + describe_statement("") + bind("", "")
                 + describe_portal("") + execute() + sync(), READY, one("COMMIT") + sync()),
    conversation("empty_statement", one("") + sync(), READY, one("-- nothing") + sync(), READY, one(";") + sync()),
    conversation("several_statements_are_refused", one("SELECT 1; SELECT 2") + sync(), READY, one() + sync()),
    conversation("row_limit", parse("", READ) + bind("", "") + execute("", 2) + sync(), repeat=3),
    conversation("row_limit_then_the_rest", parse("", READ) + bind("", "") + describe_portal("")
                 + execute("", 2) + execute("", 2) + execute("", 2) + sync(), repeat=2),
    conversation("row_limit_equal_and_larger", parse("", READ) + bind("", "") + execute("", 5) + execute("", 5)
                 + sync(), READY, parse("", READ) + bind("", "") + execute("", 50) + sync(), repeat=2),
    conversation("suspended_portal_across_flushes", parse("", READ) + bind("p", "") + execute("p", 2) + flush(),
                 Until("s"), execute("p", 0) + flush(), Until("C"), sync(), repeat=2),
    conversation("suspended_portal_is_lost_after_sync", parse("", READ) + bind("p", "") + execute("p", 2)
                 + sync(), READY, execute("p", 2) + sync()),
    conversation("suspended_portal_in_a_block", query("BEGIN"), READY, parse("", READ) + bind("p", "")
                 + execute("p", 2) + sync(), READY, execute("p", 2) + sync(), READY, execute("p", 0) + sync(),
                 READY, execute("p", 0) + sync(), READY, query("COMMIT")),
    conversation("two_executes_of_one_portal", parse("", READ) + bind("", "") + execute() + execute() + sync(),
                 repeat=3),
    conversation("two_executes_of_a_writing_portal",
                 parse("", "UPDATE t SET v = v WHERE id = 1 RETURNING id") + bind("", "") + execute() + execute()
                 + sync()),
    conversation("two_portals_of_one_statement", parse("", BY_ID) + bind("a", "", ["1"]) + bind("b", "", ["2"])
                 + execute("b") + execute("a") + sync(), repeat=3),
    conversation("interleaved_portals", parse("s", READ) + bind("a", "s") + bind("b", "s") + execute("a", 2)
                 + execute("b", 3) + execute("a", 2) + execute("b", 0) + close_statement("s") + sync(),
                 repeat=2),
    conversation("close_portal", parse("", READ) + bind("p", "") + close_portal("p") + execute("p") + sync(),
                 READY, parse("", READ) + bind("p", "") + execute("p") + close_portal("p") + bind("p", "")
                 + execute("p") + sync(), READY, close_portal("nosuch") + close_statement("nosuch") + sync()),
    conversation("portal_name_clash", parse("", READ) + bind("p", "") + bind("p", "") + sync(), READY,
                 query("BEGIN"), READY, parse("", READ) + bind("p", "") + sync(), READY, bind("p", "") + sync(),
                 READY, query("ROLLBACK")),
    conversation("unnamed_portal_is_replaced", parse("", BY_ID) + bind("", "", ["1"]) + bind("", "", ["2"])
                 + execute() + sync(), repeat=2),
    conversation("unnamed_portal_is_gone", one() + sync(), READY, execute() + sync(), READY,
                 query("SELECT 1") + execute() + sync(), ready(2)),
    conversation("execute_unknown", execute("nosuch") + sync(), READY, bind("", "nosuch") + sync(), READY,
                 bind("", "nosuch") + execute() + describe_portal("") + sync(), READY, one() + sync()),
    conversation("simple_query_destroys_unnamed", parse("", READ) + sync(), READY, query("SELECT 1"), READY,
                 bind("", "") + execute() + sync()),
    conversation("settings_in_extended", one("SET TimeZone = 'Asia/Tokyo'") + sync(), READY,
                 one("SELECT ts FROM wide") + sync(), READY, one("SHOW TimeZone") + sync(), READY,
                 one("RESET TimeZone") + one("SELECT ts FROM wide") + sync()),
    conversation("notices_in_extended", one("SELECT notices(2)") + one() + sync(), repeat=2),
    conversation("listen_in_extended", one("LISTEN channel") + sync(), READY, one("NOTIFY channel") + sync(),
                 READY, one("UNLISTEN *") + sync()),
    conversation("returning_with_row_limit", query("BEGIN"), READY,
                 parse("", "INSERT INTO t SELECT generate_series(11, 15) RETURNING id") + bind("p", "") + execute("p", 2) + execute("p", 0)
                 + sync(), READY, query("ROLLBACK")),
)
