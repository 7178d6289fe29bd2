"""The crash matrix: a sound workflow passes at every operation, and each planted fault is found and named."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from resonate_faas import Constant, Context, Invocation, Never, Resonate, StepContext
from resonate_faas.testing import Harness
from resonate_faas.testing._harness.cuts import Cut, Knife, places
from resonate_faas.testing._harness.world import World

resonate = Resonate()
NUMBERS = count()
"""Another one each time: what a random draw or a clock is to a workflow."""
MEMORY: list[int] = []


class Bank:
    """Honours keys, as a payment service does."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.moved: list[int] = []

    def charge(self, amount: int, key: str | None) -> str:
        if self.harness.effect("charge", {"amount": amount}, key=key):
            self.moved.append(amount)
        return f"receipt-{amount}"


def set_up(harness: Harness) -> None:
    harness.set_dependency("bank", Bank(harness))
    harness.set_dependency("marks", set())
    MEMORY.clear()


def charge(step: StepContext, amount: int) -> str:
    bank: Bank = step.get_dependency("bank")
    return bank.charge(amount, step.info.id)


def charge_without_a_key(step: StepContext, amount: int) -> str:
    bank: Bank = step.get_dependency("bank")
    return bank.charge(amount, None)


def charge_with_a_fresh_key(step: StepContext, amount: int) -> str:
    bank: Bank = step.get_dependency("bank")
    return bank.charge(amount, uuid.uuid4().hex)


def charge_by_memory(step: StepContext) -> str:
    MEMORY.append(1)
    bank: Bank = step.get_dependency("bank")
    return bank.charge(len(MEMORY), step.info.id)


def mark_first_then_charge(step: StepContext, amount: int) -> str:
    marks: set[str] = step.get_dependency("marks")
    if step.info.id in marks:
        return "charged before"
    marks.add(step.info.id)  # wrong: marked as done before it is done
    bank: Bank = step.get_dependency("bank")
    return bank.charge(amount, step.info.id)


def flaky(step: StepContext) -> int:
    if step.info.attempt < 3:
        raise ConnectionError("busy")
    return step.info.attempt


def consume(step: StepContext, items: list[int]) -> int:
    items.pop()  # wrong: its own argument
    if step.info.attempt == 1:
        raise ConnectionError("busy")
    return len(items)


@resonate.register
async def child(ctx: Context, amount: int) -> list[Any]:
    await ctx.sleep(60)
    return [await ctx.run(charge, amount), ctx.random.randint(1, 1_000_000)]


@resonate.register(timeout=timedelta(days=30))
async def sound(ctx: Context, amount: int) -> list[Any]:
    began: datetime = await ctx.now()
    receipts = await ctx.gather(ctx.run(charge, amount), ctx.rpc(child, amount + 1))
    tries = await ctx.options(retry=Constant(delay=0.5)).run(flaky)
    answer = await ctx.promise(str, timeout=timedelta(days=7))
    await ctx.sleep(timedelta(days=7))
    return [began, receipts, tries, answer, ctx.uuid4()]


@resonate.register
async def passes_on(ctx: Context) -> int:
    number = ctx.random.randint(1, 1_000_000)
    await ctx.detached(child, 5)
    return number


@resonate.register
async def asks(ctx: Context) -> str:
    await ctx.sleep(60)
    return await ctx.promise(str)


@resonate.register
async def other_inputs(ctx: Context) -> str:
    return await ctx.run(charge, next(NUMBERS))


@resonate.register
async def unkeyed(ctx: Context) -> str:
    return await ctx.run(charge_without_a_key, 5)


@resonate.register
async def fresh_keys(ctx: Context) -> str:
    return await ctx.run(charge_with_a_fresh_key, 5)


@resonate.register
async def same_key_other_amount(ctx: Context) -> str:
    return await ctx.run(charge_by_memory)


@resonate.register
async def loses(ctx: Context) -> str:
    return await ctx.run(mark_first_then_charge, 5)


@resonate.register
async def mutates(ctx: Context) -> int:
    return await ctx.run(consume, [1, 2, 3])


@resonate.register
async def outside_a_step(ctx: Context) -> None:
    ctx.get_dependency("bank").charge(5, "always-the-same")
    await ctx.sleep(60)


