"""One seed, one history: processes that die, stall and are replaced, a network that loses, a world that interferes."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.engine.stage import NAME
from tests.simulation.audit import is_settled
from tests.simulation.deployment import ADDRESS, PROCESSES, SWEEP_MS, Deployment
from tests.simulation.faults import EPOCH_MS, Odds
from tests.simulation.seams import seams
from tests.simulation.workloads import RELEASES, SHAPED, WORKLOADS, Workload, fits, settlement

from resonate_faas import Invocation
from resonate_faas._engine.invocation import invocation
from resonate_faas._machine.objects import (
    TARGET,
    Poke,
    PromiseObject,
    PromiseState,
    ScheduleObject,
    TaskState,
    schedule_key,
)
from resonate_faas._machine.requests import (
    RegisterListener,
    ScheduleCreate,
    ScheduleDelete,
    TaskContinue,
    TaskHalt,
)
from resonate_faas._node import Node

FAULTS_MS: Final = (60_000, 900_000)
"""How long things go wrong, at least and at most."""
CALM_MS: Final = 8 * 3_600_000
"""Within which everything must end once nothing goes wrong: long sleeps, then the longest back-offs, several times."""
REST_MS: Final = 400_000
"""How long a root has ended when it is removed and started anew: longer than any request is under way."""
TAIL: Final = 60


@dataclass
class Started:
    """A root that somebody asked for; ``lives``: how often it is to be executed from here on."""

    id: str
    workload: Workload
    args: list[Any]
    lives: int


@dataclass
class Simulation(Deployment):
    """All of it, for one seed.

    Attributes:
        only: the workloads to run; None: some of all, by the dice.
        scheduled: a schedule starts roots, too; None: by the dice, among all workloads.
        faults_ms: how long things go wrong, at least and at most.
        calm_ms: within which everything must end once nothing goes wrong.
    """

    only: tuple[Workload, ...] | None = None
    scheduled: bool | None = None
    faults_ms: tuple[int, int] = FAULTS_MS
    calm_ms: int = CALM_MS
    started: list[Started] = field(default_factory=list)

    @property
    def trace(self) -> list[str]:
        return self.world.trace

    @property
    def fingerprint(self) -> str:
        """A digest of everything that happened."""
        return hashlib.blake2b("\n".join(self.trace).encode()).hexdigest()

    # ---- one run

    def run(self) -> None:
        """Safety under faults, then liveness without.

        Raises:
            AssertionError: an invariant is broken, something acknowledged is gone, or it does not end as it must.
        """
        with seams(self.scheduler, self.audit):
            try:
                self._run()
            finally:
                self.scheduler.end()

    def _run(self) -> None:
        for code in RELEASES:
            code.set_dependency("stage", self)
        for _ in range(PROCESSES):
            self.boot()
        self._draw_work()
        self._sweep()
        self._live()
        self._answer()
        faults_ms = self.random.randrange(*self.faults_ms)
        self.scheduler.run(self._is_over, limit_ms=faults_ms)
        self.calm_down()
        ended = self.scheduler.run(self._is_over, limit_ms=self.scheduler.now + self.calm_ms)
        self.audit.check()
        assert ended, f"it never ends: {self._unsettled()} {self._unfinished()}"
        self.check_end()

    def _is_over(self) -> bool:
        self.audit.check()
        return self.pending == 0 and not self._unsettled() and not self._unfinished()

    def _unsettled(self) -> list[str]:
        return [one.id for one in self.started if one.lives > 1 or not is_settled(self.audit.last(one.id))]

    def _unfinished(self) -> list[str]:
        """Return what still has to happen: roots to settle, tasks to fulfil, waiters to tell."""
        return [
            f"{one.id} {one.task and one.task.state} {one.promise.callbacks} {one.reason or ''}"
            for one in self.audit.promises()
            if (one.task is not None and one.task.state is not TaskState.FULFILLED)
            or (is_settled(one) and (one.promise.callbacks or one.promise.listeners))
        ]

    # ---- the world

    def _draw_work(self) -> None:
        draw = self.random
        if self.only is not None:
            chosen = list(self.only)
        else:
            chosen = draw.sample(WORKLOADS, draw.choice([1, 2, 3])) + draw.sample(SHAPED, draw.choice([0, 1]))
        for one in chosen:
            root = "root" if one in SHAPED else one.function
            wanted = Started(root, one, one.args(draw), one.lives)
            self.started.append(wanted)
            self.scheduler.after(draw.randrange(60_000), partial(self._start, wanted))
        if draw.random() < (0.3 if self.scheduled is None and self.only is None else bool(self.scheduled)):
            self.scheduler.after(draw.randrange(30_000), self._schedule)

    def _listen(self, root: str) -> None:
        """Let somebody ask to be told of a root's settlement."""
        listen = RegisterListener(awaited=root, address="http://listener.invalid")
        self.within(f"listen {root}", lambda node: node.server.ask(listen))

    def _start(self, one: Started) -> None:
        wanted = Invocation(function=one.workload.function, args=one.args, id=one.id)
        self.request(f"start {one.id}", lambda node: node.client.invoke(wanted))
        self.scheduler.after(self.random.randrange(5_000, 100_000), lambda: self._listen(one.id))
        if one.lives > 1:
            self.scheduler.after(REST_MS, lambda: self._remove(one))
        if one.workload.dooms:
            self.scheduler.after(self.random.randrange(20_000, 200_000), lambda: self._doom(one))

    def _doom(self, one: Started) -> None:
        """Let somebody cancel a root, once there is one."""
        if self.audit.at(one.id) is None:
            self.scheduler.after(20_000, lambda: self._doom(one))
        else:
            self._settle(one.id, PromiseState.CANCELED)

    def _remove(self, one: Started) -> None:
        """Remove a root long after its end, its children left behind, and let it be started anew under its id."""
        found = self.audit.at(one.id)
        last = self.audit.last(one.id)
        rest_ms = EPOCH_MS + self.scheduler.now - (last.at if last is not None else EPOCH_MS)
        if is_settled(last) and rest_ms > REST_MS:
            if found is not None:
                stored = self.base.read((one.id,))[one.id]
                self.base.write({one.id: stored.revision}, {one.id: None}, "removed")
                self.audit.forget(one.id)
            self.world.tell(f"removed {one.id}")
            one.lives -= 1
            self.generation += 1
            self._start(one)
        else:
            self.scheduler.after(REST_MS, lambda: self._remove(one))

    def _schedule(self) -> None:
        def create(node: Node) -> None:
            param = invocation("ticking", [], {}, version=1, codec=node.resonate.codec)
            create = ScheduleCreate(
                id="clockwork",
                cron="* * * * *",
                promise_id="{{.id}}-{{.timestamp}}",
                promise_timeout=24 * 3_600_000,
                next_run_at=0,
                promise_param=param,
                promise_tags={TARGET: ADDRESS},
            )
            node.server.create_schedule(create)

        self.request("schedule", create)

    def _sweep(self) -> None:
        self.within("sweep", lambda node: node.server.sweep())
        self.scheduler.after(SWEEP_MS + self.random.randrange(2_000), self._sweep)

    def _answer(self) -> None:
        """Let somebody settle one of the promises that wait for the world."""
        open_ones = [one for one in self.audit.promises() if self._may_settle(one)]
        if open_ones:
            chosen = self.random.choice(open_ones).promise
            self._settle(chosen.id, *settlement(chosen.tags[NAME]))
        self.scheduler.after(self.random.randrange(1_000, 40_000), self._answer)

    def _may_settle(self, one: PromiseObject) -> bool:
        name = one.promise.tags.get(NAME)
        if name is None or is_settled(one):
            return False
        return not name.startswith("never") or is_settled(self.audit.at(one.id.partition(":")[0]))

    def _settle(self, promise_id: str, state: PromiseState, value: Any = None) -> None:
        self.request(f"settle {promise_id}", lambda node: node.client.settle(promise_id, state, value))

    def _live(self) -> None:
        """Let something happen that nobody asked for."""
        if self.is_calm:
            return
        draw = self.random
        keys = sorted(self.audit.objects)
        match draw.choice(["old", "old", "old", "poke", "crash", "stop", "stall", "halt", "nothing"]):
            case "old" if self.network.old:
                self.deliver(draw.choice(self.network.old))
            case "poke" if keys:
                self.deliver(Poke(id=draw.choice(keys), not_before=0))
            case "crash" if self.running and self.world.odds.crash:
                self.world.tell("crash")
                self.kill(draw.choice(self.running).process)
            case "stop" if self.running:
                self.stop(draw.choice(self.running))
            case "stall" if self.running and self.world.odds.stall:
                chosen = draw.choice(self.running).process
                chosen.stalled_until = self.scheduler.now + draw.randrange(70_000)
                self.world.tell(f"{chosen.name} stalls")
            case "halt" if keys:
                self._halt(draw.choice(keys))
        self.scheduler.after(draw.randrange(500, 30_000), self._live)

    def _halt(self, key: str) -> None:
        """Let an operator halt a task, and change their mind."""
        found = self.audit.at(key)
        if found is not None and found.task is not None:
            self.within(f"halt {key}", lambda node: node.server.ask(TaskHalt(id=key)))
            delay = self.random.randrange(1_000, 60_000)
            self.scheduler.after(delay, lambda: self._continue(key))

    def _continue(self, key: str) -> None:
        self.within(f"continue {key}", lambda node: node.server.ask(TaskContinue(id=key)))

    # ---- the end

    def calm_down(self) -> None:
        """Let nothing go wrong any more: every process runs the newest release, an operator revives what is halted."""
        self.is_calm = True
        self.world.tell("from here on nothing goes wrong")
        self.world.odds = Odds.none()
        for one in self.running:
            self.kill(one.process)
        for _ in range(PROCESSES):
            self.boot()
        self._revive()
        self.request("unschedule", lambda node: node.server.ask(ScheduleDelete(id="clockwork")))

    def _revive(self) -> None:
        for one in list(self.audit.promises()):
            if one.task is not None and one.task.state is TaskState.HALTED:
                self._continue(one.id)
        self.scheduler.after(SWEEP_MS, self._revive)

    def check_end(self) -> None:
        """Compare what is stored with what was seen, and what came of each root with a plain run."""
        objects = self.audit.objects
        kinds: tuple[Any, ...] = ("promise", "schedule")
        stored = {one.id: one for kind in kinds for one in self.base.search(kind, limit=1_000)}
        assert stored == objects, "the store does not hold what was acknowledged"
        self.audit.look(objects)
        self.audit.check()
        reader = self.running[0].node
        for one in self.started:
            outcome = self.outcome(reader, one.id)
            accepted = one.workload.outcomes(one.args)
            assert any(fits(outcome, expected) for expected in accepted), (
                f"{one.id} came to {outcome}, which is none of {accepted}"
            )
            successors = sorted(
                str(self.outcome(reader, key)[1])
                for key in self.audit.past
                if key.startswith(f"{one.id}-d") and ":" not in key
            )
            assert successors == sorted(one.workload.successors(one.args)), f"{one.id} started {successors}"
        self._check_schedule(reader)

    def _check_schedule(self, reader: Node) -> None:
        """Every occurrence until the last one that fired must have run, and run right."""
        past = [
            one
            for one in self.audit.past.get(schedule_key("clockwork"), ())
            if isinstance(one, ScheduleObject)
        ]
        if not past or past[-1].schedule.last_run_at is None:
            return
        first, last = past[0].schedule.next_run_at, past[-1].schedule.last_run_at
        fired = sorted(key for key in self.audit.past if key.startswith("clockwork-") and ":" not in key)
        expected = [f"clockwork-{at}" for at in range(first, last + 1, 60_000)]
        assert fired == expected, f"{fired} came of the schedule, not {expected}"
        for key in fired:
            assert self.outcome(reader, key) == ("value", "tick."), key

    def outcome(self, node: Node, root: str) -> tuple[str, Any]:
        """Return the result of an execution, or the type and text of its error."""
        found = self.audit.last(root)
        assert found is not None
        assert is_settled(found)
        try:
            return "value", node.client.result(found.promise)
        except Exception as error:  # noqa: BLE001 - whatever the workflow raised
            return type(error).__name__, str(error)


def simulate(seed: int, **options: Any) -> Simulation:
    """Run one seed.

    Raises:
        AssertionError: with what was violated, the command that repeats it, and the end of the trace.
    """
    simulation = Simulation(seed, **options)
    log = logging.getLogger("resonate_faas")
    level = log.level
    log.setLevel(logging.CRITICAL)  # not the attribute: loggers remember what they are enabled for
    try:
        simulation.run()
    except Exception as error:
        tail = "\n".join(simulation.trace[-TAIL:])
        names = ",".join(one.function for one in simulation.only or ())
        command = f"make simulate SEED={seed}" + (f" ONLY={names}" if names else "")
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n--- the end of the trace\n{tail}\n--- repeat: {command}"
        ) from error
    finally:
        log.setLevel(level)
    return simulation
