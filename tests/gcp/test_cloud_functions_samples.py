"""Every sample, deployed as it is, started over HTTP: a real functions-framework process, queue, database."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
from tests.gcp.deployment import SAMPLES, Deployed, until

from resonate_faas._machine.objects import Promise

GAMES = 100
REGIONS = 100
HISTORY_MAX = 3
"""Promises of one game: the bets, the pause, the successor."""


def test_the_countdown_sleeps_without_a_process(tmp_path: Path) -> None:
    """Each sleep ends an activation; Cloud Tasks carries the wake, at its instant."""
    announced = tmp_path / "announced"
    variables = {"COUNTDOWN_LOG": str(announced)}
    with Deployed(tmp_path, code=SAMPLES / "countdown", variables=variables) as deployed:
        deployed.invoke("countdown", "launch", 2, 1.0)
        assert deployed.result("launch") == "lift-off"
        assert announced.read_text().split() == ["2", "1"]
        found = deployed.promises()
        timers = [found["launch:2"], found["launch:4"]]
        assert [timer.settled_at for timer in timers] == [timer.timeout_at for timer in timers]


def test_the_approval_waits_for_its_link(tmp_path: Path) -> None:
    """Anybody who has the link may settle that one promise, with no other credential; its page changes nothing."""
    outbox = tmp_path / "outbox"
    variables = {"APPROVAL_OUTBOX": str(outbox)}
    with Deployed(tmp_path, code=SAMPLES / "approval", variables=variables) as deployed:
        deployed.invoke("approval", "boat", "buy a boat", "ada@example.com")
        link = until(lambda: linked(outbox), deployed.told)
        assert link.startswith(deployed.url)
        assert httpx.get(f"{deployed.url}/promises/boat").status_code == 401, "closed by default"
        page = httpx.get(link)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert deployed.promises()["boat:1"].settled_at is None
        assert httpx.post(link.replace("boat%3A1", "boat"), json={"value": "x"}).status_code == 404
        assert httpx.post(link, json={"value": "enjoy"}).status_code == 200
        assert deployed.result("boat") == {"request": "buy a boat", "state": "approved", "note": "enjoy"}
        assert outbox.read_text().count("To: ") == 1


def linked(outbox: Path) -> str | None:
    """Return the link that the approver was sent."""
    found = re.search(r"\S+/resolve\?token=\S+", outbox.read_text()) if outbox.exists() else None
    return None if found is None else found.group()


def test_a_hundred_tasks_are_fanned_out(tmp_path: Path) -> None:
    """At most twenty at a time; the stubborn one fails twice, which is retried in its own task."""
    with Deployed(tmp_path, code=SAMPLES / "fanout_report", worker={"in_place_ms": 2_000}) as deployed:
        regions = [f"region-{number:03}" for number in range(REGIONS)]
        deployed.invoke("report", "report", regions)
        found = deployed.result("report")
        assert found["regions"] == REGIONS
        assert found["total"] == sum(10 * number for number in range(REGIONS))
        assert found["retried"] == ["region-042"]
        assert sum(name.endswith("r") for name in deployed.promises()) == REGIONS


def test_the_money_is_moved_once_or_given_back(tmp_path: Path) -> None:
    bank = tmp_path / "bank.db"
    variables = {"BANK_FILE": str(bank)}
    orders = {"rent": ("bob", "70.00"), "yacht": ("bob", "1000.00"), "gift": ("closed", "10.00")}
    with Deployed(tmp_path, "main", SAMPLES / "money_transfer", variables=variables) as deployed:
        for promise_id, (destination, amount) in orders.items():
            order = {"source": "ada", "destination": destination, "amount": amount}
            deployed.invoke("transfer", promise_id, order)
        states = {promise_id: deployed.result(promise_id)["state"] for promise_id in orders}
        refused = deployed.request("POST", "/invoke/transfer", args=[{"source": "ada"}])
        assert (refused.status_code, refused.json()["code"]) == (422, "arguments")
    assert states == {"rent": "done", "yacht": "refused", "gift": "compensated"}
    with closing(sqlite3.connect(bank)) as accounts:
        rows = accounts.execute("SELECT account, sum(cents) FROM moves GROUP BY account ORDER BY account")
        assert dict(rows.fetchall()) == {"ada": 3_000, "bob": 7_000}


def test_a_hundred_games_are_a_hundred_executions(tmp_path: Path) -> None:
    """Each starts the next with a tail call: a root of its own, with a history that does not grow."""
    with Deployed(tmp_path, code=SAMPLES / "play") as deployed:
        deployed.invoke("play", "play", 1, GAMES, 0.0)
        found = until(lambda: games(deployed), deployed.told)
        histories = [[one for one in found if one.startswith(f"{root}:")] for root in found]
        assert max(len(history) for history in histories) <= HISTORY_MAX


def games(deployed: Deployed) -> dict[str, Promise] | None:
    """Return the executions, once all have ended."""
    roots = {one: promise for one, promise in deployed.promises().items() if ":" not in one}
    is_over = len(roots) == GAMES and all(promise.settled_at is not None for promise in roots.values())
    return roots if is_over else None
