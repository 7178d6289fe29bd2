"""Every invariant at every state and every step of the driver, and a canary for each: a broken world it must name.

With CI set, hypothesis loads its own ``ci`` profile: derandomised, so that a run of CI can be repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Final, get_args

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machine import invariants
from tests.machine.canaries import NOW, STATE_CANARIES, STEP_CANARIES, healthy, unchanged
from tests.machine.driver import DRIVERS, Driver, Lenient
from tests.machine.invariants import STATE_INVARIANTS, state_violations
from tests.machine.step_invariants import STEP_INVARIANTS, step_violations
from tests.machine.world import Internal

from resonate_faas._machine.objects import Object, Rules
from resonate_faas._machine.requests import Request

DUE_INVARIANTS: Final = {
    "due_is_never_later_than_the_first_enabled_step",
    "at_its_due_instant_a_step_is_enabled",
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_invariant_holds_at_every_state_and_every_step(driver: type[Driver]) -> None:
    run_state_machine_as_test(
        driver, settings=settings(max_examples=80, stateful_step_count=50, deadline=None)
    )


class Counted(Lenient):
    """The same, counting what it met."""

    seen: ClassVar[Counter[tuple[str, str]]] = Counter()


def test_the_driver_meets_every_request_done_and_every_internal_step_acting() -> None:
    run_state_machine_as_test(
        Counted,
        settings=settings(
            max_examples=400, stateful_step_count=50, deadline=None, derandomize=True, database=None
        ),
    )
    done = {name for name, answer in Counted.seen if answer == "200"}
    assert done == {kind.__name__ for kind in get_args(Request)}
    acted = {name for name, answer in Counted.seen if answer == "acted"}
    assert acted >= {"R1", "R3", "R4", "R5", "R6", "R7"}
    assert {("Park", "300"), ("TaskSuspend", "300"), ("TaskSuspend", "422")} <= set(Counted.seen)


def names(violations: Iterable[str]) -> set[str]:
    return {violation.partition(":")[0] for violation in violations}


def test_no_invariant_minds_the_healthy_world() -> None:
    assert state_violations(healthy()) == []
    assert step_violations(unchanged(Internal("R1", "open"))) == []


@pytest.mark.parametrize("name", STATE_CANARIES)
def test_a_broken_state_violates_exactly(name: str) -> None:
    assert names(state_violations(STATE_CANARIES[name]())) == {name}


@pytest.mark.parametrize("name", STEP_CANARIES)
def test_a_broken_step_violates_exactly(name: str) -> None:
    assert names(step_violations(STEP_CANARIES[name]())) == {name}


def test_a_due_that_forgets_violates_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_stored: Object, _rules: Rules) -> None:
        return None

    monkeypatch.setattr(invariants, "due", never)
    assert names(state_violations(healthy())) == {"due_is_never_later_than_the_first_enabled_step"}


def test_a_due_that_comes_late_violates_what_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(_stored: Object, _rules: Rules) -> int:
        return invariants.FAR

    monkeypatch.setattr(invariants, "due", late)
    assert "due_is_never_later_than_the_first_enabled_step" in names(state_violations(healthy()))


def test_a_due_that_comes_early_violates_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def early(stored: Object, _rules: Rules) -> int:
        return stored.at

    monkeypatch.setattr(invariants, "due", early)
    assert names(state_violations(healthy())) == {"at_its_due_instant_a_step_is_enabled"}


def test_every_invariant_has_a_canary() -> None:
    assert {check.__name__ for check in STATE_INVARIANTS} == set(STATE_CANARIES) | DUE_INVARIANTS
    assert {check.__name__ for check in STEP_INVARIANTS} == set(STEP_CANARIES)
    assert healthy().now == NOW
