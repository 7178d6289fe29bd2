"""What an execution has on record, as typed entries, and drawn as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, overload

from pydantic_core import from_json

from resonate_faas._engine.calls import Kind
from resonate_faas._engine.codec import NO_HINT, Codec
from resonate_faas._engine.registry import Registry
from resonate_faas._errors import DecodingError
from resonate_faas._machine.ids import REMOTE_MARK
from resonate_faas._machine.objects import EXTERNAL, PARENT, TIMER, Promise, PromiseState
from resonate_faas.testing._harness.ledger import StepRun
from resonate_faas.testing._harness.stubs import name_of
from resonate_faas.testing._harness.texts import called, moment, short, span

_CALLING: Final = frozenset({"root", str(Kind.RUN), str(Kind.RPC), str(Kind.DETACHED)})
"""The kinds whose function is one; of the others the record says their kind again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of an execution; failed attempts of a step are counted in it, not listed.

    Attributes:
        id: the promise.
        parent_id: the promise of the caller; None: it is a root.
        kind: root, run, rpc, detached, sleep, promise, now, race or patch.
        function: what is called; "" if nothing is.
        version: of the function.
        state: pending, resolved, rejected, rejected_canceled or rejected_timedout.
        args: its arguments; None: they are not on record (a step that did not run here; a local workflow).
        kwargs: as args.
        value: of a resolved one, as JSON data; of a detached call, the new root's id.
        error: what awaiting it raises, if it failed.
        attempts: how often a step was tried; 0: never, it is no step or has not begun.
        started_at: when the call was made, UTC.
        settled_at: when it was settled, UTC; None: it is pending.
        timeout_at: its deadline, UTC.
        tags: given by the workflow; those of the protocol are left out.
    """

    id: str
    parent_id: str | None
    kind: str
    function: str
    version: int
    state: PromiseState
    args: tuple[Any, ...] | None
    kwargs: Mapping[str, Any] | None
    value: Any
    error: Exception | None
    attempts: int
    started_at: datetime
    settled_at: datetime | None
    timeout_at: datetime
    tags: Mapping[str, str]

    def __str__(self) -> str:
        words = [self._call(), self._outcome()]
        if self.attempts > 1:
            words.append(f"({self.attempts} attempts)")
        if self.settled_at is not None and self.settled_at > self.started_at:
            words.append(f"after {span(self.settled_at - self.started_at)}")
        return " ".join(words)

    def _call(self) -> str:
        if not self.function:
            return self.kind
        name = called(self.function, self.args or (), self.kwargs or {})
        if self.args is None:
            name = f"{self.function}(…)"
        return name if self.kind in {"root", "run"} else f"{self.kind} {name}"

    def _outcome(self) -> str:
        if self.state is PromiseState.PENDING:
            return "→ pending"
        if self.error is not None:
            return f"→ {self.state}: {short(str(self.error)) or type(self.error).__name__}"
        return f"→ {short(repr(self.value))}" if self.kind != Kind.SLEEP else "→ woke"


class History(Sequence[Entry]):
    """Entries in call order, depth first; ``print`` draws them as a tree.

    Args:
        entries: in that order.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def calls(self, function: Callable[..., Any] | str, registry: Registry | None = None) -> list[Entry]:
        """Return the entries of a function, by itself or by its recorded name, roots left out."""
        name = function if isinstance(function, str) else name_of(function, registry or Registry())
        return [entry for entry in self._entries if entry.function == name and entry.kind != "root"]

    def call(self, function: Callable[..., Any] | str) -> Entry:
        """Return the only entry of a function.

        Raises:
            AssertionError: there is none, or more than one.
        """
        found = self.calls(function)
        if len(found) != 1:
            name = function if isinstance(function, str) else name_of(function, Registry())
            raise AssertionError(f"{name} was called {len(found)} times, not once:\n{self}")
        return found[0]

    def kinds(self, kind: str) -> list[Entry]:
        """Return the entries of a kind: sleep, promise, rpc, detached, ..."""
        return [entry for entry in self._entries if entry.kind == kind]

    def __str__(self) -> str:
        depths: dict[str, int] = {}
        lines = []
        for entry in self._entries:
            depth = depths[entry.id] = depths.get(entry.parent_id or "", -1) + 1
            lines.append(f"{'   ' * depth}{entry.id}  {entry}")
        return "\n".join(lines)


