"""The scripts that a newcomer runs, where their machine is not as expected."""
import os
import shutil
import subprocess

import pytest

from support.pgrecall import ROOT
from support.postgres import installed_servers

SCRIPTS = ROOT / "scripts"


@pytest.mark.parametrize("versions, enough", [([], False), (["9.6"], False), (["12"], False), (["9.6", "13"], True),
                                              (["18"], True)])
def test_a_server_that_is_there_counts_if_its_version_is_supported(tmp_path, versions, enough):
    for version in versions:
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    script = 'source "$1"; has_server "$2"'
    done = subprocess.run(["bash", "-c", script, "bash", SCRIPTS / "lib.sh", tmp_path], check=False)
    assert done.returncode == (0 if enough else 1)
    assert set(installed_servers(tmp_path)) == {int(each) for each in versions if "." not in each}


@pytest.mark.skipif(os.geteuid() != 0, reason="the suites of an empty Debian need root")
@pytest.mark.parametrize("suite", ["fresh", "services"])
def test_a_suite_removes_no_folder_but_its_own(tmp_path, suite):
    tree, mine = tmp_path / "tree", tmp_path / "tree" / "mine"
    shutil.copytree(SCRIPTS, tree / "scripts")
    (tree / "build" / "fresh" / "services-").mkdir(parents=True)
    mine.mkdir()
    (tmp_path / "debootstrap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "debootstrap").chmod(0o755)
    release = "../../mine" if suite == "fresh" else "/../../../mine"
    done = subprocess.run([tree / "scripts" / "verify.d" / suite, release], capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert mine.is_dir()
    assert done.returncode == 1 and "is no release" in done.stderr


APT = """#!/bin/sh
[ "$1 $2" != "-q --no-install-recommends" ] || shift 2
[ "$1" = install ] || exit 0
[ ! -e "$STATE/installing" ] || { echo "the lock is held" >&2; exit 100; }
touch "$STATE/installing"
until [ -e "$STATE/go" ]; do sleep 0.01; done
[ -e /usr/sbin/policy-rc.d ] && touch "$STATE/guarded"
rm "$STATE/installing"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a place of one's own for policy-rc.d needs root")
def test_a_second_bootstrap_does_not_uncover_the_services_of_the_first(tmp_path):
    """Both are told that nothing is installed; apt-get is a stand-in that holds a lock as the true one does."""
    programs, state, sbin = tmp_path / "bin", tmp_path / "state", tmp_path / "sbin"
    for folder in (programs, state, sbin):
        folder.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-query", "#!/bin/sh\n"), ("systemctl", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = """
        mount --bind "$1" /usr/sbin
        "$2" --for build & first=$!
        until [ -e "$STATE/installing" ]; do sleep 0.01; done
        "$2" --for build >"$STATE/second" 2>&1 & second=$!
        until grep -q -e waiting -e "lock is held" "$STATE/second"; do sleep 0.01; done
        kill -0 $second 2>/dev/null && grep -q waiting "$STATE/second" || wait $second
        touch "$STATE/go"
        wait $first && wait $second"""
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "STATE": str(state)}
    done = subprocess.run(["unshare", "--mount", "bash", "-c", script, "bash", sbin, SCRIPTS / "bootstrap"],
                          check=False, timeout=60, env=environment)
    assert (state / "guarded").exists(), (state / "second").read_text()
    assert done.returncode == 0
    assert not (sbin / "policy-rc.d").exists()