def flaky_no_more(number: int) -> str:
    return str(number)


@resonate.register
async def branches(ctx: Context) -> None:
    await (ctx.run(charge, 1) if next(NUMBERS) % 2 else ctx.run(flaky_no_more, 1))
    await ctx.run(charge, 2)


@resonate.register
async def wavers(ctx: Context) -> None:
    if not CALM:
        CALM.append(1)
        await ctx.run(charge, 1)


CALM: list[int] = []


def charge_in_a_thread(step: StepContext) -> None:
    thread = threading.Thread(target=charge, args=(step, 5))
    thread.start()
    thread.join()


@resonate.register
async def in_a_thread(ctx: Context) -> None:
    await ctx.run(charge_in_a_thread)


@resonate.register
async def remembers(ctx: Context) -> int:
    MEMORY.append(1)
    await ctx.sleep(60)
    return len(MEMORY)


@resonate.register
async def unrecorded_result(ctx: Context) -> int:
    await ctx.run(charge, 1)
    return next(NUMBERS)


@resonate.register
async def picks_a_number(ctx: Context) -> int:
    return await ctx.run(pick)


def pick() -> int:
    return next(NUMBERS)


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    harness = resonate_harness(resonate, setup=set_up)
    harness.respond(resolve="yes", after=3600)
    return harness


