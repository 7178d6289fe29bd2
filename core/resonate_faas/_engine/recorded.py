"""What is on record, and whether the code still does it: lookups, divergence, how far earlier activations came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resonate_faas._engine.calls import MARKS, described, marks_of
from resonate_faas._engine.codec import Codec
from resonate_faas._engine.frames import Frame
from resonate_faas._engine.ids import PATCH_MARK, child_prefix, patch_id
from resonate_faas._machine.ids import REMOTE_MARK, sort_key
from resonate_faas._machine.objects import PARENT, SCOPE, Promise, PromiseState, Value
from resonate_faas._machine.requests import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is on record at an id, and what the code does instead.

    Attributes:
        promise_id: where.
        recorded: the call on record, in words.
        present: the call the code makes now, or what it does instead.
        line: "file:line" of the present call; "" if unknown.
        marks: which of func, version, kind, digest differ; none: one of the two is no call.
        function: name and version on record; "" and 0 if there are none.
    """

    promise_id: str
    recorded: str
    present: str
    line: str = ""
    marks: tuple[str, ...] = ()
    function: tuple[str, int] = ("", 0)


class History:
    """The records of a root, by id.

    Args:
        records: in call order, the root left out.
        codec: reads their params.
        is_whole: these are all.

    Attributes:
        is_whole: see above.
        pending: ids of those not settled when last seen.
    """

    def __init__(self, records: Mapping[str, Promise], codec: Codec, *, is_whole: bool = True) -> None:
        self.is_whole = is_whole
        self._records = records
        self._codec = codec
        self._children, self._patches = _children(records)
        self._last: dict[str, int] | None = None
        self.pending = {one.id for one in records.values() if one.state is PromiseState.PENDING}
        self.get = records.get

    def __len__(self) -> int:
        return len(self._records)

    def news_from(self, woken_by: Sequence[str]) -> int:
        """Return the instant from which on settlements were not delivered to an earlier activation, epoch ms.

        The last activation had ended when the first of its awaited promises settled. If it is not known what woke
        the task, only what happened after the last event that an activation recorded itself is surely news.
        """
        woken = [
            found.settled_at for key in woken_by if (found := self.get(key)) and found.settled_at is not None
        ]
        return min(woken) if woken else _horizon(self._records) + 1

    def __contains__(self, promise_id: str) -> bool:
        return promise_id in self._records

    def patches(self, frame_id: str) -> dict[str, int]:
        """Return a frame's patches on record: by name, how many calls it had made when it came to them."""
        found = self._patches.get(frame_id)
        if found is None:
            return {}
        return {
            name: int((self._marks(promise_id, self._records[promise_id].param).get("digest")) or 0)
            for name, promise_id in found.items()
        }

    def is_past(self, frame: Frame) -> bool:
        """True if an earlier activation made a call behind those that the frame has made so far."""
        if self._last is None:
            self._last = _last(self._records)
        return self._last.get(frame.id, 0) > frame.counter

    def pending_below(self, promise_id: str) -> list[str]:
        """Return the promises that a workflow and its local children have left pending, in call order."""
        prefix = child_prefix(promise_id)
        return sorted((one for one in self.pending if one.startswith(prefix)), key=sort_key)

    def check(self, recorded: Promise, param: Value, line: Callable[[], str]) -> Difference | None:
        """Compare a call with the record at its id; None: it is the same function, kind and digest."""
        if recorded.param.data == param.data or self._same_marks(recorded, param):
            return None
        return self._difference(recorded, param, line())

    def unserved(self, recorded: Promise, name: str, version: int, line: str) -> Difference:
        """Return the difference where a function on record is not registered any more: no error to be caught."""
        of = f" (version {version})" if version else ""
        return Difference(
            promise_id=recorded.id,
            recorded=self._words(recorded),
            present=f"not find {name}{of} among the registered functions",
            line=line,
        )

    def met(self, sent: Record, found: Promise, *, is_successor: bool, has_own_id: bool) -> Difference | None:
        """Compare a create with the record that answered it; None: it met nothing, or the very same call.

        A successor (a detached root) must also be of the same parent: its id is a hash of the place. An id of the
        user's own may be shared by whoever calls the same function with the same arguments, by rpc or detached.
        """
        same = found.param.data == sent.param.data or self._same_marks(found, sent.param, any_kind=has_own_id)
        if same and not (is_successor and found.tags.get(PARENT) != sent.tags.get(PARENT)):
            return None
        return self._difference(found, sent.param)

    def unread(self, frame: Frame) -> Difference | None:
        """Return what is wrong with a frame that ended: calls or patches on record that it did not come to."""
        recorded = self._children.get(frame.id, 0)
        if frame.visited >= recorded and not frame.unasked:
            return None
        error = frame.outcome[1] if frame.outcome is not None else None
        end = "a return" if error is None else f"raise {type(error).__name__}({error})"
        if frame.visited < recorded:
            return self._unmade(frame, recorded, end)
        name = next(iter(frame.unasked))
        present = f"{end} without asking ctx.patched({name!r}) before"
        return Difference(promise_id=patch_id(frame.id, name), recorded=f"patch {name}", present=present)

    def _unmade(self, frame: Frame, recorded: int, end: str) -> Difference:
        for number in range(frame.counter + 1, frame.counter + recorded + 2):
            for mark in ("", REMOTE_MARK):
                record = self.get(f"{frame.prefix}{number}{mark}")
                if record is not None:
                    return Difference(
                        promise_id=record.id,
                        recorded=self._words(record),
                        present=f"{end} before this call",
                        function=self._function(record),
                    )
        return Difference(promise_id=frame.id, recorded="more calls", present=f"{end} before them")

    def _same_marks(self, recorded: Promise, param: Value, *, any_kind: bool = False) -> bool:
        marks = marks_of(recorded.id, recorded.param, self._codec)
        if marks is None:
            return True
        present = self._marks(recorded.id, param)
        return all(
            mark == present.get(name) for name, mark in marks.items() if name != "kind" or not any_kind
        )

    def _difference(self, recorded: Promise, param: Value, line: str = "") -> Difference:
        was, now = self._marks(recorded.id, recorded.param), self._marks(recorded.id, param)
        return Difference(
            promise_id=recorded.id,
            recorded=described(was),
            present=described(now),
            line=line,
            marks=tuple(name for name in MARKS if was.get(name) != now.get(name)),
            function=self._function(recorded),
        )

    def _function(self, recorded: Promise) -> tuple[str, int]:
        marks = self._marks(recorded.id, recorded.param)
        version = marks.get("version")
        return str(marks.get("func") or ""), version if isinstance(version, int) else 0

    def _marks(self, promise_id: str, param: Value) -> dict[str, Any]:
        return marks_of(promise_id, param, self._codec) or {}

    def _words(self, promise: Promise) -> str:
        return described(self._marks(promise.id, promise.param))


