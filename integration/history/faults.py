"""Every rule that can be broken on purpose, with the traffic that shows it."""
import re

from support.pgrecall import ROOT

from . import client, run
from .world import Options

HEADER = ROOT / "include/pgrecall/base/fault.h"
CATCH_SECONDS = 60

# Faults that no history through one proxy can show: name to reason.
UNSEEN = {}


def _more(**weights):
    return {**client.ALL, **weights}


# What a fault needs beyond the usual traffic.
PROVOKED_BY = {
    # The fence must stand for long between the commit and its answer, while other shapes of the row are read.
    "fill-ignores-fence": {"stall": (3000, 60_000), "mix": _more(uncached=60)},
    "hit-ignores-fence": {"stall": (3000, 60_000), "mix": _more(uncached=60)},
    "no-raise": {"stall": (3000, 60_000), "mix": _more(uncached=60)},
    # Only Execute and Flush bring CommandComplete before the commit.
    "settle-at-complete": {"mix": _more(unsynced=12)},
    # The backend must run on and commit after its connection was lost.
    "unknown-falls-at-once": {"mix": _more(late_commit=3, uncached=40)},
    "hit-in-own-transaction": {"mix": _more(transaction=12)},
    "opaque-is-read": {"mix": _more(do_block=6, call=3)},
    "constraint-forgotten": {"mix": _more(get_or_create=20)},
    "snapshot-isolation": {"mix": _more(snapshot=60)},
    # A leader must be under way while a write to its table is acknowledged.
    "join-without-check": {"stall": (2000, 40_000), "mix": _more(update=16)},
    # The server must lose acknowledged commits.
    "generation-kept": {"crash_seconds": 2.0, "cut": 0, "terminate_seconds": None},
}


def names():
    """(name, sentence) of every fault point, from the header that declares them."""
    text = HEADER.read_text()
    body = text[text.index("enum class Fault"):text.index("kCount")]
    found = re.findall(r"^\s+k(\w+),\s*///< (.+)$", body, re.M)
    if not found:
        raise RuntimeError(f"no faults found in {HEADER}")
    return [(re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower(), sentence) for name, sentence in found]


def options_for(name, **values):
    return Options(fault=name, **{**PROVOKED_BY.get(name, {}), **values})


def catch(template, name, verbose, **values):
    """Runs with the fault; (seconds, violation) or None."""
    return run.broken(template, options_for(name, **values), CATCH_SECONDS, verbose)


def catch_all(template, **values):
    """Every fault in a pgrecall of its own; prints a table; True if each was caught."""
    missed = []
    rows = []
    for name, sentence in names():
        if name in UNSEEN:
            rows.append((name, "not by a history", UNSEEN[name]))
            continue
        found = catch(template, name, False, **values)
        if found:
            rows.append((name, f"caught in {found[0]:.1f} s", f"{found[1][1]}: {found[1][3].split(';')[0][:90]}"))
        else:
            missed.append(name)
            rows.append((name, "NOT CAUGHT", sentence))
        print("{:24s} {:18s} {}".format(*rows[-1]), flush=True)
    print(f"{len(rows) - len(missed) - len(UNSEEN)} of {len(rows)} faults caught"
          + (f", {len(UNSEEN)} cannot be seen this way" if UNSEEN else "")
          + (f", not caught: {', '.join(missed)}" if missed else ""))
    return not missed
