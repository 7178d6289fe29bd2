"""Guards: what a workflow does beside its context is told at its line, in production; in tests it ends the workflow."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from tests.guards import deeds
from tests.guards.deeds import AUDITED, CALLED, CLEAN

from resonate_faas import Context, Guard, Resonate
from resonate_faas._machine.objects import PromiseState
from resonate_faas._node import Node
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing import MemoryDeployment
from resonate_faas.testing._deployment import TARGET

Body = Callable[..., Any]
SEES_LATE_CALLS = sys.version_info >= (3, 12)
"""In warn mode: Python 3.11 looks at a workflow while it is new to the process; in error mode every Python does."""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Import what a workflow imports anew in each test."""
    sys.modules.pop("tests.guards.imported", None)
    yield
    logging.getLogger("tests.guards").handlers.clear()


def deployed(body: Body, guard: Guard) -> MemoryDeployment:
    resonate = Resonate(guard=guard)
    resonate.register(name="flow")(body)
    return MemoryDeployment(resonate)


def anew(body: Body) -> Body:
    """Return the same function as code that this process has never run."""
    made = FunctionType(body.__code__.replace(), body.__globals__, body.__name__)
    made.__annotations__ = body.__annotations__
    return made


def here(body: Body) -> str:
    """Return "file:line" of the marked line that the workflow comes to: its own, or else a helper's."""
    own, first = inspect.getsourcelines(body)
    whole = Path(deeds.__file__).read_text().splitlines()
    helpers = {"in_a_helper": "def helper", "helped": "class Clock"}
    if body.__name__ in helpers:
        first = next(n for n, text in enumerate(whole, 1) if text.startswith(helpers[body.__name__]))
        own = [f"{text}\n" for text in whole[first - 1 : first + 4]]
    number = next(first + place for place, text in enumerate(own) if text.endswith("# here\n"))
    return f"{deeds.__file__}:{number}"


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.name == "resonate_faas.workflow"]


@pytest.mark.parametrize(("body", "what"), AUDITED + CALLED, ids=lambda one: getattr(one, "__name__", ""))
def test_in_error_mode_a_deed_ends_the_activation_at_its_line(body: Body, what: str) -> None:
    deployment = deployed(body, "error")
    deployment.start("flow")
    deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
    held = deployment.client.get("root")
    assert held is not None
    assert held.promise.state is PromiseState.PENDING
    assert (held.reason or "").startswith(
        f"workflow 'flow' ('root') {what} at {here(body)}, which a replay does"
    )


