"""explain, drain-report, history and replay --check: against a real dev server that serves the code from before."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.terminal import Cli, eventually, fresh, serving

from resonate_faas_cli._api import Api, Json
from resonate_faas_cli._commands import replay
from resonate_faas_cli._output import Output
from resonate_faas_cli._recorded import load

CODE = Path(__file__).with_name("deploys.py")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A server with one execution of each version under way, and what the market called."""
    with serving(tmp_path_factory.mktemp("deploys") / "state.db", "--port", "0", app=CODE) as (_, url):
        cli = Cli(url)
        cli.ok("invoke", "market", "boat", "--id", "market-1")
        cli.ok("invoke", "sell", "car", "--id", "old-1", "--version", "1")
        cli.ok("invoke", "sell", "car", "--id", "later-1", "--delay", "1h")
        for waiting in ("market-1", "market-1:1r", "old-1"):
            _rests(cli, waiting)
        yield cli


def _rests(cli: Cli, promise_id: str) -> None:
    """Wait until an execution waits."""
    eventually(lambda: _task(cli, promise_id) == "suspended")


def _task(cli: Cli, promise_id: str) -> Any:
    ran = cli("get", promise_id, "--json")
    return ran.json["task"]["state"] if ran.code == 0 else None


def changed(folder: Path, *edits: tuple[str, str]) -> str:
    """Write the code as it is after some edits, under a name that no other test imports."""
    text = CODE.read_text()
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    path = folder / f"{fresh('after').replace('-', '_')}.py"
    path.write_text(text)
    return str(path)


# ---- explain


def test_an_execution_says_what_it_waits_for_in_one_line_and_in_all_detail(deployed: Cli) -> None:
    lines = deployed.ok("explain", "market-1").out.splitlines()
    assert lines[0] == (
        "market-1 🟡 pending: it waits for market-1:1r (rpc sell), market-1:3 (sleep) and 1 more"
    )
    said = "\n".join(lines)
    assert re.search(r"call       rpc market, version 1, code [0-9a-f]{12}\n", said)
    assert re.search(r"waits for  market-1:1r \(rpc sell\) for \S+ its task is suspended", said)
    assert re.search(
        r"retries    market-1:2 \(run bank\) failed once: OSError: no route to the bank; again", said
    )
    assert "wakes on   market-1:2.a1" in said
    assert "replay     4 of 10,000 promises" in said


@pytest.mark.parametrize(
    ("promise_id", "said"),
    [
        ("market-1:1r", "it waits for market-1:1r.2 (promise)"),
        ("market-1:1r.2", "somebody to settle it: resonate-faas resolve market-1:1r.2 VALUE"),
        ("market-1:1r.1", "it waits for nothing: resolved, after"),
        ("market-1:2", "it is a call of market-1, which waits for something of its own"),
        ("market-1:2.a1", "the pause before the next attempt of a step: it ends in"),
        ("market-1:3", "it is a timer: it ends in 1h"),
        ("later-1", "it starts in"),
    ],
)
def test_everything_on_record_says_why_it_stands_still(deployed: Cli, promise_id: str, said: str) -> None:
    found = deployed.ok("explain", promise_id, "--json").json
    assert said in found["why"]
    assert said in deployed.ok("explain", promise_id).out
    assert found["promise"]["id"] == promise_id


def test_an_awaited_promise_says_who_waits(deployed: Cli) -> None:
    assert "awaited by market-1:1r\n" in deployed.ok("explain", "market-1:1r.2").out


def test_a_halted_execution_a_schedule_and_nothing_at_all(deployed: Cli) -> None:
    halted = fresh("halted")
    deployed.ok("invoke", "sell", "car", "--id", halted, "--delay", "1h")
    deployed.ok("tasks", "halt", halted)
    said = deployed.ok("explain", halted).out
    assert (
        f"it is halted: halted by an operator; once the reason is gone: resonate-faas tasks continue {halted}"
        in said
    )
    deployed.ok("cancel", halted)
    assert "it waits for nothing: cancelled" in deployed.ok("explain", halted).out
    schedule = fresh("nightly")
    deployed.ok("schedules", "create", schedule, "car", "--cron", "0 0 1 1 *", "--function", "sell")
    assert "it is a schedule (0 0 1 1 *), which fires at" in deployed.ok("explain", schedule).out
    deployed.ok("schedules", "delete", schedule)
    missing = deployed("explain", "nothing-here", "--json")
    assert (missing.code, missing.out) == (3, "")
    assert missing.error["code"] == "promise-not-found"


def test_the_tree_tells_how_much_each_task_replays(deployed: Cli) -> None:
    nodes = {one["id"]: one for one in deployed.ok("tree", "market-1", "--json").json["nodes"]}
    assert (nodes["market-1"]["promises"], nodes["market-1:1r"]["promises"]) == (4, 2)
    assert "promises" not in nodes["market-1:3"]


# ---- drain-report


