"""The same tests in memory and on a real dev server; what only memory can do skips there, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.dev_server import dev_server
from tests.harness.served import child, greet, meet, nap, refuse, resonate, stumble

from resonate_faas import ApplicationError, PromiseState
from resonate_faas.testing import DeploymentError, Harness

WAIT_S = 20.0
"""Generous: other tests share the machine; nothing here waits that long unless it fails."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    with dev_server(folder, app=Path(__file__).with_name("served.py")) as server:
        yield server.url


@pytest.fixture(params=["memory", "deployment"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    url = request.getfixturevalue("url") if request.param == "deployment" else None
    with Harness(resonate, url=url, wait_s=WAIT_S) as harness:
        yield harness


@pytest.fixture
def deployed(url: str) -> Iterator[Harness]:
    with Harness(resonate, url=url, wait_s=WAIT_S) as harness:
        yield harness


def test_start_wait_answer_result_history(harness: Harness) -> None:
    run = harness.start(meet, "bob")
    harness.advance(0.5)
    (asked,) = harness.waiting(tags={"ask": "ada"})
    assert (asked.id, asked.kind, run.state) == (f"{run.id}:4", "promise", PromiseState.PENDING)
    harness.resolve("carol", tags={"ask": "ada"})
    assert run.result() == ["hello bob", "2", "HELLO bob", "carol"]
    harness.run_until_done()
    assert [one.result() for one in run.successors()] == ["HELLO carol"]
    history = harness.history()
    assert [(one.id.removeprefix(run.id), one.kind, one.function) for one in history] == [
        ("", "root", "meet"),
        (":1", "run", "greet"),
        (":2", "run", "stumble"),
        (":3r", "rpc", "child"),
        (":3r.1", "run", "greet"),
        (":4", "promise", ""),
        (":5", "detached", "child"),
    ]
    assert history.call(stumble).attempts == 2
    assert [one.value for one in history.calls(greet)] == ["hello bob", "HELLO bob"]
    assert history[0].args == ("bob",)


def test_a_failure_is_raised_with_its_history(harness: Harness) -> None:
    with pytest.raises(ApplicationError, match="as planned") as caught:
        harness.run(refuse)
    assert "greet(" in caught.value.__notes__[-1]


def test_what_fits_real_time_is_waited_for(harness: Harness) -> None:
    assert harness.run(nap, 0.2 / 86_400) == "rested"


def test_an_id_of_the_test_s_own_is_kept_and_shared(harness: Harness) -> None:
    first = harness.start(child, "x", id="shared")
    assert (first.result(), harness.run(child, "x", id="shared")) == ("HELLO x", "HELLO x")
    assert harness.result("shared") == "HELLO x"


UNSUPPORTED: dict[str, Callable[[Harness], Any]] = {
    "stub": lambda harness: harness.stub(greet, returns="hi"),
    "respond": lambda harness: harness.respond(resolve=1),
    "set_dependency": lambda harness: harness.set_dependency("x", 1),
    "watch": lambda harness: harness.watch("x", "y"),
    "effects": lambda harness: harness.effects,
    "schedule": lambda harness: harness.schedule("* * * * *", child, "x"),
    "advance": lambda harness: harness.advance(timedelta(days=7)),
    "crash_matrix": lambda harness: harness.crash_matrix(child, "x"),
    "twice": lambda harness: harness.twice(child, "x"),
    "replay_every_step": lambda harness: harness.replay_every_step(),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_only_memory_can_do_skips_the_test_loudly(deployed: Harness, what: str) -> None:
    with pytest.raises(
        pytest.skip.Exception, match=r"on a deployment \(http://127.*\) the harness can't .* memory only"
    ):
        UNSUPPORTED[what](deployed)


def test_a_week_skips_once_it_is_clear_that_it_sleeps(url: str) -> None:
    with Harness(resonate, url=url, wait_s=1.0) as impatient:
        run = impatient.start(nap, 7)
        impatient.run_until_idle()
        with pytest.raises(pytest.skip.Exception, match="skip the time"):
            run.result()
        assert run.state is PromiseState.PENDING


def test_an_effect_of_a_fake_that_runs_elsewhere_is_nobody_s(deployed: Harness) -> None:
    assert deployed.effect("mail", "x", key="k")


def test_refusals_say_who_answered_what(deployed: Harness, url: str) -> None:
    with pytest.raises(DeploymentError, match=rf"{url} answered /invoke/snooze: HTTP 404: .*snooze"):
        deployed.start("snooze")
    with pytest.raises(AssertionError, match="'nobody' is unknown"):
        deployed.result("nobody")
    with pytest.raises(AssertionError, match="0 external promises wait"):
        deployed.resolve("x")
