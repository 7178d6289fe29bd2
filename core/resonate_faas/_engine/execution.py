"""One activation's replay: frames stepped until blocked, effects gathered, settlements delivered. Sans-I/O.

The worker asks :meth:`Execution.advance` for a round, stores its effects, starts its launches, and tells what
came of them; :meth:`Execution.awaiting` says what to suspend on. Nothing here waits, reads a clock or stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from resonate_faas._engine.attempts import Attempts
from resonate_faas._engine.calls import Call, DetachedCall, Kind, Race
from resonate_faas._engine.codec import Codec
from resonate_faas._engine.divergence import explained
from resonate_faas._engine.frames import Frame
from resonate_faas._engine.futures import Future, RecordFuture
from resonate_faas._engine.guard import guarded
from resonate_faas._engine.lineage import Lineage
from resonate_faas._engine.outbox import Outbox
from resonate_faas._engine.pending import Pending
from resonate_faas._engine.recorded import Difference, History
from resonate_faas._engine.registry import Function, Registry
from resonate_faas._engine.scheduler import Scheduler
from resonate_faas._engine.steps import Info, Launch, LocalCall, RetryTimer, StepCall, WorkflowCall
from resonate_faas._engine.watch import Watch
from resonate_faas._errors import (
    InvocationConflictError,
    LimitExceededError,
    WorkflowInterrupt,
)
from resonate_faas._machine.objects import (
    Promise,
    PromiseState,
    Value,
)
from resonate_faas._machine.requests import Effect, PromiseSettle

PROMISES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What a deployment decides about replay.

    Attributes:
        promises_max: records of one root, at most; a call beyond it raises LimitExceededError.
        resolve_target: gives the address of a group name; one with ``://`` passes through.
        link: gives the URL that settles an external promise, from (id, birth, action).
        dependencies: what ``ctx.get_dependency`` gives.
        log: takes (level, event, fields); silent during replay.
        watch: sees what workflows do besides their durable calls; None: nobody looks.
        source: gives the source text of "file:line", for messages.
        creates_first: record a step before it runs: what an activation can't read, its creates find out.
    """

    promises_max: int = PROMISES_MAX
    resolve_target: Callable[[str], str] = lambda name: name
    link: Callable[[str, str, str], str] | None = None
    dependencies: Mapping[str, Any] = field(default_factory=dict)
    log: Callable[[int, str, Mapping[str, Any]], None] | None = None
    watch: Watch | None = None
    source: Callable[[str], str] = lambda _: ""
    creates_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What an activation must do next, in this order: store the effects, stop the abandoned, start the launches.

    ``finish`` settles the root, in the last commit. Launches come only once no effect is outstanding: a step
    never runs before the promises created ahead of it are durable.
    """

    effects: tuple[Effect, ...]
    finish: PromiseSettle | None
    launches: tuple[Launch, ...]
    abandoned: tuple[str, ...]


class Execution:
    """The state of one replay.

    Args:
        root: the task's own promise, pending.
        birth: the root's birth; marks what detached calls start.
        function: what the root invokes.
        args: its arguments, as declared types.
        kwargs: its keyword arguments.
        history: the records of this activation by id, the root left out.
        woken_by: the promises whose settlement resumed the task, where that is known.
        is_whole: the history has all that is recorded.
        registry: functions by name.
        codec: of payloads.
        settings: the deployment's.
    """

    def __init__(
        self,
        root: Promise,
        birth: str,
        function: Function,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        history: Mapping[str, Promise],
        woken_by: Sequence[str] = (),
        is_whole: bool = True,
        registry: Registry,
        codec: Codec,
        settings: EngineSettings,
    ) -> None:
        self.root = root
        self.birth = birth
        self.history = History(history, codec, is_whole=is_whole)
        self._news_from_ms = self.history.news_from(woken_by)
        self.registry = registry
        self.codec = codec
        self.settings = settings
        self.lineage = Lineage(root)
        self.now = root.created_at
        self.frames = Scheduler(self)
        self.fatal: WorkflowInterrupt | None = None
        self._started = False
        self._outbox = Outbox()
        self._pending = Pending()
        self._attempts = Attempts()
        self._reserved: set[str] = set()
        self._races: list[Race[Any]] = []
        self.root_function = function
        self._root_call = self._make_root(function, args, kwargs)

    # ---- the worker's side

    @property
    def running(self) -> bool:
        """True while a step runs outside the driver."""
        return bool(self._attempts.running)

    @property
    def promise_count(self) -> int:
        """How many records the root has by now: replay cost grows with it (rule 4)."""
        return len(self.history) + len(self._reserved)

    def advance(self, now_ms: int) -> Round:
        """Run every frame until all wait, and return what must be done.

        Args:
            now_ms: this moment; calls made in the round are created at it.

        Raises:
            WorkflowInterrupt: the activation records nothing more and releases the task.
        """
        self.now = max(self.now, now_ms)
        if not self._started:
            self._started = True
            self._root_call.begin()
        with guarded() as guard:
            self.frames.run()
            self._expire()
            self.frames.run()
            self._decide_races()
        self.fail(guard.refused)
        effects = self._outbox.take()
        launches: list[Launch] = []
        if not effects and self._outbox.finish is None:
            launches = [self._launch(step) for step in self._attempts.start()]
        return Round(
            effects=effects,
            finish=self._outbox.finish,
            launches=tuple(launches),
            abandoned=tuple(self._attempts.take_abandoned()),
        )

    def ride(self) -> tuple[Effect, ...]:
        """Return the creates of calls that have been running for long, so that they become visible and durable."""
        for step_id in self._attempts.running:
            step = self._pending.get(step_id)
            if step is not None and not step.is_durable:
                self._outbox.ride_along(step)
        return self._outbox.take_riding()

    def stored(self, records: Mapping[str, Promise]) -> None:
        """Deliver what a commit answered, or what was observed: only stored settlements reach the workflow.

        Raises:
            NonDeterminismError: a create met the record of another call.
        """
        for promise_id, promise in records.items():
            sent = self._outbox.answered(promise_id)
            call = self._pending.get(promise_id)
            if sent is not None:
                has_own_id = call is not None and self._has_own_id(call, promise_id)
                is_successor = bool(sent.birth) and not has_own_id
                difference = self.history.met(sent, promise, is_successor=is_successor, has_own_id=has_own_id)
                if call is not None and has_own_id and self._is_answered(call, promise_id, difference):
                    continue
                self.diverge(difference)
            if call is None:
                continue
            call.is_durable = True
            self._outbox.get_off(promise_id)
            if promise.state is not PromiseState.PENDING:
                self._settled(call, promise)

    def finished(
        self, step_id: str, *, value: Any = None, error: BaseException | None = None, now_ms: int
    ) -> None:
        """Take the outcome of a step; an outcome nobody waits for any more is dropped.

        Raises:
            WorkflowInterrupt: the step itself raised one.
        """
        step = self._pending.get(step_id)
        if not isinstance(step, StepCall) or not step.running or step.abandoned:
            return
        self.now = max(self.now, now_ms)
        self._attempts.ended(step)
        if error is None:
            step.returned(value)
        elif isinstance(error, WorkflowInterrupt):
            raise error
        else:
            step.failed(error)

    def awaiting(self) -> list[str]:
        """Return the smallest sufficient set of external promises to suspend on (design section 4).

        Each frame, and each step that waits for its next attempt, adds its own needs; nothing else is awaited.
        """
        needs: dict[str, None] = dict.fromkeys(self._attempts.retrying)
        for future in self.frames.awaited():
            needs.update(dict.fromkeys(future._needs()))
        return list(needs)

    def next_wake(self) -> int | None:
        """Return the next instant at which something ends by time alone: an awaited timer or a call's deadline."""
        instants = [call.timeout_at for call in self._awaited()]
        deadline = self._pending.next_deadline()
        return min(instants if deadline is None else [*instants, deadline], default=None)

    def due_timers(self, now_ms: int) -> list[str]:
        """Return the awaited promises whose deadline has passed: to be observed, and so stored, by the worker."""
        return [call.id for call in self._awaited() if call.timeout_at <= now_ms]

    def close(self) -> None:
        """End the activation: frames are closed with their contexts dead."""
        self.frames.close_all()

    # ---- the calls' side

    def track(self, call: Call[Any]) -> None:
        """Know an unsettled call by its id; its frame joins it."""
        self._pending.add(call)
        if call.frame is not None:
            call.frame.children[call.id] = call
        if isinstance(call, StepCall | WorkflowCall) and call.timeout_at < self.root.timeout_at:
            self._pending.watch(call)

    def reserve(self, promise_ids: Sequence[str]) -> None:
        """Count promises that are about to be made, each once.

        Raises:
            LimitExceededError: the root would have too many; none is counted.
        """
        fresh = [promise_id for promise_id in promise_ids if promise_id not in self._reserved]
        bound = self.settings.promises_max
        if fresh and self.promise_count + len(fresh) > bound:
            cure = "split the loop: let each execution do one part and start its successor with ctx.detached"
            raise LimitExceededError(f"the promise count of {self.root.id!r}", bound, cure)
        self._reserved.update(fresh)

    def emit(self, effect: Effect) -> None:
        """Let an effect go out in this round's commit."""
        self._outbox.emit(effect)

    def expect_root(self, call: DetachedCall) -> None:
        """Tell a detached call what the create of its root met."""
        self._pending.add(call, call.root.id)

    def wake(self, future: Future[Any]) -> None:
        """Mark a future settled and make the frames and futures that wait for it go on."""
        if future._done:
            return
        future._done = True
        waiters, future._waiters = future._waiters, []
        self.frames.resume(waiters)
        watchers, future._watchers = future._watchers, []
        for watcher in watchers:
            watcher._member_done(future)

    def delivered(self, promise: Promise) -> None:
        """Note that a settlement reached the workflow: past the last event on record, log lines come out again.

        What is held by then was said when an earlier activation came to wait for this settlement.
        """
        frame = self.frames.current
        if frame is not None and not frame.live and (promise.settled_at or 0) >= self._news_from_ms:
            frame.held.clear()
            frame.live = True

    def fail(self, interrupt: WorkflowInterrupt | None) -> None:
        """End the activation, whatever the workflow makes of the exception; what it does next is not the reason.

        Raises:
            WorkflowInterrupt: the one given, if any.
        """
        if interrupt is not None:
            self.interrupt(interrupt)
            raise self.fatal or interrupt

    def diverge(self, difference: Difference | None) -> None:
        """End the activation where the code does something else than was recorded.

        Raises:
            NonDeterminismError: there is a difference.
        """
        if difference is not None:
            self.fail(self.fatal or explained(difference, self))

    def interrupt(self, reason: WorkflowInterrupt) -> None:
        """Record nothing more in this activation; the first reason counts."""
        self.fatal = self.fatal or reason

    def decide(self, race: Race[Any]) -> None:
        """Choose a race's winner at the end of this round."""
        if not race._done and race not in self._races:
            self._races.append(race)

    def open_frame(self, call: WorkflowCall) -> None:
        """Start running a workflow."""
        self._outbox.ride_along(call)
        call.child = self.frames.open(call)

    def close_frame(self, frame: Frame) -> None:
        """Close a cancelled frame, with every context dead, and cancel what it started."""
        self.frames.close(frame)
        for child in list(frame.children.values()):
            self.cancel(child)
        for promise_id in self.history.pending_below(frame.id):
            if (
                promise_id not in self._pending
            ):  # an earlier activation started it, this one did not get as far
                self.history.pending.discard(promise_id)
                self.emit(PromiseSettle(id=promise_id, state=PromiseState.CANCELED))

    def cancel(self, call: RecordFuture[Any]) -> None:
        """Settle a pending call as cancelled in this round's commit."""
        known = self._pending.get(call.id)
        if known is None or known.abandoned or known.kind in (Kind.DETACHED, Kind.NOW):
            return
        known.abandoned = True
        known.stop()
        self._outbox.replace(known, known.settle(PromiseState.CANCELED))

    def abandon(self, step: StepCall) -> None:
        """Drop a step's running attempt, pending retry or outstanding launch."""
        self._attempts.abandon(step)

    def wait_for_retry(self, timer: RetryTimer) -> None:
        """Await the timer of a step's next attempt, whoever else waits for what."""
        self._pending.add(timer)
        self._attempts.wait(timer)

    def ride_along(self, call: Call[Any]) -> None:
        """Let a call's create go out with the next commit of any kind."""
        self._outbox.ride_along(call)

    def conclude(self, call: Call[Any], state: PromiseState, value: Value) -> None:
        """Settle a local call in this round's commit; the root's settlement ends the task."""
        if call is self._root_call:
            self._outbox.finish = PromiseSettle(id=call.id, state=state, value=value)
        else:
            self.emit(call.settle(state, value))

    def launch(self, step: StepCall) -> None:
        """Run a step's next attempt once this round's effects are stored."""
        if step.rides and not step.is_durable:
            self._outbox.ride_along(step)
        self._attempts.queue(step)

    def info_of(self, call: LocalCall, *, attempt: int) -> Info:
        """Return what a function may know of its execution."""
        parent_id = call.frame.id if call.frame is not None else None
        return self.lineage.info(
            call.id, call.function, timeout_at=call.timeout_at, parent_id=parent_id, attempt=attempt
        )

    # ---- inside

    def _awaited(self) -> Iterator[Call[Any]]:
        """Yield the calls of this activation that it would suspend on."""
        for promise_id in self.awaiting():
            call = self._pending.get(promise_id)
            if call is not None:
                yield call

    def _make_root(self, function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call[Any]:
        common: dict[str, Any] = {
            "kind": Kind.RUN,
            "tags": self.root.tags,
            "timeout_at": self.root.timeout_at,
            "function": function,
            "call": function.call,
            "call_args": args,
            "call_kwargs": kwargs,
        }
        call: StepCall | WorkflowCall
        if function.is_workflow:
            call = WorkflowCall(self.root.id, function.result, self, None, **common)
        else:
            policy = function.retry_policy
            call = StepCall(
                self.root.id, function.result, self, None, policy=policy, non_retryable=(), **common
            )
        call.is_durable = True
        self._pending.add(call)
        return call

    def _launch(self, step: StepCall) -> Launch:
        return Launch(
            id=step.id,
            function=step.function,
            call=step.call,
            args=step.args,
            kwargs=step.kwargs,
            info=self.info_of(step, attempt=step.failures + 1),
            contextvars=step.variables,
        )

    def _expire(self) -> None:
        """Settle local calls whose own deadline has passed: the machine makes it the deadline's settlement."""
        for call in self._pending.expired(self.now):
            call.stop()
            call.abandoned = True
            self._outbox.replace(call, call.settle(PromiseState.CANCELED))

    def _decide_races(self) -> None:
        """Record each race's winner, and cancel its losers in the same commit."""
        races, self._races = self._races, []
        for race in races:
            if race._done or race.abandoned:
                continue
            winner = race.first()
            self.emit(race.create(PromiseState.RESOLVED, self.codec.encode(winner, int, race.id)))
            race.abandoned = True
            if race.cancels:
                race.drop_losers(winner)

    def _settled(self, call: Call[Any], promise: Promise) -> None:
        self._pending.drop(call.id)
        self.history.pending.discard(call.id)
        if call.frame is not None:
            call.frame.children.pop(call.id, None)
        self._attempts.stop_waiting(call.id)
        if not call.abandoned and isinstance(call, StepCall | WorkflowCall):
            call.stop()
        call._settle(promise)

    # ---- ids of the user's own

    def _has_own_id(self, call: Call[Any], promise_id: str) -> bool:
        """True if the user chose the id: meeting another's record there is an error to catch."""
        return call.frame is not None and not promise_id.startswith(call.frame.prefix)

    def _is_answered(self, call: Call[Any], promise_id: str, difference: Difference | None) -> bool:
        """Tell a call that its own id is another's, or a detached one that it is not; False: go on as ever."""
        conflict = None
        if difference is not None:
            words = f"promise {promise_id!r} exists with another function or other arguments"
            conflict = InvocationConflictError(409, words)
        if isinstance(call, DetachedCall):
            self._pending.drop(promise_id)
            call.answered(conflict)
            return True
        if conflict is None:
            return False
        self._pending.drop(call.id)
        if call.frame is not None:
            call.frame.children.pop(call.id, None)
        call.refused(conflict, self.now)
        self.wake(call)
        return True
