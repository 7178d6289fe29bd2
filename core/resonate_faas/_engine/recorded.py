"""What is on record, and whether the code still does it: lookups, divergence, how far earlier activations came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resonate_faas._engine.calls import described, marks_of
from resonate_faas._engine.codec import Codec
from resonate_faas._engine.frames import Frame
from resonate_faas._engine.ids import child_prefix
from resonate_faas._errors import NonDeterminismError
from resonate_faas._machine.ids import sort_key
from resonate_faas._machine.objects import PARENT, SCOPE, Promise, PromiseState, Value
from resonate_faas._machine.requests import Record


class History:
    """The records of a root, by id.

    Args:
        records: in call order, the root left out.
        codec: reads their params.

    Attributes:
        pending: ids of those not settled when last seen.
    """

    def __init__(self, records: Mapping[str, Promise], codec: Codec) -> None:
        self._records = records
        self._codec = codec
        self._children = _children(records)
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

    def pending_below(self, promise_id: str) -> list[str]:
        """Return the promises that a workflow and its local children have left pending, in call order."""
        prefix = child_prefix(promise_id)
        return sorted((one for one in self.pending if one.startswith(prefix)), key=sort_key)

    def check(self, recorded: Promise, param: Value, line: Callable[[], str]) -> NonDeterminismError | None:
        """Compare a call with the record at its id; None: it is the same function, kind and digest."""
        if recorded.param.data == param.data or self._same_marks(recorded, param):
            return None
        return NonDeterminismError(recorded.id, self._words(recorded), self._say(recorded.id, param), line())

    def met(
        self, sent: Record, found: Promise, *, is_successor: bool, has_own_id: bool
    ) -> NonDeterminismError | None:
        """Compare a create with the record that answered it; None: it met nothing, or the very same call.

        A successor (a detached root) must also be of the same parent: its id is a hash of the place. An id of the
        user's own may be shared by whoever calls the same function with the same arguments, by rpc or detached.
        """
        same = found.param.data == sent.param.data or self._same_marks(found, sent.param, any_kind=has_own_id)
        if same and not (is_successor and found.tags.get(PARENT) != sent.tags.get(PARENT)):
            return None
        return NonDeterminismError(found.id, self._words(found), self._say(found.id, sent.param))

    def unread(self, frame: Frame) -> NonDeterminismError | None:
        """Return what is wrong with a frame that ended: calls on record that it did not make."""
        recorded = self._children.get(frame.id, 0)
        if frame.visited >= recorded:
            return None
        error = frame.outcome[1] if frame.outcome is not None else None
        end = "a return" if error is None else f"raise {type(error).__name__}({error})"
        for number in range(frame.counter + 1, frame.counter + recorded + 2):
            for mark in ("", "r"):
                record = self.get(f"{frame.prefix}{number}{mark}")
                if record is not None:
                    return NonDeterminismError(record.id, self._words(record), f"{end} before this call")
        return NonDeterminismError(frame.id, "more calls", f"{end} before them")

    def _same_marks(self, recorded: Promise, param: Value, *, any_kind: bool = False) -> bool:
        marks = marks_of(recorded.id, recorded.param, self._codec)
        if marks is None:
            return True
        present = self._marks(recorded.id, param)
        return all(
            mark == present.get(name) for name, mark in marks.items() if name != "kind" or not any_kind
        )

    def _marks(self, promise_id: str, param: Value) -> dict[str, Any]:
        return marks_of(promise_id, param, self._codec) or {}

    def _words(self, promise: Promise) -> str:
        return described(self._marks(promise.id, promise.param))

    def _say(self, promise_id: str, param: Value) -> str:
        return described(self._marks(promise_id, param))


def _horizon(history: Mapping[str, Promise]) -> int:
    """Return the instant of the last event that an earlier activation recorded itself."""
    instants = (
        record.settled_at
        if record.tags.get(SCOPE) == "local" and record.settled_at is not None
        else record.created_at
        for record in history.values()
    )
    return max(instants, default=0)


def _children(history: Mapping[str, Promise]) -> dict[str, int]:
    """Return how many numbered children each frame has on record."""
    counts: dict[str, int] = {}
    for promise_id in history:
        parent, _, last = promise_id.rpartition("." if "." in promise_id.rpartition(":")[2] else ":")
        if not last.startswith("a"):
            counts[parent] = counts.get(parent, 0) + 1
    return counts
