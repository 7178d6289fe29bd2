"""Retries: policies, who retries by default, waits that free the activation, attempts that survive the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from resonate_faas import (
    Constant,
    Context,
    Exponential,
    Info,
    Linear,
    Never,
    Resonate,
    RetryPolicy,
    StepContext,
)
from resonate_faas._engine.steps import Launch
from resonate_faas._machine.objects import PromiseObject, PromiseState
from resonate_faas._runner import Done
from resonate_faas._worker import Ended
from resonate_faas.testing._deployment import InlineRunner, MemoryDeployment

TABLE: list[tuple[RetryPolicy, list[float | None]]] = [
    (Exponential(), [2, 4, 8, 16, 32, 60, 60]),
    (Exponential(delay=0.5, factor=3, max_delay=10), [1.5, 4.5, 10, 10]),
    (Exponential(max_retries=2), [2, 4, None, None]),
    (Exponential(factor=1), [1, 1, 1]),
    (Constant(), [1, 1, 1]),
    (Constant(delay=7, max_retries=1), [7, None]),
    (Constant(delay=0, max_retries=0), [None]),
    (Linear(), [1, 2, 3, 4]),
    (Linear(delay=2, max_retries=3), [2, 4, 6, None]),
    (Never(), [None, None]),
]


@pytest.mark.parametrize(("policy", "waits"), TABLE, ids=[repr(policy) for policy, _ in TABLE])
def test_the_waits_of_a_policy(policy: RetryPolicy, waits: list[float | None]) -> None:
    assert [policy.wait(retry) for retry in range(1, len(waits) + 1)] == waits


def test_a_far_retry_of_the_exponential_policy_still_waits_its_longest() -> None:
    assert Exponential().wait(100_000) == 60


@dataclass
class Flaky:
    """Fails so many times; notes each attempt and its instant."""

    failures: int
    clock: Callable[[], int] = lambda: 0
    seen: list[tuple[int, int]] = field(default_factory=list)
    error: Callable[[str], Exception] = ValueError

    def step(self, ctx: StepContext) -> str:
        self.seen.append((ctx.info.attempt, self.clock()))
        if len(self.seen) <= self.failures:
            raise self.error(f"attempt {ctx.info.attempt}")
        return f"done at attempt {ctx.info.attempt}"

    async def async_step(self, ctx: StepContext) -> str:
        return self.step(ctx)

    async def workflow(self, ctx: Context) -> str:
        await ctx.sleep(0)
        return await ctx.options(retry=Never()).run(self.step)

    @property
    def attempts(self) -> list[int]:
        return [attempt for attempt, _ in self.seen]

    @property
    def waits(self) -> list[float]:
        instants = [instant for _, instant in self.seen]
        return [(later - earlier) / 1000 for earlier, later in pairwise(instants)]


def deployed(flaky: Flaky, call: Callable[[Context], Any], **options: Any) -> MemoryDeployment:
    """Return a deployment of a workflow that makes the call; the clock is the flaky step's too."""
    resonate = Resonate()
    resonate.register(name="leaf", **options)(flaky.step)

    @resonate.register
    async def flow(ctx: Context) -> Any:
        return await call(ctx)

    deployment = MemoryDeployment(resonate)
    flaky.clock = deployment.clock.now_ms
    return deployment


@pytest.mark.parametrize("kind", ["sync", "async", "rpc", "root"])
def test_a_step_retries_exponentially_by_default(kind: str) -> None:
    flaky = Flaky(4)
    calls: dict[str, Callable[[Context], Any]] = {
        "sync": lambda ctx: ctx.run(flaky.step),
        "async": lambda ctx: ctx.run(flaky.async_step),
        "rpc": lambda ctx: ctx.rpc("leaf"),
        "root": lambda ctx: ctx.run(flaky.step),
    }
    deployment = deployed(flaky, calls[kind])
    assert deployment.run("leaf" if kind == "root" else "flow") == "done at attempt 5"
    assert flaky.attempts == [1, 2, 3, 4, 5]
    assert flaky.waits == [2, 4, 8, 16]