def test_what_is_live_is_counted_by_function_and_version(deployed: Cli) -> None:
    report = deployed.ok("drain-report", "--json").json
    rows = {(row["function"], row["version"]): row for row in report["functions"]}
    old, new, market, bank = rows["sell", 1], rows["sell", 2], rows["market", 1], rows["bank", 1]
    assert (old["roots"], old["children"], old["examples"]) == (1, 0, ["old-1"])
    assert (new["roots"], new["children"], new["examples"]) == (1, 1, ["market-1:1r", "later-1"])
    assert (market["roots"], bank["calls"]) == (1, 1)
    (fingerprint,) = old["codes"]
    assert fingerprint not in new["codes"]
    assert re.search(rf"sell +1 +1 +0 +0 +0 +0 +{fingerprint}:1 ", deployed.ok("drain-report").out)


def test_the_exit_code_tells_whether_a_version_is_gone(deployed: Cli) -> None:
    needed = deployed("drain-report", "--version-gone", "sell@1")
    assert (needed.code, needed.err) == (1, "sell@1 is still needed\n")
    assert deployed("drain-report", "--version-gone", "market").code == 1
    assert deployed("drain-report", "--version-gone", "sell@3", "--version-gone", "nobody").code == 0
    assert deployed("drain-report", "--version-gone", "sell@3", "--version-gone", "sell@2").code == 1
    schedule = fresh("starts")
    deployed.ok("schedules", "create", schedule, "car", "--cron", "0 0 1 1 *", "--function", "market")
    rows = deployed.ok("drain-report", "--json").json["functions"]
    assert [row["schedules"] for row in rows if row["function"] == "market"] == [1]
    deployed.ok("schedules", "delete", schedule)


ENCRYPTED = """
from resonate_faas import Resonate


class Flip:
    def encrypt(self, plaintext: bytes) -> bytes:
        return bytes(one ^ 255 for one in plaintext)

    decrypt = encrypt


resonate = Resonate(encryptor=Flip())
"""


def test_what_can_not_be_read_counts_as_needed_unless_the_code_reads_it(
    deployed: Cli, tmp_path: Path
) -> None:
    app = tmp_path / f"{fresh('encrypted').replace('-', '_')}.py"
    app.write_text(ENCRYPTED)
    param = bytes(one ^ 255 for one in b'{"func": "secret", "args": [], "version": 3}')
    secret = fresh("secret")
    with Api(deployed.url) as api:
        data = {
            "id": secret,
            "timeoutAt": 2_000_000_000_000,
            "param": {"data": b64encode(param).decode()},
            "tags": {"resonate:target": "local://default", "resonate:delay": "1999999999999"},
        }
        api.ask("promise.create", data)
    unread = deployed("drain-report", "--version-gone", "nobody@1")
    assert unread.code == 1
    assert "1 can't be read" in unread.err
    read = deployed("drain-report", "--version-gone", "nobody@1", "--app", str(app), "--json")
    assert read.code == 0
    (row,) = [row for row in read.json["functions"] if row["function"] == "secret"]
    assert (row["version"], row["roots"], row["examples"]) == (3, 1, [secret])
    deployed.ok("cancel", secret)


# ---- replay --check and histories


def test_the_code_that_runs_replays_clean(deployed: Cli) -> None:
    ran = deployed.ok("replay", "--check", "--app", str(CODE))
    assert "clean      market-1 market (version 1), 4 records: waits for market-1:2.a1\n" in ran.out
    assert "clean      old-1 sell (version 1), 2 records: waits for old-1:2\n" in ran.out
    assert "4 executions: 4 clean" in ran.err


def test_changed_code_is_refused_for_the_executions_that_it_would_strand(
    deployed: Cli, tmp_path: Path
) -> None:
    app = changed(
        tmp_path, ("    await ctx.run(reserve, item)\n    return", "    await ctx.sleep(1)\n    return")
    )
    ran = deployed("replay", "--check", "--app", app, "--json")
    assert ran.code == 1
    outcomes = {one["id"]: one for one in ran.json["executions"]}
    assert {key: one["outcome"] for key, one in outcomes.items()} == {
        "market-1": "clean",
        "market-1:1r": "clean",
        "later-1": "clean",
        "old-1": "diverged",
    }
    divergence = outcomes["old-1"]["divergence"]
    assert divergence["recorded"].startswith("run reserve")
    assert (divergence["id"], divergence["now"]) == ("old-1:1", "sleep sleep")
    assert divergence["source"] == "await ctx.sleep(1)"
    assert "the code changed under a running execution" in divergence["cause"]
    text = deployed("replay", "--check", "--app", app)
    assert "diverged   old-1 sell (version 1), 2 records\n  id       old-1:1\n" in text.out
    assert "ctx.patched(name)" in text.err


