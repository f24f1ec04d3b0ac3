"""The images' scripts, without a container engine: passwords of any kind reach pgrecall unchanged, and a
program's packages are found."""
import os
import pathlib
import shutil
import stat
import subprocess
import tomllib

import psycopg2
import psycopg2.extensions
import pytest

from support.pgrecall import ROOT, binary
from support.postgres import PASSWORD, SUPERUSER

DOCKER = ROOT / "docker"
HOSTILE = {
    "url": "p@ss/word:6432?a=b#c%2F",
    "quotes": "a\"b'c\"\"\"d'''",
    "backslashes": "\\ \\\\ \\u0041 \\n \\",
    "shell": "$HOME `id` $(id) ${x} && & ; | ! * ~",
    "toml": "]\n[admin]\nhost = \"0.0.0.0\" # ",
    "control": "".join(map(chr, range(1, 32))) + "\x7f",
    "spaces": "  both ends  ",
    "letters": "gr\u00fc\u00df \u6f22\u5b57 \U0001f511",
}


@pytest.fixture
def entrypoint(tmp_path):
    """Runs the entry script in front of a stand-in for pgrecall; returns its arguments."""
    stand_in = tmp_path / "pgrecall"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nenv >"$(dirname "$0")/environment"\n')
    stand_in.chmod(0o755)

    def run(*arguments, refused=False, **variables):
        done = subprocess.run([DOCKER / "pgrecall-entrypoint.sh", *arguments], check=False, text=True,
                              capture_output=True,
                              env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path), **variables})
        assert done.returncode == (2 if refused else 0), done.stderr
        return done.stderr if refused else done.stdout.splitlines()

    return run


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_password_reaches_the_configuration_unchanged(entrypoint, tmp_path, kind):
    option, file, *rest = entrypoint("--listen=0.0.0.0:6432", PGRECALL_UPSTREAM_HOST="primary",
                                     PGRECALL_UPSTREAM_PORT="5433", PGRECALL_UPSTREAM_USER=HOSTILE[kind],
                                     PGRECALL_UPSTREAM_PASSWORD=HOSTILE[kind], PGRECALL_REDIS_URL="redis://redis:6379/0")
    assert (option, rest) == ("--config", ["--listen=0.0.0.0:6432"])
    assert tomllib.loads(pathlib.Path(file).read_text()) == {
        "upstream": {"host": "primary", "port": 5433, "user": HOSTILE[kind], "password": HOSTILE[kind]},
        "redis": {"url": "redis://redis:6379/0"}}
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert "PGRECALL_" not in (tmp_path / "environment").read_text(), "the password is in the environment"
    checked = subprocess.run([binary(), "check-config", "--config", file], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    assert checked.returncode == 0, checked.stdout


@pytest.fixture(scope="module")
def server(new_postgres):
    made = new_postgres(auth="scram-sha-256")
    made.sql("postgres", "CREATE ROLE control LOGIN")
    return made


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "control"])
def test_pgrecall_logs_in_with_any_password(entrypoint, server, kind):
    password = psycopg2.extensions.adapt(HOSTILE[kind])
    password.encoding = "utf8"
    server.sql("postgres", f"ALTER ROLE control PASSWORD {password.getquoted().decode()}")
    file = entrypoint(PGRECALL_UPSTREAM_HOST="127.0.0.1", PGRECALL_UPSTREAM_PORT=str(server.port),
                      PGRECALL_UPSTREAM_USER="control", PGRECALL_UPSTREAM_PASSWORD=HOSTILE[kind])[1]
    asked = subprocess.run([binary(), "--config", file, "explain", "SELECT 1"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert asked.returncode == 0, asked.stdout
    pathlib.Path(file).write_text(pathlib.Path(file).read_text().replace('password = "', 'password = "not '))
    refused = subprocess.run([binary(), "--config", file, "explain", "SELECT 1"], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert refused.returncode != 0 and "password authentication failed" in refused.stdout


def test_without_variables_the_arguments_are_all_there_is(entrypoint):
    assert entrypoint("check-config") == ["check-config"]
    assert entrypoint() == ["--help"]


@pytest.mark.parametrize("unknown", [["PGRECALL_UPSTREAM_PASS"], ["PGRECALL_UPSTREAM_DATABASE"], ["PGRECALL_LISTEN"],
                                     ["PGRECALL_"], ["PGRECALL_REDIS_URLS", "PGRECALL_UPSTREAM_"]])
def test_a_variable_that_the_image_does_not_know_is_refused(entrypoint, tmp_path, unknown):
    said = entrypoint("--listen=0.0.0.0:6432", refused=True, PGRECALL_UPSTREAM_HOST="primary",
                      **{name: "a value that stays unsaid" for name in unknown})
    named, allowed = said.split("; allowed: ")
    assert named == f"pgrecall-entrypoint.sh: unknown variables: {' '.join(sorted(unknown))}"
    assert allowed == ("PGRECALL_UPSTREAM_HOST PGRECALL_UPSTREAM_PORT PGRECALL_UPSTREAM_USER "
                       "PGRECALL_UPSTREAM_PASSWORD PGRECALL_REDIS_URL\n")
    assert not (tmp_path / "environment").exists() and not list(tmp_path.glob("*.toml"))


def test_an_unknown_variable_alone_is_refused(entrypoint):
    assert "PGRECALL_LISTEN" in entrypoint(refused=True, PGRECALL_LISTEN="0.0.0.0:6432")


@pytest.mark.parametrize("service", ["PGRECALL", "PGRECALL_ADMIN"])
def test_the_variables_of_a_service_of_kubernetes_are_no_mistake(entrypoint, service):
    variables = {f"{service}_{each}": "10.0.0.7" for each in (
        "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_SQL", "PORT", "PORT_6432_TCP", "PORT_6432_TCP_ADDR",
        "PORT_6432_TCP_PORT", "PORT_6432_TCP_PROTO")}
    assert entrypoint(**variables) == ["--help"]
    assert "variables: PGRECALL_UPSTREAM_PASS;" in entrypoint(refused=True, PGRECALL_UPSTREAM_PASS="x", **variables)
    del variables[f"{service}_SERVICE_HOST"]
    assert f"{service}_PORT" in entrypoint(refused=True, **variables)


def test_with_variables_alone_it_serves_and_a_restart_leaves_one_file(entrypoint, tmp_path):
    first = entrypoint(PGRECALL_UPSTREAM_HOST="before")
    assert first[2:] == ["--listen=0.0.0.0:6432", "--admin=0.0.0.0:6433"]
    again = entrypoint(PGRECALL_UPSTREAM_HOST="primary")
    assert list(tmp_path.glob("*.toml")) == [pathlib.Path(again[1])]
    assert tomllib.loads(pathlib.Path(again[1]).read_text()) == {"upstream": {"host": "primary"}}


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "control"])
def test_the_site_logs_in_with_any_password_which_is_no_argument_of_a_process(server, tmp_path, kind):
    psql = tmp_path / "psql"
    psql.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{tmp_path}/arguments"\nexec {shutil.which("psql")} "$@"\n')
    psql.chmod(0o755)
    try:
        subprocess.run([DOCKER / "primary-init.sh"], check=True, env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "POSTGRES_USER": SUPERUSER, "SITE_PASSWORD": HOSTILE[kind],
            "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGDATABASE": "postgres", "PGPASSWORD": PASSWORD})
        assert HOSTILE[kind] not in (tmp_path / "arguments").read_text()
        psycopg2.connect(host="127.0.0.1", port=server.port, dbname="publication", user="publication",
                         password=HOSTILE[kind]).close()
    finally:
        for what in ("DATABASE", "ROLE"):
            server.sql("postgres", f"DROP {what} IF EXISTS publication")


