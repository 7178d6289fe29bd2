"""tree, promises, tasks, schedules: against a real dev server in a process of its own."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from tests.cli.terminal import Cli, ended, eventually, fresh, serving

TIMES = re.compile(r" (?:for |wakes in )?[0-9][0-9a-z.]*$", re.MULTILINE)


def order_of(cli: Cli) -> str:
    """Start an order and wait until it awaits its promise."""
    root = fresh("order")
    cli.ok("invoke", "order", "--id", root)
    eventually(lambda: cli("get", f"{root}:4").code == 0)
    return root


def untimed(text: str) -> str:
    return TIMES.sub("", text)


def tree_text(root: str, state: str) -> str:
    return (
        f"{root} {state} (rpc order)\n"
        f"├── {root}:1 🟢 (run compose)\n"
        f"├── {root}:2r 🟢 (rpc charge)\n"
        f"│   └── {root}:2r.1 🟢 (run double)\n"
        f"├── {root}:3 🟢 (sleep)\n"
        f"└── {root}:4 {state} (promise)\n"
    )


def test_the_tree_of_an_execution(cli: Cli) -> None:
    root = order_of(cli)
    assert untimed(cli.ok("tree", root).out) == tree_text(root, "🟡")
    cli.ok("resolve", f"{root}:4", "x")
    cli.ok("wait", root)
    assert untimed(cli.ok("tree", root).out) == tree_text(root, "🟢")


def test_the_tree_of_a_call_within_an_execution(cli: Cli) -> None:
    root = order_of(cli)
    expected = f"{root}:2r 🟢 (rpc charge)\n└── {root}:2r.1 🟢 (run double)\n"
    assert untimed(cli.ok("tree", f"{root}:2r").out) == expected


def test_the_tree_of_a_root_without_an_origin(cli: Cli) -> None:
    """As the official command line makes one (protocol section 10): found by its id, not by the search."""
    root = fresh("foreign")
    tags = {"resonate:target": "local://default", "resonate:scope": "global"}
    create = {"id": root, "timeoutAt": 0, "tags": tags}
    head = {"corrId": "1", "version": "2026-04-01"}
    made = {"kind": "promise.create", "head": head, "data": create}
    assert httpx.post(cli.url, json=made, trust_env=False).status_code == 200
    assert cli.ok("tree", root).out == f"{root} 🔴 (rpc) 0ms timed out\n"


def test_the_tree_as_json(cli: Cli) -> None:
    root = order_of(cli)
    found = cli.ok("tree", root, "--json").json
    assert found["id"] == root
    seen = [(node["id"], node.get("parent"), node["depth"], node["kind"]) for node in found["nodes"]]
    assert seen == [
        (root, None, 0, "rpc"),
        (f"{root}:1", root, 1, "run"),
        (f"{root}:2r", root, 1, "rpc"),
        (f"{root}:2r.1", f"{root}:2r", 2, "run"),
        (f"{root}:3", root, 1, "sleep"),
        (f"{root}:4", root, 1, "promise"),
    ]


def test_a_tree_says_why_a_task_stands_still(cli: Cli) -> None:
    root = order_of(cli)
    cli.ok("tasks", "halt", root)
    assert cli.ok("tree", root).out.splitlines()[0].endswith(" halted: halted by an operator")
    assert cli.ok("tree", root, "--json").json["nodes"][0]["remark"] == "halted: halted by an operator"


def test_following_ends_when_the_execution_has_ended(cli: Cli) -> None:
    root = order_of(cli)
    following = cli.process("tree", root, "--follow")
    assert following.stdout is not None
    assert following.stdout.readline().startswith(f"{root} 🟡")
    cli.ok("resolve", f"{root}:4", "x")
    ran = ended(following)
    assert ran.code == 0
    assert untimed(ran.out).endswith(tree_text(root, "🟢"))
    assert [line for line in ran.out.splitlines() if line.startswith(f"{root}:4 🟢")]


def test_following_a_failure_ends_with_its_code(cli: Cli) -> None:
    root = fresh("fail")
    cli("invoke", "fail", "no luck", "--id", root, "--wait")
    ran = cli("tree", root, "--follow", "--json")
    assert ran.code == 1
    assert [node.get("error") for node in ran.json["nodes"]] == ["LookupError: no luck"] * 2


@pytest.fixture
def family(cli: Cli) -> list[str]:
    """The ids of an order and its steps, in the order of a listing."""
    root = order_of(cli)
    return [root, *(f"{root}:{place}" for place in ("1", "2r", "2r.1", "3", "4"))]


def test_promises_are_searched_by_origin_and_tag(cli: Cli, family: list[str]) -> None:
    by_origin = cli.ok("promises", "search", "--origin", family[0], "--json").json
    assert [one["id"] for one in by_origin["promises"]] == family
    by_tag = cli.ok("promises", "search", "--tag", f"resonate:parent={family[2]}", "--json").json
    assert [one["id"] for one in by_tag["promises"]] == [family[3]]
    pending = cli.ok("promises", "search", "--origin", family[0], "--state", "pending", "--json").json
    assert [one["id"] for one in pending["promises"]] == [family[0], family[5]]


def test_pages_of_promises_lead_to_the_next(cli: Cli, family: list[str]) -> None:
    search = ("promises", "search", "--origin", family[0], "--limit", "4")
    first = cli.ok(*search, "--json").json
    assert [one["id"] for one in first["promises"]] == family[:4]
    rest = cli.ok(*search, "--cursor", first["cursor"], "--json").json
    assert [one["id"] for one in rest["promises"]] == family[4:]
    assert "cursor" not in rest
    assert f"--cursor {first['cursor']}, or --all" in cli.ok(*search).err
    whole = cli.ok(*search, "--all", "--json").json
    assert [one["id"] for one in whole["promises"]] == family
    assert "cursor" not in whole


def test_promises_as_a_table(cli: Cli, family: list[str]) -> None:
    ran = cli.ok("promises", "search", "--origin", family[0])
    rows = [re.split(r" {2,}", line) for line in ran.out.splitlines()]
    assert rows[0] == ["ID", "STATE", "CALL", "CREATED", "TIME"]
    assert [row[:3] for row in rows[1:4]] == [
        [family[0], "pending", "rpc order"],
        [family[1], "resolved", "run compose"],
        [family[2], "resolved", "rpc charge"],
    ]
    assert ran.err == ""


def test_a_search_that_finds_nothing_says_so_and_succeeds(cli: Cli) -> None:
    ran = cli.ok("promises", "search", "--tag", "nobody=home")
    assert (ran.out, ran.err) == ("", "nothing found\n")
    assert cli.ok("promises", "search", "--tag", "nobody=home", "--json").json == {"promises": []}


def test_listed_promises_are_all_of_them_or_the_executions(cli: Cli, family: list[str]) -> None:
    every = [one["id"] for one in cli.ok("promises", "list", "--all", "--json").json["promises"]]
    assert set(family) <= set(every)
    assert every == sorted(every)
    roots = [one["id"] for one in cli.ok("promises", "list", "--roots", "--all", "--json").json["promises"]]
    assert family[0] in roots
    assert not set(family[1:]) & set(roots)
    resolved = cli.ok("promises", "list", "--state", "resolved", "--all", "--json").json["promises"]
    assert {one["state"] for one in resolved} == {"resolved"}


def test_a_halted_task_is_listed_and_goes_on_when_continued(cli: Cli) -> None:
    root = fresh("halt")
    cli.ok("invoke", "approval", "lamp", "--id", root)
    eventually(lambda: cli("get", f"{root}:1").code == 0)
    assert cli.ok("tasks", "halt", root).out == f"{root} halted\n"
    assert root in [
        one["id"] for one in cli.ok("tasks", "list", "--state", "halted", "--all", "--json").json["tasks"]
    ]
    assert re.search(rf"^{root} +halted +", cli.ok("tasks", "list", "--all").out, re.MULTILINE)
    lines = cli.ok("get", root).out.splitlines()
    assert f"  task      halted; once the reason is gone: resonate-faas tasks continue {root}" in lines
    assert "  reason    halted by an operator" in lines
    cli.ok("resolve", f"{root}:1", "yes")
    assert cli("wait", root, "--timeout", "200ms").code == 6
    assert cli.ok("tasks", "continue", root, "--json").json["id"] == root
    assert cli.ok("wait", root).out == "lamp: yes\n"


def test_a_task_in_the_wrong_state_is_refused(cli: Cli) -> None:
    root = fresh("done")
    cli.ok("invoke", "greet", "ada", "--id", root, "--wait")
    for operation in ("halt", "continue"):
        ran = cli("tasks", operation, root)
        assert ran.code == 4, ran
        assert "Task is " in ran.err


def test_a_schedule_is_created_listed_and_deleted(cli: Cli) -> None:
    name = fresh("nightly")
    create = (
        "schedules",
        "create",
        name,
        "--cron",
        "30 2 * * *",
        "--function",
        "greet",
        "ada",
        "--kw",
        "loud=true",
    )
    zone = ("--tz", "Europe/Paris", "--timeout", "2h")
    assert re.fullmatch(rf"{name} next runs at [0-9-]+ 0[01]:30:00Z\n", cli.ok(*create, *zone).out)
    listed = cli.ok("schedules", "list", "--all", "--json").json["schedules"]
    (schedule,) = [one for one in listed if one["id"] == name]
    assert (schedule["cron"], schedule["zone"], schedule["promiseTimeout"]) == (
        "30 2 * * *",
        "Europe/Paris",
        7_200_000,
    )
    assert schedule["promiseTags"]["resonate:target"] == "local://default"
    rows = [re.split(r" {2,}", line) for line in cli.ok("schedules", "list", "--all").out.splitlines()]
    assert [name, "30 2 * * *", "Europe/Paris", "greet"] in [row[:4] for row in rows]
    assert cli.ok(*create, *zone, "--json").json == schedule
    assert cli.ok("schedules", "delete", name).out == f"{name} deleted\n"
    assert cli("schedules", "delete", name).code == 3


def test_another_schedule_of_the_same_id_is_refused(cli: Cli) -> None:
    name = fresh("weekly")
    create = ("schedules", "create", name, "--function", "greet", "ada", "--json", "--cron")
    first = cli.ok(*create, "0 0 * * MON").json
    ran = cli(*create, "0 0 * * TUE")
    assert ran.code == 4
    assert ran.error["message"] == f"schedule '{name}' exists with another cron"
    assert cli(*create, "0 0 * * MON", "--kw", "loud=true").code == 4
    assert cli.ok(*create, "0 0 * * MON").json == first


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--cron", "* * *"], "five fields"),
        (["--cron", "* * * * *", "--tz", "Mars/Olympus"], "Mars/Olympus"),
        (["--cron", "* * * * *", "--target", "http://elsewhere.example/run"], "address"),
        (["--cron", "* * * * *", "--promise-id", "x" * 300], "id"),
    ],
)
def test_a_schedule_that_can_not_be_is_refused(cli: Cli, args: list[str], said: str) -> None:
    name = fresh("never")
    ran = cli("schedules", "create", name, "--function", "greet", "ada", *args)
    assert ran.code == 4, ran
    assert said in ran.err
    assert cli("schedules", "delete", name).code == 3


def test_a_scheduled_call_runs_with_its_arguments(tmp_path: Path) -> None:
    with serving(tmp_path / "state.db", "--port", "0", "--debug", "--debug-token", "") as (_, url):
        cli = Cli(url)
        call = ("--function", "greet", "ada", "--kw", "loud=true")
        created = cli.ok("schedules", "create", "hourly", "--cron", "0 * * * *", *call, "--json").json
        head = {"corrId": "1", "version": "2026-04-01"}
        tick = {"kind": "debug.tick", "head": head, "data": {"time": created["nextRunAt"]}}
        assert httpx.post(url, json=tick, trust_env=False).status_code == 200
        execution = f"hourly-{created['nextRunAt']}"
        assert cli.ok("wait", execution, "--timeout", "20").out == "HELLO ADA\n"
        assert f"{execution} 🟢 (rpc greet)" in cli.ok("tree", execution).out
