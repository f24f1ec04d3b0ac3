"""The scripts that a newcomer runs, where their machine is not as expected."""
import os
import shutil
import signal
import subprocess

import pytest

from support.pgrecall import ROOT
from support.postgres import installed_servers
from support.waiting import wait_until

SCRIPTS = ROOT / "scripts"
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def what_is_missing_for_mounts():
    """Why this user cannot mount something that nobody else sees; None where that is possible. A container
    without the right cannot, nor a chroot into a folder that is no mount point."""
    if os.geteuid() != 0:
        return "needs root"
    tried = subprocess.run([*NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True,
                           check=False)
    return tried.stderr.strip() if tried.returncode else None


NO_MOUNTS = what_is_missing_for_mounts()
needs_mounts = pytest.mark.skipif(NO_MOUNTS is not None, reason=f"no mounts of its own here: {NO_MOUNTS}")


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


HANG = f"sleep 5000.{os.getpid()}"


class Suites:
    """A tree with the suites of an empty Debian; debootstrap and the answer of apt-get are stand-ins."""

    def __init__(self, folder):
        self.folder, self.tree = folder, folder / "tree"
        self.root = self.tree / "build" / "fresh" / "bookworm"
        shutil.copytree(SCRIPTS, self.tree / "scripts")
        for words in (["init", "-q"], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run(["git", "-C", self.tree, *words], check=True)
        self.stand_in("apt-get", "echo http://mirror.test/debian Debian main")
        self.stand_in("debootstrap", 'mkdir -p "$3/etc"')

    def stand_in(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, *arguments):
        # Whoever started the tests may ignore signals, and bash would inherit that.
        return subprocess.Popen(["env", "--default-signal=INT,HUP,TERM",
                                 self.tree / "scripts" / "verify.d" / "fresh", *arguments], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})

    def run(self, *arguments):
        started = self.start(*arguments)
        out, err = started.communicate(timeout=60)
        return started.returncode, out, err

    def start_endless(self):
        """A run that hangs in its first step, with a process of its own in the background."""
        self.stand_in("debootstrap", f'{HANG} &\nmount -t tmpfs tmpfs "$3"\ntouch "{self.folder}/hangs"\n{HANG}')
        started = self.start()
        wait_until((self.folder / "hangs").exists, "the first step")
        return started


def sleepers():
    return subprocess.run(["pgrep", "-fc", f"^{HANG}"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


@pytest.fixture
def suites(tmp_path):
    return Suites(tmp_path)


@needs_mounts
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_a_suite_and_all_that_it_started(suites, number):
    started = suites.start_endless()
    assert sleepers() == "2"
    started.send_signal(number)
    out, _ = started.communicate(timeout=30)
    assert started.returncode == (-number if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: sleepers() == "0", "its processes end") if number == signal.SIGKILL else None
    assert sleepers() == "0" and "scripts/test" not in out
    assert number == signal.SIGKILL or not suites.root.exists()


@needs_mounts
def test_two_suites_do_not_share_a_folder(suites):
    first = suites.start_endless()
    status, _, said = suites.run()
    assert status == 1 and "another run uses" in said
    assert suites.root.is_dir() and first.poll() is None
    first.terminate()
    first.communicate(timeout=30)


@needs_mounts
def test_a_suite_whose_mounts_fail_ends_there(suites):
    status, said, _ = suites.run()
    assert status == 1 and "not run: no system" in said
    assert not suites.root.exists()


@needs_mounts
def test_a_mirror_that_debootstrap_cannot_read_is_named(suites):
    suites.stand_in("apt-get", "echo mirror+file:/etc/apt/mirrors/debian.list Debian main")
    status, _, said = suites.run()
    assert status == 1 and "mirror+file:/etc/apt/mirrors/debian.list; allowed: http" in said


# Stand-ins. apt-get holds a lock as the true one does, installs when it is let go, and records. A dpkg that was
# interrupted is finished by dpkg --configure, and apt-get refuses to work before that.
PROGRAMS = {
    "apt-get": """
        [ "$1 $2" != "-q --no-install-recommends" ] || shift 2
        [ "$1" = install ] || exit 0
        echo "$*" >>"$STATE/apt-calls"
        [ ! -e "$STATE/size" ] || { cat "$STATE/size"; exit 1; }
        [ ! -e "$STATE/installing" ] || { echo "the lock is held" >&2; exit 100; }
        [ ! -e "$STATE/interrupted" ] || { echo "run 'dpkg --configure -a'" >&2; exit 100; }
        touch "$STATE/installing"
        until [ -e "$STATE/go" ]; do sleep 0.01; done
        [ -e /usr/sbin/policy-rc.d ] && touch "$STATE/guarded"
        mkdir -p /usr/lib/systemd/system
        touch /etc/init.d/redis-server /usr/lib/systemd/system/redis-server.service
        rm "$STATE/installing"
        [ ! -e "$STATE/stops-halfway" ] || { mv "$STATE/stops-halfway" "$STATE/interrupted"; exit 100; }
        touch "$STATE/installed"
        """,
    "dpkg": """
        [ "$*" = "--configure -a" ] || exit 2
        grep -qs "new units" /usr/sbin/policy-rc.d && touch "$STATE/configured-under-policy"
        echo configured >>"$STATE/systemctl-calls"
        rm -f "$STATE/interrupted" /var/lib/dpkg/updates/*
        """,
    "dpkg-query": """
        [ ! -e "$STATE/interrupted" ] || echo "$(cat "$STATE/interrupted") redis-server"
        [ ! -e "$STATE/installed" ] || "$SCRIPTS/bootstrap" --for bench --list | sed 's/^/installed /'
        """,
    "systemctl": 'echo "$*" >>"$STATE/systemctl-calls"\n',
}


class Machine:
    """A machine with stand-ins, its own /usr/sbin, /etc/init.d and /usr/local/lib, and no other unit."""

    def __init__(self, folder):
        self.state, self.programs = folder / "state", folder / "bin"
        self.sbin, self.init_d, self.local = folder / "sbin", folder / "init.d", folder / "local"
        for each in (self.state, self.programs, self.sbin, self.init_d, self.local):
            each.mkdir()
        for name, text in PROGRAMS.items():
            self.add_program(name, text)

    def add_program(self, name, text):
        (self.programs / name).write_text("#!/bin/sh\n" + text)
        (self.programs / name).chmod(0o755)

    def run(self, script):
        """Runs the lines with "$bootstrap" and "$STATE" set."""
        places = f"mount --bind {self.sbin} /usr/sbin; mount --bind {self.init_d} /etc/init.d\n" \
                 f"mount --bind {self.local} /usr/local/lib\n" \
                 "mount -t tmpfs tmpfs /var/lib/dpkg/updates\n" \
                 "mkdir -p /usr/lib/systemd; for each in /usr/lib/systemd /etc/systemd /run/systemd; do\n" \
                 "  [ ! -d $each ] || mount -t tmpfs tmpfs $each; done\n"
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", "STATE": str(self.state),
                       "SCRIPTS": str(SCRIPTS), "bootstrap": str(SCRIPTS / "bootstrap")}
        return subprocess.run([*NAMESPACES, "bash", "-c", places + script], check=False, timeout=60, env=environment,
                              capture_output=True, text=True)

    def said(self, name):
        path = self.state / name
        return path.read_text() if path.exists() else ""

    @property
    def policy(self):
        return self.sbin / "policy-rc.d"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@needs_mounts
def test_a_second_bootstrap_does_not_uncover_the_services_of_the_first(machine):
    """Both begin when nothing is installed."""
    done = machine.run("""
        "$bootstrap" --for demo & first=$!
        until [ -e "$STATE/installing" ]; do sleep 0.01; done
        "$bootstrap" --for demo >"$STATE/second" 2>&1 & second=$!
        until grep -q -e waiting -e "lock is held" "$STATE/second"; do sleep 0.01; done
        kill -0 $second 2>/dev/null && grep -q waiting "$STATE/second" || wait $second
        touch "$STATE/go"
        wait $first && wait $second""")
    assert (machine.state / "guarded").exists(), machine.said("second")
    assert done.returncode == 0, done.stderr
    assert not machine.policy.exists()
    assert "--no-remove" in machine.said("apt-calls")


@needs_mounts
def test_a_killed_bootstrap_whose_apt_installs_everything_is_cleaned_up_by_the_next(machine):
    done = machine.run("""
        "$bootstrap" --for demo & first=$!
        until [ -e "$STATE/installing" ]; do sleep 0.01; done
        kill -KILL $first
        wait $first; echo $? >"$STATE/first"
        "$bootstrap" --for demo >"$STATE/second" 2>&1 & second=$!
        until grep -q waiting "$STATE/second" || ! kill -0 $second 2>/dev/null; do sleep 0.01; done
        touch "$STATE/go"
        wait $second""")
    assert machine.said("first") == f"{128 + signal.SIGKILL}\n"
    assert "waiting" in machine.said("second") and "installing" not in machine.said("second")
    assert (machine.state / "guarded").exists(), "the policy of the first was removed under its apt-get"
    assert done.returncode == 0, machine.said("second")
    assert not machine.policy.exists()
    assert machine.said("systemctl-calls").split("\n")[0] == "disable --quiet redis-server.service"


@needs_mounts
@pytest.mark.parametrize("place", ["local/systemd/system/redis-server.service", "init.d/redis-server", None])
def test_a_service_that_was_there_before_stays_enabled(machine, tmp_path, place):
    if place:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    done = machine.run('touch "$STATE/go"; "$bootstrap" --for demo')
    assert done.returncode == 0, done.stderr
    assert ("redis-server" in machine.said("systemctl-calls")) == (place is None)


@needs_mounts
@pytest.mark.parametrize("answer", ["Need to get 12 MB of archives.\nAfter this operation, 90 MB of additional disk space "
                                    "will be used.\nAbort.\n", ""])
def test_a_size_that_apt_does_not_tell_is_an_error(machine, answer):
    (machine.state / "size").write_text(answer)
    done = machine.run('"$bootstrap" --for demo --size')
    assert (done.returncode == 0) == bool(answer)
    assert ("12 MB to download, 90 MB on disk" in done.stdout) == bool(answer)
    assert ("cannot install" in done.stderr) == (not answer)


@needs_mounts
def test_an_ordinary_user_needs_rights_only_for_what_is_to_be_done(machine):
    machine.add_program("id", "echo ${AS-1000}\n")
    machine.add_program("sudo", 'echo "$*" >>"$STATE/sudo-calls"; AS=0 exec "$@"\n')
    done = machine.run('touch "$STATE/installed"; "$bootstrap" --for demo && "$bootstrap" --for demo --size')
    assert (done.returncode, done.stdout, machine.said("sudo-calls")) == (0, "nothing is missing\n", "")
    done = machine.run('rm "$STATE/installed"; touch "$STATE/go"; "$bootstrap" --for demo')
    assert done.returncode == 0, done.stderr
    assert machine.said("sudo-calls") == f"{SCRIPTS}/bootstrap --for demo\n"
    assert (machine.state / "installed").exists() and not machine.policy.exists()


# A run was killed in dpkg: its policy is there, and a unit that it brought.
KILLED_IN_DPKG = """
    touch /etc/init.d/redis-server "$STATE/go"
    printf '#!/bin/sh\\n%s\\n# new units: redis-server.service other.service\\nexit 101\\n' \\
      "$(sed -n "s/^mark='\\(.*\\)'/\\1/p" "$bootstrap")" >/usr/sbin/policy-rc.d
    """


@needs_mounts
@pytest.mark.parametrize("state", ["half-configured", "unpacked", "triggers-pending", "updates"])
@pytest.mark.parametrize("missing", [True, False])
def test_what_a_killed_run_left_in_dpkg_is_finished_under_its_policy(machine, state, missing):
    left = "touch /var/lib/dpkg/updates/0001" if state == "updates" else f'echo {state} >"$STATE/interrupted"'
    done = machine.run(f"""{KILLED_IN_DPKG} {left}
        {"" if missing else 'touch "$STATE/installed"'}
        "$bootstrap" --for demo""")
    assert done.returncode == 0, done.stderr
    assert (machine.state / "configured-under-policy").exists()
    assert ("install" in machine.said("apt-calls")) == missing
    calls = machine.said("systemctl-calls").splitlines()
    assert calls.index("configured") < calls.index("disable --quiet redis-server.service")
    assert not machine.policy.exists()


@needs_mounts
def test_a_unit_that_a_killed_run_brought_is_disabled_after_its_package_is_installed_again(machine):
    """dpkg killed while it unpacked: only apt-get can finish that."""
    machine.add_program("systemctl", '[ ! -e "$STATE/installed" ] || echo "$*" >>"$STATE/systemctl-calls"\n')
    done = machine.run(f'{KILLED_IN_DPKG} "$bootstrap" --for demo')
    assert done.returncode == 0, done.stderr
    assert (machine.state / "guarded").exists() and not machine.policy.exists()
    assert "disable --quiet redis-server.service" in machine.said("systemctl-calls").splitlines()


@needs_mounts
def test_what_apt_leaves_unfinished_is_finished_before_the_policy_goes(machine):
    """dpkg killed under a bootstrap that lives, or Ctrl-C: who configures by hand afterwards starts nothing."""
    done = machine.run('touch "$STATE/go"; echo unpacked >"$STATE/stops-halfway"; "$bootstrap" --for demo')
    assert done.returncode == 100
    assert (machine.state / "configured-under-policy").exists() and not machine.policy.exists()
    calls = machine.said("systemctl-calls").splitlines()
    assert calls.index("configured") < calls.index("disable --quiet redis-server.service")


@needs_mounts
def test_what_another_left_in_dpkg_starts_and_disables_nothing(machine):
    done = machine.run("""
        touch /etc/init.d/redis-server "$STATE/installed"
        echo unpacked >"$STATE/interrupted"
        "$bootstrap" --for demo --list >/dev/null && "$bootstrap" --for demo --size && [ -e "$STATE/interrupted" ] &&
        "$bootstrap" --for demo""")
    assert done.returncode == 0, done.stderr
    assert (machine.state / "configured-under-policy").exists() and not machine.policy.exists()
    assert machine.said("systemctl-calls") == "configured\n"


@needs_mounts
def test_a_policy_of_another_is_not_replaced_to_finish_dpkg(machine):
    done = machine.run("""
        printf '#!/bin/sh\\nexit 101\\n' | tee /usr/sbin/policy-rc.d >"$STATE/policy"
        touch "$STATE/go"; echo unpacked >"$STATE/interrupted"
        "$bootstrap" --for demo""")
    assert done.returncode == 0, done.stderr
    assert machine.policy.read_text() == machine.said("policy")
    calls = machine.said("systemctl-calls").splitlines()
    assert calls.index("configured") < calls.index("disable --quiet redis-server.service")


@needs_mounts
def test_a_dpkg_that_cannot_be_finished_fails_only_where_something_is_missing(machine):
    machine.add_program("dpkg", "exit 1\n")
    done = machine.run('echo unpacked >"$STATE/interrupted"; "$bootstrap" --for demo')
    assert done.returncode == 100 and not machine.policy.exists()
    done = machine.run('touch "$STATE/installed"; "$bootstrap" --for demo')
    assert done.returncode == 0 and not machine.policy.exists()
