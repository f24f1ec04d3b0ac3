#!/usr/bin/env python3
"""Keeps the numbers in the names of tests explained: docs/traps.md has an entry for each of them.

  check_traps.py            fails if a test carries a number without an entry, or an entry is there twice
  check_traps.py 44 case7   prints these entries and the tests that carry their numbers
  check_traps.py --list     prints all of them
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "traps.md"
# TEST(Suite, Trap44_Sentence), TEST_F, TEST_P; def test_trap44_sentence.
NAME = re.compile(r"\bTEST\w*\(\s*\w+,\s*((Trap|Case)(\d+)\w*)|\bdef (test_(trap|case)(\d+)\w*)")
ENTRY = re.compile(r"^- \*\*(Trap|Case) (\d+)\.\*\* (.*(?:\n  .*)*)", re.M)


def tests(root):
    """(kind, number) to the tests that carry it, as file: name."""
    found = collections.defaultdict(list)
    for top in ("tests", "integration"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".cc", ".py"):
                continue
            for match in NAME.finditer(path.read_text()):
                name, kind, number = match.groups()[:3] if match.group(1) else match.groups()[3:]
                found[kind.lower(), int(number)].append(f"{path.relative_to(root)}: {name}")
    return found


def entries(page):
    """[((kind, number), text)] in the order of the page."""
    return [((kind.lower(), int(number)), " ".join(text.split()))
            for kind, number, text in ENTRY.findall(page)]


def problems(carried, listed):
    counts = collections.Counter(key for key, _ in listed)
    for (kind, number), names in sorted(carried.items()):
        if (kind, number) not in counts:
            yield f"docs/traps.md has no {kind} {number}, which these tests carry:\n  " + "\n  ".join(names)
    for (kind, number), count in counts.items():
        if count > 1:
            yield f"docs/traps.md has {kind} {number} {count} times"


def wanted(arguments):
    """Keys of arguments such as 44, trap44 and case07."""
    for argument in arguments:
        match = re.fullmatch(r"(trap|case)?(\d+)", argument.lower())
        if not match:
            sys.exit(f"{argument}: a number is meant, such as 44, trap44 or case7")
        yield match.group(1) or "trap", int(match.group(2))


def main(arguments):
    carried, listed = tests(ROOT), entries(PAGE.read_text())
    if not arguments:
        found = list(problems(carried, listed))
        if not carried or not listed:
            found.append("no tests or no entries were found")
        with_tests = sum(key in carried for key, _ in listed)
        print("\n".join(found) if found else f"traps: {len(listed)} entries, {with_tests} of them carried by tests")
        return 1 if found else 0
    keys = [key for key, _ in listed] if arguments == ["--list"] else list(wanted(arguments))
    texts = dict(listed)
    for key in keys:
        print(f"{key[0]} {key[1]}: {texts.get(key, 'not in docs/traps.md')}")
        print("".join(f"  {name}\n" for name in carried[key]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
