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
#: Options that decide nothing, and the words by which their sentences say so.
DECIDES_NOTHING = {"feed.mode": "auto and off mean the same"}
#: `policy` keeps the rule as it was written in a member of this name.
OWNERS = {"rule": "(?:rule|source)", "": "config"}


def fields():
    """(path of the field, its sentence) of each option."""
    entry = r"\.sentence\s*=((?:\s*\"(?:[^\"\\]|\\.)*\")+).*?\((Config|Rule)& (\w)\) -> Field \{(.*?)\}"
    for sentence, owner, name, body in re.findall(entry, TABLE.read_text().split("kReplicaOptions")[0], re.S):
        path = re.search(rf"\b{name}((?:\.\w+)+)", body).group(1)[1:]
        text = "".join(re.findall(r"\"((?:[^\"\\]|\\.)*)\"", sentence))
        yield ("rule." if owner == "Rule" else "") + path, text


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
    wrong = []
    for path, sentence in found:
        read = is_read(path, text)
        if path in DECIDES_NOTHING:
            if read:
                wrong.append(f"{path} is read by the program now: take it off the list of {pathlib.Path(__file__).name}")
            elif DECIDES_NOTHING[path] not in sentence:
                wrong.append(f"{path} is read by nothing and its sentence does not say so")
        elif not read:
            wrong.append(f"{path} is read by nothing outside of src/config")
    print("\n".join(wrong) or f"{len(found)} options checked")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
