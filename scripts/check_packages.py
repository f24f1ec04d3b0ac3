#!/usr/bin/env python3
"""Fails if the build uses a header or a library of a Debian package that scripts/bootstrap does not
name: it would then build only where another package happens to have brought it.

Usage: check_packages.py BUILD_DIRECTORY (a finished Ninja build of this tree).
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What g++ and clang++ themselves depend on: the standard library, the C library and the kernel's headers.
TOOLCHAIN = re.compile(
    r"(libc6|linux-libc|libstdc\+\+-\d+|libgcc-\d+|libcrypt|gcc-\d+|g\+\+-\d+|libclang-(common|rt)-\d+)-?(dev)?"
)
INCLUDE = re.compile(r"^\s*#\s*include\s*<([^>]+)>", re.MULTILINE)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def used_headers(build):
    """Every header outside the tree that a compilation read, from Ninja's record. Newer releases of
    CMake record there what the linker read, too."""
    headers = set()
    compiled = False
    for line in run("ninja", "-C", str(build), "-t", "deps").splitlines():
        if not line.startswith("    "):
            compiled = line.partition(":")[0].endswith(".o")
        elif compiled:
            path = (build / line.strip()).resolve()
            if ROOT not in path.parents:
                headers.add(path)
    return headers


def used_libraries(build):
    """Every library outside the tree that a link names."""
    text = (build / "build.ninja").read_text()
    words = {word for line in re.findall(r"^  LINK_LIBRARIES = (.*)$", text, re.MULTILINE) for word in line.split()}
    return {linked_as(pathlib.Path(word)) for word in words if word.startswith("/")}


def linked_as(library):
    """libx.so for libx.so.1.2, which CMake names when a package describes itself so: the compiler's
    link belongs to the package that the build asks for."""
    plain = library.with_name(re.sub(r"\.so\..*", ".so", library.name))
    return plain if plain.exists() and plain.resolve() == library.resolve() else library


def owners(paths):
    """Path to the package that owns it. Debian's merged /usr: dpkg may know it as /lib."""
    names = {}
    for path in paths:
        for name in {str(path), str(path).removeprefix("/usr")}:
            names[name] = path
    listed = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True).stdout
    result = {}
    for line in listed.splitlines():
        packages, _, name = line.partition(": ")
        if name in names:
            result[names[name]] = packages.split(",")[0].split(":")[0]
    return result


def included_by_name():
    """What our sources include by name, for the list that is printed."""
    sources = [path for folder in ("include", "src", "tests", "bench")
               for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cc")]
    return {name for path in sources for name in INCLUDE.findall(path.read_text())}


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    named = set(run(str(ROOT / "scripts" / "bootstrap"), "--for", "build", "--list").split())
    paths = used_headers(build) | used_libraries(build)
    if not paths:
        return f"check_packages: {build} has no record of a compilation; build first"
    owned = owners(paths)
    if strangers := sorted(str(path) for path in paths if path not in owned):
        return "check_packages: of no Debian package:\n  " + "\n  ".join(strangers)

    direct = included_by_name()
    shown = collections.defaultdict(set)
    for path, package in owned.items():
        shown[package].update(name for name in direct if str(path).endswith("/" + name))
    failures = []
    names = [package for package in sorted(shown) if not TOOLCHAIN.fullmatch(package)]
    for package in names:
        print(f"{package}: {' '.join(sorted(shown[package])) or 'through other headers'}")
        if package not in named:
            example = next(path for path in sorted(paths) if owned[path] == package)
            failures.append(f"{package} ({example})")
    if failures:
        return "check_packages: scripts/bootstrap does not name:\n  " + "\n  ".join(failures)
    counted = sum(owned[path] in names for path in paths)
    print(f"{counted} headers and libraries of {len(names)} packages, all named by scripts/bootstrap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
