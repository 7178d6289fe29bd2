"""Stubs stand in for steps, child workflows and functions served elsewhere; their calls are recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from resonate_faas import ApplicationError, Constant, Context, Resonate, StepContext
from resonate_faas.testing import Harness, StubExhaustedError

resonate = Resonate()


class DeclinedError(Exception):
    """The card is declined."""


def charge(step: StepContext, person: str, amount: int) -> str:
    raise NotImplementedError(f"{step.info.id}: a test must not come here with {person} and {amount}")


def rate(currency: str) -> float:
    raise NotImplementedError(currency)


async def convert(ctx: Context, amount: int, currency: str) -> int:
    return round(amount * await ctx.run(rate, currency))


@resonate.register(name="ship.goods")
async def ship(ctx: Context, amount: int) -> str:
    return await ctx.run(lambda: f"shipped {amount}")


@resonate.register
async def buy(ctx: Context, person: str, amount: int) -> str:
    patient = ctx.options(retry=Constant(delay=60, max_retries=3), non_retryable=(DeclinedError,))
    try:
        receipt = await patient.run(charge, person, amount=amount)
    except DeclinedError as declined:
        return f"declined: {declined}"
    return receipt


@resonate.register
async def sell(ctx: Context, amount: int) -> list[str]:
    converted = await ctx.run(convert, amount, "EUR")
    shipped = await ctx.rpc(ship, converted)
    told = await ctx.options(timeout=timedelta(hours=1)).rpc("crm.tell", shipped)
    return [str(converted), shipped, str(told)]


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    return resonate_harness(resonate)


def test_a_value_and_the_recorded_call(harness: Harness) -> None:
    stub = harness.stub(charge, returns="r-1")
    assert harness.run(buy, "ada", 12) == "r-1"
    (call,) = stub.calls
    assert (call.id, call.attempt, call.args, dict(call.kwargs)) == ("buy-1:1", 1, ("ada",), {"amount": 12})


def test_an_exception_is_raised_and_the_policy_counts(harness: Harness) -> None:
    harness.stub("charge", raises=DeclinedError("no money"))
    assert harness.run(buy, "ada", 12) == "declined: no money"
    stub = harness.stub("charge", raises=ConnectionError)
    with pytest.raises(ConnectionError):
        harness.run(buy, "ada", 12)
    assert [call.attempt for call in stub.calls] == [1, 2, 3, 4]


def test_a_sequence_gives_one_outcome_a_call(harness: Harness) -> None:
    stub = harness.stub(charge, each=[ConnectionError("busy"), ConnectionError("busy"), "r-3"])
    assert harness.run(buy, "ada", 12) == "r-3"
    assert [call.attempt for call in stub.calls] == [1, 2, 3]
    assert harness.history().call(charge).attempts == 3
    with pytest.raises(
        StubExhaustedError, match=r"'charge' has 3 outcomes and was called once more \(by 'buy-2:1'\)"
    ):
        harness.run(buy, "bob", 1)


def test_a_callable_gets_the_arguments_and_the_context_if_it_asks_for_it(harness: Harness) -> None:
    harness.stub(charge, does=lambda person, amount: f"{person} {amount}")
    assert harness.run(buy, "ada", 12) == "ada 12"

    async def asynchronous(step: StepContext, person: str, amount: int) -> str:
        return f"{step.info.id} {person} {amount}"

    harness.stub(charge, does=asynchronous)
    assert harness.run(buy, "ada", 12) == "buy-2:1 ada 12"


def test_a_step_below_a_child_workflow_a_registered_name_and_a_function_served_elsewhere(
    harness: Harness,
) -> None:
    harness.stub(rate, returns=1.5)
    told = harness.stub("crm.tell", returns=["ok"])
    assert harness.run(sell, 4) == ["6", "shipped 6", "['ok']"]
    assert told.calls[0].args == ("shipped 6",)


def test_whole_child_workflows_are_stubbed(harness: Harness) -> None:
    converted = harness.stub(convert, returns=7)
    shipped = harness.stub("ship.goods", raises=ApplicationError("on strike"))
    with pytest.raises(ApplicationError, match="on strike"):
        harness.run(sell, 4)
    assert converted.calls[0].args == (4, "EUR")
    assert [call.attempt for call in shipped.calls] == [1]  # a workflow is not retried, nor is its stub
    assert [entry.function for entry in harness.history()] == ["sell", "convert", "ship.goods"]


def test_a_stub_must_return_what_the_function_is_declared_to(harness: Harness) -> None:
    harness.stub(charge, returns=5)
    with pytest.raises(Exception, match="charge") as caught:
        harness.run(buy, "ada", 12)
    assert type(caught.value).__name__ == "EncodingError"


def test_the_business_code_itself_stays_as_it_is(harness: Harness) -> None:
    harness.stub(ship, returns="stubbed")
    other = Harness(resonate)
    other.stub(rate, returns=1.0)
    other.stub("crm.tell", returns=None)
    assert other.run(sell, 4) == ["4", "shipped 4", "None"]


def test_a_stub_does_one_thing(harness: Harness) -> None:
    with pytest.raises(ValueError, match="one of"):
        harness.stub(charge)
    with pytest.raises(ValueError, match="one of"):
        harness.stub(charge, returns=1, does=print)


def test_the_same_attempt_after_a_crash_gets_the_same_outcome(harness: Harness) -> None:
    stub = harness.stub(charge, each=[ConnectionError("busy"), "r-2"])
    assert harness.crash_matrix(buy, "ada", 12).runs > 20
    assert stub.calls == []  # each run of a check has stubs of its own
