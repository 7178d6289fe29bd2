"""Builds with one guard removed: each breaks one decision, in one place, and a simulation must notice.

What is broken here is what the guard's text says; a canary that survives means that nothing would notice if the guard went.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from tests.simulation.faults import Odds, ProcessStore
from tests.simulation.workloads import BY_NAME

from resonate_faas import _cron, _optimistic, _server
from resonate_faas._embedded import EmbeddedSession
from resonate_faas._engine.recorded import History
from resonate_faas._machine import dispatch, internal, promises, session, tasks, turn
from resonate_faas._machine.objects import (
    Object,
    PromiseObject,
    PromiseState,
    Rules,
    TaskState,
    due,
    settled,
)
from resonate_faas._machine.requests import Claim, Need, Observe, Outcome, PromiseSettle, Reply
from resonate_faas._machine.turn import Turn
from resonate_faas._ports import Result, Versioned
from resonate_faas.testing import _memory_store

SEEDS: Final = 80
"""Among so many seeds one must notice."""

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A build with one guard removed.

    Attributes:
        guard: what is removed, in words.
        options: of the simulations that must notice.
        sign: a word of the complaint.
    """

    guard: str
    remove: Callable[[Patch], None] = lambda _: None
    options: Mapping[str, Any] = field(default_factory=dict)
    sign: str = ""


CANARIES: list[Canary] = []


def canary(guard: str, *, only: Sequence[str] = (), sign: str = "", **options: Any) -> Callable[[Any], Any]:
    """Add a canary; ``only`` these workloads, and the other options of a simulation."""
    if only:
        options["only"] = tuple(BY_NAME[name] for name in only)

    def add(remove: Any) -> Any:
        if isinstance(remove, type):
            CANARIES.append(Canary(guard=guard, options={**options, "process_store": remove}, sign=sign))
        else:
            CANARIES.append(Canary(guard=guard, remove=remove, options=options, sign=sign))
        return remove

    return add


# ---- the store


@canary("a write needs the revisions it was decided on")
class Forgetful(ProcessStore):
    def put(
        self, expected: Mapping[str, int], writes: Mapping[str, Object | None], nonce: str
    ) -> Mapping[str, int]:
        del expected
        now = {key: found.revision for key, found in self.inner.read(tuple(writes)).items()}
        return super().put(now, writes, nonce)


@canary("a history is read to its last page", only=["deep", "fan_out"])
class Hasty(ProcessStore):
    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        yield from itertools.islice(super().history(task_id, after), 1)


@canary("a lost answer counts as written only if the nonce is found", sign="never written")
def trust_lost_answers(patch: Patch) -> None:
    def believed(attempt: Any) -> Result:
        objects, outcome = next(reversed(attempt._tried.values()))
        return Result(outcome=outcome, objects=objects)

    patch.setattr(_optimistic._Attempt, "_if_committed", believed)


@canary("what a settled promise has to drain stays due", odds=Odds(crash=0.02), sign="never ends")
def forget_drains(patch: Patch) -> None:
    def broken(stored: Object, rules: Rules) -> int | None:
        is_over = isinstance(stored, PromiseObject) and stored.promise.state is not PromiseState.PENDING
        return None if is_over else due(stored, rules)

    patch.setattr(_memory_store, "due", broken)


def _due_without(patch: Patch, state: TaskState) -> None:
    def broken(stored: Object, rules: Rules) -> int | None:
        if isinstance(stored, PromiseObject) and stored.task is not None and stored.task.state is state:
            return due(replace(stored, task=None), rules)
        return due(stored, rules)

    patch.setattr(_memory_store, "due", broken)


@canary("a task that nobody claims is dispatched again", sign="never ends")
def never_dispatch_again(patch: Patch) -> None:
    _due_without(patch, TaskState.PENDING)


@canary("the end of a lease is due", sign="never ends")
def never_end_leases(patch: Patch) -> None:
    _due_without(patch, TaskState.ACQUIRED)
    patch.setattr(_server, "arm", lambda *_: None)


# ---- leases


@canary(
    "a fenced request needs the task's version",
    only=["toiling", "fan_out", "deep"],
    odds=Odds(slow=0.2),
    sign="another_version",
)
def ignore_versions(patch: Patch) -> None:
    held = tasks.held

    def broken(step: Turn, task_id: str, version: int) -> Any:
        found = step.get(task_id)
        return held(step, task_id, version if found is None or found.task is None else found.task.version)

    patch.setattr(tasks, "held", broken)


@canary("a lease ends at its instant, not before", sign="enabled before")
def end_leases_early(patch: Patch) -> None:
    def broken(step: Turn, task_id: str) -> Reply:
        found = step.get(task_id)
        if found is not None and found.task is not None and found.task.state is TaskState.ACQUIRED:
            step.put(tasks.queued(found, now_ms=step.now, resumes=found.task.resumes))
        return internal.DONE

    patch.setattr(internal, "lease_timeout", broken)


