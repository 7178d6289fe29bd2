"""Workflows behave as plain Python: a corpus of shapes, each compared with the same function run by a toy driver."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from tests.engine.python_semantics_corpus import SHAPES, Gen, boom, missing

from resonate_faas import ApplicationError, Context, Never, Resonate
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing._deployment import MemoryDeployment


class Direct:
    """A value of the toy context: settled at once."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.error: Exception | None = None
        self.value: Any = None
        try:
            self.value = call()
        except Exception as error:  # noqa: BLE001 - whatever it raises is its outcome
            self.error = error

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value

    def __await__(self) -> Gen:
        yield from ()
        return self.get()


class ToyContext:
    """Runs everything directly, in plain Python, and records nothing."""

    def run(self, fn: Callable[..., Any], *args: Any) -> Direct:
        return Direct(lambda: drive(fn(self, *args) if is_workflow(fn) else fn(*args)))

    def sleep(self, _seconds: float) -> Direct:
        return Direct(lambda: None)

    def gather(self, *members: Direct) -> Direct:
        return Direct(lambda: [member.get() for member in members])


def is_workflow(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn)


def drive(routine: Any) -> Any:
    """Run a coroutine, or a generator that yields direct values, to its end."""
    if not inspect.isgenerator(routine) and not inspect.iscoroutine(routine):
        return routine
    step: Any = routine
    value, error = None, None
    while True:
        try:
            yielded = step.throw(error) if error is not None else step.send(value)
        except StopIteration as stop:
            return stop.value
        try:
            value, error = (yielded.get() if isinstance(yielded, Direct) else drive(yielded)), None
        except Exception as raised:  # noqa: BLE001 - thrown into the generator, as the engine does
            value, error = None, raised


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return a value as JSON data has it, or an error by name and text."""
    try:
        return "value", Resonate().codec.decode(Resonate().codec.encode(call(), Any, "x"), Any, "x")
    except ApplicationError as error:
        return error.name, error.message
    except Exception as error:  # noqa: BLE001 - compared
        return type(error).__name__, str(error)


@pytest.mark.parametrize("in_place_ms", [2_000, 0], ids=["waiting in place", "suspending"])
@pytest.mark.parametrize("nested", [False, True], ids=["root", "child"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_workflow_does_what_plain_python_does(
    shape: Callable[[Any], Any], *, nested: bool, in_place_ms: int
) -> None:
    expected = outcome(lambda: contextvars.copy_context().run(drive, shape(ToyContext())))
    assert outcome(lambda: durably(shape, nested=nested, in_place_ms=in_place_ms)) == expected


def durably(shape: Callable[[Any], Any], *, nested: bool, in_place_ms: int) -> Any:
    """Return what the engine makes of a shape."""
    resonate = Resonate()

    async def as_coroutine(ctx: Context) -> Any:
        return await shape(ctx)

    def as_generator(ctx: Context) -> Gen:
        return (yield from shape(ctx))

    flow: Callable[..., Any] = as_coroutine if inspect.iscoroutinefunction(shape) else as_generator

    async def outer(ctx: Context) -> Any:
        return await ctx.run(flow)

    for step in (boom, missing):
        resonate.register(retry=Never())(step)
    resonate.register(name="flow")(outer if nested else flow)
    worker = WorkerSettings(heartbeats=False, in_place_ms=in_place_ms)
    deployment = MemoryDeployment(resonate, worker=worker)
    return deployment.run("flow")
