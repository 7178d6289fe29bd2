"""A corpus of workflow shapes: what each awaits from outside, and what it must come to in every order.

``order`` is the order in which the named events happen, one a slot. A timer is an event too: it is set to end in
the slot that the order gives it. Expectations are written by hand, in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.engine.stage import NAME, SLOT_S, note

from resonate_faas import (
    Constant,
    Context,
    ExternalPromise,
    Future,
    PromiseCanceledError,
    PromiseTimeoutError,
    Resonate,
    StepContext,
)

Order = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A workflow, the names of its events, and its result for each order of them.

    ``together``: what it may also come to where several events happen before the workflow hears of the first.
    """

    function: str
    names: tuple[str, ...]
    expected: Callable[[Order], Any]
    together: tuple[Any, ...] = ()


resonate = Resonate()
SHAPES: list[Shape] = []


def shape(
    *names: str, gives: Callable[[Order], Any], together: tuple[Any, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a workflow as a shape."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        resonate.register(function)
        SHAPES.append(Shape(function=function.__name__, names=names, expected=gives, together=together))
        return function

    return add


def named(ctx: Context, name: str) -> ExternalPromise[str]:
    return ctx.options(tags={NAME: name}).promise(str)


def timer(ctx: Context, order: Order, name: str = "timer") -> Future[None]:
    return ctx.sleep(SLOT_S * (order.index(name) + 1))


def first(order: Order, *names: str) -> str:
    return min(names, key=order.index)


def inside(order: Sequence[str], *names: str) -> list[str]:
    return sorted(names, key=order.index)


@resonate.register
async def gated(ctx: Context, name: str) -> str:
    """A remote child that ends when its event happens."""
    word = await named(ctx, name)
    return await ctx.run(note, f"gated {word}")


async def waits(ctx: Context, name: str) -> str:
    """A local child that ends when its event happens."""
    word = await named(ctx, name)
    return await ctx.run(note, word)


@shape("a", "b", "c", gives=lambda _: ["start.", "a!", "b!", "c!", "end."])
async def gather_three(ctx: Context, _order: Order) -> list[str]:
    begun = ctx.run(note, "start")
    words = await ctx.gather(named(ctx, "a"), named(ctx, "b"), named(ctx, "c"))
    return [await begun, *words, await ctx.run(note, "end")]


@shape("a", "b", gives=lambda _: ["a!", "b!", True, "x.", "end."])
async def patches(ctx: Context, _order: Order) -> list[Any]:
    words = [await named(ctx, "a")] if ctx.patched("asks") else []
    begun = ctx.run(patched_child)
    words.append(await named(ctx, "b"))
    said = await begun
    return [*words, ctx.patched("asks") and ctx.patched("ends"), said, await ctx.run(note, "end")]


async def patched_child(ctx: Context) -> str:
    return await ctx.run(note, "x" if ctx.patched("asks") else "y")


@shape("a", "b", "c", gives=lambda _: [["a!", "x."], ["b!", ["gated c!.", None]]])
async def nested_gather(ctx: Context, _order: Order) -> list[Any]:
    left = ctx.gather(named(ctx, "a"), ctx.run(note, "x"))
    right = ctx.gather(named(ctx, "b"), ctx.gather(ctx.rpc(gated, "c"), ctx.sleep(5)))
    return await ctx.gather(left, right)


@shape(
    "a",
    "b",
    "timer",
    gives=lambda order: {
        "a": [0, "gated a!.", "won 0."],
        "b": [2, "b!", "won 2."],
        "timer": [1, None, "won 1."],
    }[first(order, "a", "b", "timer")],
)
async def race_of_kinds(ctx: Context, order: Order) -> list[Any]:
    race: Any = ctx.race(ctx.rpc(gated, "a"), timer(ctx, order), named(ctx, "b"))
    word = await race
    return [race.winner, word, await ctx.run(note, f"won {race.winner}")]


@shape("a", gives=lambda _: ["quick.", 1, "slow."], together=(["a!", 0, "slow."],))
async def race_with_a_step(ctx: Context, _order: Order) -> list[Any]:
    race = ctx.race(named(ctx, "a"), ctx.run(note, "quick"))
    return [await race, race.winner, await ctx.run(note, "slow")]


@shape("a", "b", "c", "d", gives=lambda order: [f"{name}!!." for name in order])
async def completed_in_turn(ctx: Context, _order: Order) -> list[str]:
    members = ctx.as_completed(*(named(ctx, name) for name in ("a", "b", "c", "d")))
    return [await ctx.run(note, f"{await future}!") for future in members]


@shape("a", "b", "c", "d", gives=lambda _: [f"gated {name}!." for name in "abcd"])
async def remote_map(ctx: Context, _order: Order) -> list[str]:
    return await ctx.map(gated, ["a", "b", "c", "d"], concurrency=2, remote=True)


@shape("a", "b", "c", gives=lambda _: ["a!.", "b!.", "c!."])
async def local_map(ctx: Context, _order: Order) -> list[str]:
    return await ctx.map(waits, ["a", "b", "c"], concurrency=2)


async def deeper(ctx: Context, names: list[str]) -> list[str]:
    head, *rest = names
    mine = named(ctx, head)
    below = await ctx.run(deeper, rest) if rest else []
    return [await mine, *below, await ctx.run(note, f"up {head}")]


@shape("a", "b", "c", gives=lambda _: ["a!", "b!", "c!", "up c.", "up b.", "up a."])
async def children_of_children(ctx: Context, _order: Order) -> list[str]:
    return await ctx.run(deeper, ["a", "b", "c"])


def flaky(step: StepContext, until: int) -> int:
    note(step, "try")
    if step.info.attempt < until:
        raise ValueError(f"attempt {step.info.attempt}")
    return step.info.attempt


@shape("a", "b", gives=lambda _: [3, "a!", "b!", "ValueError attempt 2"])
async def retries(ctx: Context, _order: Order) -> list[Any]:
    tries = ctx.options(retry=Constant(delay=30)).run(flaky, 3)
    stops = ctx.options(retry=Constant(delay=30, max_retries=1)).run(flaky, 9)
    words = await ctx.gather(tries, named(ctx, "a"), named(ctx, "b"))
    try:
        await stops
    except ValueError as error:
        words.append(f"ValueError {error}")
    return words


@shape(
    "a",
    "b",
    gives=lambda order: ["a!", "a!", "canceled b"] if order[0] == "a" else ["b!", "canceled a", "b!"],
    together=(["a!", "a!", "b!"], ["b!", "a!", "b!"]),
)
async def losers_observed(ctx: Context, _order: Order) -> list[str]:
    members = {name: named(ctx, name) for name in ("a", "b")}
    seen = [await ctx.race(*members.values())]
    for name, member in members.items():
        try:
            seen.append(await member)
        except PromiseCanceledError:
            seen.append(f"canceled {name}")
    return seen


def _rounds(order: Order) -> list[str]:
    seen = []
    for name in order:
        seen.append(f"{name}!")
        if name == "b":
            seen += ["extra.", "slept"]
    return seen


@shape("a", "b", "c", gives=_rounds)
async def loop_on_winners(ctx: Context, _order: Order) -> list[str]:
    rest: dict[str, Future[str]] = {name: named(ctx, name) for name in ("a", "b", "c")}
    seen = []
    while rest:
        race = ctx.race(*rest.values(), cancel=False)
        seen.append(await race)
        name = list(rest)[race.winner]
        del rest[name]
        if name == "b":
            seen.append(await ctx.run(note, "extra"))
            await ctx.sleep(7)
            seen.append("slept")
    return seen


@resonate.register
async def successor(ctx: Context, word: str) -> str:
    await ctx.sleep(3)
    return await ctx.run(note, word)


@shape("a", "b", gives=lambda _: ["a!", True, "b!"])
async def detached_in_the_middle(ctx: Context, _order: Order) -> list[Any]:
    word = await named(ctx, "a")
    other = ctx.detached(successor, word)
    last = await named(ctx, "b")
    return [word, (await other).startswith("root-d"), last]


def _helper(ctx: Context, name: str) -> Generator[Any, Any, str]:
    word = yield named(ctx, name)
    return f"{word}?"


def _child(ctx: Context, name: str) -> Generator[Any, Any, str]:
    word = yield from _helper(ctx, name)
    said = yield ctx.run(note, word)
    return str(said)


@shape("a", "b", "c", gives=lambda _: ["a!?", "b!?.", "c!."])
def generators_mixed(ctx: Context, _order: Order) -> Generator[Any, Any, list[str]]:
    below = ctx.run(_child, "b")
    beside = ctx.run(waits, "c")
    mine = yield _helper(ctx, "a")
    return [mine, (yield below), (yield beside)]


async def fails_with_children(ctx: Context) -> None:
    ctx.rpc(gated, "b")
    named(ctx, "c")
    word = await named(ctx, "a")
    raise ValueError(word)


@shape("a", "b", "c", gives=lambda _: ["ValueError a!", "after."])
async def child_raises(ctx: Context, _order: Order) -> list[str]:
    try:
        await ctx.run(fails_with_children)
    except ValueError as error:
        said = f"ValueError {error}"
    return [said, await ctx.run(note, "after")]


@shape("a", "b", "c", gives=lambda order: f"{first(order, 'a', 'b')}!")
async def losers_kept(ctx: Context, _order: Order) -> str:
    ctx.rpc(gated, "c")
    return await ctx.race(named(ctx, "a"), named(ctx, "b"), cancel=False)


@shape("a", "b", gives=lambda order: [f"{order[0]}!.", "done."])
async def race_of_children(ctx: Context, _order: Order) -> list[str]:
    won = await ctx.race(ctx.run(waits, "a"), ctx.run(waits, "b"))
    return [won, await ctx.run(note, "done")]


@shape("bad-a", "bad-b", "c", gives=lambda _: ["bad-b!", ["bad-b!", "c!", "bad-a!"]])
async def first_rejection_in_order(ctx: Context, _order: Order) -> list[Any]:
    members = [named(ctx, name) for name in ("bad-b", "c", "bad-a")]
    try:
        await ctx.gather(*members)
    except Exception as error:  # noqa: BLE001 - the rejection
        said = str(error)
    return [said, [str(one) for one in await ctx.gather(*members, return_exceptions=True)]]


@shape("a", "b", "c", gives=lambda _: "returned")
async def unawaited(ctx: Context, _order: Order) -> str:
    named(ctx, "a")
    ctx.rpc(gated, "b")
    ctx.run(waits, "c")
    ctx.run(note, "never awaited")
    return "returned"


def _nested_race(order: Order) -> list[Any]:
    pair = max(order.index("a"), order.index("b"))
    if order.index("c") < pair:
        return [1, "c!"]
    return [0, ["a!", "b!"]]


@shape("a", "b", "c", gives=_nested_race)
async def gather_in_a_race(ctx: Context, _order: Order) -> list[Any]:
    race: Any = ctx.race(ctx.gather(named(ctx, "a"), named(ctx, "b")), named(ctx, "c"))
    word = await race
    return [race.winner, word]


@shape("a", "b", "c", gives=lambda order: [f"{order[0]}!", "after."])
async def race_in_a_race(ctx: Context, _order: Order) -> list[str]:
    won = await ctx.race(ctx.race(named(ctx, "a"), named(ctx, "b")), named(ctx, "c"))
    return [won, await ctx.run(note, "after")]


def _map_or(order: Order) -> list[Any]:
    if first(order, "a", "b", "stop") == "stop" or order.index("stop") < max(map(order.index, "ab")):
        return ["stop!", "after."]
    return [["gated a!.", "gated b!."], "after."]


@shape("a", "b", "stop", gives=_map_or)
async def map_in_a_race(ctx: Context, _order: Order) -> list[Any]:
    every: Any = ctx.map(gated, ["a", "b"], concurrency=1, remote=True)
    won = await ctx.race(every, named(ctx, "stop"))
    await ctx.sleep(20)
    return [won, await ctx.run(note, "after")]


@shape("a", "b", gives=lambda _: ["a!", "canceled", "canceled", "b!"])
async def canceled_by_hand(ctx: Context, _order: Order) -> list[str]:
    dropped, child = named(ctx, "never"), ctx.run(waits, "never either")
    seen = [await named(ctx, "a")]
    dropped.cancel()
    child.cancel()
    for future in (dropped, child):
        try:
            seen.append(await future)
        except PromiseCanceledError:
            seen.append("canceled")
    return [*seen, await named(ctx, "b")]


@shape("own", "b", gives=lambda order: [f"{order[0]}!", 1 - order.index("b"), "b after."])
async def own_id_in_a_race(ctx: Context, _order: Order) -> list[Any]:
    mine = ctx.options(id="chosen", tags={NAME: "own"}).promise(str)
    race = ctx.race(mine, named(ctx, "b"), cancel=False)
    won = await race
    await ctx.sleep(9)
    return [won, race.winner, await ctx.run(note, "b after")]


@shape("a", "timer", gives=lambda order: ["a!", "drawn"] if order[0] == "a" else ["timeout", "drawn"])
async def promise_with_a_deadline(ctx: Context, order: Order) -> list[str]:
    limit = SLOT_S * (order.index("timer") + 1)
    try:
        word = await ctx.options(tags={NAME: "a"}).promise(str, timeout=limit)
    except PromiseTimeoutError:
        word = "timeout"
    first_draw, instant = ctx.random(), await ctx.now()
    await ctx.sleep(4)
    assert first_draw != ctx.random()
    assert await ctx.now() > instant
    return [word, "drawn"]


@shape("a", "b", gives=lambda _: ["a!", "b!", "cleaned."])
async def with_finally(ctx: Context, _order: Order) -> list[str]:
    seen = []
    try:
        seen.append(await named(ctx, "a"))
        seen.append(await named(ctx, "b"))
    finally:
        seen.append("out")
    seen.pop()
    return [*seen, await ctx.run(note, "cleaned")]
