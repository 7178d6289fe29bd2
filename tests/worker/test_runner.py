"""Where steps run: a bound on threads, copies of the context variables, abandoned threads, cancelled coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.worker.kit import JOIN_S, Gate

from resonate_faas import StepContext
from resonate_faas._engine.registry import describe
from resonate_faas._engine.steps import Info, Launch
from resonate_faas._runner import EventLoop, ThreadRunner

Step = Callable[..., Any]


class Outcomes:
    """What steps came to, by id."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.all: dict[str, tuple[Any, BaseException | None]] = {}

    def done(self, step_id: str, value: Any, error: BaseException | None) -> None:
        with self._changed:
            self.all[step_id] = (value, error)
            self._changed.notify_all()

    def of(self, step_id: str) -> tuple[Any, BaseException | None]:
        with self._changed:
            assert self._changed.wait_for(lambda: step_id in self.all, JOIN_S), f"{step_id} did not end"
            return self.all[step_id]


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def launch(step_id: str, step: Step, *args: Any, variables: contextvars.Context | None = None) -> Launch:
    info = Info(
        id=step_id,
        root_id="root",
        parent_id="root",
        function="step",
        version=1,
        attempt=1,
        timeout_at=0,
        created_at=0,
        tags={},
    )
    context = variables or contextvars.copy_context()
    return Launch(
        id=step_id, function=describe(step), call=step, args=args, kwargs={}, info=info, contextvars=context
    )


def test_no_more_threads_than_the_bound_run_steps(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}, threads_max=2), Outcomes()
    gates = [Gate() for _ in range(5)]
    for number, gate in enumerate(gates):
        runner.start(launch(f"s{number}", gate.__call__), outcomes.done)
    gates[0].await_entered()
    gates[1].await_entered()
    assert [gate.entered.is_set() for gate in gates] == [True, True, False, False, False]
    for gate in gates:
        gate.opened.set()
    assert [outcomes.of(f"s{number}")[0] for number in range(5)] == ["through"] * 5
    runner.close()


def test_a_thread_is_used_again_for_the_next_step(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}), Outcomes()
    for number in range(20):
        runner.start(launch(f"s{number}", threading.get_ident), outcomes.done)
        outcomes.of(f"s{number}")
    assert len({outcomes.of(f"s{number}")[0] for number in range(20)}) == 1
    runner.close()


def test_an_abandoned_step_gives_its_place_to_the_next_in_line(loop: EventLoop) -> None:
    """Without: one stuck step, abandoned, would hold every step behind it for ever."""
    runner, outcomes = ThreadRunner(loop, {}, threads_max=1), Outcomes()
    stuck = Gate()
    runner.start(launch("stuck", stuck.__call__), outcomes.done)
    stuck.await_entered()
    runner.start(launch("next", lambda: "ran"), outcomes.done)
    runner.abandon("stuck")
    assert outcomes.of("next") == ("ran", None)
    stuck.opened.set()
    runner.close()


def test_the_thread_of_an_abandoned_step_takes_no_other(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}, threads_max=1), Outcomes()
    stuck, threads = Gate(), []

    def stay() -> str:
        threads.append(threading.current_thread())
        return stuck()

    runner.start(launch("stuck", stay), outcomes.done)
    stuck.await_entered()
    runner.abandon("stuck")
    stuck.opened.set()
    threads[0].join(JOIN_S)
    assert not threads[0].is_alive()
    runner.close()


def test_a_step_that_waits_for_a_thread_never_starts_once_abandoned(loop: EventLoop) -> None:
    """Without: the loser of a race, cancelled on record, would run its side effects all the same."""
    runner, outcomes = ThreadRunner(loop, {}, threads_max=1), Outcomes()
    first, ran = Gate(), []
    runner.start(launch("first", first.__call__), outcomes.done)
    first.await_entered()
    runner.start(launch("loser", lambda: ran.append("loser")), outcomes.done)
    runner.start(launch("last", lambda: ran.append("last")), outcomes.done)
    runner.abandon("loser")
    first.opened.set()
    outcomes.of("last")
    assert ran == ["last"]
    runner.close()


