"""invoke, get, wait, resolve, reject, cancel: against a real dev server in a process of its own."""

from __future__ import annotations

import json
import select
import signal
import socket
from pathlib import Path
from typing import IO

import pytest
from tests.cli.terminal import BOUND_S, Cli, ended, eventually, fresh, serving


def test_invoke_writes_the_id_alone_and_wait_the_result_alone(cli: Cli) -> None:
    started = cli.ok("invoke", "greet", "ada")
    promise_id = started.out.strip()
    assert started.out == f"{promise_id}\n"
    assert promise_id.startswith("greet-")
    assert f"resonate-faas tree {promise_id} --follow" in started.err
    assert cli.ok("wait", promise_id).out == "hello ada\n"


def test_invoke_waits_for_the_result(cli: Cli) -> None:
    ran = cli.ok("invoke", "greet", "ada", "--kw", "loud=true", "--id", fresh("loud"), "--wait")
    assert ran.out == "HELLO ADA\n"


def test_arguments_arrive_as_json_or_text(cli: Cli) -> None:
    ran = cli.ok("invoke", "echo", "3", "ada", '"3"', '{"a": [null]}', "--arg=-3", "--wait")
    assert ran.json == [3, "ada", "3", {"a": [None]}, -3]
    assert cli.ok("invoke", "echo", "--wait", "--", "-3").json == [-3]
    assert cli.ok("invoke", "echo", "--json-args", '[1, "2"]', "--wait").json == [1, "2"]


def test_a_result_that_is_no_text_is_json(cli: Cli) -> None:
    assert cli.ok("invoke", "echo", "ü", "true", "--wait").out == '[\n  "ü",\n  true\n]\n'


def test_json_holds_what_the_server_says(cli: Cli) -> None:
    promise_id = fresh("json")
    started = cli.ok("invoke", "greet", "ada", "--id", promise_id, "--json")
    assert started.json["id"] == promise_id
    assert started.err == ""
    waited = cli.ok("wait", promise_id, "--json")
    assert waited.json["state"] == "resolved"
    assert waited.json["value"] == "hello ada"
    assert cli.ok("get", promise_id, "--json").json == waited.json


def test_the_same_call_again_is_the_same_execution_and_another_one_a_conflict(cli: Cli) -> None:
    promise_id = fresh("same")
    cli.ok("invoke", "greet", "ada", "--id", promise_id, "--wait")
    assert cli.ok("invoke", "greet", "ada", "--id", promise_id).out == f"{promise_id}\n"
    other = cli("invoke", "greet", "bob", "--id", promise_id, "--json")
    assert other.code == 4
    assert other.out == ""
    assert other.error["code"] == "invocation-conflict"
    assert other.error["exit"] == 4
    assert "choose another id" in other.error["message"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["greeet", "ada"], 3, "'greeet' is not registered"),
        (["greet", "ada", "--version", "9"], 3, "version 9"),
        (["greet"], 4, "name"),
        (["greet", "3"], 4, "'name'"),
        (["greet", "ada", "--kw", "lout=true"], 4, "lout"),
        (["greet", "ada", "--id", "a:b"], 4, "id"),
        (["greet", "ada", "--timeout", "0"], 4, "timeout"),
        (["a/../b", "ada"], 3, "a/../b"),
        (["..", "ada"], 3, "'..'"),
    ],
)
def test_a_refused_invocation_says_why(cli: Cli, args: list[str], code: int, said: str) -> None:
    ran = cli("invoke", *args)
    assert ran.code == code, ran
    assert ran.out == ""
    assert ran.err.startswith("Error: ")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_delayed_execution_waits_and_says_until_when(cli: Cli) -> None:
    promise_id = fresh("later")
    cli.ok("invoke", "greet", "ada", "--id", promise_id, "--delay", "1h", "--timeout", "1h30m")
    found = cli.ok("get", promise_id, "--json").json
    starts_at = int(found["tags"]["resonate:delay"])
    assert found["timeoutAt"] - starts_at == 5_400_000
    assert (
        abs(starts_at - found["createdAt"] - 3_600_000) < 1_000
    )  # the instants of two readings of the clock
    assert "task      pending, next at " in cli.ok("get", promise_id).out


def test_get_tells_how_a_failed_execution_stands_and_succeeds(cli: Cli) -> None:
    promise_id = fresh("fail")
    assert cli("invoke", "fail", "no luck", "--id", promise_id, "--wait").code == 1
    lines = cli.ok("get", promise_id).out.splitlines()
    assert lines[0] == f"{promise_id} 🔴 rejected"
    assert "  error     failed: LookupError: no luck" in lines


def test_waiting_for_a_failed_execution_fails_with_its_error(cli: Cli) -> None:
    promise_id = fresh("fail")
    ran = cli("invoke", "fail", "no luck", "--id", promise_id, "--wait")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == f"{promise_id} failed: LookupError: no luck"
    as_json = cli("wait", promise_id, "--json")
    assert as_json.code == 1
    assert as_json.json["error"]["message"] == "no luck"


def test_waiting_for_a_cancelled_execution_fails(cli: Cli) -> None:
    promise_id = fresh("gone")
    cli.ok("invoke", "approval", "lamp", "--id", promise_id)
    cli.ok("cancel", promise_id)
    ran = cli("wait", promise_id)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"{promise_id} cancelled: promise '{promise_id}' was cancelled\n"


