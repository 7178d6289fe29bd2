"""Processes that die, deliveries that go wrong, two revisions: the right result, and nothing on record done again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx
import pytest
from tests.crash.journey import FAILURES, STEPS
from tests.crash.test_kill import check_end
from tests.crash.world import Witness
from tests.gcp.deployment import Deployed, until
from tests.gcp.front import Front

from resonate_faas._machine.objects import Promise, PromiseObject, TaskState

CRASH = Path(__file__).parents[1] / "crash"
KILLS = 30
WHOLE_EVERY = 10
"""Each tenth kill ends the whole instance, the others the process in which the function runs."""

INSTANCES = 2
LEASE_MS = 1_500
"""Below the documented 10 s, which allow for two clocks: one machine has one clock."""

STEP_MOMENT_S = 0.03
"""A step is busy for 0.02 s: a kill falls before its effect, behind its effect, behind its record."""

AT_A_TIME = 3
TRIPS = ("north", "east", "south", "west")
NAPS = 4
SEED = 20


class CloudWitness(Witness):
    """Looks at a deployment's project instead of a file."""

    deployed: Deployed

    def promises(self) -> dict[str, Promise]:
        """Return the promises without who waits for them: of a settled one, those are told in commits of their own."""
        return {
            one: replace(promise, callbacks=(), listeners=())
            for one, promise in self.deployed.promises().items()
        }


def witness_of(deployed: Deployed, log: Path) -> CloudWitness:
    witness = CloudWitness(Path(), log)
    witness.deployed = deployed
    return witness


def lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.slow
def test_workflows_survive_thirty_kills(tmp_path: Path) -> None:
    """Of the processes in which they run, at random moments, while workflows of twenty steps run: another for each that ends."""
    moment, log = Random(SEED), tmp_path / "log"
    ports: list[int] = []
    with (
        Front(lambda: moment.sample(ports, len(ports))) as front,
        Deployed(
            tmp_path,
            "journey",
            CRASH,
            worker={"lease_ms": LEASE_MS},
            variables={"TEST_LOG": str(log)},
            tick_s=1.0,
            url=front.url,
            start=False,
        ) as deployed,
    ):
        instances = [deployed.start() for _ in range(INSTANCES)]
        ports += [instance.wait_ready().port for instance in instances]
        witness = witness_of(deployed, log)
        trips: list[str] = []
        for kill in range(1, KILLS + 1):
            while len(set(trips) - witness.settled.keys()) < AT_A_TIME:
                trips.append(f"trip-{len(trips)}")
                start_safely(deployed, trips[-1])
            seen = lines(log)
            until(lambda seen=seen: lines(log) > seen or None, deployed.told)  # type: ignore[misc]
            time.sleep(moment.uniform(0, STEP_MOMENT_S))
            victim = instances[moment.randrange(INSTANCES)]
            if kill % WHOLE_EVERY:
                victim.kill()
            else:
                victim.kill_all()
            witness.look()
        check_ends(deployed, witness, trips)


def start_safely(deployed: Deployed, trip: str) -> None:
    """Start an execution, again while the instance that was asked is killed: under the same id it is the same one."""

    def started() -> bool | None:
        try:
            deployed.invoke("journey", trip, STEPS)
        except httpx.TransportError:
            return None
        return True

    until(started, deployed.told)


def check_ends(deployed: Deployed, witness: Witness, trips: Sequence[str] = TRIPS) -> None:
    """Wait for the results, and check that every promise is settled, once."""
    for trip in trips:
        deployed.result(trip)
    witness.look()
    for trip in trips:
        check_end(witness, trip)


@pytest.mark.slow
def test_duplicates_delays_losses_and_another_order_change_nothing(tmp_path: Path) -> None:
    """Half of the deliveries come twice, any comes late, in any order, some never."""
    log = tmp_path / "log"
    faults: Mapping[str, float] = {"duplicate": 0.5, "delay_s": 0.2, "reorder": 1, "drop": 0.05, "seed": SEED}
    with Deployed(
        tmp_path, "journey", CRASH, variables={"TEST_LOG": str(log)}, tick_s=0.5, faults=faults
    ) as deployed:
        witness = witness_of(deployed, log)
        for trip in TRIPS:
            deployed.invoke("journey", trip, STEPS)
        check_ends(deployed, witness)
        assert sum(witness.runs.values()) == len(TRIPS) * (STEPS + FAILURES), "no step ran twice"
        assert set(deployed.tasks.told.statuses) == {200}, "no delivery is refused"


@pytest.mark.slow
def test_two_revisions_share_the_work(tmp_path: Path) -> None:
    """The older one takes what both know; what only the newer one knows waits until the traffic has moved to it."""
    ports: list[int] = []
    moment = Random(SEED)
    with (
        Front(lambda: moment.sample(ports, len(ports))) as front,
        Deployed(tmp_path, "flows", url=front.url, tick_s=1.0, start=False) as deployed,
    ):
        older, newer = deployed.start(), deployed.start(TEST_REVISION="2")
        ports += [older.wait_ready().port, newer.wait_ready().port]
        roots = [f"shared-{number}" for number in range(4)]
        for root in roots:
            deployed.invoke("revisions", root, NAPS)
        ports.remove(newer.port)
        answer = deployed.post_to(newer.port, "/invoke/novelty", id="new")
        assert answer.status_code == 202, answer.text
        until(lambda: refused(deployed, "new"), deployed.told)
        ports.append(newer.port)
        told = [deployed.result(root) for root in roots]
        assert {len(steps) for steps in told} == {NAPS}
        assert {revision for steps in told for revision in steps} == {"1", "2"}
        assert any(len(set(steps)) == 2 for steps in told), "one execution, two revisions"
        ports.remove(older.port)
        assert deployed.result("new") == "2"


def refused(deployed: Deployed, promise_id: str) -> str | None:
    """Return why an execution was given back; None: it was not."""
    return found(deployed, promise_id).reason


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["gunicorn", "no handlers"])
def test_a_process_that_is_told_to_end_hands_its_task_on(tmp_path: Path, *, plain: bool) -> None:
    """At once: the lease, which would keep it for two minutes, is given back, and the queue told."""
    with Deployed(tmp_path, "flows", worker={"lease_ms": 120_000}, start=False) as deployed:
        first = deployed.start(deployed.port, plain=plain).wait_ready()
        deployed.invoke("holding", "long", str(tmp_path))
        until(lambda: list(tmp_path.glob("held-*")) or None, deployed.told)
        first.terminate()
        left = found(deployed, "long")
        assert left.task is not None
        assert left.task.state is TaskState.PENDING
        assert left.reason is not None
        assert "told to end" in left.reason
        (tmp_path / "free").touch()
        deployed.start(deployed.port).wait_ready()
        assert deployed.result("long") == "held"
        assert len(list(tmp_path.glob("held-*"))) == 2


def found(deployed: Deployed, promise_id: str) -> PromiseObject:
    (one,) = [one for one in deployed.store.search("promise", limit=1_000) if one.id == promise_id]
    assert isinstance(one, PromiseObject)
    return one


@pytest.mark.slow
def test_one_instance_works_on_several_tasks_at_a_time(tmp_path: Path) -> None:
    """Each of the two waits for the other, in one process, over the same clients."""
    with Deployed(tmp_path, "flows") as deployed:
        deployed.invoke("meeting", "here", str(tmp_path), "one", "two")
        deployed.invoke("meeting", "there", str(tmp_path), "two", "one")
        assert deployed.result("here") == deployed.result("there") == deployed.framework.worker()