def test_nothing_starts_after_the_runner_is_closed(loop: EventLoop) -> None:
    """Without: after error 1199, queued steps would go on running beside the next holder's."""
    runner, outcomes = ThreadRunner(loop, {}, threads_max=1), Outcomes()
    first, ran, threads = Gate(), [], []

    def stay() -> str:
        threads.append(threading.current_thread())
        return first()

    runner.start(launch("first", stay), outcomes.done)
    first.await_entered()
    runner.start(launch("second", lambda: ran.append("second")), outcomes.done)
    runner.close()
    runner.start(launch("third", lambda: ran.append("third")), outcomes.done)
    first.opened.set()
    threads[0].join(JOIN_S)
    assert not threads[0].is_alive()
    assert ran == []


def test_idle_threads_end_when_the_runner_is_closed(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}), Outcomes()
    runner.start(launch("s", threading.current_thread), outcomes.done)
    thread = outcomes.of("s")[0]
    runner.close()
    thread.join(JOIN_S)
    assert not thread.is_alive()


def test_a_step_sees_a_copy_of_the_context_variables(loop: EventLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("of the workflow")
    runner, outcomes = ThreadRunner(loop, {}), Outcomes()

    def step() -> str:
        seen = variable.get()
        variable.set("of the step")
        return seen

    async def coroutine() -> str:
        await asyncio.sleep(0)
        return step()

    runner.start(launch("sync", step), outcomes.done)
    runner.start(launch("async", coroutine), outcomes.done)
    assert outcomes.of("sync") == ("of the workflow", None)
    assert outcomes.of("async") == ("of the workflow", None)
    assert variable.get() == "of the workflow"
    runner.close()


def test_a_step_that_asks_for_its_context_gets_the_dependencies(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {"bank": "the bank"}), Outcomes()

    def step(ctx: StepContext, amount: int) -> str:
        return f"{ctx.info.id} {ctx.get_dependency('bank')} {amount}"

    runner.start(launch("s", step, 7), outcomes.done)
    assert outcomes.of("s") == ("s the bank 7", None)
    runner.close()


def test_an_abandoned_coroutine_is_cancelled(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}), Outcomes()
    began, cleaned = threading.Event(), threading.Event()

    async def step() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    runner.start(launch("s", step), outcomes.done)
    assert began.wait(JOIN_S)
    runner.abandon("s")
    assert cleaned.wait(JOIN_S)
    assert isinstance(outcomes.of("s")[1], asyncio.CancelledError)
    runner.close()


def test_closing_the_runner_cancels_every_coroutine_and_leaves_the_loop_to_others(loop: EventLoop) -> None:
    runner, outcomes = ThreadRunner(loop, {}), Outcomes()
    began = [threading.Event() for _ in range(3)]

    def waiting(event: threading.Event) -> Callable[[], Awaitable[None]]:
        async def step() -> None:
            event.set()
            await asyncio.Event().wait()

        return step

    for number, event in enumerate(began):
        runner.start(launch(f"s{number}", waiting(event)), outcomes.done)
        assert event.wait(JOIN_S)
    runner.close()
    assert all(isinstance(outcomes.of(f"s{number}")[1], asyncio.CancelledError) for number in range(3))

    async def fine() -> str:
        await asyncio.sleep(0)
        return "fine"

    ThreadRunner(loop, {}).start(launch("other", fine), outcomes.done)
    assert outcomes.of("other") == ("fine", None)


def test_closing_the_loop_lets_coroutines_clean_up_and_closes_it() -> None:
    loop, outcomes = EventLoop(), Outcomes()
    began, cleaned = threading.Event(), threading.Event()
    running: list[asyncio.AbstractEventLoop] = []

    async def step() -> None:
        running.append(asyncio.get_running_loop())
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    ThreadRunner(loop, {}).start(launch("s", step), outcomes.done)
    assert began.wait(JOIN_S)
    loop.close()
    assert cleaned.is_set()
    assert running[0].is_closed()


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), ValueError("no")])
def test_whatever_a_step_raises_is_its_outcome(loop: EventLoop, error: BaseException) -> None:
    """Without: SystemExit in a step would end a thread silently, and the workflow would wait for ever."""
    runner, outcomes = ThreadRunner(loop, {}, threads_max=1), Outcomes()

    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    runner.start(launch("sync", fail), outcomes.done)
    runner.start(launch("async", fail_later), outcomes.done)
    assert outcomes.of("sync") == (None, error)
    assert outcomes.of("async") == (None, error)
    runner.start(launch("after", lambda: "alive"), outcomes.done)
    assert outcomes.of("after") == ("alive", None)
    runner.close()