def test_a_workflow_does_not_retry_and_may_not_be_told_to() -> None:
    flaky = Flaky(1)
    deployment = deployed(flaky, lambda ctx: ctx.run(flaky.workflow))
    with pytest.raises(ValueError, match="attempt 1"):
        deployment.run("flow")
    again = deployed(flaky, lambda ctx: ctx.options(retry=Constant()).run(flaky.workflow))
    with pytest.raises(ValueError, match="its steps retry, it does not"):
        again.run("flow")


@pytest.mark.parametrize("how", ["function", "call", "call over function"])
def test_a_policy_of_the_function_or_of_the_call(how: str) -> None:
    flaky = Flaky(9)
    policy, other = Linear(delay=10, max_retries=2), Never()
    options: dict[str, Any] = (
        {"retry": other if how == "call over function" else policy} if how != "call" else {}
    )

    def call(ctx: Context) -> Any:
        return (ctx if how == "function" else ctx.options(retry=policy)).run("leaf")

    deployment = deployed(flaky, call, **options)
    with pytest.raises(ValueError, match="attempt 3"):
        deployment.run("flow")
    assert flaky.waits == [10, 20]


@pytest.mark.parametrize(("kind", "attempts"), [(ValueError, 3), (KeyError, 1), (LookupError, 1)])
def test_what_is_not_retryable_rejects_at_once(kind: type[Exception], attempts: int) -> None:
    flaky = Flaky(9, error=kind if kind is ValueError else KeyError)
    policy = Constant(delay=5, max_retries=2)
    options: dict[str, Any] = {
        "retry": policy,
        "non_retryable": (kind if kind is not ValueError else TypeError,),
    }
    deployment = deployed(flaky, lambda ctx: ctx.options(**options).run(flaky.step))
    with pytest.raises(ValueError if kind is ValueError else KeyError):
        deployment.run("flow")
    assert len(flaky.seen) == attempts


def test_retries_end_before_the_deadline_with_the_error_of_the_last_attempt() -> None:
    flaky = Flaky(99)
    options: dict[str, Any] = {"retry": Constant(delay=10), "timeout": 25}
    deployment = deployed(flaky, lambda ctx: ctx.options(**options).run(flaky.step))
    with pytest.raises(ValueError, match="attempt 3"):
        deployment.run("flow")
    assert flaky.waits == [10, 10]


def test_a_long_wait_frees_the_activation_and_is_a_timer_on_record() -> None:
    flaky = Flaky(2)
    deployment = deployed(flaky, lambda ctx: ctx.options(retry=Constant(delay=3)).run(flaky.step))
    deployment.start("flow")
    deployment.deliver_due()
    assert deployment.ended == [Ended.SUSPENDED]
    timer = deployment.client.get("root:1.a1")
    assert timer is not None
    assert timer.promise.state is PromiseState.PENDING
    assert timer.promise.timeout_at == deployment.clock.now_ms() + 3_000
    assert timer.promise.tags["resonate:timer"] == "true"
    assert timer.promise.tags["resonate:parent"] == "root:1"
    note = deployment.node.resonate.codec.decode(timer.promise.param, Any, "a test")
    assert (note["kind"], note["attempt"], note["error"]["message"]) == ("retry", 1, "attempt 1")
    deployment.settle()
    assert deployment.result() == "done at attempt 3"
    assert deployment.ended.count(Ended.SUSPENDED) == 2
    assert recorded(deployment) == ["root", "root:1", "root:1.a1", "root:1.a2"]


def recorded(deployment: MemoryDeployment) -> list[str]:
    """Return the ids in the store."""
    found = deployment.store.search("promise", limit=1_000)
    return sorted(one.id for one in found if isinstance(one, PromiseObject))


