"""Versions side by side: what runs keeps the version it began with, what begins gets the newest."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.stage import Stage, note, text

from resonate_faas import Context, PromiseState, Resonate
from resonate_faas.testing._deployment import MemoryDeployment

HOURS_MS = 12 * 3_600_000


async def flow_1(ctx: Context) -> list[Any]:
    said = await ctx.run(note, "one")
    return [said, await ctx.promise(str), ctx.info.version]


async def flow_2(ctx: Context) -> list[Any]:
    return [await ctx.run(note, "another"), ctx.info.version]


async def by_name_1(ctx: Context) -> list[Any]:
    before = await ctx.gather(ctx.run("task"), ctx.rpc("task"))
    pending = ctx.rpc("waits")
    started = await ctx.detached("task")
    word = await ctx.promise(str)
    after = await ctx.gather(ctx.run("task"), ctx.rpc("task"), pending)
    return [before, word, after, "-d" in started]


async def task_1(ctx: Context) -> str:
    return await ctx.run(note, "task 1")


async def task_2(ctx: Context) -> str:
    return await ctx.run(note, "task 2")


async def waits_1(ctx: Context) -> str:
    await ctx.sleep(60)
    return "waited 1"


async def waits_2(ctx: Context) -> str:
    await ctx.sleep(60)
    return "waited 2"


VERSIONS = {
    ("flow", 1): flow_1,
    ("flow", 2): flow_2,
    ("by_name", 1): by_name_1,
    ("task", 1): task_1,
    ("task", 2): task_2,
    ("waits", 1): waits_1,
    ("waits", 2): waits_2,
}
FIRST = [key for key in VERSIONS if key[1] == 1]
EVERY = list(VERSIONS)


def served(names: list[tuple[str, int]]) -> Resonate:
    resonate = Resonate(guard="error")
    for name, version in names:
        resonate.register(name=name, version=version)(VERSIONS[name, version])
    return resonate


def deploy(stage: Stage, names: list[tuple[str, int]]) -> None:
    resonate = served(names)
    resonate.set_dependency("stage", stage)
    stage.inside = MemoryDeployment(resonate, store=stage.store, clock=stage.clock, queue=stage.queue)
    stage.outside = stage.beside(resonate)


def play(stage: Stage, within_ms: int = 1_000) -> None:
    stage.play(until_ms=stage.clock.now_ms() + within_ms)


def begun(function: str) -> Stage:
    stage = Stage(served(FIRST))
    stage.start(function)
    play(stage)
    return stage


def answer(stage: Stage) -> None:
    waiting = [
        key for key, one in stage.records().items() if '"kind":"promise"' in text(one.promise.param.data)
    ]
    stage.outside.client.settle(waiting[0], PromiseState.RESOLVED, "word")
    play(stage, 10 * 60_000)


def test_a_running_root_stays_on_its_version_and_a_new_one_gets_the_newest() -> None:
    stage = begun("flow")
    deploy(stage, EVERY)
    stage.start("flow", root="new")
    answer(stage)
    assert stage.outcome() == ("value", ["one.", "word", 1])
    assert stage.outcome("new") == ("value", ["another.", 2])


def test_the_id_of_a_running_root_finds_it_after_the_deploy() -> None:
    """A caller who repeats its request must not start the work twice because of a deploy in between."""
    stage = begun("flow")
    deploy(stage, EVERY)
    before = stage.root()
    stage.start("flow")
    assert stage.root() == before


def test_children_by_name_keep_the_version_on_record_and_later_ones_get_the_newest() -> None:
    stage = begun("by_name")
    deploy(stage, EVERY)
    answer(stage)
    later = ["task 2.", "task 2.", "waited 1"]
    assert stage.outcome() == ("value", [["task 1.", "task 1."], "word", later, True])


@pytest.mark.parametrize("names", [[key for key in EVERY if key != ("flow", 1)], [("task", 1)]])
def test_a_root_whose_version_is_not_served_waits_for_a_deploy_that_serves_it(
    names: list[tuple[str, int]],
) -> None:
    stage = begun("flow")
    deploy(stage, names)
    answer(stage)
    assert stage.root().state is PromiseState.PENDING
    assert "function 'flow' (version 1) is not registered" in (stage.object("root").reason or "")
    deploy(stage, EVERY)
    play(stage, HOURS_MS)
    assert stage.outcome() == ("value", ["one.", "word", 1])


@pytest.mark.parametrize("without", [[("task", 1)], [("task", 1), ("task", 2)]])
def test_a_child_on_record_whose_version_is_gone_is_no_error_of_the_workflow(
    without: list[tuple[str, int]],
) -> None:
    """Without: a deploy that drops a version would fail the executions that came to it."""
    stage = begun("by_name")
    deploy(stage, [key for key in EVERY if key not in without])
    answer(stage)
    assert stage.root().state is PromiseState.PENDING
    assert "'root:1' was recorded as run task (" in (stage.object("root").reason or "")
    assert "but the code now does not find task" in (stage.object("root").reason or "")
    deploy(stage, EVERY)
    play(stage, HOURS_MS)
    assert stage.outcome()[0] == "value"
