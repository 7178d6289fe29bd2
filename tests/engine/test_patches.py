"""Patches: running executions keep the branch they are on, whatever is deployed and wherever activations are cut."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.engine.stage import Stage, note, text

from resonate_faas import Context, Future, PromiseState, Resonate
from resonate_faas._machine.objects import TaskState
from resonate_faas.testing._deployment import MemoryDeployment

Body = Callable[[Context], Any]
HOURS_MS = 12 * 3_600_000


async def old(ctx: Context) -> list[str]:
    first = await ctx.run(note, "first")
    word = await ctx.promise(str)
    return [first, word, await ctx.run(note, "old end")]


async def new(ctx: Context) -> list[str]:
    first = await ctx.run(note, "first")
    checked = [await ctx.run(note, "check")] if ctx.patched("check") else []
    word = await ctx.promise(str)
    end = "new end" if ctx.patched("check") else "old end"
    return [first, *checked, word, await ctx.run(note, end)]


def old_generator(ctx: Context) -> Generator[Future[Any], Any, list[str]]:
    first = yield ctx.run(note, "first")
    word = yield ctx.promise(str)
    return [first, word, (yield ctx.run(note, "old end"))]


def new_generator(ctx: Context) -> Generator[Future[Any], Any, list[str]]:
    first = yield ctx.run(note, "first")
    checked = []
    if ctx.patched("check"):
        checked.append((yield ctx.run(note, "check")))
    word = yield ctx.promise(str)
    end = "new end" if ctx.patched("check") else "old end"
    return [first, *checked, word, (yield ctx.run(note, end))]


async def calls(ctx: Context) -> list[str]:
    words: list[str] = await ctx.run("task")
    return words


async def delegates(ctx: Context) -> list[str]:
    words: list[str] = await ctx.rpc("task")
    return words


async def without_old_branch(ctx: Context) -> list[str]:
    first = await ctx.run(note, "first")
    ctx.deprecate_patch("check")
    checked = await ctx.run(note, "check")
    return [first, checked, await ctx.promise(str), await ctx.run(note, "new end")]


async def without_marker(ctx: Context) -> list[str]:
    first = await ctx.run(note, "first")
    checked = await ctx.run(note, "check")
    return [first, checked, await ctx.promise(str), await ctx.run(note, "new end")]


OLD, NEW = ["first.", "word", "old end."], ["first.", "check.", "word", "new end."]
PAIRS = {
    "root": (old, new),
    "generator": (old_generator, new_generator),
    "child": (calls, calls),
    "task": (delegates, delegates),
}
HOLDERS = {"root": "root:", "generator": "root:", "child": "root:1.", "task": "root:1r."}


class Deploys:
    """An execution of ``flow``, over which one deployment follows another."""

    def __init__(self, flow: Body, task: Body = old) -> None:
        self.stage = Stage(served(flow, task))
        self.stage.start("flow")

    def deploy(self, flow: Body, task: Body = new) -> None:
        resonate, stage = served(flow, task), self.stage
        resonate.set_dependency("stage", stage)
        stage.inside = MemoryDeployment(resonate, store=stage.store, clock=stage.clock, queue=stage.queue)

    def play(self, within_ms: int = 1_000) -> None:
        self.stage.play(until_ms=self.stage.clock.now_ms() + within_ms)

    def answer(self) -> None:
        """Settle the promise that the workflow waits for, once it is there."""
        for record in self.stage.records().values():
            if '"kind":"promise"' in text(record.promise.param.data):
                self.stage.outside.client.settle(record.id, PromiseState.RESOLVED, "word")

    def finish(self) -> Any:
        for _ in range(3):
            self.play(10 * 60_000)
            self.answer()
        self.play(10 * 60_000)
        return self.stage.outcome()

    def reason(self, promise_id: str = "root") -> str:
        return self.stage.object(promise_id).reason or ""

    def patches(self) -> list[str]:
        return [key for key in self.stage.records() if "patch-" in key]


def served(flow: Body, task: Body) -> Resonate:
    resonate = Resonate()
    resonate.register(name="flow")(flow)
    resonate.register(name="task")(task)
    return resonate


@pytest.mark.parametrize("pair", PAIRS)
def test_an_execution_past_the_patch_keeps_the_old_branch_and_its_ids(pair: str) -> None:
    before, after = PAIRS[pair]
    deploys = Deploys(before)
    deploys.play()
    ids = set(deploys.stage.records())
    deploys.deploy(after)
    assert deploys.finish() == ("value", OLD)
    assert deploys.patches() == []
    assert len(set(deploys.stage.records()) - ids) == 1


@pytest.mark.parametrize("pair", PAIRS)
def test_a_new_execution_takes_the_patch_for_ever(pair: str) -> None:
    before, after = PAIRS[pair]
    deploys = Deploys(before)
    deploys.deploy(after)
    deploys.play()
    holder = HOLDERS[pair]
    assert deploys.patches() == [f"{holder}patch-check"]
    marker = deploys.stage.object(f"{holder}patch-check").promise
    assert (marker.state, text(marker.value.data)) == (PromiseState.RESOLVED, "true")
    assert deploys.finish() == ("value", NEW)
    assert len(deploys.patches()) == 1


def test_a_patch_costs_no_write_of_its_own() -> None:
    def writes(flow: Body) -> int:
        deploys = Deploys(flow)
        deploys.play()
        return deploys.stage.store.writes

    assert writes(new) == writes(without_marker)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_wherever_old_code_dies_and_new_code_dies_the_branch_is_one(pair: str, when: str) -> None:
    """Deployed at every write of the old code, and cut at every write of the new one."""
    results = set()
    for first_cut in range(1, 12):
        for second_cut in (0, 2, 3, 4, 5, 6):
            result = cut(pair, when, first_cut, second_cut)
            if result is not None:
                results.add(result)
    assert results == {"old", "new"}


def cut(pair: str, when: str, first_cut: int, second_cut: int) -> str | None:
    """Return the branch taken; None: the old code does not make so many writes."""
    before, after = PAIRS[pair]
    deploys = Deploys(before)
    stage = deploys.stage
    died = []

    def die() -> None:
        died.append(stage.store.writes)
        stage.store.die()

    cuts = stage.store.before if when == "before" else stage.store.after
    cuts[first_cut] = die
    deploys.play()
    deploys.answer()
    deploys.play()
    if not died:
        return None
    has_gone_on = any(f"{HOLDERS[pair]}{number}" in stage.records() for number in (2, 3))
    deploys.deploy(after)
    if second_cut:
        cuts[stage.store.writes + second_cut] = die
    assert deploys.finish() == ("value", OLD if has_gone_on else NEW), (first_cut, second_cut)
    assert bool(deploys.patches()) != has_gone_on
    return "old" if has_gone_on else "new"


async def waits(ctx: Context) -> str:
    return await ctx.promise(str)


async def fans_out_widely(ctx: Context) -> list[str]:
    first = ctx.rpc("task")
    ctx.patched("wide")
    return list(await ctx.gather(first, *[ctx.rpc("task") for _ in range(120)], ctx.run(waits)))


@pytest.mark.parametrize("cut_after", [2, 3])
def test_no_commit_holds_a_later_call_without_the_patch(cut_after: int) -> None:
    """A fan-out takes several commits: a crash between them must not look like code without the patch."""
    deploys = Deploys(fans_out_widely)
    stage = deploys.stage
    stage.store.after[cut_after] = stage.store.die
    stage.deliver(stage.queue.pop_due(stage.clock.now_ms())[0])
    later = [key for key in stage.records() if key.startswith("root:") and key != "root:1r"]
    assert later
    assert "root:patch-wide" in later


# ---- one answer for a workflow call


async def loops(ctx: Context) -> list[bool]:
    answers = []
    for number in range(3):
        await ctx.run(note, str(number))
        answers.append(ctx.patched("all"))
        answers.append(ctx.patched(f"each-{number}"))
        if number == 1:
            await ctx.promise(str)
    return answers


async def loops_unpatched(ctx: Context) -> list[bool]:
    for number in range(3):
        await ctx.run(note, str(number))
        if number == 1:
            await ctx.promise(str)
    return []


def test_in_a_loop_one_name_has_one_answer_and_a_name_for_each_round_has_its_own() -> None:
    deploys = Deploys(loops_unpatched)
    deploys.play()
    deploys.deploy(loops)
    assert deploys.finish() == ("value", [False, False, False, False, False, True])
    deploys = Deploys(loops)
    assert deploys.finish() == ("value", [True] * 6)


async def fans_out(ctx: Context) -> list[Any]:
    slow = [ctx.run("task") for _ in range(3)]
    checked = [ctx.run(note, "check")] if ctx.patched("check") else []
    return list(await ctx.gather(*slow, *checked))


async def fans_out_unpatched(ctx: Context) -> list[Any]:
    return list(await ctx.gather(*[ctx.run("task") for _ in range(3)]))


def test_the_answer_is_about_calls_made_not_about_calls_ended() -> None:
    """All three were made, none of them has ended: no earlier activation made one behind them."""
    deploys = Deploys(fans_out_unpatched, task=old)
    deploys.play()
    deploys.deploy(fans_out, task=old)
    assert deploys.finish() == ("value", [OLD, OLD, OLD, "check."])


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a:b", "x" * 65])
def test_a_name_that_an_id_could_not_hold_is_refused(name: str) -> None:
    async def flow(ctx: Context) -> bool:
        return ctx.patched(name)

    kind, message = Deploys(flow).finish()
    assert kind == "ValueError"
    assert "1 to 64 letters" in message


# ---- the life of a patch: introduced, deprecated, removed


def test_a_deprecated_patch_goes_on_with_its_executions_and_marks_no_others() -> None:
    deploys = Deploys(new)
    deploys.play()
    deploys.deploy(without_old_branch)
    assert deploys.finish() == ("value", NEW)
    fresh = Deploys(without_old_branch)
    assert fresh.finish() == ("value", NEW)
    assert fresh.patches() == []


def test_the_marker_may_go_once_no_execution_holds_it() -> None:
    deploys = Deploys(without_old_branch)
    deploys.play()
    deploys.deploy(without_marker)
    assert deploys.finish() == ("value", NEW)


@pytest.mark.parametrize("changed", [old, without_marker])
def test_code_that_does_not_ask_for_a_patch_on_record_diverges_and_can_be_healed(changed: Body) -> None:
    deploys = Deploys(new)
    deploys.play()
    before = set(deploys.stage.records())
    deploys.deploy(changed)
    deploys.answer()
    deploys.play()
    assert "Probable cause: this execution took the patch 'check', for which this code does not ask" in (
        deploys.reason()
    )
    assert set(deploys.stage.records()) == before
    deploys.deploy(new)
    assert deploys.finish() == ("value", NEW)


def test_the_missing_question_is_told_before_anything_is_recorded_behind_it() -> None:
    """Every call on record is made, in order; only what the patch said is forgotten."""

    async def asks(ctx: Context) -> str:
        await ctx.run(note, "first")
        if ctx.patched("quiet"):
            await ctx.promise(str)
        return "asked"

    async def forgets(ctx: Context) -> str:
        await ctx.run(note, "first")
        await ctx.promise(str)
        await ctx.run(note, "behind")
        return "forgot"

    deploys = Deploys(asks)
    deploys.play()
    deploys.deploy(forgets)
    deploys.answer()
    deploys.play()
    assert deploys.reason().startswith(
        "'root:patch-quiet' was recorded as patch quiet, but the code now does "
    )
    assert "its call 3 without asking ctx.patched('quiet') before" in deploys.reason()
    assert "root:3" not in deploys.stage.records()


def test_a_return_that_forgets_a_patch_is_told_and_the_task_is_halted_in_the_end() -> None:
    async def asks(ctx: Context) -> str:
        ctx.patched("quiet")
        return await ctx.promise(str)

    async def forgets(ctx: Context) -> str:
        return await ctx.promise(str)

    deploys = Deploys(asks)
    deploys.play()
    deploys.deploy(forgets)
    deploys.answer()
    deploys.play()
    assert "a return without asking ctx.patched('quiet') before" in deploys.reason()
    deploys.play(HOURS_MS)
    task = deploys.stage.object("root").task
    assert task is not None
    assert task.state is TaskState.HALTED
