#!/usr/bin/env python3
"""Checks the sizes of headers, sources, functions and lines and prints their distribution.

Hard limits: header 300 lines, source 800, function 70, line 100 columns. Functions are found by
layout, which clang-format makes uniform: a body opens with a line that ends in "{" at the indent of
its signature and closes with "}" at the same indent.
"""
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER_MAX, SOURCE_MAX, FUNCTION_MAX, COLUMNS_MAX = 300, 800, 70, 100
NOT_A_FUNCTION = re.compile(
    r"^\s*(namespace|class|struct|enum|union|extern|if|for|while|switch|do|else|case|default|try|catch"
    r"|return|public|private|protected)\b"
)


def functions(lines):
    """Yields (first line number, length) of every function body at namespace or class level."""
    start = signature = None
    for number, line in enumerate(lines, 1):
        text = line.rstrip()
        if start is None:
            if not text or text.lstrip().startswith(("//", "#")):
                signature = None
                continue
            indent = len(text) - len(text.lstrip())
            if signature is None or indent <= signature[1]:
                signature = (number, indent, text)
            head = signature[2]
            if text.endswith("{") and "(" in "".join(lines[signature[0] - 1:number]):
                if not NOT_A_FUNCTION.match(head) and " = " not in head:
                    start = signature
            elif text.endswith((";", "{", "}", ":")):
                signature = None
        elif text == " " * start[1] + "}" or text == " " * start[1] + "};":
            yield start[0], number - start[0] + 1
            start = signature = None


def main():
    problems, files, lengths, longest = [], [], [], ("", 0)
    for top in ("src", "include"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            lines = path.read_text().splitlines()
            name = path.relative_to(ROOT)
            files.append(len(lines))
            if len(lines) > longest[1]:
                longest = (name, len(lines))
            limit = HEADER_MAX if path.suffix == ".h" else SOURCE_MAX
            if len(lines) > limit:
                problems.append(f"{name}: {len(lines)} lines, at most {limit}")
            for number, line in enumerate(lines, 1):
                if len(line) > COLUMNS_MAX:
                    problems.append(f"{name}:{number}: {len(line)} columns, at most {COLUMNS_MAX}")
            for number, length in functions(lines):
                lengths.append(length)
                if length > FUNCTION_MAX:
                    problems.append(f"{name}:{number}: function of {length} lines, at most {FUNCTION_MAX}")
    if files and lengths:
        over = sum(1 for length in lengths if length > FUNCTION_MAX)
        print(
            f"sizes: {len(files)} files, median {statistics.median(files):.0f} lines, longest {longest[0]} "
            f"({longest[1]}); {len(lengths)} functions, median {statistics.median(lengths):.0f} lines, "
            f"longest {max(lengths)}, over {FUNCTION_MAX} lines: {100 * over / len(lengths):.1f} %"
        )
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
