"""ctx.map: values in item order, never more items in flight than asked for, whatever happens to the activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from resonate_faas import Context, Never, Resonate
from resonate_faas._engine.steps import Launch
from resonate_faas._machine.objects import PromiseObject, PromiseState
from resonate_faas._runner import Done
from resonate_faas.testing._deployment import InlineRunner, MemoryDeployment


class Killed(BaseException):
    """The process dies here."""


class DyingRunner(InlineRunner):
    """Dies at a few of the steps it is asked to run, before running them."""

    def __init__(self, dependencies: dict[str, Any], steps: list[str]) -> None:
        super().__init__(dependencies)
        self._steps = steps

    def start(self, launch: Launch, done: Done) -> None:
        """Run the step, or die."""
        self._steps.append(launch.id)
        if len(self._steps) in {1, 3, 8, 12, 20, 25}:
            raise Killed
        super().start(launch, done)


class Gauge:
    """Counts what is in flight: items begun and not ended."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.most = 0
        self.begun: list[int] = []

    def begin(self, item: int) -> None:
        if item not in self.open:
            self.begun.append(item)
        self.open.add(item)
        self.most = max(self.most, len(self.open))

    def end(self, item: int) -> None:
        self.open.discard(item)


def pending_items(deployment: MemoryDeployment, mark: str) -> int:
    """Return how many of the root's children are pending in the store."""
    return sum(
        isinstance(found, PromiseObject)
        and found.id.startswith("root:")
        and found.id.endswith(mark)
        and "." not in found.id
        and found.promise.state is PromiseState.PENDING
        for found in deployment.store.search("promise", limit=1_000)
    )


def code(gauge: Gauge, *, limit: int | None, remote: bool, count: int) -> Resonate:
    resonate = Resonate()

    def touch(item: int) -> int:
        return item * 10

    @resonate.register
    async def item(ctx: Context, number: int) -> int:
        gauge.begin(number)
        value = await ctx.run(touch, number)
        await ctx.sleep(10 + 7 * (number % 3))
        value += await ctx.run(touch, 1)
        gauge.end(number)
        return value

    @resonate.register
    async def flow(ctx: Context) -> list[int]:
        return await ctx.map(item, range(count), concurrency=limit, remote=remote)

    return resonate


def settle(deployment: MemoryDeployment, watch: Callable[[], None]) -> None:
    """Deliver everything, looking at the store after each delivery; whoever dies is restarted."""
    for _ in range(10_000):
        try:
            delivered = deployment.deliver_due()
        except Killed:
            delivered = 1
        watch()
        if not delivered:
            sent, due = deployment.queue.next_instant(), deployment.store.next_due()
            instant = min((at for at in (sent, due) if at is not None), default=None)
            if instant is None:
                return
            deployment.clock.advance_to(instant)
            if sent is None or sent > instant:
                deployment.server.sweep()  # what was lost with the process is sent again
    raise AssertionError("it does not come to rest")


@pytest.mark.parametrize("dying", [False, True], ids=["steady", "dying"])
@pytest.mark.parametrize("remote", [False, True], ids=["run", "rpc"])
@pytest.mark.parametrize("limit", [1, 3, 20, None])
def test_the_limit_holds_over_suspensions_and_deaths(*, limit: int | None, remote: bool, dying: bool) -> None:
    gauge, steps, count = Gauge(), list[str](), 9
    resonate = code(gauge, limit=limit, remote=remote, count=count)
    runner = (lambda: DyingRunner({}, steps)) if dying else None
    deployment = MemoryDeployment(resonate, runner=runner)
    deployment.start("flow")
    most = 0

    def watch() -> None:
        nonlocal most
        most = max(most, pending_items(deployment, "r" if remote else ""))

    settle(deployment, watch)
    assert deployment.result() == [number * 10 + 10 for number in range(count)]
    bound = min(limit or count, count)
    assert gauge.most <= bound
    assert most <= bound
    assert bound in (gauge.most, most)
    if limit == 1:
        assert gauge.begun == list(range(count))


def test_plain_steps_are_started_up_to_the_limit_and_no_further() -> None:
    resonate = Resonate()
    started: list[str] = []
    waiting: list[Callable[[], None]] = []
    most = 0

    class Holding(InlineRunner):
        """Holds every step until nothing else happens."""

        def start(self, launch: Launch, done: Done) -> None:
            nonlocal most
            started.append(launch.id)
            waiting.append(lambda: InlineRunner.start(self, launch, done))
            most = max(most, len(waiting))
            if len(waiting) == 2:
                while waiting:
                    waiting.pop()()

    @resonate.register
    async def flow(ctx: Context) -> list[int]:
        return await ctx.map(abs, [-1, -2, -3, -4, -5, -6], concurrency=2)

    deployment = MemoryDeployment(resonate, runner=lambda: Holding({}))
    assert deployment.run("flow") == [1, 2, 3, 4, 5, 6]
    assert started == [f"root:{number}" for number in range(1, 7)]
    assert most == 2


@pytest.mark.parametrize("remote", [False, True])
def test_map_waits_for_all_and_raises_the_first_rejection_in_item_order(*, remote: bool) -> None:
    resonate = Resonate()
    done: list[int] = []

    @resonate.register(retry=Never())
    def item(number: int) -> int:
        done.append(number)
        if number in (2, 4):
            raise ValueError(f"item {number}")
        return number

    @resonate.register
    async def flow(ctx: Context) -> str:
        try:
            await ctx.map(item, range(6), concurrency=2, remote=remote)
        except ValueError as error:
            return str(error)
        return "accepted"

    assert MemoryDeployment(resonate).run("flow") == "item 2"
    assert sorted(done) == [0, 1, 2, 3, 4, 5]


def test_a_map_of_nothing_and_a_map_that_is_not_awaited() -> None:
    resonate = Resonate()
    done: list[int] = []

    @resonate.register
    def item(number: int) -> None:
        done.append(number)

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        empty: list[Any] = await ctx.map(item, [])
        ctx.map(item, range(5), concurrency=2, remote=True)
        return empty

    assert MemoryDeployment(resonate).run("flow") == []
    assert done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_limit_below_one_is_refused(concurrency: int) -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> str:
        with pytest.raises(ValueError, match="concurrency must be at least 1"):
            ctx.map(abs, [1], concurrency=concurrency)
        return "refused"

    assert MemoryDeployment(resonate).run("flow") == "refused"
