"""`cmake --install` into an empty place: what is there works, and nothing of the user's is overwritten."""
import os
import shutil
import subprocess
import tomllib

import pytest

from support.pgrecall import Pgrecall, binary
from support.postgres import PASSWORD, SUPERUSER
from support.processes import Child, new_folder, remove_folder
from support.waiting import wait_until


class Installed(Pgrecall):
    """Started from the installed file; only where it listens and its server are of this test."""

    def start(self):
        config = shutil.copy(self.config["installed"]["file"], self.folder)
        os.chmod(config, 0o644)  # it runs as an unprivileged user here
        upstream = self.config["upstream"]
        self.child = Child([self.program, "--config", config, "--listen", f"127.0.0.1:{self.port}",
                            "--admin", f"127.0.0.1:{self.admin_port}", "--upstream",
                            f"postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{upstream['port']}/"],
                           self.folder / "log", cwd="/")
        wait_until(self._healthy, "pgrecall is healthy", interval=0.01)


def install(*arguments, **environment):
    subprocess.run(["cmake", "--install", binary().resolve().parent, *arguments], check=True,
                   capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture(scope="module", autouse=True)
def needs_a_build(proxy_class):
    if proxy_class.identity:
        pytest.skip("--direct: there is no pgrecall")
    if not (binary().resolve().parent / "cmake_install.cmake").exists():
        pytest.skip(f"{binary()} does not lie in a CMake build folder")
    if not shutil.which("cmake"):
        pytest.skip("there is no cmake on this machine")


@pytest.fixture(scope="module")
def root():
    """A root folder as a package would be made from."""
    folder = new_folder("install")
    install("--prefix", "/usr", DESTDIR=str(folder))
    yield folder
    remove_folder(folder)


def unit_of(path):
    """The unit's lines as key and last value; keys are unique in it but for comments."""
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_everything_lies_where_a_package_puts_it(root):
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == ["etc/pgrecall/pgrecall.toml", "usr/bin/pgrecall",
                     "usr/lib/systemd/system/pgrecall.service", "usr/share/doc/pgrecall/LICENSE",
                     "usr/share/doc/pgrecall/README.md", "usr/share/doc/pgrecall/pgrecall.toml"]
    assert (root / "etc/pgrecall/pgrecall.toml").stat().st_mode & 0o777 == 0o600


def test_the_installed_program_finds_the_installed_configuration_valid(root):
    config = root / "etc/pgrecall/pgrecall.toml"
    answer = subprocess.run([root / "usr/bin/pgrecall", "check-config", config], capture_output=True,
                            text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0] == f"checked {config}"


def test_the_installed_program_serves_with_the_installed_configuration(root, postgres):
    proxy = Installed(postgres.port, program=root / "usr/bin/pgrecall",
                      config={"installed": {"file": root / "etc/pgrecall/pgrecall.toml"}})
    try:
        connection = proxy.connect("postgres")
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
        connection.close()
    finally:
        proxy.remove()


def test_the_unit_names_the_installed_paths_and_outlasts_a_drain(root):
    unit = unit_of(root / "usr/lib/systemd/system/pgrecall.service")
    assert unit["ExecStart"] == "/usr/bin/pgrecall --config ${CREDENTIALS_DIRECTORY}/pgrecall.toml"
    assert unit["LoadCredential"] == "pgrecall.toml:/etc/pgrecall/pgrecall.toml"
    assert unit["Documentation"] == "file:///usr/share/doc/pgrecall/README.md"
    limits = tomllib.loads((root / "etc/pgrecall/pgrecall.toml").read_text())["limits"]
    assert limits["drain_timeout"].endswith("s") and limits["drain_timeout"][:-1].isdigit()
    assert int(unit["TimeoutStopSec"]) > int(limits["drain_timeout"][:-1])
    assert int(unit["LimitNOFILE"]) > 2 * limits["clients"]


def test_a_configuration_that_is_there_is_kept(tmp_path):
    config = tmp_path / "etc/pgrecall/pgrecall.toml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n")
    install("--prefix", "/usr", DESTDIR=str(tmp_path))
    assert config.read_text() == "# mine\n"


def test_systemd_accepts_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze on this machine")
    prefix = tmp_path / "prefix"
    install("--prefix", str(prefix))
    unit = prefix / "lib/systemd/system/pgrecall.service"
    assert unit_of(unit)["LoadCredential"] == f"pgrecall.toml:{prefix}/etc/pgrecall/pgrecall.toml"
    answer = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in (answer.stdout + answer.stderr).splitlines() if "pgrecall" in line]
    assert not complaints and answer.returncode == 0, answer.stdout + answer.stderr
