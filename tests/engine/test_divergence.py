"""Divergence: code that no longer does what was recorded is stopped, told exactly, and never loops or overwrites."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.stage import Stage, note, staged

from resonate_faas import Context, Resonate
from resonate_faas._machine.objects import PromiseState, TaskState, Value
from resonate_faas._machine.requests import TaskContinue
from resonate_faas.testing._deployment import MemoryDeployment

HOURS_MS = 12 * 3_600_000
Body = Callable[[Context], Coroutine[Any, Any, Any]]


def other(word: str) -> str:
    return word


@pytest.fixture
def bodies() -> list[Body]:
    """The code of ``flow``: a test puts other code in its place, as a deployment would."""
    return []


def staged_with(bodies: list[Body]) -> Stage:
    async def flow(ctx: Context) -> Any:
        return await bodies[-1](ctx)

    async def remote(ctx: Context, word: str) -> str:
        await ctx.promise()
        return word

    stage = staged(flow, remote, other)
    stage.start("flow")
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    return stage


def resolve(stage: Stage, promise_id: str, value: Any = "word") -> None:
    stage.outside.client.settle(promise_id, PromiseState.RESOLVED, value)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)


def reason(stage: Stage) -> str:
    return stage.object("root").reason or ""


def line_of(function: Body, offset: int) -> str:
    code = function.__code__
    return f"{code.co_filename}:{code.co_firstlineno + offset}"


async def original(ctx: Context) -> list[str]:
    first = await ctx.run(note, "one")
    return [first, await ctx.promise(str), await ctx.run(note, "end")]


async def another_function(ctx: Context) -> list[str]:
    first = await ctx.run(other, "one")
    return [first, await ctx.promise(str)]


async def another_kind(ctx: Context) -> list[str]:
    first = await ctx.rpc(other, "one")
    return [first, await ctx.promise(str)]


async def another_operation(ctx: Context) -> list[str]:
    await ctx.sleep(1)
    return ["one.", await ctx.promise(str)]


async def other_arguments(ctx: Context) -> list[str]:
    first = await ctx.run(note, "uno")
    return [first, await ctx.promise(str)]


async def other_order(ctx: Context) -> list[str]:
    waiting = ctx.promise(str)
    return [await ctx.run(note, "one"), await waiting]


async def fewer_calls(ctx: Context) -> list[str]:
    return [await ctx.run(note, "one")]


async def raises_early(_ctx: Context) -> list[str]:
    raise ValueError("early")


ONE = r"run note \(arguments [0-9a-f]{16}\)"
CASES = [
    (another_function, "root:1", ONE, r"run other \(arguments [0-9a-f]{16}\)", 1),
    (another_kind, "root:1", ONE, r"rpc other \(arguments [0-9a-f]{16}\)", 1),
    (another_operation, "root:1", ONE, "sleep sleep", 1),
    (other_arguments, "root:1", ONE, r"run note \(arguments [0-9a-f]{16}\)", 1),
    (other_order, "root:1", ONE, "promise promise", 1),
    (fewer_calls, "root:2", "promise promise", "a return before this call", None),
    (raises_early, "root:1", ONE, r"raise ValueError\(early\) before this call", None),
]


@pytest.mark.parametrize(
    ("changed", "promise_id", "recorded", "present", "offset"),
    CASES,
    ids=[case[0].__name__ for case in CASES],
)
def test_changed_code_is_told_by_id_both_calls_and_line(
    bodies: list[Body], changed: Body, promise_id: str, recorded: str, present: str, offset: int | None
) -> None:
    bodies.append(original)
    stage = staged_with(bodies)
    before = stage.story()
    bodies.append(changed)
    resolve(stage, "root:2")
    match = f"'{promise_id}' was recorded as {recorded}, but the code now does {present}"
    assert re.match(match, reason(stage)), reason(stage)
    if offset is not None:
        source = Path(__file__).read_text().splitlines()[changed.__code__.co_firstlineno + offset - 1].strip()
        assert f" at {line_of(changed, offset)}: {source}. Probable cause: " in reason(stage)
    after = stage.story()
    assert set(after) == set(before)
    assert {key: after[key] for key in ("root", "root:1")} == {key: before[key] for key in ("root", "root:1")}


async def local_again(ctx: Context) -> list[str]:
    return [await ctx.run(other, "one")]


async def remote_first(ctx: Context) -> list[str]:
    return [await ctx.rpc("remote", "one")]


def test_a_remote_call_that_became_local_is_told_too(bodies: list[Body]) -> None:
    bodies.append(remote_first)
    stage = staged_with(bodies)
    bodies.append(local_again)
    resolve(stage, "root:1r.1")
    assert reason(stage).startswith("'root:1r' was recorded as rpc remote (arguments ")
    assert "the code now does run other (arguments " in reason(stage)
    assert "root:1" not in stage.records()


async def longer(ctx: Context) -> list[str]:
    word = await original(ctx)
    await ctx.sleep(1)
    return [*word, await ctx.run(note, "more")]


async def with_a_new_child(ctx: Context) -> list[str]:
    async def child(inner: Context) -> str:
        return await inner.run(note, "below")

    return [*await original(ctx), await ctx.run(child)]


@pytest.mark.parametrize("changed", [longer, with_a_new_child])
def test_more_calls_are_fine_if_they_are_new(bodies: list[Body], changed: Body) -> None:
    bodies.append(original)
    stage = staged_with(bodies)
    bodies.append(changed)
    resolve(stage, "root:2")
    stage.play()
    kind, value = stage.outcome()
    assert (kind, value[:3]) == ("value", ["one.", "word", "end."])
    assert stage.ran.count("root:1") == 1


async def calls_of_every_kind(ctx: Context) -> list[Any]:
    ran = await ctx.run(other, "one")
    called = ctx.rpc(other, "one")
    started = await ctx.detached(other, "one")
    return [ran, await called, started, await ctx.promise(str)]


async def spelled_by_name(ctx: Context) -> list[Any]:
    ran = await ctx.run(other, word="one")
    called = ctx.rpc(other, word="one")
    started = await ctx.detached("other", word="one")
    return [ran, await called, started, await ctx.promise(str)]


@pytest.mark.parametrize("first", [calls_of_every_kind, spelled_by_name])
def test_equal_arguments_are_the_same_call_by_position_and_by_name(bodies: list[Body], first: Body) -> None:
    bodies.append(first)
    stage = staged_with(bodies)
    bodies.append(spelled_by_name if first is calls_of_every_kind else calls_of_every_kind)
    resolve(stage, "root:4")
    kind, value = stage.outcome()
    assert (kind, value[:2], value[3]) == ("value", ["one", "one"], "word")


def test_a_version_is_part_of_the_call(bodies: list[Body]) -> None:
    async def first(ctx: Context) -> str:
        return str(await ctx.race(ctx.rpc("versioned"), ctx.promise(str), cancel=False))

    async def second(ctx: Context) -> str:
        return str(await ctx.race(ctx.options(version=2).rpc("versioned"), ctx.promise(str), cancel=False))

    bodies.append(first)
    stage = staged_with(bodies)
    bodies.append(second)
    resolve(stage, "root:2")
    assert "'root:1r' was recorded as rpc versioned (arguments " in reason(stage)
    assert "but the code now does rpc versioned (version 2, arguments " in reason(stage)


def test_divergence_in_a_child_names_the_childs_call(bodies: list[Body]) -> None:
    words = ["one"]

    async def child(ctx: Context) -> str:
        return await ctx.run(note, words[-1])

    async def parent(ctx: Context) -> list[str]:
        async def holder(inner: Context) -> str:
            said = await child(inner)
            return said + await inner.promise(str)

        return [await ctx.run(holder)]

    bodies.append(parent)
    stage = staged_with(bodies)
    words.append("uno")
    resolve(stage, "root:1.2")
    assert reason(stage).startswith("'root:1.1' was recorded as run note (")
    assert f" at {line_of(child, 1)}: return await ctx.run(note, words[-1]). Probable " in reason(stage)


# ---- why it probably happened


def redeployed(first: Body, second: Body) -> Stage:
    """Run the first code until it waits, deploy the second, let it go on."""
    stage = Stage(serving(first))
    stage.start("flow")
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    resonate = serving(second)
    resonate.set_dependency("stage", stage)
    stage.inside = MemoryDeployment(resonate, store=stage.store, clock=stage.clock, queue=stage.queue)
    waiting = next(key for key in ("root:1", "root:2") if stage.object(key).promise.settled_at is None)
    resolve(stage, waiting)
    return stage


def serving(flow: Body) -> Resonate:
    resonate = Resonate()
    resonate.register(name="flow")(flow)
    resonate.register(note)
    return resonate


async def draws(ctx: Context) -> list[str]:
    first = await ctx.run(note, drawn())
    return [first, await ctx.promise(str)]


DRAWN = ["one", "uno"]


def drawn() -> str:
    return DRAWN[0]


async def reads_a_file(ctx: Context) -> list[str]:
    with Path(__file__).open() as file:  # noqa: ASYNC230 - the point of the test
        first = await ctx.run(note, file.readline()[:3] + DRAWN[0])
    return [first, await ctx.promise(str)]


def test_code_that_changed_is_the_probable_cause() -> None:
    told = reason(redeployed(original, other_arguments))
    assert "Probable cause: the code changed under a running execution: flow, or what it uses of its " in told
    assert f"run note (arguments {told.split('arguments ')[1][:16]}) (defined at " in told
    assert told.count("Ways out: ") == 1


@pytest.mark.parametrize(
    ("flow", "cause"),
    [
        (
            draws,
            (
                "the workflow is not deterministic: flow, and what it uses of its module, is as it was when 'root' "
                "was started, so an argument depends on something that is not on record (the clock, "
            ),
        ),
        (
            reads_a_file,
            f"the workflow uses a file (open) at {__file__}:LINE, which no replay repeats",
        ),
    ],
    ids=["unchanged code", "seen by a guard"],
)
def test_code_that_is_as_it_was_is_not_deterministic(
    monkeypatch: pytest.MonkeyPatch, flow: Body, cause: str
) -> None:
    stage = Stage(serving(flow))
    stage.start("flow")
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    monkeypatch.setitem(flow.__globals__, "DRAWN", ["uno"])
    resolve(stage, "root:2")
    line = str(flow.__code__.co_firstlineno + 1)
    assert f"Probable cause: {cause.replace('LINE', line)}" in reason(stage)


def test_an_execution_that_does_not_say_what_it_was_started_with_is_told_both_causes(
    bodies: list[Body],
) -> None:
    """As those that a schedule or another SDK starts."""
    bodies.append(original)
    stage = staged_with(bodies)
    held = stage.object("root")
    plain = json.loads(b64decode(held.promise.param.data or ""))
    del plain["code"]
    param = Value(data=b64encode(json.dumps(plain).encode()).decode())
    row = stage.memory.read(("root",))["root"]
    stage.memory.write(
        {"root": row.revision}, {"root": replace(held, promise=replace(held.promise, param=param))}, "nonce"
    )
    bodies.append(other_arguments)
    resolve(stage, "root:2")
    assert "Probable cause: an argument depends on something that is not on record" in reason(stage)
    assert "or the code changed under a running execution" in reason(stage)


# ---- what becomes of the task


def diverging(bodies: list[Body], changed: Body) -> Stage:
    bodies.append(original)
    stage = staged_with(bodies)
    bodies.append(changed)
    resolve(stage, "root:2")
    return stage


def test_a_diverging_task_backs_off_is_halted_with_the_reason_and_never_loops(bodies: list[Body]) -> None:
    stage = diverging(bodies, other_arguments)
    task = stage.object("root").task
    assert task is not None
    assert task.state is TaskState.PENDING
    assert stage.object("root").not_before > stage.clock.now_ms()
    stage.play(until_ms=stage.clock.now_ms() + HOURS_MS)
    halted = stage.object("root")
    assert halted.task is not None
    assert halted.task.state is TaskState.HALTED
    assert halted.task.version <= 1 + stage.inside.server.rules.barren_max
    assert "'root:1' was recorded as" in reason(stage)
    assert stage.memory.next_due() == stage.root().timeout_at  # nothing but the deadline is left
    assert stage.ran == ["root:1"]


def test_continue_after_a_fix_resumes_the_task_and_it_finishes(bodies: list[Body]) -> None:
    stage = diverging(bodies, other_arguments)
    stage.play(until_ms=stage.clock.now_ms() + HOURS_MS)
    bodies.append(original)
    stage.outside.server.ask(TaskContinue(id="root"))
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    assert stage.outcome() == ("value", ["one.", "word", "end."])
    assert stage.ran == ["root:1", "root:3"]
    assert not reason(stage)


def test_a_fix_that_arrives_during_the_back_off_needs_no_operator(bodies: list[Body]) -> None:
    stage = diverging(bodies, other_arguments)
    bodies.append(original)
    stage.play(until_ms=stage.clock.now_ms() + 60_000)
    assert stage.outcome() == ("value", ["one.", "word", "end."])


async def swallows(ctx: Context) -> str:
    try:
        await ctx.run(note, "uno")
    except BaseException:  # noqa: BLE001 - the point of the test
        ctx.log.info("swallowed")
    return "went on"


async def swallows_and_calls(ctx: Context) -> str:
    try:
        await ctx.run(note, "uno")
    except BaseException:  # noqa: BLE001 - the point of the test
        await ctx.run(note, "after")
    return "went on"


async def swallows_in_finally(ctx: Context) -> str:
    try:
        await ctx.run(note, "uno")
    finally:
        return "went on"  # noqa: B012 - the point of the test


@pytest.mark.parametrize("changed", [swallows, swallows_and_calls, swallows_in_finally])
def test_swallowing_the_interrupt_does_not_help(bodies: list[Body], changed: Body) -> None:
    stage = diverging(bodies, changed)
    assert stage.root().state is PromiseState.PENDING
    assert "'root:1' was recorded as" in reason(stage)
    assert sorted(stage.records()) == ["root", "root:1", "root:2"]
    assert stage.ran == ["root:1"]


class Shift:
    """An encryptor whose ciphertext is no JSON, and another one each time."""

    def __init__(self) -> None:
        self.count = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        self.count += 1
        return bytes([self.count % 256]) + bytes(255 - byte for byte in plaintext)

    def decrypt(self, ciphertext: bytes) -> bytes:
        return bytes(255 - byte for byte in ciphertext[1:])


async def calls_both(ctx: Context) -> list[str]:
    word = await ctx.rpc("other", "one")
    return [word, await ctx.run(note, "one"), await ctx.promise(str)]


async def calls_both_otherwise(ctx: Context) -> list[str]:
    word = await ctx.rpc("other", "one")
    return [word, await ctx.run(note, "uno"), await ctx.promise(str)]


@pytest.mark.parametrize("diverges", [False, True])
def test_divergence_is_told_under_an_encryptor_too(bodies: list[Body], diverges: bool) -> None:
    async def flow(ctx: Context) -> Any:
        return await bodies[-1](ctx)

    resonate = Resonate(encryptor=Shift())
    for function in (flow, other):
        resonate.register(function)
    bodies.append(calls_both)
    stage = Stage(resonate)
    stage.start("flow")
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    bodies.append(calls_both_otherwise if diverges else calls_both)
    resolve(stage, "root:3")
    if diverges:
        assert reason(stage).startswith("'root:2' was recorded as run note (arguments ")
    else:
        assert stage.outcome() == ("value", ["one", "one.", "word"])