def report(harness: Harness, workflow: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        harness.crash_matrix(workflow, **options)
    return str(caught.value)


def test_a_sound_workflow_survives_a_crash_at_every_operation(harness: Harness) -> None:
    done = harness.crash_matrix(sound, 1)
    harness.run(sound, 1)
    harness.run_until_done()
    expected = places(harness.world.knife.points)
    assert done.runs == len(expected) + 1
    kinds = {point.what.split()[0] for point, _ in expected}
    assert kinds == {"read", "write", "send", "effect"}
    assert {cut for _, cut in expected} == set(Cut)
    assert done.findings == ()


def test_what_a_workflow_detaches_is_followed_to_its_end(harness: Harness) -> None:
    assert harness.crash_matrix(passes_on).runs > 40


def test_every_cut_is_really_made(harness: Harness) -> None:
    """Each crash leaves an activation that did not end, each lost answer none: counted, not believed."""
    wanted = Invocation(function="child", args=[3], id="child-1")
    calm = World(harness.world.plan)
    calm.invoke(wanted)
    calm.finish()
    for point, cut in places(calm.knife.points):
        world = World(harness.world.plan, knife=Knife(point.number, cut))
        world.invoke(wanted)
        world.finish()
        assert world.knife.fell, point
        assert world.deaths == (0 if cut is Cut.ANSWER_LOST else 1), point


def test_a_step_with_other_inputs_when_it_runs_again(harness: Harness) -> None:
    text = report(harness, other_inputs)
    assert "the step charge (other_inputs-1:1) ran twice with different inputs" in text
    assert "first: charge(" in text
    assert "the process died" in text
    assert "ctx.random" in text


def test_an_effect_without_a_key(harness: Harness) -> None:
    text = report(harness, unkeyed)
    assert 'the effect charge {"amount":5} happened 2 times instead of 1, and has no key' in text
    assert "operation" in text
    assert "step.info.id" in text


def test_a_key_that_is_another_in_each_run(harness: Harness) -> None:
    assert "is one too many" in report(harness, fresh_keys)


def test_one_key_for_different_things(harness: Harness) -> None:
    text = report(harness, same_key_other_amount)
    assert (
        "the effect charge was done twice with the key 'same_key_other_amount-1:1', for different things"
        in text
    )


def test_an_effect_that_is_lost_between_its_mark_and_itself(harness: Harness) -> None:
    text = report(harness, loses)
    assert "the effect charge {\"amount\":5} with the key 'loses-1:1' was lost" in text
    assert "the process died before it: operation" in text
    assert "effect charge" in text
    assert "mark as done only what is done" in text


def test_a_step_that_changes_its_arguments(harness: Harness) -> None:
    text = report(harness, mutates)
    assert "the step consume (mutates-1:1) ran twice with different inputs" in text
    assert "a step must not change its arguments" in text


def test_an_effect_of_the_workflow_itself(harness: Harness) -> None:
    text = report(harness, outside_a_step)
    assert "an effect was done outside any step: charge" in text
    assert "move the effect into a step" in text


def test_another_branch_after_a_crash(harness: Harness) -> None:
    text = report(harness, branches)
    assert "it did not come through: AssertionError: 'branches-1' can't go on: " in text
    assert "branches-1:1" in text


def test_other_operations_from_run_to_run(harness: Harness) -> None:
    assert "the workflow makes other operations from run to run" in report(harness, wavers)


def test_an_effect_from_a_thread_of_the_step_is_the_step_s(harness: Harness) -> None:
    harness.run(in_a_thread)
    assert [(one.name, one.step_id) for one in harness.effects] == [("charge", "in_a_thread-1:1")]


def test_state_kept_between_invocations(harness: Harness) -> None:
    text = report(harness, remembers)
    assert "the record remembers-1 is another" in text
    assert "undisturbed: root" not in text


def test_a_result_that_is_not_made_of_records(harness: Harness) -> None:
    assert "the record unrecorded_result-1 is another" in report(harness, unrecorded_result)


def test_a_step_may_be_allowed_to_differ(harness: Harness) -> None:
    text = report(harness, picks_a_number)
    assert "name the step in may_differ" in text
    allowed = harness.crash_matrix(
        scenario=lambda one: one.start(picks_a_number).settled() and None,
        may_differ=["pick", "picks_a_number"],
    )
    assert allowed.runs > 10


def test_a_scenario_drives_the_fresh_harness_itself(harness: Harness) -> None:
    def scenario(fresh: Harness) -> Any:
        run = fresh.start(asks, id="mine")
        fresh.advance(60)
        fresh.resolve("by hand")
        return run.state, run.result()

    assert harness.crash_matrix(scenario=scenario).runs > 20
    assert harness.runs == ()


def test_what_fails_undisturbed_fails_as_it_is(harness: Harness) -> None:
    harness.stub("charge", raises=ZeroDivisionError("as planned"))
    with pytest.raises(AssertionError, match="expected by the test"):
        harness.crash_matrix(scenario=fail)
    with pytest.raises(ZeroDivisionError, match="as planned"):
        harness.crash_matrix(gives_up)
    with pytest.raises(ValueError, match="one thing"):
        harness.crash_matrix()


def test_a_workflow_that_is_to_fail_is_caught_by_its_scenario(harness: Harness) -> None:
    harness.stub("charge", raises=ZeroDivisionError("as planned"))

    def scenario(fresh: Harness) -> str:
        with pytest.raises(ZeroDivisionError) as caught:
            fresh.run(gives_up)
        return str(caught.value)

    assert harness.crash_matrix(scenario=scenario).runs > 10


@resonate.register
async def gives_up(ctx: Context) -> str:
    return await ctx.options(retry=Never()).run(charge, 1)


def fail(harness: Harness) -> None:
    raise AssertionError(f"expected by the test {harness}")


def test_without_a_setup_the_dependencies_are_copied_for_each_run(
    resonate_harness: Callable[..., Harness],
) -> None:
    harness = resonate_harness(resonate)
    bank = Bank(harness)
    harness.set_dependency("bank", bank)
    harness.crash_matrix(child, 5)
    assert (bank.moved, harness.effects) == ([], ())
    harness.run(child, 5)
    assert bank.moved == [5]
    harness.set_dependency("lock", threading.Lock())
    with pytest.raises(TypeError, match="setup="):
        harness.crash_matrix(child, 5)


def test_watched_methods_are_effects(resonate_harness: Callable[..., Harness]) -> None:
    class Ledger:
        def __init__(self) -> None:
            self.rows: list[int] = []

        def charge(self, amount: int, key: str | None = None) -> str:
            self.rows.append(amount)
            return key or "no key"

        def balance(self) -> int:
            return sum(self.rows)

    harness = resonate_harness(resonate)
    harness.set_dependency("bank", Ledger())
    harness.watch("bank", "charge")
    harness.crash_matrix(child, 5)
    assert "happened 2 times instead of 1" in report(harness, unkeyed)
    harness.run(child, 5)
    assert [(one.name, one.key, one.payload) for one in harness.effects] == [
        ("bank.charge", "child-1:2", {"amount": 5})
    ]
    assert harness.world.dependencies["bank"].balance() == 5