def test_every_library_of_the_program_is_in_a_package_that_is_found():
    packages = subprocess.run([DOCKER / "runtime-packages.sh", binary()], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.split()
    assert packages == sorted(set(packages))
    owned = subprocess.run(["dpkg-query", "--listfiles", *packages], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split("\n")
    names = {pathlib.Path(path).name for path in owned}
    needed = subprocess.run(["ldd", binary()], check=True, text=True, stdout=subprocess.PIPE).stdout
    libraries = [line.split()[0].rsplit("/", 1)[-1] for line in needed.splitlines() if "vdso" not in line]
    assert len(libraries) > 10
    assert not [name for name in libraries if name not in names]


def test_no_package_of_the_images_is_named_with_a_version():
    text = (ROOT / "Dockerfile").read_text()
    assert "runtime-packages" in text
    installed = [line for line in text.splitlines() if "apt-get install" in line]
    assert installed and not [line for line in installed if "lib" in line]


def test_the_script_of_the_packages_refuses_what_is_no_program(tmp_path):
    (tmp_path / "text").write_text("no program")
    done = subprocess.run([DOCKER / "runtime-packages.sh", tmp_path / "text"], stderr=subprocess.PIPE)
    assert done.returncode != 0 and done.stderr


@pytest.mark.parametrize("kind", ["of no package", "missing"])
def test_the_script_of_the_packages_refuses_a_library_that_no_package_brings(tmp_path, kind):
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler on this machine")
    library, source, program = tmp_path / "libstranger.so", tmp_path / "part.c", tmp_path / "program"
    source.write_text("int part(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    source.write_text("int part(void);\nint main(void) { return part(); }\n")
    subprocess.run(["cc", "-o", program, source, library], check=True)
    if kind == "missing":
        library.unlink()
    done = subprocess.run([DOCKER / "runtime-packages.sh", program], text=True, capture_output=True)
    assert "libstranger.so" in done.stderr
    assert done.returncode != 0
