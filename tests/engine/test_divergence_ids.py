"""Ids that meet other records: an error to catch where the user chose the id, a divergence everywhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.engine.stage import NAME, Stage, begun, note, staged

from resonate_faas import Context, Invocation, InvocationConflictError
from resonate_faas._engine.ids import detached_id
from resonate_faas._machine.objects import PARENT, PromiseObject, PromiseState


def echo(word: str) -> str:
    return word


async def waits(ctx: Context, word: str) -> str:
    return word + await ctx.promise(str)


async def asks(ctx: Context, kind: str, word: str) -> str:
    chosen = ctx.options(id="chosen")
    call: Any = chosen.promise(str) if kind == "promise" else getattr(chosen, kind)("echo", word)
    try:
        first = str(await call)
    except InvocationConflictError as error:
        first = f"conflict {error.status}"
    await ctx.sleep(10)
    return f"{first} {await ctx.run(note, 'end')}"


@pytest.mark.parametrize("kind", ["rpc", "detached", "promise"])
def test_a_chosen_id_that_is_anothers_is_an_error_the_workflow_can_catch(kind: str) -> None:
    stage = staged(asks, echo)
    stage.outside.client.invoke(Invocation(function="echo", args=["other"], id="chosen"))
    stage.start("asks", kind, "mine")
    stage.play()
    assert stage.outcome() == ("value", "conflict 409 end.")
    assert stage.outcome("chosen") == ("value", "other")


@pytest.mark.parametrize(("kind", "told"), [("rpc", "same"), ("detached", "chosen")])
def test_a_chosen_id_of_the_same_call_is_joined(kind: str, told: str) -> None:
    stage = staged(asks, echo)
    stage.outside.client.invoke(Invocation(function="echo", args=["same"], id="chosen"))
    stage.start("asks", kind, "same")
    stage.play()
    assert stage.outcome() == ("value", f"{told} end.")


@pytest.mark.parametrize("kind", ["rpc", "detached"])
@pytest.mark.parametrize("taken", [False, True])
def test_a_chosen_id_gives_the_same_at_every_cut(kind: str, taken: bool) -> None:
    for number in range(1, 12):
        stage = staged(asks, echo)
        if taken:
            stage.outside.client.invoke(Invocation(function="echo", args=["other"], id="chosen"))
        stage.start("asks", kind, "mine")
        stage.store.after[number] = stage.store.die
        stage.play()
        first = "conflict 409" if taken else {"rpc": "mine", "detached": "chosen"}[kind]
        assert stage.outcome() == ("value", f"{first} end."), number


async def tail(ctx: Context) -> str:
    return await ctx.detached(echo, "next")


def plant_root(stage: Stage, **changes: Any) -> str:
    """Write a root under the id that the tail call of ``root`` will have, almost the one it would create."""
    birth = stage.object("root").birth
    plain = begun(tail, echo)
    original = next(one for key, one in plain.records().items() if key.startswith("root-d"))
    promise_id = detached_id("root", birth, "root:1")
    promise = replace(original.promise, id=promise_id, state=PromiseState.PENDING, **changes)
    planted = PromiseObject(promise=replace(promise, settled_at=None), at=stage.clock.now_ms(), birth="other")
    stage.memory.write({promise_id: 0}, {promise_id: planted}, "rival")
    return promise_id


def test_a_detached_id_that_meets_a_root_of_another_parent_is_a_divergence() -> None:
    stage = staged(tail, echo)
    stage.start("tail")
    promise_id = plant_root(stage, tags={PARENT: "stranger", NAME: "planted"})
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.root().state is PromiseState.PENDING
    assert promise_id in (stage.object("root").reason or "")
    assert stage.object(promise_id).promise.tags[NAME] == "planted"


def test_a_detached_id_that_meets_its_own_root_is_a_match() -> None:
    """A crash between the root and the record of its place: the next activation finds what it made."""
    stage = staged(tail, echo)
    stage.start("tail")
    promise_id = plant_root(stage)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", promise_id)


async def many_tails(ctx: Context, count: int) -> int:
    return len(set(await ctx.gather(*[ctx.detached(echo, f"tail {number}") for number in range(count)])))


def test_a_crash_between_the_commits_of_many_detached_calls_loses_none() -> None:
    count = 120
    for number in range(1, 6):
        stage = staged(many_tails, echo)
        stage.start("many_tails", count)
        stage.store.after[number] = stage.store.die
        stage.play()
        assert stage.outcome() == ("value", count)
        ended = [stage.outcome(key) for key in stage.records() if key.startswith("root-d")]
        assert sorted(ended) == sorted(("value", f"tail {index}") for index in range(count)), number
