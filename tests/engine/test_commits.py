"""Budgets of design section 9, counted: round trips, commits and messages, each number written by hand."""

from __future__ import annotations

from base64 import b64encode
from itertools import pairwise
from random import Random

import pytest
from tests.engine.meter import Bill, Meter, writes

from resonate_faas import Context
from resonate_faas._machine.objects import PromiseState

CLAIM = END = 1


def echo(value: int) -> int:
    return value


async def steps(ctx: Context, count: int) -> None:
    for number in range(count):
        await ctx.run(echo, number)


async def runs(ctx: Context, count: int) -> None:
    await ctx.gather(*[ctx.run(echo, number) for number in range(count)])


async def rpcs(ctx: Context, count: int) -> None:
    await ctx.gather(*[ctx.rpc(echo, number) for number in range(count)])


async def sleeps(ctx: Context) -> None:
    await ctx.sleep(60)


async def nothing(_ctx: Context) -> None:
    return


async def external(ctx: Context) -> None:
    await ctx.promise()


def bill(promise_id: str, **counts: int) -> Bill:
    return Bill(id=promise_id, **{"reads": 1, "pages": 1, "writes": 2, "executes": 0, "pokes": 0, **counts})


def test_an_activation_costs_a_read_beside_a_page_a_claim_and_an_end() -> None:
    assert Meter(nothing).run("nothing") == [bill("root", writes=CLAIM + END)]


@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_sequential_step_costs_one_round_trip(count: int) -> None:
    assert Meter(steps).run("steps", count) == [bill("root", writes=CLAIM + count + END)]


@pytest.mark.parametrize(("count", "commits"), [(1, 1), (99, 1), (100, 2), (198, 2), (199, 3)])
def test_a_fan_out_of_runs_costs_a_commit_per_99(count: int, commits: int) -> None:
    assert Meter(runs).run("runs", count) == [bill("root", writes=CLAIM + commits + END)]


@pytest.mark.parametrize(("count", "commits"), [(1, 1), (99, 1), (100, 2), (199, 3)])
def test_a_fan_out_of_rpcs_costs_a_commit_per_99_and_the_suspension(count: int, commits: int) -> None:
    first, *children, last = Meter(rpcs, echo).run("rpcs", count)
    assert first == bill("root", writes=CLAIM + commits + END, executes=count)
    woken = bill("root:1r", reads=2, writes=CLAIM + END + 1, executes=1)
    assert children[0] == woken  # something awaits it: + a read and a write
    assert children[1:] == [bill(f"root:{number}r") for number in range(2, count + 1)]
    assert last == bill("root")


def test_a_sleep_costs_one_commit_and_one_poke_and_its_end_one_dispatch() -> None:
    first, end, last = Meter(sleeps).run("sleeps", until_ms=100_000)
    assert first == bill("root", writes=CLAIM + 1 + END, pokes=1)
    assert end == bill("root:1", reads=2, pages=0, writes=2, executes=1)
    assert last == bill("root")


def test_what_is_settled_from_outside_costs_two_more_when_something_awaits_it() -> None:
    meter = Meter(external)
    assert writes(meter.run("external")) == [CLAIM + 1 + END]
    meter.store.reset()
    meter.queue.sent.clear()
    meter.deployment.client.settle("root:1", PromiseState.RESOLVED)
    counts = meter.store.reset()
    assert (counts.reads, counts.writes) == (1 + 1, 1 + 1)
    assert [type(message).__name__ for message in meter.queue.sent] == ["Execute"]


async def chain(ctx: Context, number: int, last: int) -> int:
    await ctx.run(echo, number)
    if number < last:
        await ctx.detached(chain, number + 1, last)
    return number


def test_an_iteration_of_a_detached_chain_costs_the_same_at_the_beginning_and_at_the_end() -> None:
    bills = Meter(chain).run("chain", 1, 300)
    assert len(bills) == 300
    costs = {(one.reads, one.pages, one.writes, one.executes, one.pokes) for one in bills[:-1]}
    # claim, step, detached (root and place in one commit), end
    assert costs == {(1, 1, CLAIM + 1 + 1 + END, 1, 0)}
    assert all(len(after.id) == len(before.id) for before, after in pairwise(bills[1:]))


async def branches(ctx: Context) -> None:
    async def branch(inner: Context) -> None:
        await inner.run(echo, 1)
        await inner.run(echo, 2)

    await ctx.gather(*[ctx.run(branch) for _ in range(10)])


def test_everything_ready_in_a_round_goes_out_in_one_commit() -> None:
    """Ten branches in lockstep: first steps (and the branches' own creates), second steps, branches: 3 commits."""
    assert Meter(branches).run("branches") == [bill("root", writes=CLAIM + 3 + END)]


async def heavy(ctx: Context) -> None:
    draws = Random(1)
    texts = [b64encode(draws.randbytes(200_000)).decode() for _ in range(20)]
    await ctx.gather(*[ctx.rpc(swallow, text) for text in texts])


def swallow(value: str) -> None:
    del value


def test_a_commit_is_split_by_bytes_too() -> None:
    """Each param takes 270 kB: twelve of them fit into 3.5 MB."""
    assert Meter(heavy, swallow).run("heavy")[0].writes == CLAIM + 2 + END


async def first_of(ctx: Context, count: int) -> int:
    return await ctx.race(*[ctx.promise(int) for _ in range(count)])


def test_the_losers_of_a_race_are_not_drained_back_into_the_task_that_cancels_them() -> None:
    """The callbacks that the race registered on them are consumed in the commit that cancels them."""
    meter = Meter(first_of)
    meter.run("first_of", 50)
    meter.deployment.client.settle("root:7", PromiseState.RESOLVED)
    # the claim, the winner with its 49 cancelled losers, the end
    assert meter.deliver() == [bill("root", writes=CLAIM + 1 + END)]
