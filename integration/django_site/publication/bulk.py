"""Filling tables fast: foreign keys and plain indexes are dropped first and re-created after."""
import contextlib

FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
FROM pg_constraint
WHERE contype = 'f' AND (conrelid = ANY(%s::regclass[]) OR confrelid = ANY(%s::regclass[]))
ORDER BY conname
"""
PLAIN_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index
WHERE indrelid = ANY(%s::regclass[]) AND NOT indisunique
ORDER BY indexrelid
"""


@contextlib.contextmanager
def without_indexes(cursor, tables):
    """Inside, `tables` have neither foreign keys (in or out) nor indexes that are not unique. To
    be used in a transaction: where an error leaves the block, its rollback brings them back."""
    cursor.execute(FOREIGN_KEYS, [tables, tables])
    foreign_keys = cursor.fetchall()
    cursor.execute(PLAIN_INDEXES, [tables])
    indexes = cursor.fetchall()
    for table, name, _ in foreign_keys:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
    for table, name, definition in foreign_keys:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
