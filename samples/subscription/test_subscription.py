"""The subscription, tested with the kit: a year in milliseconds, crashes everywhere, every step twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from resonate_faas import ArgumentsError
from resonate_faas.testing import Harness

DAY = timedelta(days=1)


class Services:
    """Payments, mail and accounts; what has an effect is declared to the harness."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.plans: dict[str, str] = {}
        self.mails: list[str] = []

    def charge(self, customer: str, amount: int, key: str) -> str:
        """Charge once a key."""
        self.harness.effect("charge", {"customer": customer, "amount": amount}, key=key)
        return f"R-{amount}"

    def send(self, to: str, text: str, key: str) -> None:
        """Send once a key."""
        if self.harness.effect("mail", {"to": to, "text": text}, key=key):
            self.mails.append(f"{to}: {text}")

    def set_plan(self, customer: str, plan: str) -> None:
        """Set the plan; setting it again changes nothing, so it needs no key."""
        self.plans[customer] = plan

    def plan(self, customer: str) -> str:
        """Return the plan."""
        return self.plans[customer]


def set_up(harness: Harness) -> None:
    services = Services(harness)
    for name in ("payments", "mail", "accounts"):
        harness.set_dependency(name, services)


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness], workflows: ModuleType) -> Harness:
    return resonate_harness(workflows.resonate, setup=set_up)


def services(harness: Harness) -> Services:
    found: Services = harness.world.dependencies["mail"]
    return found


def order(**changes: Any) -> dict[str, Any]:
    return {"customer": "ada", "price": 900, **changes}


def charged(harness: Harness) -> list[int]:
    return [one.payload["amount"] for one in harness.effects if one.name == "charge"]


def test_a_year_is_charged_month_by_month(harness: Harness) -> None:
    began = harness.now
    run = harness.start("subscribe", order(months=12))
    assert run.result() == "subscribed"
    assert harness.now == began + 7 * DAY
    harness.run_until_done()
    assert harness.now == began + (7 + 12 * 30) * DAY
    assert charged(harness) == [900] * 12
    renewals = run.successors()
    assert [one.result() for one in renewals] == ["R-900"] * 11 + ["ended"]
    assert max(len(one.history()) for one in renewals) <= 7  # a short history, however long it goes on
    assert services(harness).plans == {"ada": "ended"}


@pytest.mark.parametrize(("granted", "price"), [(300, 600), (100, 800), (1_000, 600)])
def test_a_manager_grants_a_discount_but_never_more_than_was_asked_for(
    harness: Harness, granted: int, price: int
) -> None:
    harness.start("subscribe", order(discount=300, months=1))
    harness.advance(2 * DAY)
    harness.resolve(granted, tags={"ask": "manager"})
    harness.run_until_done()
    assert charged(harness) == [price]


def test_a_manager_who_refuses_or_does_not_answer_grants_nothing(harness: Harness) -> None:
    harness.respond(reject="no", tags={"ask": "manager"}, after=DAY)
    harness.run("subscribe", order(discount=300, months=1))
    assert services(harness).mails[-1] == "ada: welcome; from next week on you pay 900"
    assert harness.history().call("granted").value == 0
    silent = harness.start("subscribe", order(discount=300, months=1))
    harness.respond(resolve=300, tags={"ask": "manager"}, after=4 * DAY)  # too late
    assert silent.result() == "subscribed"
    assert silent.history().kinds("promise")[0].state == "rejected_timedout"


def test_who_cancels_in_the_trial_pays_nothing(harness: Harness) -> None:
    run = harness.start("subscribe", order())
    harness.advance(3 * DAY)
    services(harness).set_plan("ada", "cancelled")
    assert run.result() == "cancelled"
    assert (charged(harness), run.successors()) == ([], [])


def test_a_bank_that_is_down_for_an_hour_is_tried_again(harness: Harness) -> None:
    stub = harness.stub("charge", each=[ConnectionError("down")] * 8 + ["R-1"])
    run = harness.start("subscribe", order(months=1))
    harness.run_until_done()
    (renewal,) = run.successors()
    assert renewal.result() == "ended"
    assert renewal.history().call("charge").attempts == len(stub.calls) == 9


def test_a_declined_card_ends_it_at_once(harness: Harness, workflows: ModuleType) -> None:
    stub = harness.stub("charge", raises=workflows.CardDeclinedError("no money"))
    run = harness.start("subscribe", order())
    harness.run_until_done()
    assert [one.result() for one in run.successors()] == ["declined"]
    assert len(stub.calls) == 1
    assert services(harness).plans == {"ada": "ended"}
    assert services(harness).mails[-1] == "ada: we had to end it: no money"


def test_wrong_orders_are_refused(harness: Harness) -> None:
    with pytest.raises(ArgumentsError, match="price"):
        harness.start("subscribe", order(price=0))


def test_it_survives_a_crash_at_every_operation(harness: Harness) -> None:
    harness.respond(resolve=300, tags={"ask": "manager"}, after=DAY)
    assert harness.crash_matrix("subscribe", order(discount=300, months=1)).runs > 100


def test_every_step_is_idempotent(harness: Harness) -> None:
    harness.twice("subscribe", order(months=2))


def test_every_prefix_of_its_history_replays(harness: Harness) -> None:
    harness.replay_every_step("subscribe", order(months=3))