def test_a_short_wait_is_waited_out_in_place_and_recorded_all_the_same() -> None:
    flaky = Flaky(2)
    deployment = deployed(flaky, lambda ctx: ctx.options(retry=Constant(delay=2)).run(flaky.step))
    assert deployment.run("flow") == "done at attempt 3"
    assert Ended.SUSPENDED not in deployment.ended
    assert deployment.ended[0] is Ended.DONE
    assert flaky.waits == [2, 2]
    assert recorded(deployment) == ["root", "root:1", "root:1.a1", "root:1.a2"]


class Killed(BaseException):
    """The process dies here."""


class Dying(InlineRunner):
    """Lets a step kill the process."""

    def start(self, launch: Launch, done: Done) -> None:
        """Run the step to its end, or the process's."""

        def told(step_id: str, value: Any, error: BaseException | None) -> None:
            if isinstance(error, Killed):
                raise error
            done(step_id, value, error)

        super().start(launch, told)


@pytest.mark.parametrize("delay", [1, 5])
@pytest.mark.parametrize("root", [False, True])
def test_the_attempt_count_survives_the_process(*, delay: int, root: bool) -> None:
    attempts: list[int] = []
    resonate = Resonate()

    @resonate.register(retry=Constant(delay=delay))
    def leaf(ctx: StepContext) -> int:
        attempts.append(ctx.info.attempt)
        if ctx.info.attempt < 4:
            raise ValueError("again")
        return ctx.info.attempt

    @resonate.register
    async def flow(ctx: Context) -> int:
        value: int = await ctx.run(leaf)
        return value

    deaths = iter([3, 5])
    first = MemoryDeployment(resonate)
    first.start("leaf" if root else "flow")
    deployment, dies_at = first, next(deaths)
    for _ in range(100):
        deployment.deliver_due()
        if len(attempts) >= dies_at:  # a new process: nothing but the store and the queue is left
            dies_at = next(deaths, 99)
            deployment = MemoryDeployment(resonate, store=first.store, clock=first.clock, queue=first.queue)
            deployment.queue = first.queue
        instant = first.queue.next_instant()
        if instant is None:
            break
        first.clock.advance_to(instant)
    assert deployment.result() == 4
    assert attempts == [1, 2, 3, 4]


def test_an_attempt_that_never_ended_is_made_again_under_its_own_number() -> None:
    attempts: list[int] = []
    resonate = Resonate()

    @resonate.register(retry=Constant(delay=5))
    def leaf(ctx: StepContext) -> int:
        attempts.append(ctx.info.attempt)
        if len(attempts) == 2:
            raise Killed
        if ctx.info.attempt < 3:
            raise ValueError("again")
        return ctx.info.attempt

    deployment = MemoryDeployment(resonate, runner=lambda: Dying({}))
    deployment.start("leaf")
    with pytest.raises(Killed):
        deployment.settle()
    deployment.settle()
    assert deployment.result() == 3
    assert attempts == [1, 2, 2, 3]


def test_info_tells_a_step_who_and_when_it_is() -> None:
    seen: list[Info] = []
    resonate = Resonate()

    def step(ctx: StepContext) -> None:
        seen.append(ctx.info)

    @resonate.register(timeout=timedelta(hours=1), version=3)
    async def flow(ctx: Context) -> None:
        seen.append(ctx.info)
        await ctx.options(timeout=60).run(step)

    deployment = MemoryDeployment(resonate)
    born = deployment.clock.now_ms()
    deployment.run("flow")
    root, child = seen
    assert (root.id, root.root_id, root.parent_id, root.version, root.attempt) == (
        "root",
        "root",
        "root",
        3,
        1,
    )
    assert (root.function.rpartition(".")[2], root.created_at, root.timeout_at) == (
        "flow",
        born,
        born + 3_600_000,
    )
    assert (child.id, child.root_id, child.parent_id, child.attempt) == ("root:1", "root", "root", 1)
    assert (child.function, child.timeout_at) == ("step", born + 60_000)
