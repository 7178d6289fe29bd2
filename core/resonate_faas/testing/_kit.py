"""What the store contracts are written with: objects with defaults, steps, threads that start together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from resonate_faas._machine import Handler, decide, handler_of, keys_of
from resonate_faas._machine.objects import (
    DEFAULT_RULES,
    EMPTY,
    EXTERNAL,
    NO_STRINGS,
    TARGET,
    Object,
    Promise,
    PromiseObject,
    PromiseState,
    Rules,
    Schedule,
    ScheduleObject,
    Task,
    TaskState,
    Value,
)
from resonate_faas._machine.requests import Need, Outcome, Record, Reply, Request
from resonate_faas._ports import Result, Step, Store, Versioned
from resonate_faas.testing._fake_clock import EPOCH_MS

FAR_MS: Final = EPOCH_MS + 10 * 365 * 86_400_000
"""A deadline that no contract test reaches."""

ADDRESS: Final = "poll://any@contract"
EXTERNALLY: Final[Mapping[str, str]] = {EXTERNAL: "true"}
TARGETED: Final[Mapping[str, str]] = {TARGET: ADDRESS}

NOTHING: Final[Mapping[str, Object | None]] = MappingProxyType({})

_JOIN_S: Final = 240.0
_T = TypeVar("_T")


def promise_object(
    promise_id: str,
    *,
    state: PromiseState = PromiseState.RESOLVED,
    tags: Mapping[str, str] = NO_STRINGS,
    param: Value = EMPTY,
    value: Value = EMPTY,
    timeout_at: int = FAR_MS,
    callbacks: tuple[str, ...] = (),
    count: int = 0,
) -> PromiseObject:
    """Return a promise without a task; ``count`` stands in its ``barren`` and serves as a counter."""
    promise = Promise(
        id=promise_id,
        state=state,
        param=param,
        value=value,
        tags=tags,
        timeout_at=timeout_at,
        created_at=EPOCH_MS,
        settled_at=None if state is PromiseState.PENDING else EPOCH_MS,
        callbacks=callbacks,
    )
    return PromiseObject(promise=promise, at=EPOCH_MS, barren=count)


def task_object(
    task_id: str,
    *,
    state: TaskState = TaskState.PENDING,
    retry_at: int | None = None,
    expires_at: int | None = None,
    tags: Mapping[str, str] = NO_STRINGS,
    timeout_at: int = FAR_MS,
) -> PromiseObject:
    """Return a pending promise with a task."""
    promise = Promise(
        id=task_id,
        state=PromiseState.PENDING,
        param=EMPTY,
        value=EMPTY,
        tags={**TARGETED, **tags},
        timeout_at=timeout_at,
        created_at=EPOCH_MS,
    )
    task = Task(state=state, version=0, retry_at=retry_at, expires_at=expires_at)
    return PromiseObject(promise=promise, task=task, at=EPOCH_MS)


def schedule_object(
    schedule_id: str, *, next_run_at: int, tags: Mapping[str, str] = NO_STRINGS
) -> ScheduleObject:
    """Return a schedule."""
    schedule = Schedule(
        id=schedule_id,
        cron="* * * * *",
        promise_id=schedule_id + "-{{.timestamp}}",
        promise_timeout=60_000,
        promise_param=EMPTY,
        promise_tags={**TARGETED, **tags},
        created_at=EPOCH_MS,
        next_run_at=next_run_at,
    )
    return ScheduleObject(schedule=schedule, at=EPOCH_MS)


def done(writes: Mapping[str, Object | None] = NOTHING, *, status: int = 200) -> Outcome:
    """Return an outcome that writes these."""
    return Outcome(reply=Reply(status=status), writes=writes)


def put(store: Store, *objects: Object) -> Result:
    """Store the objects, whatever is there, in one transaction."""
    writes = {stored.id: stored for stored in objects}
    return store.transact(tuple(writes), lambda _: done(writes))


def put_all(store: Store, objects: Iterable[Object], *, batch: int) -> None:
    """Store any number of objects in transactions of ``batch``."""
    waiting = list(objects)
    for start in range(0, len(waiting), batch):
        put(store, *waiting[start : start + batch])


def drop(store: Store, *keys: str) -> Result:
    """Delete the keys in one transaction."""
    return store.transact(keys, lambda _: done(dict.fromkeys(keys)))


def look(store: Store, *keys: str) -> Mapping[str, Versioned]:
    """Read the keys in one snapshot."""
    return store.transact(keys, lambda _: done()).objects


def look_at(store: Store, key: str) -> Object | None:
    """Read one key."""
    return look(store, key)[key].object


def ask(store: Store, request: Request, *, now_ms: int = EPOCH_MS, rules: Rules = DEFAULT_RULES) -> Result:
    """Run a request of the machine as one transaction."""
    return run(store, keys_of(request), handler_of(request), now_ms=now_ms, rules=rules)


def run(
    store: Store,
    keys: Sequence[str],
    handler: Handler,
    *,
    now_ms: int = EPOCH_MS,
    rules: Rules = DEFAULT_RULES,
) -> Result:
    """Run a handler of the machine as one transaction."""

    def step(given: Mapping[str, Object | None]) -> Outcome | Need:
        return decide(handler, given, now_ms=now_ms, rules=rules, nonce="nonce")

    return store.transact(keys, step)


def counting(key: str, by: int = 1) -> Step:
    """Return a step that adds to a counter, creating it at 0."""

    def step(given: Mapping[str, Object | None]) -> Outcome:
        return done({key: promise_object(key, count=count(given[key]) + by)})

    return step


def count(stored: Object | None) -> int:
    """Return a counter's value; absent: 0."""
    return stored.barren if isinstance(stored, PromiseObject) else 0


def external(promise_id: str) -> Record:
    """Return the effect that records a pending promise others may wait for."""
    return Record(id=promise_id, timeout_at=FAR_MS, created_at=EPOCH_MS, tags=EXTERNALLY)


def history_ids(store: Store, task_id: str, after: str | None = None) -> list[str]:
    """Return the ids of a history, all pages."""
    return [found.object.id for page in store.history(task_id, after) for found in page if found.object]


def together(actions: Sequence[Callable[[], _T]]) -> list[_T]:
    """Run the actions in a thread each, all released at once; return their answers in order.

    Raises:
        BaseException: the first action's that failed.
    """
    barrier = threading.Barrier(len(actions))
    answers: dict[int, _T] = {}
    failures: list[BaseException] = []

    def body(number: int, action: Callable[[], _T]) -> None:
        try:
            barrier.wait(_JOIN_S)
            answers[number] = action()
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=body, args=numbered, daemon=True) for numbered in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_JOIN_S)
    if failures:
        raise failures[0]
    assert len(answers) == len(actions), "a thread did not end"
    return [answers[number] for number in range(len(actions))]
