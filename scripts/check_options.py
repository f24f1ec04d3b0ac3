#!/usr/bin/env python3
"""Every option is read by the program: a field of the Config that only src/config knows decides nothing.

The fields are those that the option table (src/config/options.cc) points to. A field is read where
its path, or a reference to its section, is used outside of config.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "src" / "config" / "options.cc"
#: `policy` keeps the rule as it was written in a member of this name.
OWNERS = {"rule": "(?:rule|source)", "": "config"}


def fields():
    """The path of each option's field."""
    entry = r"\((Config|Rule)& (\w)\) -> Field \{(.*?)\}"
    for owner, name, body in re.findall(entry, TABLE.read_text().split("kReplicaOptions")[0], re.S):
        path = re.search(rf"\b{name}((?:\.\w+)+)", body).group(1)[1:]
        yield ("rule." if owner == "Rule" else "") + path


def program():
    """The text of everything outside of config, comments left out."""
    text = []
    for top in ("src", "include/pgrecall"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".cc", ".h") and "config" not in path.relative_to(ROOT / top).parts[:1]:
                text.append(re.sub(r"//[^\n]*", "", path.read_text()))
    return "\n".join(text)


def is_read(path, text):
    section, _, name = path.rpartition(".")
    owner = OWNERS.get(section, section)
    # `config_.pool.size`, `upstream.user` of a reference, `*source.ttl`; a call is of something else.
    return re.search(rf"\b{owner}_?(?:\.|->){name}\b(?!\s*\()", text) is not None


def main():
    found = list(fields())
    declared = len(re.findall(r"\((?:Config|Rule)& \w\) -> Field", TABLE.read_text()))
    if len(found) != declared:
        print(f"{len(found)} of {declared} options were understood")
        return 1
    text = program()
    wrong = [f"{path} is read by nothing outside of src/config" for path in found if not is_read(path, text)]
    print("\n".join(wrong) or f"{len(found)} options checked")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