def test_a_patch_makes_the_same_change_safe(deployed: Cli, tmp_path: Path) -> None:
    app = changed(
        tmp_path,
        (
            "    await ctx.run(reserve, item)\n    return",
            '    if ctx.patched("no-stock"):\n        await ctx.sleep(1)\n    else:\n        await ctx.run(reserve, item)\n    return',
        ),
    )
    assert deployed("replay", "--check", "--app", app, "--function", "sell").code == 0


def test_a_version_that_is_gone_is_missed(deployed: Cli, tmp_path: Path) -> None:
    app = changed(tmp_path, ('@resonate.register(name="sell")\n', ""))
    ran = deployed("replay", "--check", "--app", app, "--function", "sell")
    assert ran.code == 1
    assert "missing    old-1 sell (version 1)" in ran.out
    other = changed(tmp_path, ('name="sell"', 'name="buy"'))
    assert deployed("replay", "--check", "--app", other, "--function", "sell").code == 1
    assert deployed("replay", "--check", "--app", other, "--function", "sell", "--skip-unknown").code == 0


def test_an_exported_execution_is_checked_without_a_server(deployed: Cli, tmp_path: Path) -> None:
    path = tmp_path / "market.json"
    assert (
        deployed.ok("history", "export", "market-1", "--out", str(path)).out
        == f"{path}: 7 records of market-1\n"
    )
    document = json.loads(path.read_text())
    assert (document["format"], document["version"], document["root"]) == (
        "resonate-faas-history",
        1,
        "market-1",
    )
    assert document["records"] == deployed.ok("history", "export", "market-1").json["records"]
    assert path.stat().st_mode & 0o077 == 0
    again = deployed("history", "export", "market-1", "--out", str(path))
    assert (again.code, "exists" in again.err) == (4, True)

    nowhere = Cli("http://127.0.0.1:1")
    assert nowhere.ok("replay", "--check", str(path), "--app", str(CODE)).out.count("clean") == 2
    reordered = changed(tmp_path, ("ctx.rpc(sell, item), ", ""))
    ran = nowhere("replay", "--check", str(path), "--app", reordered)
    assert (ran.code, ran.out.splitlines()[0]) == (1, "diverged   market-1 market (version 1), 4 records")


def test_what_can_not_be_checked_is_refused(deployed: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "resonate-faas-history", "version": 2}')
    for args, said in (
        (["replay", "--check", str(broken), "--app", str(CODE)], "version: Input should be 1"),
        (["replay", "--check", str(tmp_path / "none.json"), "--app", str(CODE)], "Can't read"),
        (["replay", "--check", "--app", str(tmp_path / "none.py")], "there is no file"),
        (["replay", "--app", str(CODE)], "--check"),
        (["drain-report", "--version-gone", ""], "NAME@VERSION"),
    ):
        ran = deployed(*args)
        assert ran.code == 2, ran
        assert said in ran.err
    step = deployed("history", "export", "market-1:2")
    assert (step.code, "is no execution" in step.err) == (4, True)
    assert deployed("history", "export", "nothing-here").code == 3


def test_an_imported_execution_is_halted_until_it_is_continued(deployed: Cli, tmp_path: Path) -> None:
    path, db = tmp_path / "old.json", tmp_path / "copy.db"
    deployed.ok("history", "export", "old-1", "--out", str(path))
    assert (
        deployed.ok("history", "import", str(path), "--db", str(db)).out
        == f"{db}: 3 of 3 records of old-1 are new there\n"
    )
    assert deployed.ok("history", "import", str(path), "--db", str(db), "--json").json["new"] == 0
    other = json.loads(path.read_text())
    other["records"][1]["value"] = {"data": "MQ=="}
    path.write_text(json.dumps(other))
    refused = deployed("history", "import", str(path), "--db", str(db))
    assert (refused.code, "is stored already, and is not what the file says" in refused.err) == (4, True)
    with serving(db, "--port", "0", app=CODE) as (_, url):
        copy = Cli(url)
        assert "it is halted: imported" in copy.ok("explain", "old-1").out
        copy.ok("tasks", "continue", "old-1")
        _rests(copy, "old-1")
        copy.ok("resolve", "old-1:2", "sold")
        assert copy.ok("wait", "old-1").out == "sold\n"
    assert _task(deployed, "old-1") == "suspended"


class Torn(Api):
    """A server whose first answer to a search holds a record of a moment before."""

    searches = 0

    def ask(self, kind: str, data: Mapping[str, Any]) -> Json:
        answer = super().ask(kind, data)
        if kind == "promise.search":
            self.searches += 1
            for record in answer["promises"] if self.searches == 1 else ():
                if record["id"] == "old-1:1":
                    record["param"] = {"data": b64encode(b'{"func": "x", "kind": "run"}').decode()}
        return answer


def test_an_execution_that_changes_while_it_is_read_is_read_again(deployed: Cli) -> None:
    check = replay._Check(load(str(CODE)), Output(as_json=True), is_skipping=False)
    with Torn(deployed.url) as api:
        (verdict,) = replay._settled_verdicts(check, api, "old-1")
    assert (verdict.divergence, api.searches) == (None, 2)
