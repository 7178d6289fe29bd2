"""GET /promises/{id}/explain: what is told of a promise that waits, and of what it waits for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.http.site import TARGET, Site

from resonate_faas import Constant, Context
from resonate_faas._machine import Turn
from resonate_faas._machine.objects import TaskState
from resonate_faas._machine.requests import OK, RegisterListener, Reply


def explained(site: Site, promise_id: str = "root") -> Any:
    answer = site.send("GET", f"/promises/{promise_id.replace(':', '%3A')}/explain")
    assert answer.status == 200, answer
    return answer.json


def waiting() -> Site:
    """An execution that asks a child which is asked by a person, retries a step and sleeps."""
    site = Site()
    resonate = site.node.resonate

    def flaky() -> None:
        raise OSError("no route to the bank")

    @resonate.register
    async def child(ctx: Context) -> str:
        return await ctx.promise(str)

    @resonate.register
    async def parent(ctx: Context) -> None:
        await ctx.gather(
            ctx.rpc(child),
            ctx.options(id="own").promise(str),
            ctx.options(retry=Constant(delay=3_600)).run(flaky),
            ctx.sleep(7_200),
        )

    site.invoke("parent")
    site.settle(until_ms=site.clock.now_ms())
    return site


def test_a_suspended_execution_tells_what_it_awaits_and_what_is_tried_again() -> None:
    site = waiting()
    start = site.clock.now_ms()
    found = explained(site)
    assert found["task"] == {
        "state": "suspended",
        "version": 1,
        "dispatches": 0,
        "barren": 0,
        "barrenMax": 10,
        "resumes": 0,
        "target": TARGET,
    }
    (retry,) = found["retries"]["promises"]
    assert retry["id"] == "root:2.a1"
    assert retry["call"]["attempt"] == 1
    assert retry["call"]["parent"] == "root:2"
    assert "flaky" in retry["call"]["function"]
    assert retry["call"]["error"]["message"] == "no route to the bank"
    assert retry["timeoutAt"] == start + 3_600_000
    assert retry in found["awaits"]["promises"]
    calls = {one["id"]: one for one in found["calls"]["promises"]}
    assert list(calls) == ["root:1r", "root:2", "root:3", "own"]
    assert calls["root:1r"]["taskState"] == "suspended"
    assert calls["root:1r"]["call"] == {"kind": "rpc", "function": "child", "version": 1, "parent": "root"}
    assert calls["own"]["call"]["kind"] == "promise"
    assert calls["root:3"]["call"]["kind"] == "sleep"
    assert (
        found["budget"]
        == {
            "promises": 4,  # the call, the step, its attempt, the sleep; the promise with an id of its own lies elsewhere
            "promisesMax": 10_000,
            "leaseMs": site.node.worker.settings.lease_ms,
            "replayMs": 0,
        }
    )
    assert found["nextDueAt"] == found["promise"]["timeoutAt"]


def test_what_is_awaited_tells_who_waits_for_it() -> None:
    site = waiting()
    site.node.server.ask(RegisterListener(awaited="root:1r.1", address="http://localhost:8080/told?secret=1"))
    found = explained(site, "root:1r.1")
    assert found["callbacks"] == {"count": 1, "ids": ["root:1r"]}
    assert found["listeners"] == {"count": 1, "addresses": ["http://localhost:8080/told"]}
    assert found["holder"]["id"] == "root:1r"
    assert [one["id"] for one in explained(site, "root:1r")["awaits"]["promises"]] == ["root:1r.1"]
    step = explained(site, "root:2")
    assert step["holder"]["id"] == "root"
    assert step["holder"]["taskState"] == "suspended"
    assert "task" not in step
    assert "budget" not in step


def test_a_held_task_tells_by_whom_and_until_when_and_a_free_one_when_it_is_sent_again() -> None:
    site = Site()
    site.invoke("add", 1)
    start = site.clock.now_ms()
    free = explained(site)
    assert (free["task"]["state"], free["task"]["dispatches"]) == ("pending", 1)
    assert free["task"]["nextDispatchAt"] == free["nextDueAt"] == start + 5_000
    session = site.node.worker.open_session("root", "holder-1")
    assert session.acquire() is not None
    held = explained(site)
    lease_ms = site.node.worker.settings.lease_ms
    assert held["task"]["pid"] == "holder-1"
    assert (held["task"]["leaseMs"], held["task"]["leaseExpiresAt"]) == (lease_ms, start + lease_ms)
    session.release(reason="out of memory", back_off=True)
    backing = explained(site)
    assert backing["promise"]["reason"] == "out of memory"
    assert backing["task"]["barren"] == 1
    assert backing["task"]["backsOffUntil"] == backing["task"]["nextDispatchAt"] > start


def test_a_halted_and_a_settled_execution_and_an_unknown_one() -> None:
    site = Site()
    site.invoke("approve")
    site.settle(until_ms=site.clock.now_ms())
    halt = {"kind": "task.halt", "head": {"corrId": "1", "version": "2026-04-01"}, "data": {"id": "root"}}
    assert site.send("POST", "/", halt).status == 200
    assert explained(site)["task"]["state"] == TaskState.HALTED
    site.send("POST", "/promises/root/cancel")
    ended = explained(site)
    assert ended["promise"]["state"] == "rejected_canceled"
    assert (ended["task"]["state"], ended["budget"]["promises"]) == ("fulfilled", 2)
    assert "awaits" not in ended or not ended["awaits"]["count"]
    missing = site.send("GET", "/promises/none/explain")
    assert (missing.status, missing.code) == (404, "promise-not-found")
    assert site.send("GET", "/promises/%00/explain").status == 404


def test_of_many_calls_all_are_counted_and_the_first_are_told() -> None:
    site = Site()

    @site.node.resonate.register
    async def wide(ctx: Context) -> None:
        await ctx.gather(*(ctx.sleep(60) for _ in range(103)))

    site.invoke("wide")
    site.settle(until_ms=site.clock.now_ms())
    found = explained(site)["calls"]
    assert (found["count"], len(found["promises"])) == (103, 100)
    assert [one["id"] for one in found["promises"][:3]] == ["root:1", "root:2", "root:3"]


def test_what_an_earlier_execution_of_the_same_id_left_is_not_counted() -> None:
    site = Site()
    site.invoke("approve")
    site.settle(until_ms=site.clock.now_ms())
    before = explained(site)

    def leave(turn: Turn) -> Reply:
        one = turn.get("root:1")
        assert one is not None
        turn.put(replace(one, promise=replace(one.promise, id="root:9"), birth="an earlier one"))
        return Reply(status=OK)

    site.node.server.run(("root:1", "root:9"), leave)
    assert explained(site)["calls"] == before["calls"]
    assert explained(site)["budget"]["promises"] == before["budget"]["promises"]
