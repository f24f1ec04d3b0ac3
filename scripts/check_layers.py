#!/usr/bin/env python3
"""Keeps the arrows between modules one way: every #include is checked against the table below.

The table is the one of docs/ARCHITECTURE.md. Also: <uv.h> only in net, libpq and hiredis only in
adapters, libpg_query only in sql.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY_USE = {
    "base": set(),
    "config": {"base"},
    "wire": {"base"},
    "sql": {"base"},
    "invalidation": {"base", "sql"},
    "cache": {"base", "invalidation"},
    "policy": {"base", "config", "sql"},
    "stats": {"base"},
    "upstream": {"base", "wire"},
    "session": {"base", "config", "wire", "sql", "cache", "invalidation", "policy", "upstream", "stats"},
    "net": {"base"},
    "adapters": {"base", "net", "sql", "cache", "invalidation", "policy"},
    "admin": {"base", "config", "wire", "stats"},
    "proxy": None,  # the shell may use everything
}
ONLY_IN = {
    "uv.h": {"net"},
    "libpq-fe.h": {"adapters"},
    "hiredis/": {"adapters"},
    "pg_query": {"sql"},
    "httplib.h": {"admin"},
    "toml++/": {"config"},
}


def module_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "pgrecall") and len(parts) > 3:
        return parts[2]
    return None


def errors_of(path, module):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if not match:
            continue
        target = match.group(1)
        for pattern, homes in ONLY_IN.items():
            if target.startswith(pattern) and module not in homes:
                yield f"{path}:{number}: <{target}> belongs to {sorted(homes)}"
        used = None
        if target.startswith("pgrecall/"):
            used = target.split("/")[1]
        elif "/" in target and target.split("/")[0] in MAY_USE:
            used = target.split("/")[0]
            if used != module:
                yield f"{path}:{number}: private header of another module: {target}"
        allowed = MAY_USE.get(module)
        if used and used != module and allowed is not None and used not in allowed:
            yield f"{path}:{number}: {module} may not use {used}"


def main():
    found = []
    count = 0
    for top in ("src", "include"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            module = module_of(path)
            if module is None:
                continue
            if module not in MAY_USE:
                found.append(f"{path}: unknown module {module}")
                continue
            count += 1
            found.extend(errors_of(path, module))
    print("\n".join(found) if found else f"layers: {count} files, every arrow points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
