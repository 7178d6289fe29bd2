"""The checks: crashes at every operation, every step twice, a replay from every prefix of the history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from resonate_faas._engine.calls import marks_of
from resonate_faas._engine.codec import digest
from resonate_faas._engine.execution import Execution, Round
from resonate_faas._engine.invocation import invoked
from resonate_faas._errors import DecodingError, FunctionNotFoundError, WorkflowInterrupt
from resonate_faas._histories import read_tree
from resonate_faas._machine.ids import owner
from resonate_faas._machine.objects import DEFAULT_RULES, Promise, PromiseObject, PromiseState, TaskState
from resonate_faas._machine.requests import PromiseSettle, Record
from resonate_faas._replay_check import Outcome, replay_check
from resonate_faas.testing._harness.cuts import Knife, places
from resonate_faas.testing._harness.findings import Finding, Report, concluded
from resonate_faas.testing._harness.runner import Difference
from resonate_faas.testing._harness.stories import RECORDED_ONLY, Story, compared, rerun, told
from resonate_faas.testing._harness.texts import exact, short
from resonate_faas.testing._harness.world import Plan, World
from resonate_faas.testing._memory_store import MemoryStore

CRASHES_MAX: Final = 5_000
"""A workflow with more is too large an example for a test: minutes."""

_ENDED_FROM_OUTSIDE: Final = frozenset({PromiseState.TIMEDOUT, PromiseState.CANCELED})


class Stage(Protocol):
    """A harness, as the checks see it."""

    @property
    def world(self) -> World:
        """Where it runs."""


@dataclass(slots=True)
class Trial:
    """One run of a scenario in a world of its own.

    Attributes:
        story: what happened.
        failure: what the scenario raised, if it did.
    """

    story: Story
    failure: Exception | None = None
    knife: Knife = field(default_factory=Knife)


Sibling = Callable[[Knife, "list[Difference] | None"], Stage]
"""Makes a fresh harness of the same plan."""

Scenario = Callable[[Any], Any]


def tried(sibling: Sibling, scenario: Scenario, knife: Knife, again: list[Difference] | None = None) -> Trial:
    """Run a scenario in a world of its own."""
    stage = sibling(knife, again)
    failure = None
    try:
        outcome = exact(scenario(stage))
        stage.world.settle_down()
    except Exception as error:  # noqa: BLE001 - the scenario's outcome, compared with that of the undisturbed run
        failure, outcome = error, f"raised {type(error).__name__}: {error}"
    return Trial(story=told(outcome, stage.world), failure=failure, knife=knife)


def undisturbed(sibling: Sibling, scenario: Scenario) -> Trial:
    """Run a scenario as it is.

    Raises:
        Exception: whatever the scenario raised: a workflow that is to fail is caught in a scenario of its own.
    """
    calm = tried(sibling, scenario, Knife())
    if calm.failure is not None:
        raise calm.failure
    return calm


def _against(calm: Trial, trial: Trial, where: str, may_differ: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with a run, measured by the undisturbed one; one that failed is not compared any further."""
    if trial.failure is None:
        yield from compared(calm.story, trial.story, where, may_differ)
        return
    yield from rerun(trial.story, where, may_differ)
    what = f"it did not come through: {type(trial.failure).__name__}: {trial.failure}"
    yield Finding(
        what=what, cure=f"{RECORDED_ONLY}; let each step do the same when it runs again", where=where
    )


def crash_matrix(sibling: Sibling, scenario: Scenario, may_differ: Collection[str]) -> Report:
    """Run a scenario once for each way to crash at each operation; see :meth:`Harness.crash_matrix`."""
    calm = undisturbed(sibling, scenario)
    cuts = places(calm.knife.points)
    if len(cuts) > CRASHES_MAX:
        raise ValueError(
            f"{len(cuts)} places to crash at, the limit is {CRASHES_MAX}: test a smaller example"
        )
    findings: list[Finding] = list(rerun(calm.story, "", may_differ))
    for point, cut in cuts:
        where = f"{cut.value}: operation {point.number}, {short(point.what)}"
        trial = tried(sibling, scenario, Knife(point.number, cut))
        if not trial.knife.fell:
            what = "the workflow makes other operations from run to run, even before anything is disturbed"
            findings.append(Finding(what=what, cure=RECORDED_ONLY, where=where))
        findings += _against(calm, trial, where, may_differ)
    return concluded("crash_matrix", len(cuts) + 1, findings)


def twice(sibling: Sibling, scenario: Scenario, may_differ: Collection[str]) -> Report:
    """Run a scenario with every step executed twice; see :meth:`Harness.twice`."""
    calm = undisturbed(sibling, scenario)
    differences: list[Difference] = []
    trial = tried(sibling, scenario, Knife(), differences)
    findings = [
        Finding(
            what=f"the step {one.run.call} does not come to the same when it runs again\n  first: {short(one.first)}\n  again: {short(one.second)}",
            cure="make it idempotent: a key that is the same in every run (step.info.id), an upsert instead of an insert. If only its result differs and may: name it in may_differ",
            where=one.run.id,
        )
        for one in differences
        if one.run.function not in may_differ
    ]
    findings += _against(calm, trial, "", may_differ)
    return concluded("twice", 2, findings)


# ---- replays


