"""Whether today's code goes on with executions that are on record: a replay without a step, a write or a network.

The engine is asked for the rounds of an activation, and given only what is on record. What it would create, start or
settle beyond that ends the replay: so far, the code does what was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from resonate_faas._called import called
from resonate_faas._engine.calls import described, marks_of
from resonate_faas._engine.execution import PROMISES_MAX, EngineSettings, Execution, Round
from resonate_faas._engine.invocation import invoked
from resonate_faas._engine.recorded import Difference, History
from resonate_faas._errors import (
    ArgumentsError,
    DecodingError,
    FunctionNotFoundError,
    NonDeterminismError,
    WorkflowInterrupt,
)
from resonate_faas._guards import Guard, source_of, watch_of
from resonate_faas._histories import RecordedTree
from resonate_faas._machine.objects import EMPTY, Promise, PromiseState, Value
from resonate_faas._machine.requests import Effect, Record
from resonate_faas._resonate import Resonate

_LINK_BASE: Final = "https://replay.invalid"
_ROUNDS_MAX: Final = 2 * PROMISES_MAX
"""Each round beyond the first needs a record that answers it."""


class Outcome(StrEnum):
    """What came of a replay."""

    CLEAN = "clean"  # the code did what is on record, as far as that goes
    DIVERGED = "diverged"  # it did something else
    REFUSED = "refused"  # it did what no workflow may, as a guard saw
    MISSING = "missing"  # the function, or this version of it, is not registered
    UNREADABLE = "unreadable"  # the arguments can't be read, or do not fit the signature any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one replay.

    Attributes:
        promise_id: the execution.
        function: what it invokes; "" if its record does not say.
        version: of the function.
        outcome: what came of it.
        until: how far it came, in words: to its end, to what it waits for, to the first call that is not recorded.
        reason: why it is not clean; "" if it is.
        divergence: both sides, if it diverged.
        notes: what a person may want to know besides.
        records: how many were replayed.
    """

    promise_id: str
    function: str
    version: int
    outcome: Outcome
    until: str = ""
    reason: str = ""
    divergence: NonDeterminismError | None = None
    notes: tuple[str, ...] = ()
    records: int = 0