def _horizon(history: Mapping[str, Promise]) -> int:
    """Return the instant of the last event that an earlier activation recorded itself."""
    instants = (
        record.settled_at
        if record.tags.get(SCOPE) == "local" and record.settled_at is not None
        else record.created_at
        for record in history.values()
    )
    return max(instants, default=0)


def _children(history: Mapping[str, Promise]) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """Return how many numbered children each frame has on record, and the ids of its patches by name."""
    counts: dict[str, int] = {}
    patches: dict[str, dict[str, str]] = {}
    for promise_id in history:
        parent, last = _place(promise_id)
        if last.startswith(PATCH_MARK):
            patches.setdefault(parent, {})[last.removeprefix(PATCH_MARK)] = promise_id
        elif not last.startswith("a"):
            counts[parent] = counts.get(parent, 0) + 1
    return counts, patches


def _last(history: Mapping[str, Promise]) -> dict[str, int]:
    """Return the highest number that each frame has on record."""
    numbers: dict[str, int] = {}
    for promise_id in history:
        parent, last = _place(promise_id)
        number = last.removesuffix(REMOTE_MARK)
        if number.isdecimal():
            numbers[parent] = max(int(number), numbers.get(parent, 0))
    return numbers


def _place(promise_id: str) -> tuple[str, str]:
    """Return the id of the parent, and the last segment."""
    parent, _, last = promise_id.rpartition("." if "." in promise_id.rpartition(":")[2] else ":")
    return parent, last
