"""What a run prints: figures, and each violation with the recent history of its key."""
import os

from . import board as boards
from . import keys
from .reads import NAMES, describe

LINES_BEFORE, LINES_AFTER = 22, 3


def violation_text(board, violation):
    moment, rule, key, text = violation
    lines = [f"VIOLATION {rule}: {text}", f"  what happened to {keys.NAMES[key]} just before (ms, by end):"]
    entries = board.diary(key, moment)
    until = sum(entry[0] <= moment for entry in entries)
    writes = [entry for entry in entries[:max(0, until - LINES_BEFORE)] if entry[3] != boards.READ][-8:]
    for end, begin, client, kind, name, version, floor in (
            writes + entries[max(0, until - LINES_BEFORE):until + LINES_AFTER]):
        lines.append(f"  {(begin - moment) / 1e6:10.3f} .. {(end - moment) / 1e6:10.3f}  client {client:2d}  "
                     f"{boards.KIND_NAMES[kind]:18s} {describe(version)}" + (f" (floor {describe(floor)})" if floor else "")
                     + f"  {NAMES[name] if name < len(NAMES) else name}")
    return "\n".join(lines)


def figures(world, seconds, stats):
    """Lines about a run of `seconds`."""
    board = world.board
    reads = board.total(boards.READS)
    yield (f"{reads} checked reads in {seconds:.0f} s ({reads / seconds:.0f}/s), {board.total(boards.OWN_READS)} own "
           f"reads, {board.total(boards.WRITES)} acknowledged versions, {board.total(boards.TRANSACTIONS)} "
           f"transactions, {board.total(boards.ROLLBACKS)} rollbacks")
    yield (f"{board.total(boards.OUTSIDE)} rows past pgrecall, {board.switches[boards.CUTS]} cut commits, "
           f"{world.terminated} terminated backends, {world.crashes} crashes that lost {world.lost_commits} commits, {board.total(boards.UNKNOWNS)} unknown "
           f"outcomes, {board.total(boards.RECONNECTS)} connects, {board.total(boards.REFUSED)} refused statements")
    if stats:
        yield (f"hit rate {stats['hit_rate']:.3f}, of all reads {stats['read_hit_rate']:.3f}: {stats.hits} hits "
               f"({stats['joins']} joined), {stats.misses} misses, bypasses "
               + str({reason: count for reason, count in stats["bypasses"].items() if count}))
    spent = world.processor_seconds()
    whole = seconds * os.cpu_count()
    yield ("processor time: " + ", ".join(f"{kind} {used:.0f} s" for kind, used in spent.items())
           + f"; together {100 * sum(spent.values()) / whole:.0f} % of {os.cpu_count()} cores; load "
           f"{os.getloadavg()[0]:.1f}")


def print_findings(texts, violations, errors):
    for text in texts:
        print(text)
    if len(violations) > len(texts):
        print(f"... and {len(violations) - len(texts)} more violations")
    kinds = {}
    for error in errors:
        kinds.setdefault(error.split(": ", 1)[-1][:160], []).append(error)
    for found in list(kinds.values())[:10]:
        print(f"UNEXPECTED ERROR ({len(found)} times): {found[0].strip()}")
