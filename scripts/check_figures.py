#!/usr/bin/env python3
"""No figure is for show: each reason is given somewhere, and each number that is counted is shown.

A reason is an enumerator of the enums below; it must be used outside of its definition and the table
of its name. A number is a field of the structures below; it must be read by the module that shows it.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
#: (enum, header, file with its names)
REASONS = [
    ("BypassReason", "include/pgrecall/sql/statement_analysis.h", "src/sql/statement_analysis.cc"),
    ("CountRefusal", "include/pgrecall/policy/count_estimate.h", None),
]
#: (structure, header, folder that shows it)
NUMBERS = [
    ("ResultCacheStats", "include/pgrecall/cache/result_cache.h", "src/proxy"),
    ("RedisStoreStats", "include/pgrecall/adapters/redis_store.h", "src/proxy"),
    ("PoolNumbers", "include/pgrecall/upstream/pool.h", "src/proxy"),
    *((name, "include/pgrecall/admin/source.h", "src/admin") for name in (
        "PoolStatus", "ControlStatus", "CacheStatus", "RedisStatus", "CountEstimate", "Freshness", "ProxyStatus")),
    *((name, "include/pgrecall/stats/snapshot.h", "src/admin") for name in (
        "FingerprintSnapshot", "TableSnapshot", "Snapshot")),
]


def code(path):
    return re.sub(r"//[^\n]*", "", path.read_text())


def body(kind, name, header):
    """What stands between the braces of the definition."""
    found = re.search(rf"\b{kind} {name}\b[^;{{]*\{{(.*?)\n\}};", code(ROOT / header), re.S)
    return found.group(1) if found else ""


def sources(top):
    return [path for path in sorted((ROOT / top).rglob("*")) if path.suffix in (".cc", ".h")]


def reasons(name, header, table):
    """(enumerator, whether it is used) of each."""
    apart = {ROOT / header, ROOT / table} if table else {ROOT / header}
    text = "\n".join(code(path) for top in ("src", "include") for path in sources(top) if path not in apart)
    for each in re.findall(r"\bk[A-Z]\w*", body("enum class", name, header)):
        if each != "kCount":
            yield f"{name}::{each}", re.search(rf"\b{name}::{each}\b", text) is not None


def numbers(name, header, folder):
    """(field, whether it is read) of each."""
    text = "\n".join(code(path) for path in sources(folder))
    for each in re.findall(r"^  [\w:<>, ]+ (\w+)(?: = [^;]+|\{[^;]*\})?;", body("struct", name, header), re.M):
        yield f"{name}.{each}", re.search(rf"\.{each}\b(?!\s*(?:=[^=]|\+=|\())", text) is not None


def main():
    wrong, count = [], 0
    for find, table, means in ((reasons, REASONS, "is given nowhere"), (numbers, NUMBERS, "is shown nowhere")):
        for row in table:
            found = list(find(*row))
            if not found:
                wrong.append(f"{row[0]} was not found in {row[1]}")
            count += len(found)
            wrong += [f"{name} {means}" for name, used in found if not used]
    print("\n".join(wrong) or f"{count} reasons and numbers checked")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
