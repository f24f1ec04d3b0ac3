"""SQL cursors and portals that bear their names."""
from support.conversation import READY, conversation
from support.wire import bind, close_portal, describe_portal, execute, extended, parse, query, sync

READ = "SELECT id, v FROM t ORDER BY id"


def lines(*statements):
    steps = []
    for statement in statements:
        steps += [query(statement), READY]
    return steps


CONVERSATIONS = (
    conversation("cursor", *lines("BEGIN", f"DECLARE c CURSOR FOR {READ}", "FETCH 2 FROM c", "MOVE 1 IN c",
                                  "FETCH ALL FROM c", "FETCH BACKWARD 1 FROM c", "CLOSE c", "FETCH c"),
                 query("ROLLBACK"), repeat=2),
    conversation("scroll_cursor", *lines("BEGIN", f"DECLARE c SCROLL CURSOR FOR {READ}", "FETCH LAST FROM c",
                                         "FETCH FIRST FROM c", "FETCH ABSOLUTE 3 FROM c", "FETCH PRIOR FROM c",
                                         "COMMIT", "FETCH c")),
    conversation("hold_cursor", *lines(f"DECLARE c CURSOR WITH HOLD FOR {READ}", "FETCH 2 FROM c", "SELECT 1",
                                       "FETCH ALL FROM c", "CLOSE c", "CLOSE c")),
    conversation("hold_cursor_in_a_block", *lines("BEGIN", f"DECLARE c CURSOR WITH HOLD FOR {READ}", "COMMIT",
                                                  "FETCH 3 FROM c", "CLOSE ALL", "FETCH c")),
    conversation("cursor_outside_a_block", *lines(f"DECLARE c CURSOR FOR {READ}", "FETCH c")),
    conversation("cursor_for_update", *lines("BEGIN", "DECLARE c CURSOR FOR SELECT * FROM t WHERE id = 1 FOR UPDATE",
                                             "FETCH c", "UPDATE t SET v = v WHERE CURRENT OF c", "ROLLBACK")),
    conversation("cursor_and_savepoint", *lines("BEGIN", "SAVEPOINT a", f"DECLARE c CURSOR FOR {READ}",
                                                "FETCH c", "ROLLBACK TO a", "FETCH c", "ROLLBACK")),
    conversation("portal_named_like_a_cursor", query(f"BEGIN; DECLARE c CURSOR FOR {READ}"), READY,
                 describe_portal("c") + execute("c", 2) + sync(), READY, query("FETCH 1 FROM c"), READY,
                 close_portal("c") + sync(), READY, query("FETCH 1 FROM c"), READY, query("ROLLBACK")),
    conversation("cursor_named_like_a_portal", query("BEGIN"), READY, parse("", READ) + bind("p", "")
                 + execute("p", 1) + sync(), READY, query("FETCH 2 FROM p"), READY, query("CLOSE p"), READY,
                 execute("p") + sync(), READY, query("ROLLBACK")),
    conversation("cursor_in_extended", extended("BEGIN") + extended(f"DECLARE c CURSOR FOR {READ}")
                 + extended("FETCH 2 FROM c") + sync(), READY, extended("FETCH ALL FROM c") + extended("CLOSE c")
                 + extended("COMMIT") + sync(), repeat=2),
    conversation("fetch_prepared", query(f"BEGIN; DECLARE c CURSOR FOR {READ}"), READY,
                 parse("f", "FETCH 2 FROM c") + bind("", "f") + execute() + bind("", "f") + execute() + sync(),
                 READY, query("COMMIT")),
)
