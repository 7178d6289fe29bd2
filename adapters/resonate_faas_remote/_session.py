"""The session of one activation over a Resonate server: ordered fences, each create before its settlement."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeGuard

from resonate_faas._errors import RequestRefusedError
from resonate_faas._held import Held
from resonate_faas._machine.ids import sort_key
from resonate_faas._machine.objects import (
    BRANCH,
    ORIGIN,
    PARENT,
    SCOPE,
    TARGET,
    TIMER,
    Promise,
    PromiseObject,
    PromiseState,
    TaskState,
)
from resonate_faas._machine.requests import (
    REDIRECT,
    Effect,
    PromiseCreate,
    PromiseSettle,
    Record,
    TaskAcquire,
    TaskFence,
    TaskFulfill,
    TaskGet,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskSuspend,
)
from resonate_faas._ports import Lease
from resonate_faas_remote._remote_server import RemoteServer, birth_of
from resonate_faas_remote._transport import Answer
from resonate_faas_remote._wire import promise_of, task_of

log = logging.getLogger("resonate_faas.session")

BAD_REQUEST: Final = 400
FRAMES_MAX: Final = 16
"""Whose children are asked for one by one: local calls on record that have not ended, and may be workflows."""

NOT_OURS: Final = frozenset({404, 409})


class RemoteSession:
    """See :class:`resonate_faas.Session`.

    Args:
        server: the remote one.
        task_id: the task.
        pid: of this activation.
        ttl_ms: the lease.
    """

    def __init__(self, server: RemoteServer, task_id: str, *, pid: str, ttl_ms: int) -> None:
        self._server = server
        self._clock = server.clock
        self._id = task_id
        self._pid = pid
        self._ttl_ms = ttl_ms
        self._lock = threading.RLock()
        self._held = Held(task_id, ttl_ms, server.clock)

    def acquire(self, version: int | None = None) -> Lease | None:
        """Take the lease and read what is recorded. The version is a hint, which saves a request if it is right.

        A timer has a task where servers arm only what has one; nobody executes it, its deadline settles it.
        """
        started = self._clock.monotonic_ms()
        answer = None if version is None else self._claim(version)
        if answer is None:
            current = self._current()
            answer = None if current in {None, version} else self._claim(current or 0)
        if answer is None:
            return None
        promise = self._server.promise(answer)
        expires_at = self._clock.now_ms() + self._ttl_ms
        task = task_of(answer.data.get("task"), pid=self._pid, ttl_ms=self._ttl_ms, expires_at=expires_at)
        if promise.is_timer:
            return None
        self._held.begin(task.version, started)
        root = PromiseObject(promise=promise, task=task, at=self._clock.now_ms(), birth=birth_of(promise))
        history = self._history(promise, answer.data.get("preload"))
        return Lease(root=root, history=history, is_whole=self._server.can_search)

    def _claim(self, version: int) -> Answer | None:
        """Ask for the lease; None: the task is not pending at this version."""
        asked = TaskAcquire(id=self._id, version=version, pid=self._pid, ttl=self._ttl_ms)
        answer = self._server.send(asked)
        if answer.status in NOT_OURS:
            return None
        if not answer.ok or not isinstance(answer.data, dict):
            raise RequestRefusedError(answer.status, answer.reason)
        return answer

    def _current(self, state: TaskState = TaskState.PENDING) -> int | None:
        """Return the version at which the task is in this state; None: it is in none, or in another."""
        answer = self._server.send(TaskGet(id=self._id))
        task = answer.data.get("task") if answer.ok and isinstance(answer.data, dict) else None
        if not isinstance(task, dict) or task.get("state") != state.value:
            return None
        version = task.get("version")
        return version if isinstance(version, int) else None

    def _history(self, root: Promise, preload: Any) -> Mapping[str, Promise]:
        """Return what the preload and searches tell of the activation's records; where none is served, less than all."""
        records = preload if isinstance(preload, list) else []
        found = {one.id: one for one in (promise_of(record, self._server.names) for record in records)}
        if not found:
            self._search(found, {BRANCH: root.tags.get(BRANCH, self._id)})
        frames = [self._id, *(one.id for one in found.values() if _may_have_children(one))]
        if len(frames) > FRAMES_MAX:
            self._search(found, {ORIGIN: root.tags.get(ORIGIN, self._id), SCOPE: "global"})
        else:
            for frame in frames:
                self._search(found, {PARENT: frame})
        prefixes = (f"{self._id}:", f"{self._id}.")
        own = (one for one in found.values() if one.id.startswith(prefixes))
        return {one.id: one for one in sorted(own, key=lambda one: sort_key(one.id))}

    def _search(self, found: dict[str, Promise], tags: Mapping[str, str]) -> None:
        found.update({one.id: one for one in self._server.search(tags)})

    def commit(
        self, effects: Sequence[Effect], *, finish: PromiseSettle | None = None
    ) -> Mapping[str, Promise]:
        """Apply effects one after another, each under the fence."""
        with self._lock:
            if self._held.a_commit_extends():
                self._extend()
            records = {effect.id: self._apply(effect) for effect in effects}
            if finish is not None:
                self._held.check()
                answer = self._server.send(
                    TaskFulfill(id=self._id, version=self._held.version, action=finish)
                )
                self._required(answer)
                self._held.end()
            return records

    def _apply(self, effect: Effect) -> Promise:
        if isinstance(effect, PromiseSettle):
            return self._fence(effect)
        stored = self._fence(self._create(effect))
        if effect.state is PromiseState.PENDING or stored.state is not PromiseState.PENDING:
            return stored
        return self._fence(PromiseSettle(id=effect.id, state=effect.state, value=effect.value))

    def _create(self, record: Record) -> PromiseCreate:
        """Return the request that creates the promise; a timer is addressed where only that arms its deadline (D1)."""
        tags, target = record.tags, self._server.timer_target
        if tags.get(TIMER) == "true" and target is not None:
            tags = {**tags, TARGET: target}
        return PromiseCreate(id=record.id, timeout_at=record.timeout_at, param=record.param, tags=tags)

    def _fence(self, action: PromiseCreate | PromiseSettle) -> Promise:
        self._held.check()
        answer = self._server.fence(TaskFence(id=self._id, version=self._held.version, action=action))
        if answer.status == BAD_REQUEST and _is_addressed_timer(action):
            self._server.timer_target = None  # a server that keeps to the specification arms every timer
            plain = {name: text for name, text in action.tags.items() if name != TARGET}
            return self._fence(replace(action, tags=plain))
        return self._server.promise(self._required(answer))

    def observe(self, ids: Sequence[str]) -> Mapping[str, Promise]:
        """Read promises as the server projects them."""
        return {promise_id: found.promise for promise_id, found in self._server.observe(ids).items()}

    def suspend(self, ids: Sequence[str], *, replay_ms: int = 0) -> Mapping[str, Promise]:
        """Give the lease up until one of the promises settles."""
        del replay_ms  # such a server has no place for it
        with self._lock:
            self._held.check()
            awaited = tuple(dict.fromkeys(ids))
            request = TaskSuspend(id=self._id, version=self._held.version, awaited=awaited)
            answer = self._server.send(request)
            if answer.status == REDIRECT:
                found = self.observe(awaited)
                return {key: one for key, one in found.items() if one.state is not PromiseState.PENDING}
            self._required(answer)
            self._held.end()
            return {}

    def release(
        self,
        *,
        reason: str | None = None,
        back_off: bool = False,
        is_interrupted: bool = False,
        replay_ms: int = 0,
    ) -> None:
        """Give the lease back. To back off it is kept to its end: a released task is dispatched again at once."""
        del is_interrupted, replay_ms
        with self._lock:
            if not self._held:
                return
            self._held.end()
            if back_off:
                log.warning("task left to its lease", extra={"promise_id": self._id, "reason": reason})
                return
            answer = self._server.send(TaskRelease(id=self._id, version=self._held.version))
            if not answer.ok and answer.status not in NOT_OURS:
                raise RequestRefusedError(answer.status, answer.reason)

    def heartbeat(self) -> None:
        """Extend the lease once half of it has passed; commits extend it from a third on."""
        with self._lock:
            if self._held.a_heartbeat_extends():
                self._extend()

    def _extend(self) -> None:
        """Extend the lease, and ask whether it is ours: the answer to a heartbeat does not tell (protocol section 3.2)."""
        self._held.check()
        started = self._clock.monotonic_ms()
        refs = (TaskRef(id=self._id, version=self._held.version),)
        self._required(self._server.send(TaskHeartbeat(pid=self._pid, tasks=refs)))
        if self._current(TaskState.ACQUIRED) != self._held.version:
            raise self._held.lost("another has taken it, or it has ended")
        self._held.extend(started)

    def left_ms(self) -> int:
        """Return how long the lease is ours by our monotonic clock alone."""
        return self._held.left_ms()

    def _required(self, answer: Answer) -> Answer:
        """Return an answer that is a success.

        Raises:
            TaskNotAcquiredError: the task is not ours, or gone.
            RequestRefusedError: the request would be refused every time; the lease is kept.
        """
        if answer.ok:
            return answer
        if answer.status in NOT_OURS:
            raise self._held.lost(answer.reason)
        raise RequestRefusedError(answer.status, answer.reason)


def _is_addressed_timer(action: PromiseCreate | PromiseSettle) -> TypeGuard[PromiseCreate]:
    return isinstance(action, PromiseCreate) and TARGET in action.tags and action.tags.get(TIMER) == "true"


def _may_have_children(record: Promise) -> bool:
    """True for a local call that has not ended: if it is a workflow, its calls are replayed."""
    return record.state is PromiseState.PENDING and record.tags.get(SCOPE) == "local"
