"""One activation: acquire, replay and run, then fulfil, suspend or release (design section 7)."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from resonate_faas._engine.codec import Codec
from resonate_faas._engine.execution import EngineSettings, Execution
from resonate_faas._engine.invocation import invoked
from resonate_faas._engine.registry import Registry
from resonate_faas._engine.steps import Launch
from resonate_faas._errors import (
    ArgumentsError,
    DecodingError,
    FunctionNotFoundError,
    RequestRefusedError,
    StoreError,
    TaskNotAcquiredError,
    WorkflowInterrupt,
)
from resonate_faas._ports import Clock, Lease, Session
from resonate_faas._runner import EventLoop, Runner, ThreadRunner

log = logging.getLogger("resonate_faas.worker")

POLL_MS: Final = 1_000
POLL_MAX_MS: Final = 15_000


class Ended(Enum):
    """How an activation ended; every one of them acknowledges the delivery."""

    DONE = "done"  # the task is fulfilled
    SUSPENDED = "suspended"  # it waits for a promise
    RELEASED = "released"  # it goes on in a fresh invocation
    LOST = "lost"  # error 1199: the lease is not ours any more
    NOTHING = "nothing"  # there was nothing to do: settled, suspended, held, halted or backing off


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a deployment decides about activations.

    Attributes:
        lease_ms: how long a task stays ours without a word from us; a crash is repaired this long after it.
        in_place_ms: a wait up to this long is waited out; a longer one suspends.
        margin_ms: no new step starts this close to the deadline.
        abandon_ms: running steps are abandoned this close to the deadline.
        replay_share: of the lease; a replay longer than this is warned of.
        promises_share: of the promise limit; more than this is warned of.
        heartbeats: extend the lease from a thread; without, commits alone do (simulations).
    """

    lease_ms: int = 30_000
    in_place_ms: int = 2_000
    margin_ms: int = 5_000
    abandon_ms: int = 1_000
    replay_share: float = 0.5
    promises_share: float = 0.5
    heartbeats: bool = True

    @property
    def heartbeat_ms(self) -> int:
        """Return how long a call may run before it is made visible, and the driver sleep before it looks around."""
        return max(self.lease_ms // 3, 1)

    @property
    def beat_ms(self) -> int:
        """Return how often the heartbeat thread looks whether to extend the lease: a failed try is soon repeated."""
        return max(self.lease_ms // 15, 1)


OpenSession = Callable[[str, str], Session]
"""Opens a session from (task id, pid)."""


class Worker:
    """Runs activations. Thread-safe; one per process.

    Args:
        open_session: gives a session of a task.
        registry: the functions served here.
        codec: of payloads.
        clock: the time.
        settings: of activations.
        engine: of replay.
        runner: makes the runner of an activation; threads and an event loop by default.
    """

    def __init__(
        self,
        open_session: OpenSession,
        registry: Registry,
        codec: Codec,
        *,
        clock: Clock,
        settings: WorkerSettings | None = None,
        engine: EngineSettings | None = None,
        runner: Callable[[], Runner] | None = None,
    ) -> None:
        self.open_session = open_session
        self.registry = registry
        self.codec = codec
        self.clock = clock
        self.settings = settings or WorkerSettings()
        self.engine = engine or EngineSettings()
        self._loop = EventLoop()
        dependencies = dict(self.engine.dependencies)
        self.runner = runner or (lambda: ThreadRunner(self._loop, dependencies))
        self._active: set[_Activation] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def activate(
        self, task_id: str, *, version: int | None = None, deadline_mono_ms: int | None = None
    ) -> Ended:
        """Run one activation of a task to its end.

        Args:
            task_id: the task; whatever version it has now is acquired.
            version: of the message that led here, a hint to the session.
            deadline_mono_ms: the monotonic instant at which this process may be stopped; None: none is known.

        Returns:
            How it ended. Errors of the workflow are its result, not this function's.

        Raises:
            StoreError: the store failed; the task is released or its lease runs out, and it is tried again.
        """
        activation = _Activation(self, task_id, version, deadline_mono_ms)
        with self._lock:
            if self._stopping:
                return Ended.NOTHING
            self._active.add(activation)
        try:
            return activation.run()
        finally:
            with self._lock:
                self._active.discard(activation)

    def stop(self) -> None:
        """Release every held task now (SIGTERM); activations end within moments, new ones are not begun."""
        with self._lock:
            self._stopping = True
            for activation in self._active:
                activation.stop()

    def close(self) -> None:
        """Stop, and end the event loop of async steps."""
        self.stop()
        self._loop.close()


@dataclass(eq=False)
class _Activation:
    """The state of one activation; its thread is the driver."""

    worker: Worker
    task_id: str
    hint: int | None
    deadline_mono_ms: int | None
    pid: str = field(default_factory=lambda: secrets.token_hex(8))
    outcomes: queue.SimpleQueue[tuple[str, Any, BaseException | None]] = field(
        default_factory=queue.SimpleQueue
    )
    wake: threading.Event = field(default_factory=threading.Event)
    started: dict[str, str] = field(default_factory=dict)
    stopping: bool = False
    draining: bool = False
    warned: bool = False
    version: int = 0
    lost: TaskNotAcquiredError | None = None

    def __post_init__(self) -> None:
        self.clock = self.worker.clock
        self.settings = self.worker.settings
        self.session = self.worker.open_session(self.task_id, self.pid)
        self.started_mono_ms = self.clock.monotonic_ms()
        self.replay_ms: int | None = None

    def stop(self) -> None:
        self.stopping = True
        self.wake.set()

    def run(self) -> Ended:
        """Acquire, drive, and turn every way to end into one of :class:`Ended`."""
        try:
            lease = self.session.acquire(self.hint)
        except BaseException as error:
            self._release_quietly(f"{type(error).__name__}: {error}")
            raise
        if lease is None:
            return Ended.NOTHING
        self.version = lease.root.task.version if lease.root.task is not None else 0
        try:
            with self._heartbeat():
                return self._drive(lease)
        except TaskNotAcquiredError as error:
            self._report_lost(error, lease)
            return Ended.LOST
        except WorkflowInterrupt as error:
            log.exception(
                "activation interrupted",
                extra={"promise_id": self.task_id, "code": error.code, "reason": str(error)},
            )
            self.session.release(reason=str(error), back_off=True)
            return Ended.RELEASED
        except (DecodingError, FunctionNotFoundError, ArgumentsError, RequestRefusedError) as error:
            log.warning(
                "task not runnable",
                extra={"promise_id": self.task_id, "code": error.code, "reason": str(error)},
            )
            self.session.release(reason=str(error), back_off=True)
            return Ended.RELEASED
        except BaseException as error:
            self._release_quietly(f"{type(error).__name__}: {error}")
            raise

    def _release_quietly(self, reason: str) -> None:
        try:
            self.session.release(reason=reason)
        except StoreError as error:
            log.warning("release failed", extra={"promise_id": self.task_id, "code": error.code})

    def _drive(self, lease: Lease) -> Ended:
        """Rounds until the task is fulfilled, suspended or released."""
        worker = self.worker
        root = lease.root
        function, args, kwargs = invoked(root.promise, worker.registry, worker.codec)
        execution = Execution(
            root.promise,
            root.birth,
            function,
            args,
            kwargs,
            history=lease.history,
            woken_by=lease.woken_by,
            is_whole=lease.is_whole,
            registry=worker.registry,
            codec=worker.codec,
            settings=worker.engine,
        )
        runner = worker.runner()
        try:
            while True:
                ended = self._round(execution, runner)
                if ended is not None:
                    return ended
        finally:
            runner.close()
            execution.close()

    def _round(self, execution: Execution, runner: Runner) -> Ended | None:
        """Advance once and do what the round asks for; None: go on."""
        self._check_lost()
        turn = execution.advance(self.clock.now_ms())
        for step_id in turn.abandoned:
            self.started.pop(step_id, None)
            runner.abandon(step_id)
        if turn.effects or turn.finish is not None:
            records = self.session.commit(turn.effects, finish=turn.finish)
            if turn.finish is not None:
                self._report_budget(execution)
                return Ended.DONE
            execution.stored(records)
            return None
        self._report_budget(execution)
        self.draining = self.draining or (bool(turn.launches) and self._is_near(self.settings.margin_ms))
        if self._must_stop() or (self.draining and not self.started):
            return self._release(turn.launches)
        self._check_lost()
        if not self.draining:
            for launch in turn.launches:
                self.started[launch.id] = launch.function.name
                runner.start(launch, self._done)
        if execution.running:
            return self._wait_for_steps(execution)
        return self._wait_for_promises(execution)

    def _done(self, step_id: str, value: Any, error: BaseException | None) -> None:
        self.outcomes.put((step_id, value, error))
        self.wake.set()

    def _is_near(self, margin_ms: int) -> bool:
        """True if the deadline of the activation is less than ``margin_ms`` away."""
        deadline = self.deadline_mono_ms
        return deadline is not None and self.clock.monotonic_ms() >= deadline - margin_ms

    def _must_stop(self) -> bool:
        """True if the process is told to end, or the deadline is too near even for what runs."""
        return self.stopping or self._is_near(self.settings.abandon_ms)

    def _release(self, launches: Sequence[Launch] = ()) -> Ended:
        """Give the task back; steps still running are abandoned, what they would return is not recorded."""
        reason = "the process was told to end" if self.stopping else "the deadline of the activation was near"
        if self.started:
            reason = f"{reason}; running: {', '.join(sorted(set(self.started.values())))}"
        elif launches:
            reason = f"{reason}; next: {launches[0].function.name}"
        self.session.release(reason=reason, is_interrupted=self.stopping, replay_ms=self.replay_ms or 0)
        return Ended.RELEASED

    def _wait_for_steps(self, execution: Execution) -> Ended | None:
        """Wait for an outcome of a running step; meanwhile keep long calls visible and look for remote settlements."""
        poll_ms, since = POLL_MS, self.clock.monotonic_ms()
        has_ridden = False
        while True:
            delivered = False
            for step_id, value, error in self._outcomes():
                execution.finished(step_id, value=value, error=error, now_ms=self.clock.now_ms())
                delivered = True
            if delivered:
                return None
            self._check_lost()
            if self._must_stop() or (self.draining and not self.started):
                return self._release()
            now = self.clock.now_ms()
            due = execution.next_wake()
            if due is not None and due <= now:
                execution.stored(self.session.observe(execution.due_timers(now)))
                return None
            if not has_ridden and self.clock.monotonic_ms() - since >= self.settings.heartbeat_ms:
                has_ridden = True
                effects = execution.ride()
                if effects:
                    execution.stored(self.session.commit(effects))
                    return None
            awaited = execution.awaiting()
            self._sleep(min([poll_ms if awaited else POLL_MAX_MS, *([due - now] if due is not None else [])]))
            if awaited and self.outcomes.empty():
                poll_ms = min(poll_ms * 2, POLL_MAX_MS)
                settled = _settled(self.session.observe(awaited))
                if settled:
                    execution.stored(settled)
                    return None

    def _outcomes(self) -> Iterator[tuple[str, Any, BaseException | None]]:
        while not self.outcomes.empty():
            outcome = self.outcomes.get()
            self.started.pop(outcome[0], None)
            yield outcome

    def _sleep(self, duration_ms: int) -> None:
        """Wait until something happens in this activation, at most so long, never past deadline or lease."""
        if self.deadline_mono_ms is not None:
            left = self.deadline_mono_ms - self.settings.abandon_ms - self.clock.monotonic_ms()
            duration_ms = min(duration_ms, left)
        duration_ms = min(duration_ms, self.settings.heartbeat_ms, self.session.left_ms())
        if duration_ms > 0 and self.outcomes.empty():
            self.clock.wait(self.wake, duration_ms)
        self.wake.clear()

    def _wait_for_promises(self, execution: Execution) -> Ended | None:
        """Suspend; or wait out what ends within moments."""
        awaited = execution.awaiting()
        if not awaited:
            raise RuntimeError(f"{self.task_id!r} waits for nothing that could settle")
        now = self.clock.now_ms()
        due = execution.next_wake()
        if due is not None and due - now <= self.settings.in_place_ms:
            if due > now:
                self._sleep(due - now)
            if self.clock.now_ms() >= due:
                execution.stored(_settled(self.session.observe(execution.due_timers(self.clock.now_ms()))))
            return None
        settled = self.session.suspend(awaited, replay_ms=self.replay_ms or 0)
        if not settled:
            return Ended.SUSPENDED
        execution.stored(settled)
        return None

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Extend the lease from a thread of its own; a loss ends the activation at its next turn."""
        ended = threading.Event()

        def beat() -> None:
            while not self.clock.wait(ended, self.settings.beat_ms):
                try:
                    self.session.heartbeat()
                except TaskNotAcquiredError as error:
                    self.lost = error
                    self.wake.set()
                    return
                except StoreError as error:
                    log.warning("heartbeat failed", extra={"promise_id": self.task_id, "code": error.code})

        if self.settings.heartbeats:
            threading.Thread(target=beat, name="resonate-heartbeat", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _check_lost(self) -> None:
        """Raise error 1199 if a heartbeat was refused, or none was confirmed for too long."""
        if self.lost is not None:
            raise self.lost
        if self.session.left_ms() <= 0:
            raise TaskNotAcquiredError(self.task_id, self.version, "the lease was not confirmed in time")

    def _report_budget(self, execution: Execution) -> None:
        """Warn once when the root's replay or promise count nears its limit: the cure is ctx.detached (rule 4)."""
        if self.replay_ms is None:
            self.replay_ms = self.clock.monotonic_ms() - self.started_mono_ms
        limit = self.worker.engine.promises_max
        over_time = self.replay_ms > self.settings.replay_share * self.settings.lease_ms
        over_count = execution.promise_count > self.settings.promises_share * limit
        if not self.warned and (over_time or over_count):
            self.warned = True
            log.warning(
                "replay budget",
                extra={
                    "promise_id": self.task_id,
                    "replay_ms": self.replay_ms,
                    "lease_ms": self.settings.lease_ms,
                    "promises": execution.promise_count,
                    "promises_max": limit,
                    "cure": "split the loop with ctx.detached",
                },
            )

    def _report_lost(self, error: TaskNotAcquiredError, lease: Lease) -> None:
        log.warning(
            "task not acquired",
            extra={
                "promise_id": self.task_id,
                "code": error.code,
                "version": error.version,
                "reason": error.reason,
                "replay_ms": self.replay_ms,
                "lease_ms": self.settings.lease_ms,
                "promises": len(lease.history),
            },
        )


def _settled(records: Mapping[str, Any]) -> dict[str, Any]:
    return {promise_id: promise for promise_id, promise in records.items() if promise.settled_at is not None}


__all__ = ["Ended", "OpenSession", "Worker", "WorkerSettings"]