def test_waiting_past_an_executions_deadline_fails(cli: Cli) -> None:
    promise_id = fresh("late")
    cli.ok("invoke", "approval", "lamp", "--id", promise_id, "--timeout", "100ms")
    ran = cli("wait", promise_id)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1].startswith(f"{promise_id} timed out: ")


@pytest.mark.parametrize("timeout", ["0", "300ms", "1s"])
def test_the_time_to_wait_ends(cli: Cli, timeout: str) -> None:
    promise_id = fresh("open")
    cli.ok("invoke", "approval", "lamp", "--id", promise_id)
    ran = cli("wait", promise_id, "--timeout", timeout)
    assert (ran.code, ran.out) == (6, "")
    assert f"resonate-faas wait {promise_id}" in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ["get"],
        ["wait"],
        ["resolve"],
        ["reject"],
        ["cancel"],
        ["tree"],
        ["tree", "--follow"],
        ["tasks", "halt"],
        ["tasks", "continue"],
        ["schedules", "delete"],
    ],
)
def test_an_unknown_id_is_not_found(cli: Cli, args: list[str]) -> None:
    ran = cli(*args, "nobody")
    assert ran.code == 3, ran
    assert ran.out == ""
    assert ran.err.startswith("Error: ")
    as_json = cli(*args, "nobody", "--json")
    assert as_json.code == 3
    assert as_json.error["reason"] == "not_found"


@pytest.mark.parametrize(
    ("unknown", "code"), [("no/body?x=1#y", 3), ("..", 3), ("\u00fc \u202e", 3), ("x" * 300, 4)]
)
def test_an_unusual_id_is_not_found_either(cli: Cli, unknown: str, code: int) -> None:
    """One that no promise can have is refused by the protocol, unknown to the routes."""
    assert cli("get", unknown).code == 3
    assert cli("resolve", unknown).code == 3
    assert cli("tree", unknown).code == code


def approval_of(cli: Cli) -> tuple[str, str]:
    """Start an approval; return its id and that of the promise it awaits."""
    root = fresh("approval")
    cli.ok("invoke", "approval", "lamp", "--id", root)
    promise_id = f"{root}:1"
    eventually(lambda: cli("get", promise_id).code == 0)
    return root, promise_id


def test_a_resolved_promise_lets_its_workflow_go_on(cli: Cli) -> None:
    root, promise_id = approval_of(cli)
    ran = cli.ok("resolve", promise_id, "yes")
    assert ran.out.splitlines()[0] == f"{promise_id} 🟢 resolved"
    assert cli.ok("wait", root).out == "lamp: yes\n"


def test_the_same_value_again_is_no_error_and_another_one_is_refused(cli: Cli) -> None:
    _, promise_id = approval_of(cli)
    assert cli.ok("resolve", promise_id, "yes", "--json").json["value"] == "yes"
    cli.ok("resolve", promise_id, "yes")
    for again in (["resolve", promise_id, "no"], ["reject", promise_id, "no"], ["cancel", promise_id]):
        ran = cli(*again, "--json")
        assert (ran.code, ran.out) == (4, "")
        assert ran.error["code"] == "settled"
        assert "was resolved already" in ran.error["message"]
    assert cli.ok("get", promise_id, "--json").json["value"] == "yes"


def test_a_rejected_promise_fails_its_workflow_with_the_message(cli: Cli) -> None:
    root, promise_id = approval_of(cli)
    cli.ok("reject", promise_id, "404")
    cli.ok("reject", promise_id, "404")
    assert cli("reject", promise_id, "405").code == 4
    ran = cli("wait", root)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == f"{root} failed: 404"


def test_the_record_of_a_step_is_settled_by_nobody_else(cli: Cli) -> None:
    root = fresh("step")
    cli.ok("invoke", "greet", "ada", "--id", root, "--wait")
    ran = cli("resolve", f"{root}:1", "bob")
    assert ran.code == 4
    assert "only its workflow settles it" in ran.err


def test_waiting_survives_a_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    db = tmp_path / "state.db"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with serving(db, "--port", port) as (server, url):
        cli = Cli(url)
        root, promise_id = approval_of(cli)
        waiting = cli.process("wait", root)
        following = cli.process("tree", root, "--follow")
        assert next_line(waiting.stderr) == f"waiting for {root}"
        assert next_line(following.stdout).startswith(f"{root} 🟡")
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert "trying again" in next_line(waiting.stderr)
        assert "trying again" in next_line(following.stderr)
    with serving(db, "--port", port):
        cli.ok("resolve", promise_id, "yes")
        ran = ended(waiting)
        assert (ran.code, ran.out) == (0, "lamp: yes\n")
        ran = ended(following)
        assert (ran.code, ran.out.splitlines()[-2].split()[:2]) == (0, [root, "🟢"])


def next_line(stream: IO[str] | None) -> str:
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], BOUND_S)
    assert ready, "nothing was said"
    return stream.readline().rstrip("\n")


def test_a_process_ends_with_the_code_and_the_streams_apart(cli: Cli) -> None:
    ran = ended(cli.process("invoke", "fail", "no luck", "--id", fresh("fail"), "--wait", "--json"))
    assert ran.code == 1
    assert json.loads(ran.out)["state"] == "rejected"
    assert ran.err == ""
    ran = ended(cli.process("get", "nobody"))
    assert (ran.code, ran.out) == (3, "")
    assert len(ran.err.splitlines()) == 1