@canary("a task that another holds is not claimed", sign="pending")
def claim_what_is_held(patch: Patch) -> None:
    def broken(step: Turn, request: Claim) -> Reply:
        found = step.get(request.id)
        if found is not None and found.task is not None and found.task.state is TaskState.ACQUIRED:
            step.put(tasks.acquired(found, pid=request.pid, ttl=request.ttl, now_ms=step.now))
            return Reply(status=200, promise=step.get(request.id))
        return session.claim(step, request)

    patch.setitem(dispatch._HANDLERS, Claim, broken)
    patch.setattr(EmbeddedSession, "_is_busy", lambda *_: False)


@canary("a long step's lease is extended by heartbeats", only=["toiling"], sign="never ends")
def never_beat(patch: Patch) -> None:
    patch.setattr(EmbeddedSession, "heartbeat", lambda _: None)


# ---- waiting


@canary("a task suspends with its callbacks registered", sign="waits for nothing")
def suspend_on_nothing(patch: Patch) -> None:
    register = tasks.register_all

    def broken(*args: Any) -> Any:
        waiting = register(*args)
        return waiting if isinstance(waiting, Reply) else []

    patch.setattr(tasks, "register_all", broken)


@canary("a settled promise redirects instead of being waited for", only=["fan_out", "deep", "asking"])
def wait_for_the_settled(patch: Patch) -> None:
    def broken(step: Turn, awaited: tuple[str, ...], awaiter: str) -> Any:
        step.require(awaited)
        found = [step.get(key) for key in awaited]
        return [promises.with_callback(one, awaiter) for one in found if one is not None]

    patch.setattr(tasks, "register_all", broken)


@canary("a consumed callback resumes its awaiter", sign="was not told")
def resume_nobody(patch: Patch) -> None:
    patch.setattr(internal, "_resume", lambda *_: None)


# ---- deadlines and settlements


@canary("a deadline wins whether or not its timer fired", only=["limited", "racing", "sleeping"])
def ignore_deadlines(patch: Patch) -> None:
    patch.setattr(turn, "project", lambda stored, _: stored)


@canary("what is told is stored first", only=["limited", "racing", "sleeping"], sign="told but never stored")
def tell_without_storing(patch: Patch) -> None:
    def broken(step: Turn, request: Observe) -> Reply:
        step.require(request.ids)
        found = {key: step.get(key) for key in request.ids}
        return Reply(status=200, records={key: one for key, one in found.items() if one is not None})

    patch.setitem(dispatch._HANDLERS, Observe, broken)


@canary("a settled promise keeps its record", only=["racing", "limited", "doomed"], sign="a_settled_record")
def settle_again(patch: Patch) -> None:
    def broken(step: Turn, request: PromiseSettle) -> Reply:
        found = step.get(request.id)
        if found is None:
            return promises.settle(step, request)
        done = settled(found, request.state, request.value, settled_at=step.now, now_ms=step.now)
        step.put(done)
        return Reply(status=200, promise=done)

    patch.setitem(dispatch._HANDLERS, PromiseSettle, broken)


@canary("time never runs backwards for an object", sign="an_objects_time")
def believe_every_clock(patch: Patch) -> None:
    def broken(
        handler: Any, given: Mapping[str, Object | None], *, now_ms: int, rules: Rules, nonce: str = ""
    ) -> Outcome | Need:
        step = Turn(given, now_ms, rules, nonce)
        try:
            return step.end(handler(step))
        except turn.MissingError as missing:
            return Need(ids=missing.ids)

    patch.setattr(_server, "decide", broken)


# ---- replay


@canary("a replayed call must be the recorded one", only=["steady"], odds=Odds(crash=0.03))
def ignore_digests(patch: Patch) -> None:
    patch.setattr(History, "check", lambda *_: None)
    patch.setattr(History, "met", lambda *_, **__: None)


@canary("what an earlier execution of the id left is not replayed", only=["reborn"])
def replay_the_dead(patch: Patch) -> None:
    learn = EmbeddedSession._learn
    patch.setattr(EmbeddedSession, "_learn", lambda session, pages, _: learn(session, pages, ""))


@canary("what an earlier execution of the id left is overwritten", only=["reborn"])
def keep_the_dead(patch: Patch) -> None:
    patch.setattr(session, "_is_stale", lambda *_: False)


@canary(
    "a schedule makes up for what it missed", only=["sleeping"], scheduled=True, sign="came of the schedule"
)
def skip_occurrences(patch: Patch) -> None:
    occurrences = _cron.occurrences

    def broken(*args: Any, **options: Any) -> tuple[list[int], int]:
        found, following = occurrences(*args, **options)
        return found[:1], following

    patch.setattr(_cron, "occurrences", broken)


__all__ = ["CANARIES", "SEEDS", "Canary"]
