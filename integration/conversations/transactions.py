"""Transaction blocks: states, tags, warnings, failures, savepoints, chains, isolation levels."""
from support.conversation import READY, conversation, ready
from support.wire import query

READ = "SELECT id, v FROM t ORDER BY id"


def lines(*statements):
    """Each statement in a Query of its own, answered before the next is sent."""
    steps = []
    for statement in statements:
        steps += [query(statement), READY]
    return steps


def burst(*statements):
    """All statements in Queries of their own, sent at once."""
    return [b"".join(query(statement) for statement in statements), ready(len(statements))]


def both(name, *statements, **keywords):
    return (conversation(name, *lines(*statements), **keywords),
            conversation(name + "_in_one_send", *burst(*statements), **keywords))


CONVERSATIONS = (
    *both("block_of_reads", "BEGIN", READ, READ, "COMMIT", repeat=2),
    *both("empty_block", "BEGIN", "COMMIT", repeat=2),
    *both("empty_block_rolled_back", "START TRANSACTION", "ROLLBACK"),
    *both("spellings", "BEGIN WORK", "END", "BEGIN TRANSACTION", "ABORT", "begin", "commit work", "BEGIN",
          "ROLLBACK TRANSACTION"),
    *both("block_with_write_rolled_back", "BEGIN", READ, "UPDATE t SET v = 'x'", READ, "ROLLBACK", READ),
    *both("failed_block", "BEGIN", READ, "SELECT 1/0", READ, "SELECT 1", "", "COMMIT", READ, repeat=2),
    *both("failed_block_rolled_back", "BEGIN", "SELECT nosuch", "SAVEPOINT s", "ROLLBACK", READ),
    *both("commands_in_a_failed_block", "BEGIN", "SELECT 1/0", "BEGIN", "SET TimeZone = 'UTC'", "RELEASE s",
          "ROLLBACK TO s", "NOTIFY x", "SHOW TimeZone", "COMMIT"),
    *both("savepoints", "BEGIN", "SAVEPOINT a", READ, "SAVEPOINT b", "ROLLBACK TO b", "ROLLBACK TO SAVEPOINT a",
          "RELEASE a", "COMMIT", repeat=2),
    *both("savepoint_heals_a_failure", "BEGIN", "SAVEPOINT a", "SELECT 1/0", READ, "ROLLBACK TO a", READ,
          "COMMIT"),
    *both("unknown_savepoints", "BEGIN", "ROLLBACK TO nosuch", "ROLLBACK", "BEGIN", "RELEASE nosuch", "COMMIT",
          "BEGIN", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "COMMIT"),
    *both("savepoints_of_one_name", "BEGIN", "SAVEPOINT a", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a",
          "RELEASE SAVEPOINT a", "RELEASE a", "COMMIT"),
    *both("quoted_savepoints", "BEGIN", 'SAVEPOINT "A"', "ROLLBACK TO a", "ROLLBACK", "BEGIN", "SAVEPOINT A",
          'ROLLBACK TO "a"', "COMMIT"),
    *both("savepoint_commands_outside", "SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"),
    *both("warnings", "COMMIT", "ROLLBACK", "BEGIN", "BEGIN", "COMMIT", "COMMIT AND CHAIN"),
    *both("chains", "BEGIN", READ, "COMMIT AND CHAIN", READ, "ROLLBACK AND CHAIN", "SELECT 1/0",
          "COMMIT AND CHAIN", READ, "ROLLBACK"),
    *both("isolation", "BEGIN ISOLATION LEVEL SERIALIZABLE", READ, "SHOW transaction_isolation", "COMMIT",
          "BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", READ, "COMMIT",
          "BEGIN", READ, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ROLLBACK"),
    *both("isolation_after_savepoint", "BEGIN", "SAVEPOINT a",
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ROLLBACK"),
    *both("set_transaction_outside", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", READ,
          "SET TRANSACTION SNAPSHOT 'nosuch'"),
    *both("default_isolation", "SET default_transaction_isolation = 'serializable'", "BEGIN", READ,
          "SHOW transaction_isolation", "COMMIT", "RESET ALL"),
    *both("read_only", "BEGIN READ ONLY", READ, "UPDATE t SET v = 'x'", "COMMIT", "START TRANSACTION READ ONLY",
          "SHOW transaction_read_only", "COMMIT", "SET default_transaction_read_only = on",
          "UPDATE t SET v = 'x'", "RESET ALL"),
    *both("deferrable", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", READ, "COMMIT"),
    *both("locks_in_a_block", "BEGIN", "SELECT * FROM t WHERE id = 1 FOR UPDATE", READ,
          "LOCK TABLE t IN SHARE MODE", "COMMIT", READ),
    conversation("block_in_one_query", query(f"BEGIN; {READ}; COMMIT"), READY,
                 query(f"BEGIN; {READ}"), READY, query(f"{READ}; COMMIT; {READ}"), repeat=2),
    conversation("block_fails_in_one_query", query("BEGIN; SELECT 1/0; COMMIT"), READY, query(READ), READY,
                 query("ROLLBACK")),
    conversation("implicit_block_with_commit", query(f"{READ}; COMMIT"), READY,
                 query("SELECT 1; ROLLBACK; SELECT 2"), READY, query("SELECT 1; BEGIN; SELECT 2"), READY,
                 query("SELECT 1; SAVEPOINT a"), READY, query("ROLLBACK"), READY,
                 query("SELECT 1; SAVEPOINT a")),
    conversation("commit_then_error", query("BEGIN; UPDATE t SET v = v; COMMIT; SELECT 1/0"), READY,
                 query(READ)),
    conversation("two_phase", query("BEGIN; UPDATE t SET v = v; PREPARE TRANSACTION 'conversation'"), READY,
                 query("ROLLBACK PREPARED 'conversation'"), READY, query("COMMIT PREPARED 'conversation'"),
                 READY, query("BEGIN; PREPARE TRANSACTION 'empty'"), READY, query("COMMIT PREPARED 'empty'")),
    conversation("cannot_run_in_a_block", query("BEGIN"), READY, query("VACUUM t"), READY, query("ROLLBACK"),
                 READY, query("SELECT 1; VACUUM t")),
)
