"""Processes over one store and one network: booted, killed, stopped, replaced; and what reaches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.simulation.audit import Audit, is_settled
from tests.simulation.faults import Network, Odds, ProcessClock, ProcessQueue, ProcessStore, World, words
from tests.simulation.fibres import Process, Scheduler
from tests.simulation.workloads import RELEASES, STEADY, new, old

from resonate_faas import RequestRefusedError, Resonate, StepContext, StoreError
from resonate_faas._machine.objects import Execute, Message, Rules, TaskState, Unblock
from resonate_faas._node import Node
from resonate_faas._server import ServerSettings
from resonate_faas._worker import WorkerSettings
from resonate_faas.testing import MemoryStore, PrimitiveStore

ADDRESS: Final = "local://default"
PROCESSES: Final = 3
LEASES_MS: Final = (10_000, 30_000)
SWEEP_MS: Final = 60_000
RETENTIONS_MS: Final = (None, None, None, 600_000)


@dataclass
class Running:
    """A process, and what it serves."""

    process: Process
    node: Node
    release: Resonate


@dataclass
class Deployment:
    """What one seed deploys.

    Attributes:
        seed: decides everything.
        odds: of faults; None: drawn.
        store: makes the store that keeps the objects.
        process_store: how a process reaches it; another class is a store with a bug.
        generation: how often a root was removed and started anew; steps may tell it.
        pending: requests from outside without an answer so far.
    """

    seed: int
    odds: Odds | None = None
    store: Callable[[Rules], PrimitiveStore] = lambda rules: MemoryStore(rules=rules)
    process_store: type[ProcessStore] = ProcessStore
    running: list[Running] = field(default_factory=list)
    is_calm: bool = False
    pending: int = 0
    generation: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.scheduler = Scheduler(self.random)
        self.rules = Rules(retention_ms=self.random.choice(RETENTIONS_MS))
        self.audit = Audit()
        self.base = self.store(self.rules)
        odds = Odds.drawn(self.random)
        self.world = World(self.scheduler, self.base, self.audit, self.odds or odds, self.kill, [])
        self.network = Network(self.world, self.deliver)
        self.boots = 0
        self.lease_ms = self.random.choice(LEASES_MS)
        self.fast_recovery = self.random.random() < 0.5

    def boot(self) -> None:
        """Start a process with one of the releases."""
        self.boots += 1
        draw = self.random
        process = Process(f"p{self.boots}")
        clock = ProcessClock(self.scheduler, draw.randrange(-400, 400))
        release = new if self.is_calm else draw.choice(self._releases())
        node = Node(
            release,
            self.process_store(self.world, process),
            ProcessQueue(self.network, process, clock),
            clock=clock,
            target=ADDRESS,
            server=ServerSettings(
                rules=self.rules, sweep_interval_ms=SWEEP_MS, fast_recovery=self.fast_recovery
            ),
            worker=WorkerSettings(lease_ms=self.lease_ms),
        )
        self.running.append(Running(process, node, release))
        self.world.tell(f"boots {process.name}, release {RELEASES.index(release)}")

    def _releases(self) -> tuple[Resonate, ...]:
        """Return what may be deployed now: the bad release only where something is on record that it contradicts."""
        is_recorded = is_settled(self.audit.at(f"{STEADY}:1"))
        return RELEASES if is_recorded else (old, new)

    def kill(self, process: Process) -> None:
        """Let a process die now; another takes its place after a while."""
        if process.dead:
            return
        process.dead = True
        self.running = [one for one in self.running if one.process is not process]
        if not self.is_calm:
            self.scheduler.after(self.random.randrange(100, 40_000), self.boot)

    def any_process(self) -> Running | None:
        return self.random.choice(self.running) if self.running else None

    def within(self, name: str, act: Callable[[Node], object]) -> None:
        """Let some process act, in a thread of its own; what the store does to it is its own affair."""
        chosen = self.any_process()
        if chosen is None:
            return

        def body() -> None:
            try:
                act(chosen.node)
            except StoreError as error:
                self.world.tell(f"{name}: {error}")

        self.scheduler.spawn(name, chosen.process, body)

    def request(self, name: str, act: Callable[[Node], object]) -> None:
        """Let somebody outside ask until there is an answer: a request may die with the process that took it."""
        answered: list[bool] = []
        self.pending += 1

        def asked(node: Node) -> None:
            try:
                act(node)
            except RequestRefusedError:
                if not self.audit.deleted:
                    raise
            if not answered:
                answered.append(True)
                self.pending -= 1

        def ask() -> None:
            if not answered:
                self.within(name, asked)
                self.scheduler.after(20_000, ask)

        ask()

    def deliver(self, message: Message) -> None:
        """Hand a message to some process; a failed delivery may come again."""
        chosen = self.any_process()
        if chosen is None or isinstance(message, Unblock):
            return
        draw = self.random
        deadline = self.scheduler.now + draw.randrange(8_000, 90_000) if draw.random() < 0.15 else None

        def body() -> None:
            try:
                ended = chosen.node.deliver(message, deadline_mono_ms=deadline)
                self.world.tell(f"ended {ended.value}")
            except StoreError as error:
                self.world.tell(f"delivery failed: {error}")
                if draw.random() < 0.5:
                    self.scheduler.after(draw.randrange(1_000, 30_000), lambda: self.deliver(message))

        fibre = self.scheduler.spawn(words(message), chosen.process, body)
        if isinstance(message, Execute):
            fibre.task_id = message.id

    def stop(self, chosen: Running) -> None:
        """SIGTERM, and after a while SIGKILL."""
        self.world.tell(f"stop {chosen.process.name}")

        def body() -> None:
            chosen.node.worker.stop()
            chosen.node.server.quiesce()

        self.running.remove(chosen)
        self.scheduler.spawn("stop", chosen.process, body)
        self.scheduler.after(5_000, lambda: self.kill(chosen.process))

    # ---- what steps meet: they know the simulation as their stage

    def heard(self, step: StepContext) -> None:
        """Take note of a step that runs; it must not, if its outcome is on record and its task still is this one's."""
        self.world.tell(f"runs {step.info.id} attempt {step.info.attempt}")
        current = self.scheduler.current
        found = self.audit.at(step.info.id)
        if current is None or found is None or not is_settled(found):
            return
        holder = self.audit.at(current.task_id)
        if holder is None or holder.birth != found.birth:
            return  # an earlier execution left the record
        versions = [
            one.version
            for running in self.running
            if running.process is current.process
            for one in running.node.worker._active
            if one.task_id == current.task_id
        ]
        if holder.task is not None and versions:
            is_held = holder.task.state is TaskState.ACQUIRED and min(versions) >= holder.task.version
            if is_held:
                self.audit.violations.append(f"{step.info.id} runs although its outcome is on record")

    def pause(self, duration_ms: int) -> None:
        """Let a step take its time."""
        self.scheduler.pause(duration_ms)
