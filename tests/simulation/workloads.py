"""What is run under faults: each workload with the outcomes it may come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from random import Random
from typing import Any

from tests.engine.shapes import SHAPES, Shape
from tests.engine.shapes import resonate as shapes
from tests.engine.stage import NAME
from tests.simulation.plain import plainly

from resonate_faas import (
    ApplicationError,
    Constant,
    Context,
    ExternalPromise,
    PromiseCanceledError,
    PromiseState,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)

Outcome = tuple[str, Any]
LONG_STEP_MS = 75_000
"""Longer than two leases: only heartbeats keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workflow to be started under its own name as root id.

    Attributes:
        function: the workflow.
        args: draws the arguments.
        outcomes: what it may come to, given the arguments.
        successors: what the roots that it starts come to.
        dooms: somebody cancels the root from outside.
        lives: how often it is executed under one id, what an earlier execution left behind not removed.
    """

    function: str
    args: Callable[[Random], list[Any]] = lambda _: []
    outcomes: Callable[[list[Any]], list[Outcome]]
    successors: Callable[[list[Any]], list[Any]] = lambda _: []
    dooms: bool = False
    lives: int = 1


old, new, bad = Resonate(), Resonate(), Resonate()
"""Three releases of the code: the new one has a second version of a function, the bad one changed a function as it was."""
RELEASES = (old, new, bad)
STEADY = "steady"
"""The workflow that the bad release changed as it was."""
PATCHED = "patching"
"""The workflow that the new release changed with a patch: an older one refuses what that recorded."""
WORKLOADS: list[Workload] = []


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a function that workloads call."""
    for code in RELEASES:
        code.register(function)
    return function


