"""The hypothesis state machine: every request, every internal step and a moving clock, in any order.

After each step every invariant is checked, on the step and on the state it left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.machine.invariants import state_violations
from tests.machine.step_invariants import step_violations
from tests.machine.world import Internal, World, schedule_create

from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    DELAY,
    EXTERNAL,
    SCOPE,
    TARGET,
    TIMER,
    PromiseObject,
    PromiseState,
    Rules,
    TaskState,
    Value,
    due,
)
from resonate_faas._machine.requests import (
    Claim,
    Commit,
    Effect,
    Observe,
    Park,
    PromiseCreate,
    PromiseGet,
    PromiseSettle,
    Record,
    RegisterCallback,
    RegisterListener,
    Reply,
    Request,
    ScheduleDelete,
    ScheduleGet,
    TaskAcquire,
    TaskContinue,
    TaskCreate,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
    Yield,
)

SMALL: Final = replace(DEFAULT_RULES, waiters_max=3, drain_chunk=2, barren_patience=2, barren_max=4)

Tags = Mapping[str, str]
Step = Literal["R1", "R4", "R5", "R6", "advance"]
STEPS: Final[tuple[Step, ...]] = ("R1", "R4", "R5", "R6", "advance")

IDS: Final = ("a", "b", "a:2r", "x", "t", "a:1", "b:1", "a:2r.1")
TAGS: Final[tuple[Tags, ...]] = (
    {TARGET: "U"},
    {TARGET: "V", DELAY: "12000"},
    {SCOPE: "local"},
    {SCOPE: "global"},
    {EXTERNAL: "true"},
    {TIMER: "true"},
    {TIMER: "true", TARGET: "U"},
)
BEGINNING: Final[Mapping[str, Tags]] = {
    "a": {TARGET: "U"},
    "b": {TARGET: "V"},
    "a:2r": {TARGET: "U"},
    "a:1": {SCOPE: "local"},
    "x": {EXTERNAL: "true"},
    "t": {TIMER: "true"},
}
SETTLABLE: Final = (PromiseState.RESOLVED, PromiseState.REJECTED, PromiseState.CANCELED)

ids: Final = st.sampled_from(IDS)
nth: Final = st.integers(0, len(IDS))
some_ids: Final = st.lists(ids, min_size=1, max_size=4).map(tuple)
waitable: Final = st.sampled_from(("x", "t", "a:2r", "b", "a"))
distinct_ids: Final = st.lists(waitable, min_size=1, max_size=3, unique=True).map(tuple)
tags: Final = st.sampled_from(TAGS)
lives: Final = st.sampled_from((3_600_000, 3_600_000, 3_600_000, 20_000, 900, 60, 1, 0, -5))
ttls: Final = st.sampled_from((10_000, 50, 1))
pids: Final = st.sampled_from(("w1", "w2"))
offsets: Final = st.sampled_from((0, 0, 0, 0, 0, 0, -1, 1))
settlable: Final = st.sampled_from(SETTLABLE)
born: Final = st.sampled_from((PromiseState.PENDING, PromiseState.PENDING, *SETTLABLE))
any_state: Final = st.sampled_from((*SETTLABLE, *SETTLABLE, PromiseState.PENDING, PromiseState.TIMEDOUT))
values: Final = st.sampled_from((Value(), Value(data="MQ==")))
lags: Final = st.sampled_from((0, 0, 0, 1, 300, 1_000))
addresses: Final = st.sampled_from(("http://1", "http://2"))
schedule_ids: Final = st.sampled_from(("c", "d"))


class Driver(RuleBasedStateMachine):
    """The instances' clocks disagree: a step's now is the clock less a lag of at most a second (design section 3)."""

    rules_in_force: ClassVar[Rules] = DEFAULT_RULES
    dispatching: ClassVar[bool] = False
    seen: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.rules_in_force, dispatching=self.dispatching)
        self.clock = 10_000

    @initialize(lives=st.lists(lives, min_size=len(BEGINNING), max_size=len(BEGINNING)))
    def begin(self, lives: list[int]) -> None:
        for (promise_id, tag), life in zip(BEGINNING.items(), lives, strict=True):
            self.ask(PromiseCreate(id=promise_id, timeout_at=self.clock + life, tags=tag), 0)

    def ask(self, request: Request, lag: int) -> Reply:
        reply = self.world.ask(request, self.clock - lag)
        self.seen[type(request).__name__, str(reply.status)] += 1
        self.check()
        return reply

    def fire(self, step: Internal, lag: int) -> None:
        before = dict(self.world.objects)
        self.world.fire(step, self.clock - lag)
        self.seen[step.step, "nothing" if self.world.objects == before else "acted"] += 1
        self.check()

    def check(self) -> None:
        step = self.world.last
        assert step is not None
        violations = step_violations(step) + state_violations(step.after)
        assert not violations, "\n".join(violations)

    def version(self, task_id: str, offset: int) -> int:
        stored = self.world.snapshot().at(task_id)
        return max((0 if stored is None or stored.task is None else stored.task.version) + offset, 0)

    def pick(self, index: int, *wanted: TaskState) -> str:
        """A task in one of the states if there is one; sometimes, and otherwise, any id."""
        found = self.world.snapshot().promises()
        keys = sorted(stored.id for stored in found if stored.task and stored.task.state in wanted)
        if not keys or index == len(IDS):
            return IDS[index % len(IDS)]
        return keys[index % len(keys)]

    def is_late(self, stored: PromiseObject) -> bool:
        """True if the deadline has passed and no step has stored it."""
        promise = stored.promise
        return promise.state is PromiseState.PENDING and promise.timeout_at <= self.clock

    def held(self, index: int) -> str:
        """A task that somebody holds; most often one is claimed for it."""
        if index % 4:
            self.ask(Claim(id=self.pick(index % 4, TaskState.PENDING), pid="w1", ttl=10_000), 0)
        return self.pick(index, TaskState.ACQUIRED)

    @rule(pause=st.sampled_from((0, 1, 30, 400, 1_000, 6_000, 60_000)))
    def time_passes(self, pause: int) -> None:
        self.clock += pause
        self.world.clock = max(self.world.clock, self.clock)

    @rule()
    def time_passes_until_something_is_due(self) -> None:
        instants = [due(stored, self.world.rules) for stored in self.world.objects.values()]
        ahead = [instant for instant in instants if instant is not None and instant > self.clock]
        if ahead:
            self.time_passes(min(ahead) - self.clock)

    @rule(key=ids, lag=lags)
    def promise_get(self, *, key: str, lag: int) -> None:
        self.ask(PromiseGet(id=key), lag)

    @rule(key=ids, life=lives, tag=tags, lag=lags)
    def promise_create(self, *, key: str, life: int, tag: Tags, lag: int) -> None:
        self.ask(PromiseCreate(id=key, timeout_at=self.clock + life, tags=tag), lag)

    @rule(key=ids, state=any_state, value=values, lag=lags)
    def promise_settle(self, *, key: str, state: PromiseState, value: Value, lag: int) -> None:
        self.ask(PromiseSettle(id=key, state=state, value=value), lag)

    @rule(awaited=st.one_of(waitable, ids), awaiter=st.one_of(waitable, ids), lag=lags)
    def register_callback(self, *, awaited: str, awaiter: str, lag: int) -> None:
        self.ask(RegisterCallback(awaited=awaited, awaiter=awaiter), lag)

    @rule(awaited=st.one_of(waitable, ids), address=addresses, lag=lags)
    def register_listener(self, *, awaited: str, address: str, lag: int) -> None:
        self.ask(RegisterListener(awaited=awaited, address=address), lag)

    @rule(key=ids, lag=lags)
    def task_get(self, *, key: str, lag: int) -> None:
        self.ask(TaskGet(id=key), lag)

    @rule(key=ids, life=lives, tag=tags, pid=pids, ttl=ttls, lag=lags)
    def task_create(self, *, key: str, life: int, tag: Tags, pid: str, ttl: int, lag: int) -> None:
        action = PromiseCreate(id=key, timeout_at=self.clock + life, tags=tag)
        self.ask(TaskCreate(pid=pid, ttl=ttl, action=action), lag)

    @rule(index=nth, offset=offsets, pid=pids, ttl=ttls, lag=lags)
    def task_acquire(self, *, index: int, offset: int, pid: str, ttl: int, lag: int) -> None:
        key = self.pick(index, TaskState.PENDING)
        self.ask(TaskAcquire(id=key, version=self.version(key, offset), pid=pid, ttl=ttl), lag)

    @rule(index=nth, offset=offsets, child=ids, life=lives, tag=tags, settles=st.booleans(), lag=lags)
    def task_fence(
        self, *, index: int, offset: int, child: str, life: int, tag: Tags, settles: bool, lag: int
    ) -> None:
        key = self.held(index)
        action: PromiseCreate | PromiseSettle = PromiseSettle(id=child, state=PromiseState.RESOLVED)
        if not settles:
            action = PromiseCreate(id=child, timeout_at=self.clock + life, tags=tag)
        self.ask(TaskFence(id=key, version=self.version(key, offset), action=action), lag)

    @rule(named=some_ids, offset=offsets, pid=pids, lag=lags)
    def task_heartbeat(self, *, named: tuple[str, ...], offset: int, pid: str, lag: int) -> None:
        refs = tuple(TaskRef(id=key, version=self.version(key, offset)) for key in named)
        self.ask(TaskHeartbeat(pid=pid, tasks=refs), lag)

    @rule(index=nth, offset=offsets, awaited=st.one_of(distinct_ids, some_ids), lag=lags)
    def task_suspend(self, *, index: int, offset: int, awaited: tuple[str, ...], lag: int) -> None:
        key = self.held(index)
        self.ask(TaskSuspend(id=key, version=self.version(key, offset), awaited=awaited), lag)

    @rule(index=nth, offset=offsets, state=settlable, lag=lags)
    def task_fulfill(self, *, index: int, offset: int, state: PromiseState, lag: int) -> None:
        key = self.held(index)
        action = PromiseSettle(id=key, state=state)
        self.ask(TaskFulfill(id=key, version=self.version(key, offset), action=action), lag)

    @rule(index=nth, offset=offsets, lag=lags)
    def task_release(self, *, index: int, offset: int, lag: int) -> None:
        key = self.held(index)
        self.ask(TaskRelease(id=key, version=self.version(key, offset)), lag)

    @rule(key=ids, lag=lags)
    def task_halt(self, *, key: str, lag: int) -> None:
        self.ask(TaskHalt(id=key), lag)

    @rule(index=nth, lag=lags)
    def task_continue(self, *, index: int, lag: int) -> None:
        if index % 2:
            self.ask(
                TaskHalt(id=self.pick(index, TaskState.PENDING, TaskState.ACQUIRED, TaskState.SUSPENDED)), lag
            )
        self.ask(TaskContinue(id=self.pick(index, TaskState.HALTED)), lag)

    @rule(key=schedule_ids, period=st.sampled_from((500, 7_000)), tag=tags, timed=st.booleans())
    def schedule_create(self, *, key: str, period: int, tag: Tags, timed: bool) -> None:
        promise_id = "{{.id}}.{{.timestamp}}" if timed else "x"
        create = schedule_create(key, f"every {period}", self.clock, promise_tags=tag, promise_id=promise_id)
        self.ask(create, 0)
        self.ask(ScheduleGet(id=key), 0)

    @rule(key=schedule_ids)
    def schedule_delete(self, *, key: str) -> None:
        self.ask(ScheduleDelete(id=key), 0)

    @rule(index=nth, pid=pids, ttl=ttls, lag=lags)
    def claim(self, *, index: int, pid: str, ttl: int, lag: int) -> None:
        self.ask(Claim(id=self.pick(index, TaskState.PENDING), pid=pid, ttl=ttl), lag)

    @rule(index=nth, pid=pids, times=st.integers(1, 5))
    def crash_again_and_again(self, *, index: int, pid: str, times: int) -> None:
        """Claim, record nothing, let the lease run out."""
        key = self.pick(index, TaskState.PENDING)
        for _ in range(times):
            self.ask(Claim(id=key, pid=pid, ttl=50), 0)
            self.time_passes(50)
            self.fire(Internal("R5", key), 0)
            self.time_passes_until_something_is_due()

    @rule(
        index=nth,
        offset=offsets,
        life=lives,
        tag=tags,
        states=st.lists(st.one_of(born, born, born, any_state), max_size=2),
        settles=st.one_of(st.none(), st.none(), ids),
        extend=st.booleans(),
        finish=st.sampled_from((False, False, True)),
        lag=lags,
    )
    def commit(
        self,
        *,
        index: int,
        offset: int,
        life: int,
        tag: Tags,
        states: list[PromiseState],
        settles: str | None,
        extend: bool,
        finish: bool,
        lag: int,
    ) -> None:
        key = self.held(index)
        effects: list[Effect] = [
            Record(
                id=f"{key}{'.' if ':' in key else ':'}{count}",
                timeout_at=self.clock + life,
                created_at=self.clock - 40 * count,
                tags=tag,
                state=state,
            )
            for count, state in enumerate(states, start=1)
        ]
        if settles is not None:
            effects.append(PromiseSettle(id=settles, state=PromiseState.REJECTED))
        done = PromiseSettle(id=key, state=PromiseState.RESOLVED) if finish else None
        version = self.version(key, offset)
        self.ask(Commit(id=key, version=version, effects=tuple(effects), extend=extend, finish=done), lag)

    @rule(index=nth, offset=offsets, awaited=distinct_ids, split=st.integers(0, 2), lag=lags)
    def park(self, *, index: int, offset: int, awaited: tuple[str, ...], split: int, lag: int) -> None:
        key = self.held(index)
        first, rest = awaited[:split], awaited[split:]
        version = self.version(key, offset)
        if first:
            reply = self.ask(Park(id=key, version=version, awaited=first, register_only=True), lag)
            if not reply.ok:
                return
            if split == 2:
                self.ask(PromiseSettle(id=first[0], state=PromiseState.RESOLVED), lag)
                self.fire(Internal("R4", first[0]), lag)
        self.ask(Park(id=key, version=version, awaited=rest, registered=first), lag)

    @rule(index=nth, offset=offsets, back_off=st.booleans(), lag=lags)
    def give_back(self, *, index: int, offset: int, back_off: bool, lag: int) -> None:
        key = self.held(index)
        reason = "another version may know" if back_off else None
        self.ask(
            Yield(id=key, version=self.version(key, offset), back_off=back_off, reason=reason),
            lag,
        )

    @rule(named=some_ids, lag=lags)
    def observe(self, *, named: tuple[str, ...], lag: int) -> None:
        self.ask(Observe(ids=named), lag)

    @rule(step=st.sampled_from(STEPS), index=nth, twice=st.booleans(), lag=lags)
    def internal_step(self, *, step: Step, index: int, twice: bool, lag: int) -> None:
        """Early, late or doubled, mostly where it may act."""
        wanted = {"R5": TaskState.ACQUIRED, "R6": TaskState.PENDING, "R4": TaskState.FULFILLED}
        key = self.pick(index, wanted.get(step, TaskState.SUSPENDED))
        late = sorted(found.id for found in self.world.snapshot().promises() if self.is_late(found))
        if step == "R1" and late:
            key = late[index % len(late)]
        for _ in range(1 + twice):
            self.fire(Internal(step, key), lag)

    @rule(key=ids, address=addresses, lag=lags)
    def listener_drain(self, *, key: str, address: str, lag: int) -> None:
        self.fire(Internal("R3", key, address), lag)

    @rule(key=schedule_ids, lag=lags)
    def schedule_fire(self, *, key: str, lag: int) -> None:
        self.fire(Internal("R7", key), lag)

    @rule()
    def sweep(self) -> None:
        """Run everything due, as the safety net does, until nothing is: it must come to an end."""
        for _ in range(100):
            work = [
                stored
                for stored in self.world.objects.values()
                if isinstance(stored, PromiseObject)
                and (instant := due(stored, self.world.rules)) is not None
                and instant <= self.clock
            ]
            if not work:
                return
            for stored in work:
                for step in STEPS:
                    self.fire(Internal(step, stored.id), 0)
                for address in stored.promise.listeners:
                    self.fire(Internal("R3", stored.id, address), 0)
        raise AssertionError("the sweep does not come to an end")


class Lenient(Driver):
    rules_in_force = SMALL


class Strict(Driver):
    rules_in_force = replace(SMALL, strict=True)


class Dispatching(Driver):
    rules_in_force = SMALL
    dispatching = True


class AsShipped(Driver):
    dispatching = True


DRIVERS: Final = (Lenient, Strict, Dispatching, AsShipped)
