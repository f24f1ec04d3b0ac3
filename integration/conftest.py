"""Fixtures: one PostgreSQL per session, one database and one pgrecall per module."""
import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
pytest.register_assert_rewrite("support")

from support import pgrecall as program  # noqa: E402
from support.environment import Environment  # noqa: E402
from support.gate import Gate  # noqa: E402
from support.postgres import PostgresServer, Template  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--direct", action="store_true",
                     help="run against PostgreSQL itself: proves what the tests expect; counts no hits")


@pytest.fixture(scope="session")
def proxy_class(request):
    """Pgrecall, or its stand-in under --direct."""
    return program.Identity if request.config.getoption("--direct") else program.Pgrecall


@pytest.fixture(scope="session")
def template():
    made = Template()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def postgres(template):
    """The server that most modules share, each with a database of its own."""
    server = PostgresServer(template)
    yield server
    server.remove()


@pytest.fixture
def since(postgres):
    """since(17, "what"): skips on servers that do not have it yet."""
    def check(major, what):
        if postgres.version() < major * 10000:
            pytest.skip(f"{what} came with PostgreSQL {major}")
    return check


@pytest.fixture(scope="module")
def new_postgres(template):
    """Makes further servers for a module: new_postgres(auth=..., options=...)."""
    with contextlib.ExitStack() as stack:
        def make(**keywords):
            server = PostgresServer(template, **keywords)
            stack.callback(server.remove)
            return server

        yield make


@pytest.fixture(scope="module")
def new_proxy(proxy_class):
    """Makes further proxies for a module: new_proxy(port, config=..., arguments=...)."""
    with contextlib.ExitStack() as stack:
        def make(upstream_port, config=None, arguments=()):
            proxy = proxy_class(upstream_port, config, arguments)
            stack.callback(proxy.remove)
            return proxy

        yield make


@pytest.fixture(scope="module")
def database(request, postgres):
    """A fresh database named after the module."""
    name = request.module.__name__.rsplit(".", 1)[-1].replace("test_", "", 1)
    postgres.create_database(name)
    return name


@pytest.fixture(scope="module")
def module_gate(request, postgres):
    """A gate between this module's pgrecall and PostgreSQL if the module says USES_GATE = True."""
    if not getattr(request.module, "USES_GATE", False):
        yield None
        return
    gate = Gate(postgres.port)
    yield gate
    gate.close()


@pytest.fixture(scope="module")
def proxy(request, postgres, database, module_gate, new_proxy):
    """This module's pgrecall, with the module's CONFIG merged in."""
    port = module_gate.port if module_gate else postgres.port
    made = new_proxy(port, getattr(request.module, "CONFIG", None))
    made.wait_catalog(database)
    return made


@pytest.fixture
def env(postgres, proxy, database, module_gate):
    environment = Environment(postgres, proxy, database, module_gate)
    yield environment
    environment.close()
    proxy.assert_alive()


@pytest.fixture
def bump(env):
    """`counted` counts the calls of {bump}() and of {lies}(), which calls itself IMMUTABLE; {t} is a table, {x} a free name."""
    names = {each: env.name(each) for each in ("counted", "bump", "lies", "t", "x")}
    env.run(*(text.format(**names) for text in (
        "CREATE TABLE {counted} AS SELECT 1 AS v", "CREATE TABLE {t} AS SELECT 1 AS v",
        "CREATE FUNCTION {bump}() RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN UPDATE public.{counted} SET v = v + 1; RETURN 1; END$$",
        "CREATE FUNCTION {lies}(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
        " $$BEGIN PERFORM public.{bump}(); RETURN $1; END$$")))
    env.settle()
    return names


@pytest.fixture
def lone(postgres, database, proxy_class):
    """A pgrecall of this test alone with one server connection: what is left there, the next client finds."""
    made = proxy_class(postgres.port, {"pool": {"size": 1}}, ())
    made.wait_catalog(database)
    environment = Environment(postgres, made, database)
    environment.run("CREATE SCHEMA IF NOT EXISTS evil")
    yield environment
    environment.close()
    made.assert_alive()
    made.remove()


@pytest.fixture
def gate(module_gate):
    assert module_gate, "the module must say USES_GATE = True"
    return module_gate


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    item.log_offsets = {proxy: len(proxy.log()) for proxy in program.LIVE}
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        offsets = getattr(item, "log_offsets", {})
        for proxy in program.LIVE:
            report.sections.append((f"log of pgrecall on {proxy.port}",
                                    proxy.log()[offsets.get(proxy, 0):][-6000:]))
