"""Runs steps where they are started: stubs in their place, twice if asked, one after another, on this thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextvars import Context as ContextVars
from copy import deepcopy
from dataclasses import dataclass, field, replace
from inspect import iscoroutine
from typing import Any

from resonate_faas._engine.context import StepContext
from resonate_faas._engine.steps import Launch
from resonate_faas._errors import WorkflowInterrupt
from resonate_faas._runner import Done
from resonate_faas.testing._harness.ledger import CURRENT, Ledger, StepRun
from resonate_faas.testing._harness.stubs import Stub, StubExhaustedError
from resonate_faas.testing._harness.texts import exact

OUTCOMES = (Exception, WorkflowInterrupt, asyncio.CancelledError, GeneratorExit)
"""What a step may end with; anything else, a crash or a Ctrl-C, ends the test."""


class StepKeepsFailingError(AssertionError):
    """A step failed too often for a test: with a virtual clock, days of retries would be minutes of real time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A step that did not come to the same when it was executed again.

    Attributes:
        run: the step.
        first: what it returned first.
        second: what it returned or raised then.
    """

    run: StepRun
    first: str
    second: str


@dataclass(eq=False)
class StepRunner:
    """The runner of one activation (see :class:`resonate_faas._runner.Runner`).

    Attributes:
        ledger: notes each run.
        stubs: by name.
        dependencies: for steps with a context.
        attempts_max: a step that fails this often fails the test.
        again: executes each step that succeeded a second time, and tells of differences; None: once.
    """

    ledger: Ledger
    stubs: Mapping[str, Stub]
    dependencies: Mapping[str, Any]
    attempts_max: int
    again: list[Difference] | None = field(default=None)

    def start(self, launch: Launch, done: Done) -> None:
        """Run the step to its end.

        Raises:
            Crash: the process dies in it.
            StubExhaustedError: its stub has no more outcomes.
            StepKeepsFailingError: it failed ``attempts_max`` times.
        """
        spare = _copied(launch) if self.again is not None else launch
        run = self.ledger.begin(launch)
        try:
            value = self._execute(launch, run)
        except StubExhaustedError:
            raise
        except OUTCOMES as error:
            if run.attempt >= self.attempts_max:
                words = (
                    f"the step {run.call} ({run.id}) failed {run.attempt} times, the last time with {error!r}"
                )
                cure = "bound its retries, stub it, or give Harness(attempts_max=...)"
                raise StepKeepsFailingError(f"{words}: {cure}") from error
            done(launch.id, None, error)
            return
        if self.again is not None:
            self._execute_again(spare, value)
        done(launch.id, value, None)

    def abandon(self, step_id: str) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing runs."""

    def _execute(self, launch: Launch, run: StepRun) -> Any:
        self.ledger.current = run
        try:
            return self._called(launch)
        finally:
            self.ledger.current = None

    def _called(self, launch: Launch) -> Any:
        def call() -> Any:
            CURRENT.set(self.ledger)
            stub = self.stubs.get(launch.function.name)
            if stub is not None:
                return stub.perform(launch, lambda: self._context(launch))
            first = (self._context(launch),) if launch.function.takes_context else ()
            return launch.call(*first, *launch.args, **launch.kwargs)

        value = launch.contextvars.run(call)
        if iscoroutine(value) and (launch.function.is_async or launch.function.name in self.stubs):
            value = finished(value, launch.contextvars)
        return value

    def _execute_again(self, launch: Launch, value: Any) -> None:
        run = self.ledger.begin(launch)
        first = exact(value)
        try:
            second = exact(self._execute(launch, run))
        except OUTCOMES as error:
            second = f"raised {error!r}"
        if second != first and self.again is not None:
            self.again.append(Difference(run=run, first=first, second=second))

    def _context(self, launch: Launch) -> StepContext:
        return StepContext(launch.info, self.dependencies)


def finished(value: Any, variables: ContextVars) -> Any:
    """Return the result of a coroutine, run on an event loop of its own; in a thread, if a loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return variables.run(asyncio.run, value)
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((variables.run(asyncio.run, value), None))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="resonate-harness-step")
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def _copied(launch: Launch) -> Launch:
    """Return a launch whose arguments the first execution can't change, where they can be copied."""
    try:
        args, kwargs = deepcopy((launch.args, dict(launch.kwargs)))
    except Exception:  # noqa: BLE001 - a user's class may refuse in any way; the second execution gets the same objects
        return launch
    return replace(launch, args=args, kwargs=kwargs, contextvars=launch.contextvars.copy())


RunnerFactory = Callable[[], StepRunner]