def workload(
    args: Callable[[Random], list[Any]] = lambda _: [], **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a workflow as a workload; unless told otherwise it must come to what a plain run comes to."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        helper(function)
        outcomes = options.pop("outcomes", lambda drawn: [plainly(function, *drawn)])
        WORKLOADS.append(Workload(function=function.__name__, args=args, outcomes=outcomes, **options))
        return function

    return add


def work(step: StepContext, word: str, duration_ms: int = 0) -> str:
    """Say a word after a while."""
    stage = step.get_dependency("stage")
    stage.heard(step)
    stage.pause(duration_ms)
    return f"{word}."


def named(ctx: Context, name: str) -> ExternalPromise[str]:
    return ctx.options(tags={NAME: name}).promise(str)


@workload(args=lambda draw: [draw.choice([2, 3, 3, 4])])
async def deep(ctx: Context, depth: int) -> str:
    """Recursion, by run and by rpc in turn."""
    if depth == 0:
        return await ctx.run(work, "leaf", 100)
    near = ctx.run(deep, depth - 1)
    far = ctx.rpc(deep, depth - 1) if depth % 2 else ctx.run(work, f"{depth}")
    return f"({await near} {await far})"


@workload(args=lambda draw: [draw.choice([1, 4, 7])])
async def fan_out(ctx: Context, width: int) -> list[Any]:
    steps = [ctx.run(work, f"step {number}", number * 700) for number in range(width)]
    tasks = ctx.map(leaf, list(range(width)), concurrency=3, remote=True)
    return [await ctx.gather(*steps), await tasks, await ctx.run(work, "end")]


@helper
async def leaf(ctx: Context, number: int) -> str:
    await ctx.sleep(number * 3)
    return await ctx.run(work, f"leaf {number}", 3_000)


def stubborn(step: StepContext, until: int) -> str:
    step.get_dependency("stage").heard(step)
    if step.info.attempt < until:
        raise ConnectionError(f"attempt {step.info.attempt}")
    return f"after {until}"


def hopeless(step: StepContext) -> str:
    step.get_dependency("stage").heard(step)
    raise ValueError("never")


@workload(args=lambda draw: [draw.choice([2, 3, 5])])
async def retrying(ctx: Context, until: int) -> list[str]:
    tries = ctx.options(retry=Constant(delay=40)).run(stubborn, until)
    quick = ctx.options(retry=Constant(delay=0.5)).run(stubborn, 2)
    said = await ctx.gather(tries, quick)
    try:
        await ctx.options(retry=Constant(delay=20, max_retries=1)).run(hopeless)
    except ValueError as error:
        said.append(str(error))
    return said


@workload()
async def sleeping(ctx: Context) -> list[str]:
    said = []
    for number, seconds in enumerate([0.4, 1.5, 45, 1_200]):
        await ctx.sleep(seconds)
        said.append(await ctx.run(work, f"slept {number}", 500))
    return said


@workload()
async def toiling(ctx: Context) -> list[str]:
    """A step longer than the lease, one beside it, another after it."""
    beside = ctx.run(work, "beside", 5_000)
    long = await ctx.run(work, "long", LONG_STEP_MS)
    return [long, await beside, await ctx.run(work, "after")]


@workload()
async def asking(ctx: Context) -> list[str]:
    """Promises settled from outside: resolved, rejected, cancelled."""
    first, rejected, canceled = named(ctx, "ask"), named(ctx, "bad-ask"), named(ctx, "cancel-ask")
    said = [await first]
    try:
        await rejected
    except ApplicationError as error:
        said.append(str(error))
    try:
        await canceled
    except PromiseCanceledError:
        said.append("canceled")
    return [*said, await ctx.rpc(answering, "deep-ask")]


@helper
async def answering(ctx: Context, name: str) -> str:
    return await ctx.run(work, await named(ctx, name))


@workload(outcomes=lambda _: [("value", ["in time!", "after."]), ("value", ["timeout", "after."])])
async def limited(ctx: Context) -> list[str]:
    """A deadline that may pass before somebody answers, and one that surely passes."""
    try:
        said = await ctx.options(tags={NAME: "in time"}).promise(str, timeout=90)
    except PromiseTimeoutError:
        said = "timeout"
    try:
        await ctx.options(timeout=200).rpc(endless)
    except PromiseTimeoutError:
        return [said, await ctx.run(work, "after")]
    return [said, "endless came to an end"]


@helper
async def endless(ctx: Context) -> str:
    return await named(ctx, "never")


@workload(outcomes=lambda _: [("value", [word, "more."]) for word in ("gated a!.", "in race!", None)])
async def racing(ctx: Context) -> list[Any]:
    """A race of kinds: a remote child, a promise, a sleep; the losers are cancelled."""
    won: Any = await ctx.race(ctx.rpc(gated, "a"), named(ctx, "in race"), ctx.sleep(150))
    return [won, await ctx.run(work, "more", 2_500)]


@helper
async def gated(ctx: Context, name: str) -> str:
    return await ctx.run(work, f"gated {await named(ctx, name)}", 1_000)


def settlement(name: str) -> tuple[PromiseState, str | None]:
    """Return how the world settles a promise of this name."""
    if name.startswith("cancel"):
        return PromiseState.CANCELED, None
    return PromiseState.REJECTED if name.startswith("bad") else PromiseState.RESOLVED, f"{name}!"


def fits(outcome: Outcome, expected: Outcome) -> bool:
    """True if an outcome is the expected one; an error may be expected with any text."""
    return outcome == expected or (expected[1] is None and outcome[0] == expected[0] != "value")


def links(args: list[Any]) -> list[str]:
    """Return what the links of a chain behind the first one say."""
    numbers = [f"{number}." for number in range(args[0], -1, -1)]
    return ["".join(numbers[: count + 1]) for count in range(1, len(numbers))]


@workload(args=lambda draw: [draw.choice([2, 5]), ""], successors=links)
async def chaining(ctx: Context, left: int, said: str) -> str:
    """A chain of tail calls; each link is a root of its own."""
    said += await ctx.run(work, f"{left}", 800)
    if left == 0:
        return said
    await ctx.detached(chaining, left - 1, said)
    return said


@workload(outcomes=lambda _: [("ValueError", "it failed")])
async def failing(ctx: Context) -> str:
    """A root that raises while children are under way."""
    ctx.rpc(answering, "ask-in-vain")
    named(ctx, "bad-in-vain")
    await ctx.run(work, "before", 1_500)
    raise ValueError("it failed")


@workload(outcomes=lambda _: [("PromiseCanceledError", None)], dooms=True)
async def doomed(ctx: Context) -> str:
    """A root that is cancelled from outside."""
    await ctx.run(work, "begun")
    await ctx.rpc(endless)
    return "escaped"


def number(step: StepContext, word: str) -> str:
    """Say which execution of the root this is."""
    stage = step.get_dependency("stage")
    stage.heard(step)
    return f"{word} {stage.generation}"


@helper
async def numbering(ctx: Context, word: str) -> str:
    await ctx.sleep(5)
    return await ctx.run(number, word)


@workload(lives=2)
async def reborn(ctx: Context) -> list[str]:
    """A root that is executed anew under its id: nothing of the first execution may be replayed."""
    said = [await ctx.run(number, "first")]
    await ctx.sleep(30)
    return [*said, await ctx.rpc(numbering, "child"), await ctx.run(number, "last")]


async def _aging(ctx: Context, word: str) -> list[str]:
    said = [await ctx.run(work, word)]
    await ctx.sleep(100)
    return [*said, await ctx.rpc(leaf, 1)]


async def aging_one(ctx: Context) -> list[str]:
    """A function with two versions: a root stays on the one it began with."""
    return await _aging(ctx, "one")


async def aging_two(ctx: Context) -> list[str]:
    return [*await _aging(ctx, "two"), await ctx.run(work, "more")]


async def steady(ctx: Context) -> list[str]:
    """A function that the bad release changes while it runs."""
    said = [await ctx.run(work, "one")]
    await ctx.sleep(80)
    return [*said, await ctx.run(work, "two"), await named(ctx, "ask")]


async def changed(ctx: Context) -> list[str]:
    said = [await ctx.run(work, "uno")]
    await ctx.sleep(80)
    return [*said, await ctx.run(work, "due")]


async def unpatched(ctx: Context) -> list[str]:
    """A function that the new release changes with a patch."""
    said = [await ctx.run(work, "one")]
    await ctx.sleep(80)
    return [*said, await ctx.run(work, "two"), await ctx.rpc(leaf, 2)]


async def patched(ctx: Context) -> list[str]:
    said = [await ctx.run(work, "one")]
    await ctx.sleep(80)
    if ctx.patched("more"):
        said.append(await ctx.rpc(leaf, 1))
    return [*said, await ctx.run(work, "two"), await ctx.rpc(leaf, 2)]


WORKLOADS.append(Workload(function=PATCHED, outcomes=lambda _: [plainly(unpatched), plainly(patched)]))
WORKLOADS.append(Workload(function=STEADY, outcomes=lambda _: [plainly(steady)]))
for code in RELEASES:
    code.register(name="aging")(aging_one)
    code.register(name=STEADY)(changed if code is bad else steady)
    code.register(name=PATCHED)(unpatched if code is old else patched)
new.register(name="aging", version=2)(aging_two)
WORKLOADS.append(Workload(function="aging", outcomes=lambda _: [plainly(aging_one), plainly(aging_two)]))


@helper
async def ticking(ctx: Context) -> str:
    """What a schedule starts."""
    await ctx.sleep(5)
    return await ctx.run(work, "tick")


def of_shape(one: Shape) -> Workload:
    """Return a shape of the engine's corpus as a workload: its events come in any order."""
    expected: list[Outcome] = [("value", one.expected(list(order))) for order in permutations(one.names)]
    expected += [("value", result) for result in one.together]
    return Workload(
        function=one.function,
        args=lambda draw: [draw.sample(one.names, len(one.names))],
        outcomes=lambda _: expected,
        successors=lambda _: ["a!."] if one.function == "detached_in_the_middle" else [],
    )


def _release_shapes() -> None:
    for name in ("gated", "successor", *(one.function for one in SHAPES)):
        function = shapes.registry.get(name).call
        for code in RELEASES:
            code.register(name=f"{name} of shapes" if name == "gated" else name)(function)


_release_shapes()
SHAPED = [of_shape(one) for one in SHAPES]
BY_NAME = {one.function: one for one in (*WORKLOADS, *SHAPED)}
