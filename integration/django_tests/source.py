"""Fetches the source of the Django that is installed, with Debian's own tools and the system's own
package sources, into a folder outside the tree. Its test suite is not in the binary package."""
import os
import pathlib
import re
import subprocess

CACHE = pathlib.Path(os.environ.get("PGRECALL_CACHE_DIR", pathlib.Path.home() / ".cache/pgrecall")) / "django"


def installed_version():
    done = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", "python3-django"], check=True,
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def source_lists(folder):
    """Copies the system's package sources into `folder`, with source packages enabled."""
    parts = folder / "sources"
    parts.mkdir(parents=True, exist_ok=True)
    etc = pathlib.Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if re.match(r"\s*deb\s", line)]
            (parts / path.name).write_text("\n".join(re.sub(r"^\s*deb\s", "deb-src ", l) for l in lines) + "\n")
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        (parts / path.name).write_text(re.sub(r"(?m)^Types:.*$", "Types: deb-src", path.read_text()))
    return parts


def fetch():
    """The folder with upstream's tests; fetched once per version. Only the upstream archive is asked
    for: Debian's patches are in the Django that is installed."""
    version = installed_version()
    folder = CACHE / re.sub(r"[^0-9a-z.+~-]", "_", version)
    tests = folder / "unpacked/tests"
    if not (tests / "runtests.py").exists():
        lists = folder / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        options = ["-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={source_lists(folder)}",
                   "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={folder}",
                   "-o", "APT::Sandbox::User=root", "-qq"]
        subprocess.run(["apt-get", *options, "update"], check=True)
        subprocess.run(["apt-get", *options, "--download-only", "--tar-only", "source",
                        f"python-django={version}"], check=True, cwd=folder)
        (archive,) = folder.glob("python-django_*.orig.tar.*")
        tests.parent.mkdir(exist_ok=True)
        subprocess.run(["tar", "-x", "--strip-components=1", "-C", tests.parent, "-f", archive], check=True)
    return tests


if __name__ == "__main__":
    print(fetch())
