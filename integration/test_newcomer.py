"""What a newcomer meets first: check-config, explain without a server, the lines of the log."""
import json
import re
import subprocess

import pytest

from support.pgrecall import binary
from support.postgres import PASSWORD, PostgresServer, SUPERUSER
from support.processes import free_port
from support.redis_server import RedisServer
from support.waiting import wait_until

SECRET = "s3cret-of-redis"


@pytest.fixture(autouse=True)
def needs_the_program(proxy_class):
    if proxy_class.identity:
        pytest.skip("--direct: there is no pgrecall")


def run(*arguments):
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=60, cwd="/",
                          check=False)


def lines(proxy, message):
    """The log's lines of one message, as the JSON that they are."""
    written, _, _ = proxy.log().rpartition("\n")  # the last line may not be whole yet
    parsed = [json.loads(line) for line in written.splitlines()]
    return [line for line in parsed if line["message"].startswith(message)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("[pool]\nsize = 3\n")
    return path


def test_check_config_takes_the_file_by_itself_and_says_so(file):
    for arguments in (["check-config", file], ["check-config", "--config", file]):
        answer = run(*arguments)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.splitlines()[0] == f"checked {file}"
        assert answer.stdout.splitlines()[-1] == "configuration is valid"


def test_check_config_without_a_file_says_that_it_read_none():
    answer = run("check-config", "--redis", "redis://:hidden@127.0.0.1:1/")
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[0].startswith("checked the defaults and --redis; no file was read")
    assert "hidden" not in answer.stdout


def test_check_config_names_file_and_line_of_a_mistake(file):
    file.write_text("[pool]\nsise = 3\n")
    answer = run("check-config", file)
    assert answer.returncode == 2
    assert f"{file}:2: " in answer.stderr
    missing = run("check-config", "/nonexistent.toml")
    assert missing.stderr == "/nonexistent.toml: cannot be opened: No such file or directory\n"
    assert missing.stdout == "", "nothing was checked"


def test_a_mistake_on_the_command_line_does_not_repeat_a_secret():
    answer = run(f"postgres://alice:{SECRET}@127.0.0.1/shop")
    assert answer.returncode == 2
    assert SECRET not in answer.stdout + answer.stderr


def test_explain_says_that_it_needs_a_server_and_which_it_tried():
    port = free_port()
    answer = run("explain", "SELECT 1", "--upstream", f"postgres://alice:{SECRET}@127.0.0.1:{port}/shop")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        'explain needs a running server: it reads the catalog of database "shop".',
        f'cannot connect to 127.0.0.1:{port} as "alice": Connection refused',
        "Name another server with --upstream postgres://user:secret@host:5432/database or --config FILE."]


def test_explain_with_a_server_explains(postgres):
    url = f"postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{postgres.port}/postgres"
    answer = run("explain", "SELECT 1", "--upstream", url)
    assert answer.returncode == 0, answer.stderr
    refused = run("explain", "SELECT 1", "--upstream", url.removesuffix("postgres") + "nowhere")
    assert 'FATAL: database "nowhere" does not exist' in refused.stderr


def test_the_log_says_where_everything_is(postgres, new_proxy):
    proxy = new_proxy(postgres.port, {"log": {"format": "json"}})
    proxy.wait_catalog("postgres")
    assert lines(proxy, "upstream")[0]["address"] == f"127.0.0.1:{postgres.port}"
    assert lines(proxy, "upstream")[0]["control_role"] == SUPERUSER
    assert lines(proxy, "cache")[0]["mode"] == "on"
    assert lines(proxy, "redis")[0]["state"] == "not configured"
    assert lines(proxy, "change feed: none")[0]["max_age_without_feed_s"] == 60
    assert f"127.0.0.1:{proxy.port}" in [line["address"] for line in lines(proxy, "listening")]
    url = lines(proxy, "admin")[0]["url"]
    assert url == f"http://127.0.0.1:{proxy.admin_port}/"
    assert len(lines(proxy, "control role connected")) == 1
    assert PASSWORD not in re.sub(r'"(control_role|role|database)":"[^"]*"', "", proxy.log())


def test_the_control_role_lost_and_back_is_one_line_each(template, new_proxy):
    server = PostgresServer(template)
    try:
        proxy = new_proxy(server.port, {"log": {"format": "json"}})
        proxy.wait_catalog("postgres")
        server.stop()
        wait_until(lambda: lines(proxy, "control role not connected"), "the loss is in the log")
        attempts = "cannot connect to 127.0.0.1"
        wait_until(lambda: attempts in proxy.stats()["control"][0]["error"], "it is tried again")
        assert proxy.stats()["control"][0]["error"].endswith(": Connection refused")
        server.start()
        wait_until(lambda: len(lines(proxy, "control role connected")) == 2, "it is back")
        reasons = [line["reason"] for line in lines(proxy, "control role not connected")]
        assert len(reasons) == len(set(reasons)), "a reason is said once"
        assert all("\n" not in reason and "\t" not in reason for reason in reasons)
    finally:
        server.remove()


def test_redis_lost_and_back_is_one_line_each_and_shown(postgres, new_proxy):
    redis = RedisServer("--requirepass", SECRET)
    try:
        url = redis.url.replace("redis://", f"redis://:{SECRET}@")
        proxy = new_proxy(postgres.port, {"log": {"format": "json"}, "redis": {"url": url}})

        def breaker(state):
            return lambda: proxy.stats()["redis"]["state"] in state

        wait_until(breaker({"closed"}), "Redis is in use")
        assert 'pgrecall_redis_breaker{state="closed"} 1\n' in proxy.get("/metrics")[1]
        assert lines(proxy, "redis")[0]["address"] == f"127.0.0.1:{redis.port}"
        wait_until(lambda: len(lines(proxy, "redis connected")) == 1, "that is in the log")
        redis.kill()
        wait_until(breaker({"open", "half-open"}), "it is bypassed")
        status = proxy.stats()["redis"]
        assert status["last_error"] and not status["available"] and status["state_seconds"] >= 0
        assert 'pgrecall_redis_breaker{state="closed"} 0\n' in proxy.get("/metrics")[1]
        wait_until(lambda: "refused" in proxy.stats()["redis"]["last_error"], "it is tried again")
        redis.start()
        wait_until(breaker({"closed"}), "Redis is in use again", 30)
        wait_until(lambda: len(lines(proxy, "redis connected")) == 2, "that is in the log")
        assert proxy.stats()["redis"]["last_error"], "the last error stays to be seen"
        reasons = [line["reason"] for line in lines(proxy, "redis is bypassed")]
        assert reasons and len(reasons) == len(set(reasons)), "once per reason, not per attempt or worker"
        assert SECRET not in proxy.log()
    finally:
        redis.remove()