def replay_check(
    resonate: Resonate,
    tree: RecordedTree,
    *,
    guard: Guard | None = None,
    dependencies: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """Replay an execution, and each one that it called as a task of its own, against the code that is registered.

    The code of workflows runs in this thread, up to what is not on record; steps do not.

    Args:
        resonate: the business code.
        tree: what is on record.
        guard: replaces the guard that the business code asks for.
        dependencies: given to workflows besides those of the business code, and before them.

    Returns:
        One verdict for each execution, the root first. No task in the tree: none.
    """
    given = {**resonate.dependencies, **(dependencies or {})}
    return [_Replay(resonate, tree, task, guard or resonate.guard, given).verdict() for task in tree.tasks]


class _Replay:
    """One replay.

    Args:
        resonate: the business code.
        tree: what is on record.
        root: the execution.
        guard: over its workflows.
        dependencies: given to them.
    """

    def __init__(
        self,
        resonate: Resonate,
        tree: RecordedTree,
        root: Promise,
        guard: Guard,
        dependencies: Mapping[str, Any],
    ) -> None:
        self._resonate = resonate
        self._tree = tree
        self._root = root
        self._history = tree.history(root.id)
        self._notes: dict[str, None] = {}
        self._has_links = False
        self._settings = EngineSettings(
            link=self._link,
            dependencies=dependencies,
            watch=watch_of(guard, self._log),
            source=source_of,
        )

    def verdict(self) -> Verdict:
        """Replay, and say what came of it."""
        asked = called(self._root, self._resonate.codec)
        outcome, until, reason = Outcome.CLEAN, "", ""
        divergence = None
        try:
            until = self._replayed()
        except FunctionNotFoundError as error:
            outcome, reason = Outcome.MISSING, str(error)
        except (DecodingError, ArgumentsError) as error:
            outcome, reason = Outcome.UNREADABLE, str(error)
        except NonDeterminismError as error:
            outcome, reason, divergence = Outcome.DIVERGED, str(error), error
        except WorkflowInterrupt as error:
            outcome, reason = Outcome.REFUSED, str(error)
        return Verdict(
            promise_id=self._root.id,
            function=asked.function,
            version=asked.version,
            outcome=outcome,
            until=until,
            reason=reason,
            divergence=divergence,
            notes=tuple(self._notes),
            records=len(self._history),
        )

    def _replayed(self) -> str:
        """Replay to the first thing that is not on record; say how far that is.

        Raises:
            WorkflowInterrupt: the code diverged, or did what it may not.
            FunctionNotFoundError, DecodingError, ArgumentsError: it can't even begin.
        """
        codec, registry = self._resonate.codec, self._resonate.registry
        function, args, kwargs = invoked(self._root, registry, codec)
        execution = Execution(
            replace(self._root, state=PromiseState.PENDING, value=EMPTY, settled_at=None),
            "",
            function,
            args,
            kwargs,
            history=self._history,
            registry=registry,
            codec=codec,
            settings=self._settings,
        )
        execution.history = _RecordedHistory(self._history, self)
        try:
            return self._driven(execution)
        finally:
            execution.close()

    def _driven(self, execution: Execution) -> str:
        for _ in range(_ROUNDS_MAX):
            turn = execution.advance(self._now_ms)
            answers = {one.id: self._tree.records[one.id] for one in self._answered(turn)}
            if not answers:
                return self._far(execution, turn)
            execution.stored(answers)
        raise RuntimeError(f"the replay of {self._root.id!r} does not come to rest")

    @property
    def _now_ms(self) -> int:
        """The instant of the replay: when it ended, or was read."""
        ended = self._root.settled_at
        return self._tree.exported_at if ended is None else ended

    def _answered(self, turn: Round) -> Iterator[Effect]:
        """Yield the creates that records of the tree outside this history answer: ids of the user's own."""
        for effect in turn.effects:
            if (
                isinstance(effect, Record)
                and effect.id in self._tree.records
                and effect.id not in self._history
            ):
                yield effect

    def _far(self, execution: Execution, turn: Round) -> str:
        """Return how far the replay came, in words."""
        is_live = self._root.state is PromiseState.PENDING
        if turn.finish is not None:
            if is_live:
                return "it would end now"
            self._compare(turn.finish.state, turn.finish.value)
            return "to its end"
        following = [_words(effect, self._resonate) for effect in turn.effects]
        following += [f"run {one.function.name}" for one in turn.launches]
        if not following:
            return f"waits for {', '.join(execution.awaiting()[:3]) or 'nothing'}"
        if self._root.state in {PromiseState.RESOLVED, PromiseState.REJECTED}:
            self._notes[f"it had ended; this code would go on with: {following[0]}"] = None
        return f"next: {following[0]}"

    def _compare(self, state: PromiseState, value: Value) -> None:
        """Note that an ended execution comes to something else today; that strands nobody."""
        root = self._root
        if root.state in {PromiseState.RESOLVED, PromiseState.REJECTED} and (state, value) != (
            root.state,
            root.value,
        ):
            self._notes[f"it was {root.state} then; this code comes to another result"] = None

    # ---- what the engine asks of its surroundings

    def differs(self, difference: Difference | None) -> Difference | None:
        """Let pass what only the deployment can make: an argument with a link, whose token has the deployment's key."""
        if difference is None or not self._has_links or difference.marks != ("digest",):
            return difference
        self._notes[
            f"the arguments of {difference.promise_id!r} were not compared: the workflow makes links, which only "
            "the deployment can make again"
        ] = None
        return None

    def _link(self, promise_id: str, birth: str, action: str) -> str:
        del birth
        self._has_links = True
        return f"{_LINK_BASE}/promises/{quote(promise_id, safe='')}/{action}"

    def _log(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        del level
        self._notes[f"{event}: {fields.get('function')} {fields.get('does')} at {fields.get('line')}"] = None


class _RecordedHistory(History):
    """The records, compared by the replay's own measure.

    Args:
        records: by id.
        measure: whose.
    """

    def __init__(self, records: Mapping[str, Promise], measure: _Replay) -> None:
        super().__init__(records, measure._resonate.codec)  # noqa: SLF001 - two halves of one thing
        self._measure = measure

    def check(self, recorded: Promise, param: Value, line: Callable[[], str]) -> Difference | None:
        """Compare a call with the record at its id."""
        return self._measure.differs(super().check(recorded, param, line))


def _words(effect: Effect, resonate: Resonate) -> str:
    """Return an effect in words: the call that it records."""
    if not isinstance(effect, Record):
        return f"settle {effect.id}"
    marks = marks_of(effect.id, effect.param, resonate.codec)
    return f"{described(marks)} ({effect.id})" if marks else f"create {effect.id}"


__all__ = ["Outcome", "Verdict", "replay_check"]