@dataclass(eq=False)
class Replays:
    """Replays the executions of one world from every prefix of their histories.

    Attributes:
        world: has been played to its end.
    """

    world: World
    count: int = 0

    def __post_init__(self) -> None:
        self._replica = MemoryStore(rules=DEFAULT_RULES, pause=lambda _: None)
        self._final = {one.id: one.promise for one in self.world.records()}

    def findings(self) -> Iterator[Finding]:
        """Yield the divergences, in the order of the writes."""
        ledger = self.world.ledger
        begun = len(ledger.strays)
        ledger.is_driving = True
        try:
            for number, written in enumerate(list(self.world.store.log), start=1):
                self._replica.write({}, written.writes, f"{number}")
                tasks = dict.fromkeys(owner(key) for key in written.writes)
                for task_id in tasks:
                    yield from self._after(task_id, written.at_ms, number)
        finally:
            ledger.is_driving = False
        for effect in ledger.strays[begun:]:
            yield from _stray(effect.text)

    def _after(self, task_id: str, at_ms: int, number: int) -> Iterator[Finding]:
        """Replay a task that is held: exactly what its activation knew at this moment."""
        found = self._replica.read((task_id,))[task_id].object
        if not isinstance(found, PromiseObject) or found.task is None:
            return
        if found.task.state not in {TaskState.ACQUIRED, TaskState.FULFILLED}:
            return
        history = {
            row.object.id: row.object.promise
            for page in self._replica.history(task_id)
            for row in page
            if isinstance(row.object, PromiseObject)
        }
        where = f"{task_id} with {len(history)} records (write {number})"
        try:
            yield from self._replay(found, history, at_ms, where)
        except WorkflowInterrupt as error:
            yield Finding(what=f"the replay diverged: {error}", cure=RECORDED_ONLY, where=where)

    def _replay(
        self, found: PromiseObject, history: dict[str, Promise], at_ms: int, where: str
    ) -> Iterator[Finding]:
        worker = self.world.inside.worker
        try:
            function, args, kwargs = invoked(found.promise, worker.registry, worker.codec)
        except (FunctionNotFoundError, DecodingError):
            return  # it never ran
        if not function.is_workflow:
            return
        self.count += 1
        execution = Execution(
            found.promise,
            found.birth,
            function,
            args,
            kwargs,
            history=history,
            registry=worker.registry,
            codec=worker.codec,
            settings=worker.engine,
        )
        try:
            turn = execution.advance(at_ms)
        finally:
            execution.close()
        yield from self._otherwise(turn, where)

    def _otherwise(self, turn: Round, where: str) -> Iterator[Finding]:
        """Yield what the replay would do next and the execution did not."""
        codec = self.world.resonate.codec
        for effect in turn.effects:
            if isinstance(effect, Record):
                asked = marks_of(effect.id, effect.param, codec)
                yield from self._compare(effect.id, asked, where)
        for launch in turn.launches:
            marks = digest(launch.args, launch.kwargs, launch.function.name)
            yield from self._compare(launch.id, {"func": launch.function.name, "digest": marks}, where)
        if turn.finish is not None:
            yield from self._compare_end(turn.finish, where)

    def _compare(self, promise_id: str, asked: dict[str, Any] | None, where: str) -> Iterator[Finding]:
        final = self._final.get(promise_id)
        recorded = None if final is None else marks_of(promise_id, final.param, self.world.resonate.codec)
        if final is not None and (asked is None or recorded is None):
            return
        if final is None and self._final[owner(promise_id)].state in _ENDED_FROM_OUTSIDE:
            return  # it never came to make this call
        differing = final is None or any(
            (recorded or {}).get(name) != (asked or {}).get(name) for name in ("func", "digest")
        )
        if differing:
            yield Finding(
                what=f"the replay calls something else at {promise_id}\n  recorded: {_words(recorded)}\n  now:      {_words(asked)}",
                cure=RECORDED_ONLY,
                where=where,
            )

    def _compare_end(self, finish: PromiseSettle, where: str) -> Iterator[Finding]:
        final = self._final[finish.id]
        if final.state in _ENDED_FROM_OUTSIDE:
            return
        if (final.state, final.value.data) != (finish.state, finish.value.data):
            yield Finding(
                what=f"the replay of {finish.id} ends with another result",
                cure=RECORDED_ONLY,
                where=where,
            )


def replay_every_step(world: World) -> Report:
    """Replay from every prefix of every history of a world; see :meth:`Harness.replay_every_step`."""
    replays = Replays(world)
    findings = list(replays.findings())
    return concluded("replay_every_step", replays.count, findings)


def replay_recorded(plan: Plan, exported: str | Path | Mapping[str, Any]) -> Report:
    """Replay an exported execution; see :meth:`Harness.replay_recorded`."""
    if isinstance(exported, Mapping):
        tree = read_tree(exported)
    else:
        tree = read_tree(Path(exported).read_bytes(), where=str(exported))
    verdicts = replay_check(plan.resonate, tree, guard=plan.guard, dependencies=plan.dependencies)
    cure = "make the change a branch with ctx.patched(name), or register it as another version"
    findings = [
        Finding(what=f"{one.outcome}: {one.reason}", cure=cure, where=one.promise_id)
        for one in verdicts
        if one.outcome is not Outcome.CLEAN
    ]
    return concluded("replay_recorded", len(verdicts), findings)


def _stray(text: str) -> Iterator[Finding]:
    yield Finding(
        what=f"an effect was done by a replay, outside any step: {short(text)}",
        cure="a workflow's own code runs again in every invocation: move the effect into a step (ctx.run)",
    )


def _words(marks: dict[str, Any] | None) -> str:
    if not marks:
        return "nothing"
    words = f"{marks.get('kind') or ''} {marks.get('func') or ''}".strip()
    return f"{words} (arguments {marks['digest']})" if marks.get("digest") else words