def read_history(
    records: Iterable[Promise], root_id: str, codec: Codec, runs: Iterable[StepRun] = ()
) -> History:
    """Return the entries of a tree.

    Args:
        records: the promises of the tree, in any order; others are left out.
        root_id: its root.
        codec: reads them.
        runs: what steps ran here: it tells their arguments, which are not on record.
    """
    tree = {one.id: one for one in records if one.id == root_id or one.id.startswith(f"{root_id}:")}
    inputs = {run.id: run for run in runs}
    failures: dict[str, int] = {}
    for promise_id in tree:
        if is_attempt(promise_id):
            step_id = promise_id[: max(promise_id.rfind("."), promise_id.rfind(":"))]
            failures[step_id] = failures.get(step_id, 0) + 1
    shown = sorted((one for one in tree.values() if not is_attempt(one.id)), key=lambda one: place(one.id))
    callers = {one.tags.get(PARENT) for one in shown if one.id != root_id}
    return History(
        _entry(one, root_id, codec, inputs.get(one.id), failures.get(one.id, 0), one.id not in callers)
        for one in shown
    )


def is_attempt(promise_id: str) -> bool:
    """True if the record is a failed attempt: the timer that waits for the next one."""
    last = promise_id[max(promise_id.rfind("."), promise_id.rfind(":")) + 1 :]
    return ":" in promise_id and last.startswith("a") and last[1:].isdecimal()


def place(promise_id: str) -> tuple[int, ...]:
    """Return the place in the tree, for sorting: depth first, in call order; patches, which have no number, first."""
    path = promise_id.partition(":")[2]
    segments = path.split(".") if path else []
    return tuple(_number(one) for one in segments)


def _number(segment: str) -> int:
    digits = segment.strip(f"a{REMOTE_MARK}")
    return int(digits) if digits.isdecimal() else 0


def _entry(
    promise: Promise, root_id: str, codec: Codec, run: StepRun | None, failures: int, is_leaf: bool
) -> Entry:
    fields = fields_of(promise, codec)
    is_root = promise.id == root_id and EXTERNAL not in promise.tags
    kind = "root" if is_root else str(fields.get("kind") or _kind_by_tags(promise))
    args, kwargs = fields.get("args"), fields.get("kwargs") or {}
    if run is not None and not isinstance(args, list):
        args, kwargs = run.args, run.kwargs
    is_resolved = promise.state is PromiseState.RESOLVED
    is_failed = not is_resolved and promise.state is not PromiseState.PENDING
    is_step = run is not None or (kind == Kind.RUN and is_leaf)
    has_ended = is_step and promise.state in {PromiseState.RESOLVED, PromiseState.REJECTED}
    parent = promise.tags.get(PARENT)
    return Entry(
        id=promise.id,
        parent_id=None if is_root or not parent else parent,
        kind=kind,
        function=str(fields.get("func") or "") if kind in _CALLING else "",
        version=fields.get("version") or 1,
        state=promise.state,
        args=None if args is None else tuple(args),
        kwargs=None if args is None else kwargs,
        value=codec.decode(promise.value, NO_HINT, promise.id) if is_resolved else None,
        error=codec.decode_error(promise) if is_failed else None,
        attempts=failures + has_ended,
        started_at=moment(promise.created_at),
        settled_at=None if promise.settled_at is None else moment(promise.settled_at),
        timeout_at=moment(promise.timeout_at),
        tags={name: text for name, text in promise.tags.items() if not name.startswith("resonate:")},
    )


def fields_of(promise: Promise, codec: Codec) -> dict[str, Any]:
    """Return what a promise's param says: func, version, kind, and of a task its args; {} if it says nothing."""
    plain = Codec()
    for reader in (plain, codec):  # what holds nothing of the user's is never encrypted
        try:
            encoded = reader.unpack(promise.param, promise.id)
            fields = from_json(encoded) if encoded is not None else None
        except (DecodingError, ValueError):
            continue
        if isinstance(fields, dict):
            return fields
    return {}


def _kind_by_tags(promise: Promise) -> str:
    if promise.tags.get(EXTERNAL) == "true":
        return str(Kind.PROMISE)
    return str(Kind.SLEEP) if promise.tags.get(TIMER) == "true" else str(Kind.RUN)
