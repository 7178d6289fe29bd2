"""A whole deployment in one thread: memory store, memory queue, a clock that skips; steps run inline.

Nothing waits for the wall clock: a week of sleep passes at once, and one seed makes everything repeatable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from resonate_faas._engine.steps import Launch
from resonate_faas._invocation import Invocation
from resonate_faas._links import Links
from resonate_faas._machine.objects import DEFAULT_RULES, PromiseObject, PromiseState, Rules
from resonate_faas._node import Node
from resonate_faas._ports import Queue, Store
from resonate_faas._resonate import Resonate
from resonate_faas._runner import Done, bound
from resonate_faas._server import ServerSettings
from resonate_faas._worker import Ended, WorkerSettings
from resonate_faas.testing._fake_clock import FakeClock
from resonate_faas.testing._memory_queue import MemoryQueue
from resonate_faas.testing._memory_store import MemoryStore

TARGET: Final = "local://default"
MONTH_MS: Final = 30 * 24 * 3_600_000
MESSAGES_MAX: Final = 200_000


class InlineRunner:
    """Runs each step where it is started: no threads, so that a run is repeatable."""

    def __init__(self, dependencies: dict[str, Any]) -> None:
        self._dependencies = dependencies

    def start(self, launch: Launch, done: Done) -> None:
        """Run the step to its end."""
        args = bound(launch, self._dependencies)
        try:
            value = launch.contextvars.run(launch.call, *args, **launch.kwargs)
            if launch.function.is_async:
                value = asyncio.run(value)
        except BaseException as error:  # noqa: BLE001 - whatever the step raises is its outcome
            done(launch.id, None, error)
        else:
            done(launch.id, value, None)

    def abandon(self, step_id: str) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing runs."""


class MemoryDeployment:
    """Functions of a Resonate, deployed in memory.

    Args:
        resonate: the business code.
        store: a memory store by default.
        rules: the machine's settings.
        worker: the worker's settings.
        clock: a skipping clock by default.
        queue: a memory queue by default.
        promises_max: records of one root.
        runner: makes the runner of an activation; inline by default.
    """

    def __init__(
        self,
        resonate: Resonate,
        *,
        store: Store | None = None,
        rules: Rules = DEFAULT_RULES,
        worker: WorkerSettings | None = None,
        clock: FakeClock | None = None,
        queue: Queue | None = None,
        promises_max: int = 10_000,
        runner: Callable[[], Any] | None = None,
    ) -> None:
        self.clock = clock or FakeClock(auto=True)
        self.store = store if store is not None else MemoryStore(rules=rules)
        self.queue = MemoryQueue(self.clock, delay_max_ms=MONTH_MS)
        self.ended: list[Ended] = []
        self.node = Node(
            resonate,
            self.store,
            queue if queue is not None else self.queue,
            clock=self.clock,
            target=TARGET,
            server=ServerSettings(rules=rules),
            worker=worker or WorkerSettings(heartbeats=False),
            promises_max=promises_max,
            links=Links("http://test.invalid", b"0123456789abcdef"),
            runner=runner or (lambda: InlineRunner(resonate.dependencies)),
        )
        self.server = self.node.server
        self.client = self.node.client

    def start(self, function: str, *args: Any, id: str = "root", **kwargs: Any) -> PromiseObject:  # noqa: A002
        """Start an execution; nothing runs yet."""
        return self.client.invoke(Invocation(function=function, args=args, kwargs=kwargs, id=id))

    def deliver_due(self) -> int:
        """Deliver what is due now; return how many messages that were."""
        messages = self.queue.pop_due(self.clock.now_ms())
        for message in messages:
            self.ended.append(self.node.deliver(message))
        return len(messages)

    def settle(self, *, until_ms: int | None = None) -> None:
        """Deliver messages, letting time pass to each one's instant, until nothing is due any more.

        Deadlines count: a promise that nobody settles times out.

        Args:
            until_ms: stop when nothing is due up to this instant, and let time pass to it.

        Raises:
            AssertionError: it does not come to rest.
        """
        for _ in range(MESSAGES_MAX):
            if self.deliver_due():
                continue
            sent, due = self.queue.next_instant(), self.store.next_due()
            instant = min((at for at in (sent, due) if at is not None), default=None)
            if instant is None or (until_ms is not None and instant > until_ms):
                self.clock.advance_to(until_ms or 0)
                return
            self.clock.advance_to(instant)
            if sent is None or sent > instant:
                self.server.sweep()
        raise AssertionError("the deployment does not come to rest")

    def run(self, function: str, *args: Any, id: str = "root", **kwargs: Any) -> Any:  # noqa: A002
        """Start an execution, let time pass until nothing is left to do, and return its result or raise its error.

        Raises:
            AssertionError: it is still pending.
        """
        self.start(function, *args, id=id, **kwargs)
        self.settle()
        return self.result(id)

    def result(self, promise_id: str = "root") -> Any:
        """Return the value of a settled promise, or raise its error; a note says why its task was halted before.

        Raises:
            AssertionError: unknown or pending.
        """
        found = self.client.get(promise_id)
        if found is None or found.promise.state is PromiseState.PENDING:
            raise AssertionError(f"{promise_id!r} is {'unknown' if found is None else 'pending'}")
        try:
            return self.client.result(found.promise)
        except Exception as error:
            if found.reason is not None:
                error.add_note(found.reason)
            raise
