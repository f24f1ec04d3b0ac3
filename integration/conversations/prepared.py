"""Named prepared statements: re-use, clashes, errors, DEALLOCATE, DISCARD, both languages mixed."""
from support.conversation import READY, Until, conversation, ready
from support.wire import bind, close_statement, describe_statement, execute, extended, flush, parse, query, sync

READ = "SELECT id, v FROM t ORDER BY id"
BY_ID = "SELECT v FROM t WHERE id = $1"


def run(statement, values=(), **keywords):
    return bind("", statement, values, **keywords) + execute()


PREPARED = (parse("s", BY_ID) + sync(), READY)

CONVERSATIONS = (
    conversation("named_statement", *PREPARED, run("s", ["1"]) + sync(), READY, run("s", ["1"]) + sync(), READY,
                 run("s", ["2"]) + sync(), READY, run("s", ["1"]) + run("s", ["2"]) + sync(), READY,
                 close_statement("s") + sync(), repeat=3),
    conversation("named_statement_formats", *PREPARED, run("s", ["1"], result_formats=[1]) + sync(), READY,
                 run("s", ["1"]) + sync(), READY, run("s", [b"\0\0\0\1"], value_formats=[1]) + sync(), READY,
                 close_statement("s") + sync(), repeat=2),
    conversation("name_clash", *PREPARED, parse("s", READ) + sync(), READY, run("s", ["1"]) + sync(), READY,
                 parse("s", BY_ID) + sync(), READY, run("s", ["2"]) + sync()),
    conversation("parse_error_then_reuse", parse("s", "SELECT nosuch") + sync(), READY, run("s") + sync(), READY,
                 *PREPARED, run("s", ["1"]) + sync()),
    conversation("parse_skipped_by_an_error", extended("SELECT 1/0") + parse("s", BY_ID) + sync(), READY,
                 run("s", ["1"]) + sync(), READY, *PREPARED, run("s", ["1"]) + sync()),
    conversation("close_skipped_by_an_error", *PREPARED, extended("SELECT 1/0") + close_statement("s") + sync(),
                 READY, run("s", ["1"]) + sync()),
    conversation("parse_survives_a_rolled_back_block", query("BEGIN"), READY, *PREPARED, query("ROLLBACK"), READY,
                 run("s", ["1"]) + sync()),
    conversation("parse_in_a_failing_sync", parse("s", BY_ID) + extended("SELECT 1/0") + sync(), READY,
                 run("s", ["1"]) + sync()),
    conversation("closed_statement", *PREPARED, close_statement("s") + sync(), READY, run("s", ["1"]) + sync(),
                 READY, describe_statement("s") + sync(), READY, parse("s", READ) + sync(), READY,
                 run("s") + sync()),
    conversation("unnamed_is_replaced", parse("", BY_ID) + parse("", READ) + run("") + sync(), READY,
                 run("") + sync(), READY, parse("", "SELEC") + sync(), READY, run("") + sync(), repeat=2),
    conversation("unnamed_survives_sync", parse("", BY_ID) + sync(), READY, run("", ["1"]) + sync(), READY,
                 run("", ["1"]) + sync(), READY, run("", ["2"]) + sync(), repeat=2),
    conversation("deallocate", *PREPARED, query("DEALLOCATE s"), READY, run("s", ["1"]) + sync(), READY,
                 query("DEALLOCATE nosuch"), READY, *PREPARED, query("DEALLOCATE ALL"), READY,
                 run("s", ["1"]) + sync()),
    conversation("deallocate_quoted", parse("S", BY_ID) + sync(), READY, query("DEALLOCATE S"), READY,
                 query('DEALLOCATE PREPARE "S"'), READY, run("S", ["1"]) + sync()),
    conversation("deallocate_in_extended", *PREPARED, extended("DEALLOCATE s") + sync(), READY,
                 run("s", ["1"]) + sync(), READY, *PREPARED, extended("DEALLOCATE ALL") + run("s", ["1"])
                 + sync()),
    conversation("deallocate_all_in_extended", *PREPARED, extended("DEALLOCATE ALL") + run("s", ["1"]) + sync(), READY,
                 run("s", ["1"]) + sync()),
    conversation("deallocate_all_and_flush", *PREPARED, extended("DEALLOCATE ALL") + flush(), Until("C"), run("s", ["1"])
                 + sync(), READY, extended("DEALLOCATE ALL") + flush(), Until("C"), run("") + sync()),
    conversation("deallocate_in_a_rolled_back_block", *PREPARED, query("BEGIN; DEALLOCATE s; ROLLBACK"), READY,
                 run("s", ["1"]) + sync()),
    conversation("discard_all_and_plans", *PREPARED, query("DISCARD PLANS"), READY, run("s", ["1"]) + sync(),
                 READY, query("DISCARD ALL"), READY, run("s", ["1"]) + sync()),
    conversation("prepare_and_bind", query("PREPARE s AS SELECT id FROM t WHERE id < $1 ORDER BY id"), READY,
                 run("s", ["3"]) + sync(), READY, parse("s", READ) + sync(), READY, query("EXECUTE s(2)"), READY,
                 close_statement("s") + sync(), READY, query("EXECUTE s(2)")),
    conversation("parse_and_execute", *PREPARED, query("EXECUTE s(1)"), READY, query("EXECUTE s(2)"), READY,
                 query("DEALLOCATE s"), READY, query("EXECUTE s(1)")),
    conversation("two_statements", parse("a", BY_ID) + parse("b", READ) + run("b") + run("a", ["3"]) + sync(),
                 READY, run("a", ["3"]) + sync() + run("b") + sync(), ready(2),
                 close_statement("a") + close_statement("b") + sync(), repeat=3),
    conversation("long_and_odd_names", parse("x" * 100, BY_ID) + run("x" * 100, ["1"]) + sync(), READY,
                 parse("with space '\"", READ) + run("with space '\"") + sync(), READY,
                 run("x" * 63, ["1"]) + sync()),
    conversation("reparse_under_other_settings", parse("", "SELECT ts FROM wide") + run("") + sync(), READY,
                 query("SET TimeZone = 'Asia/Tokyo'"), READY, parse("", "SELECT ts FROM wide") + run("") + sync(),
                 READY, query("SET search_path = nosuch"), READY, parse("", READ) + sync(), READY,
                 query("RESET ALL"), READY, parse("", READ) + run("") + sync()),
    conversation("named_under_other_path", parse("s", READ) + sync(), READY, run("s") + sync(), READY,
                 query("SET search_path = nosuch"), READY, run("s") + sync(), READY, query("RESET search_path"),
                 READY, run("s") + sync(), READY, close_statement("s") + sync()),
    conversation("bind_in_a_failed_block", *PREPARED, query("BEGIN; SELECT 1/0"), READY, run("s", ["1"]) + sync(),
                 READY, parse("x", READ) + sync(), READY, describe_statement("s") + sync(), READY,
                 query("ROLLBACK"), READY, run("s", ["1"]) + sync()),
    conversation("prepared_write", parse("w", "UPDATE t SET v = v WHERE id = $1 RETURNING v") + sync(), READY,
                 run("w", ["1"]) + sync(), READY, run("w", ["9"]) + sync(), READY, close_statement("w") + sync(),
                 repeat=2),
)
