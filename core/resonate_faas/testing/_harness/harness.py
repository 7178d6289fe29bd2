"""The harness: runs workflows in a test, in memory with a clock that skips, or on a deployment by its URL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from resonate_faas._client import fresh_id
from resonate_faas._engine.execution import PROMISES_MAX
from resonate_faas._engine.invocation import invocation
from resonate_faas._guards import Guard
from resonate_faas._invocation import Invocation
from resonate_faas._machine.objects import DEFAULT_RULES, SCOPE, TARGET, Promise, PromiseState, Rules
from resonate_faas._machine.requests import ScheduleCreate
from resonate_faas._resonate import Resonate
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing._deployment import TARGET as OWN_TARGET
from resonate_faas.testing._harness import checks
from resonate_faas.testing._harness.cuts import Knife
from resonate_faas.testing._harness.deployed import Deployment
from resonate_faas.testing._harness.findings import Report
from resonate_faas.testing._harness.history import Entry, History, read_history
from resonate_faas.testing._harness.outside import NO_TAGS, Outside
from resonate_faas.testing._harness.places import Place, asked_of, skip
from resonate_faas.testing._harness.run import Run, Schedule
from resonate_faas.testing._harness.runner import Difference
from resonate_faas.testing._harness.stubs import name_of
from resonate_faas.testing._harness.texts import moment
from resonate_faas.testing._harness.world import ATTEMPTS_MAX, Plan, World, milliseconds_of

Setup = Callable[["Harness"], None]
DAY_MS = 86_400_000


class Harness(Outside):
    """Runs workflows in a test; a context manager.

    The engine, the machine and the records are the real ones. In memory, time passes only when the test says so
    and takes no time; steps run one after another on the test's thread, stubs in the place of those that the test
    names. Against a deployment, time is real: what needs a virtual clock or stubs skips the test, and says so.

    Args:
        resonate: the business code.
        setup: makes the outside world anew (fakes, stubs, answers): called with this harness and with each fresh one
            that a check makes. Without it, checks copy the dependencies as they are when the check begins.
        url: of a deployment; None: in memory.
        token: for the deployment.
        wait_s: the longest to wait for the deployment in a row, seconds.
        rules: the machine's settings, in memory.
        worker: the worker's settings, in memory.
        promises_max: records of one root, in memory.
        guard: what becomes of a workflow that does, outside its steps, what a replay can't repeat (clock, random
            numbers, files, network): in memory "error" fails the test at once, with the line; "warn" and "off" don't.
        attempts_max: a step that fails this often fails the test, in memory: it would be retried for days.
    """

    def __init__(
        self,
        resonate: Resonate,
        *,
        setup: Setup | None = None,
        url: str | None = None,
        token: str | None = None,
        wait_s: float = 10.0,
        rules: Rules = DEFAULT_RULES,
        worker: WorkerSettings | None = None,
        promises_max: int = PROMISES_MAX,
        guard: Guard = "error",
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        plan = Plan(
            resonate=resonate,
            rules=rules,
            worker=worker or WorkerSettings(heartbeats=False),
            promises_max=promises_max,
            guard=guard,
            attempts_max=attempts_max,
        )
        place: Place = World(plan) if url is None else Deployment(url, token=token, wait_s=wait_s)
        self._settle_in(plan, setup, place)

    def _settle_in(self, plan: Plan, setup: Setup | None, place: Place) -> None:
        Outside.__init__(self, plan, place)
        self._setup = setup
        self._runs: list[Run] = []
        if setup is not None and isinstance(place, World):
            setup(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Harness:
        return self  # fakes hold the harness they declare effects to

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to a deployment; in memory there is nothing to close."""
        if isinstance(self._place, Deployment):
            self._place.close()

    # ---- executions

    def start(
        self,
        workflow: Callable[..., Any] | str | Invocation,
        *args: Any,
        id: str | None = None,  # noqa: A002 - the protocol's word
        **kwargs: Any,
    ) -> Run:
        """Start an execution; nothing runs yet.

        Args:
            workflow: a registered function, its name, or an Invocation (which has timeout, delay and version).
            args: its arguments.
            id: of the execution; by default its name and a number, on a deployment a fresh one.
            kwargs: its keyword arguments.

        Raises:
            FunctionNotFoundError: it is not registered.
            ArgumentsError: the arguments do not fit; nothing was stored.
        """
        if isinstance(workflow, Invocation):
            wanted = replace(workflow, id=workflow.id or id)
        else:
            name = workflow if isinstance(workflow, str) else name_of(workflow, self._plan.resonate.registry)
            wanted = Invocation(function=name, args=args, kwargs=kwargs, id=id)
        promise_id = wanted.id or self._next_id(wanted.function)
        self._place.invoke(replace(wanted, id=promise_id))
        run = Run(self, promise_id, wanted.function)
        self._runs.append(run)
        return run

    def _next_id(self, name: str) -> str:
        stem = fresh_id(name)
        return f"{stem.rpartition('-')[0]}-{len(self._runs) + 1}" if self.is_virtual else stem

    def run(
        self,
        workflow: Callable[..., Any] | str | Invocation,
        *args: Any,
        id: str | None = None,  # noqa: A002 - the protocol's word
        **kwargs: Any,
    ) -> Any:
        """Start an execution, let time pass until it has ended, and return its result as JSON data, or raise its error."""
        return self.start(workflow, *args, id=id, **kwargs).result()

    @property
    def runs(self) -> tuple[Run, ...]:
        """The executions that this harness started, in order."""
        return tuple(self._runs)

    def result(self, run: Run | str | None = None) -> Any:
        """Return the result of an execution, the latest by default; see :meth:`Run.result`."""
        return self._of(run).result()

    def history(self, run: Run | str | None = None) -> History:
        """Return what an execution, the latest by default, has on record; failed attempts are counted, not listed."""
        root_id = self._of(run).id
        steps = self._place.ledger.runs if isinstance(self._place, World) else ()
        return read_history(self._place.tree(root_id), root_id, self._plan.resonate.codec, steps)

    def find(self, promise_id: str) -> Promise | None:
        """Return a promise as it stands; None: unknown."""
        return self._place.find(promise_id)

    def _of(self, run: Run | str | None) -> Run:
        if isinstance(run, Run):
            return run
        if run is not None:
            return Run(self, run, "")
        if not self._runs:
            raise AssertionError("nothing was started yet: call start or run first")
        return self._runs[-1]

    def schedule(
        self,
        cron: str,
        workflow: Callable[..., Any] | str,
        *args: Any,
        id: str = "schedule",  # noqa: A002 - the protocol's word
        zone: str = "UTC",
        **kwargs: Any,
    ) -> Schedule:
        """Start a function by the clock, in memory: it fires as :meth:`advance` passes its instants.

        Args:
            cron: minute, hour, day, month, weekday.
            workflow: a registered function, or its name.
            args: its arguments.
            id: of the schedule.
            zone: IANA name.
            kwargs: its keyword arguments.

        Raises:
            CronError: the expression or zone is wrong.
        """
        registry, codec = self.world.resonate.registry, self.world.resonate.codec
        name = workflow if isinstance(workflow, str) else name_of(workflow, registry)
        param = invocation(name, args, kwargs, version=registry.get(name).version, codec=codec)
        self.world.schedule(
            ScheduleCreate(
                id=id,
                cron=cron,
                zone=zone,
                promise_id="{{.id}}-{{.timestamp}}",
                promise_timeout=DAY_MS,
                next_run_at=0,
                promise_param=param,
                promise_tags={TARGET: OWN_TARGET, SCOPE: "global"},
            )
        )
        return Schedule(self, id, name)

    # ---- time

    @property
    def now(self) -> datetime:
        """The time, UTC: virtual in memory, this machine's else."""
        return moment(self._place.now_ms())

    def advance(self, by: timedelta | float) -> None:
        """Let time pass, and do what comes due.

        Args:
            by: seconds or timedelta. On a deployment, what is longer than ``wait_s`` skips the test.
        """
        duration_ms = milliseconds_of(by)
        if isinstance(self._place, World):
            self._place.pass_time(until_ms=self._place.now_ms() + duration_ms)
        elif duration_ms > self._place.wait_s * 1000:
            skip(
                f"let {timedelta(milliseconds=duration_ms)} pass (wait_s is {self._place.wait_s:g})",
                self._place,
            )
        else:
            self._place.wait(duration_ms / 1000)

    def run_until_idle(self) -> None:
        """Do everything that can be done now: until all that was started has ended or waits. Time stands still."""
        place = self._place
        if isinstance(place, World):
            place.settle_down()
            return
        roots = [run.id for run in self._runs]
        place.until(lambda: all(map(place.is_idle, roots)), lambda: f"{roots} go on")

    def run_until_done(self) -> None:
        """Let time pass until everything that was started has ended, and all that it started with ``ctx.detached``.

        Raises:
            AssertionError: something waits for what never comes, or there are more than 100 executions.
        """
        place = self._place
        if isinstance(place, World):
            place.finish()
            return
        for run in self._runs:
            run.settled()
            for successor in run.successors():
                successor.settled()

    # ---- external promises

    def waiting(self, *, tags: Mapping[str, str] = NO_TAGS, id: str | None = None) -> list[Entry]:  # noqa: A002 - the protocol's word
        """Return the external promises that wait for somebody, oldest first, once everything else has been done."""
        self.run_until_idle()
        return [self._entry(one) for one in self._waiting(tags, id)]

    def _waiting(self, tags: Mapping[str, str], promise_id: str | None) -> list[Promise]:
        found = asked_of(self._place, [run.id for run in self._runs])
        return [
            one
            for one in found
            if promise_id in (None, one.id) and all(one.tags.get(name) == text for name, text in tags.items())
        ]

    def _entry(self, promise: Promise) -> Entry:
        return read_history([promise], promise.id, self._plan.resonate.codec)[0]

    def resolve(self, value: Any = None, *, tags: Mapping[str, str] = NO_TAGS, id: str | None = None) -> None:  # noqa: A002 - the protocol's word
        """Resolve the one external promise that waits, of those with the tags or the id; then do what follows now.

        Raises:
            AssertionError: none waits, or more than one.
        """
        self._settle(PromiseState.RESOLVED, value, tags, id)

    def reject(self, message: str = "", *, tags: Mapping[str, str] = NO_TAGS, id: str | None = None) -> None:  # noqa: A002 - the protocol's word
        """Reject it, as :meth:`resolve`."""
        self._settle(PromiseState.REJECTED, message, tags, id)

    def cancel(self, *, tags: Mapping[str, str] = NO_TAGS, id: str | None = None) -> None:  # noqa: A002 - the protocol's word
        """Cancel it, as :meth:`resolve`."""
        self._settle(PromiseState.CANCELED, None, tags, id)

    def _settle(
        self, state: PromiseState, value: Any, tags: Mapping[str, str], promise_id: str | None
    ) -> None:
        self.run_until_idle()
        found = self._waiting(tags, promise_id)
        if len(found) != 1:
            wanted = " and ".join(
                [*([f"the id {promise_id!r}"] if promise_id else []), *map(str, tags.items())]
            )
            there = [(one.id, dict(self._entry(one).tags)) for one in self._waiting(NO_TAGS, None)]
            words = f"{len(found)} external promises wait{f' with {wanted}' if wanted else ''}, not one"
            raise AssertionError(f"{words}; waiting are: {there or 'none'}")
        self._place.settle(found[0].id, state, value)
        self.run_until_idle()

    # ---- checks

    def crash_matrix(
        self,
        workflow: Callable[..., Any] | str | None = None,
        *args: Any,
        scenario: Callable[[Harness], Any] | None = None,
        may_differ: Collection[str] = (),
        **kwargs: Any,
    ) -> Report:
        """Run a workflow once for each way to crash at each operation it makes; it must always come to the same.

        Operations are the reads and writes of the store, the sends of the queue, and the effects that steps declare.
        At each the process dies before it, or after it; of a write or a send, also the answer may be lost. A fresh
        process goes on at once, at the same virtual instant.

        Args:
            workflow: as for :meth:`run`.
            args: its arguments.
            scenario: instead of a workflow: drives the fresh harness it is given, and returns what must be equal.
                One is needed for what never ends by itself: a loop of tail calls.
            may_differ: names of steps whose inputs and results may differ from run to run.
            kwargs: its keyword arguments.

        Returns:
            How many runs there were.

        Raises:
            AssertionError: another result or history, a step that ran again with other inputs, an effect that was
                lost, doubled without a key, or done outside a step. The text says where, and what to do.
        """
        return checks.crash_matrix(self._sibling, _scenario(workflow, args, kwargs, scenario), may_differ)

    def twice(
        self,
        workflow: Callable[..., Any] | str | None = None,
        *args: Any,
        scenario: Callable[[Harness], Any] | None = None,
        may_differ: Collection[str] = (),
        **kwargs: Any,
    ) -> Report:
        """Execute every step that succeeds twice, as a crash between its effect and its record would.

        The arguments are those of :meth:`crash_matrix`.

        Raises:
            AssertionError: a step returned something else or raised the second time, or an effect without a key was
                doubled.
        """
        return checks.twice(self._sibling, _scenario(workflow, args, kwargs, scenario), may_differ)

    def replay_every_step(
        self,
        workflow: Callable[..., Any] | str | None = None,
        *args: Any,
        scenario: Callable[[Harness], Any] | None = None,
        **kwargs: Any,
    ) -> Report:
        """Replay from every prefix of every history: the code must do what it did.

        The arguments are those of :meth:`crash_matrix`. Without a workflow and a scenario, what this harness ran so far is replayed.

        Raises:
            AssertionError: a replay diverged, made another call, or ended with another result.
        """
        if workflow is None and scenario is None:
            return checks.replay_every_step(self.world)
        stage = self._sibling(Knife(), None)
        _scenario(workflow, args, kwargs, scenario)(stage)
        return checks.replay_every_step(stage.world)

    def replay_recorded(self, exported: str | Path | Mapping[str, Any]) -> Report:
        """Replay an execution that was exported from a deployment: this code must make the calls on record.

        No step runs; the replay ends at the first call that is not on record.

        Args:
            exported: the file of ``resonate-faas history export``, or its JSON data.

        Returns:
            How many executions there were: the exported one, and those that it called as tasks of their own.

        Raises:
            AssertionError: a replay diverged, or can't begin: the function is not registered, the arguments do not fit.
            DecodingError: it is no exported execution.
        """
        return checks.replay_recorded(self._plan, exported)

    def _sibling(self, knife: Knife, again: list[Difference] | None) -> Harness:
        """Return a fresh harness of the same plan, in a world of its own."""
        world, plan = self.world, self._plan
        sibling = object.__new__(type(self))
        fresh = Plan(
            resonate=plan.resonate,
            rules=plan.rules,
            worker=plan.worker,
            promises_max=plan.promises_max,
            stubs={name: stub.fresh() for name, stub in plan.stubs.items()},
            answers=list(plan.answers),
            dependencies={} if self._setup is not None else self._copied(sibling, dict(world.dependencies)),
            guard=plan.guard,
            attempts_max=plan.attempts_max,
        )
        sibling._settle_in(fresh, self._setup, World(fresh, knife=knife, again=again))
        return sibling

    def _copied(self, sibling: Harness, dependencies: dict[str, Any]) -> dict[str, Any]:
        try:
            return deepcopy(dependencies, {id(self): sibling})
        except Exception as error:
            reason = "a check needs a fresh outside world for each run, and the dependencies can't be copied"
            raise TypeError(f"{reason} ({error}): make them in Harness(setup=...)") from error


def _scenario(
    workflow: Callable[..., Any] | str | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    scenario: Callable[[Harness], Any] | None,
) -> Callable[[Harness], Any]:
    if (workflow is None) == (scenario is None):
        raise ValueError("a check runs one thing: give a workflow and its arguments, or scenario=")
    if scenario is not None:
        return scenario
    assert workflow is not None
    target = workflow

    def whole(stage: Harness) -> Any:
        run = stage.start(target, *args, **kwargs)
        stage.run_until_done()
        return run.result()

    return whole