@pytest.mark.parametrize(("body", "what"), AUDITED + CALLED, ids=lambda one: getattr(one, "__name__", ""))
def test_in_warn_mode_it_is_logged_once_a_place_and_the_workflow_goes_on(
    body: Body, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    deployment = deployed(body, "warn")
    for promise_id in ("root", "again"):
        deployment.run("flow", id=promise_id)
    (fields,) = told(caplog)
    assert {key: fields[key] for key in ("promise_id", "function", "does", "line")} == {
        "promise_id": "root",
        "function": "flow",
        "does": what,
        "line": here(body),
    }
    assert fields["cure"]


@pytest.mark.parametrize("guard", ["warn", "error"])
@pytest.mark.parametrize("body", CLEAN, ids=lambda one: one.__name__)
def test_steps_imports_and_logging_are_no_deeds_of_the_workflow(
    body: Body, guard: Guard, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    handler = logging.FileHandler(tmp_path / "log.txt", delay=True)
    logging.getLogger("tests.guards").addHandler(handler)
    deployment = deployed(body, guard)
    deployment.run("flow")
    handler.close()
    assert told(caplog) == []


def test_off_looks_at_nothing(caplog: pytest.LogCaptureFixture) -> None:
    for body, _ in AUDITED + CALLED:
        deployed(body, "off").run("flow")
    assert told(caplog) == []


async def swallows(ctx: Context) -> str:
    try:
        deeds.helper()
    except BaseException:  # noqa: BLE001 - the point of the test
        return await ctx.run(str, "after")
    return "went on"


async def swallows_quietly(_ctx: Context) -> str:
    try:
        return deeds.helper()
    finally:
        return "went on"  # noqa: B012, SIM107 - the point of the test


@pytest.mark.parametrize("body", [swallows, swallows_quietly])
def test_swallowing_the_refusal_does_not_help(body: Body) -> None:
    deployment = deployed(body, "error")
    deployment.start("flow")
    deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
    held = deployment.client.get("root")
    assert held is not None
    assert held.promise.state is PromiseState.PENDING
    assert "uses a file (open)" in (held.reason or "")
    assert deployment.client.get("root:1") is None


def test_a_guard_of_the_node_replaces_that_of_the_code() -> None:
    resonate = Resonate(guard="off")
    resonate.register(name="flow")(deeds.opens)
    deployment = MemoryDeployment(resonate)
    node = Node(
        resonate,
        deployment.store,
        deployment.queue,
        clock=deployment.clock,
        target=TARGET,
        worker=WorkerSettings(heartbeats=False),
        guard="error",
    )
    deployment.start("flow")
    assert node.worker.activate("root") is Ended.RELEASED
    deployment.settle(until_ms=deployment.clock.now_ms() + 60_000)
    assert deployment.result() == ""


def test_there_are_three_guards() -> None:
    with pytest.raises(ValueError, match="guard must be one of warn, error, off"):
        Resonate(guard="loud")  # type: ignore[arg-type]


def test_a_refusal_after_a_warning_of_the_same_place_still_comes(caplog: pytest.LogCaptureFixture) -> None:
    """Places that were silenced in warn mode are looked at again by the next strict watch."""
    deployed(deeds.tells_time, "warn").run("flow")
    assert len(told(caplog)) == 1
    deployment = deployed(deeds.tells_time, "error")
    deployment.start("flow")
    deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
    held = deployment.client.get("root")
    assert held is not None
    assert "reads the clock (time.time)" in (held.reason or "")


@pytest.mark.parametrize(
    "executions",
    [[(20_000, True)], [(6_000, False), (6_000, False), (0, True)]],
    ids=["in one execution", "in several together"],
)
def test_after_many_calls_a_workflow_is_looked_at_in_error_mode_and_from_3_12_on(
    executions: list[tuple[int, bool]], caplog: pytest.LogCaptureFixture
) -> None:
    body = anew(deeds.works_long)

    def run_all(guard: Guard) -> MemoryDeployment:
        deployment = deployed(body, guard)
        for number, (calls, is_late) in enumerate(executions):
            deployment.start("flow", calls, is_late=is_late, id=str(number))
            deployment.settle(until_ms=deployment.clock.now_ms() + 1_000)
        return deployment

    held = run_all("error").client.get(str(len(executions) - 1))
    assert held is not None
    assert here(deeds.works_long) in (held.reason or "")
    caplog.clear()
    run_all("warn")
    assert [fields["line"] for fields in told(caplog)] == [here(deeds.works_long)] * SEES_LATE_CALLS


def test_a_workflow_that_is_new_is_looked_at_whatever_others_did(caplog: pytest.LogCaptureFixture) -> None:
    resonate = Resonate(guard="warn")
    resonate.register(name="long")(anew(deeds.works_long))
    resonate.register(name="new")(deeds.tells_day)
    deployment = MemoryDeployment(resonate)
    deployment.run("long", 20_000, is_late=False)
    deployment.run("new", id="new")
    assert [fields["line"] for fields in told(caplog)] == [here(deeds.tells_day)]


def test_nobody_looks_at_the_thread_when_the_workflow_has_ended() -> None:
    profiled = sys.getprofile()
    for calls in (0, 20_000):
        deployed(anew(deeds.works_long), "warn").run("flow", calls, is_late=True)
        assert sys.getprofile() is profiled
