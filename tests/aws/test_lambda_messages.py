"""What queues do: messages twice, late and out of order, poison, dead letters; functions that run out of time or go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.aws.deployment import Deployed, until
from tests.aws.flows import STEPS, STUBBORN
from tests.aws.witness import RESULT, steps, witness
from tests.emulators.event_source import Message

GUARDS = Path(__file__).parents[1] / "guards"
TIMEOUT_S = 3.0


class Disorder:
    """Delivers each message twice, in any order, and some once more long after they were deleted."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._seen: list[Message] = []

    def __call__(self, messages: list[Message]) -> Sequence[Sequence[Message]]:
        if not messages:
            return []
        stale = self._random.sample(self._seen, min(len(self._seen), 2))
        self._seen += messages
        twice = [*messages, *messages, *stale]
        self._random.shuffle(twice)
        middle = self._random.randrange(len(twice) + 1)
        return [_distinct(twice[:middle]), _distinct(twice[middle:])]


def _distinct(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages without those that stand twice in one batch, which SQS never does."""
    return list({message["MessageId"]: message for message in messages}.values())


def test_duplicates_and_disorder_change_nothing(tmp_path: Path) -> None:
    log = tmp_path / "steps"
    with Deployed(
        tmp_path,
        "flows",
        variables={"TEST_LOG": str(log)},
        concurrency=3,
        batch_size=10,
        mangle=Disorder(seed=1),
    ) as deployed:
        seen = witness(deployed, log)
        roots = ("north", "south", "west")
        for root in roots:
            deployed.direct("journey", root, STEPS)
        for root in roots:
            deployed.result(root)
        seen.look()
        for root in roots:
            seen.check_end(root)
        retried = {f"{root}:{STUBBORN}" for root in roots}
        every = {step for root in roots for step in steps(root)}
        assert seen.runs == {step: 2 if step in retried else 1 for step in every}, "each step ran once"


def test_near_the_deadline_the_task_goes_on_in_a_fresh_invocation(tmp_path: Path) -> None:
    """Lambda never has to stop the process; a step that hangs is abandoned, and run again in the next."""
    log = tmp_path / "steps"
    with Deployed(
        tmp_path,
        "flows",
        variables={"TEST_LOG": str(log)},
        worker={"lease_ms": 10_000, "margin_ms": 1_500, "abandon_ms": 1_000},
        timeout_s=4.0,
    ) as deployed:
        deployed.direct("hanging", "slow", STEPS)
        until(lambda: deployed.stored("slow").promise.settled_at, deployed.told)
        assert deployed.value("slow") == [*(place * place for place in range(1, STEPS + 1)), "done"]
        lines = log.read_text().split("\n")[:-1]
        assert lines.count(f"slow:{STEPS + 1} 1") == 2, "abandoned once, then done"
        assert len(lines) <= STEPS + 1 + 2 + 3, "what is on record did not run again"
        assert deployed.function.errors == []
        task = deployed.stored("slow").task
        assert task is not None
        assert task.version >= 2


def test_a_process_that_lambda_stops_is_made_up_for(tmp_path: Path) -> None:
    """Business code that blocks its driver can't be released: the message comes again, and the lease runs out."""
    log = tmp_path / "steps"
    with Deployed(
        tmp_path,
        "flows",
        variables={"TEST_LOG": str(log)},
        worker={"lease_ms": 2_000, "margin_ms": 300, "abandon_ms": 100},  # this machine has one clock
        timeout_s=TIMEOUT_S,
        visibility_s=3,
    ) as deployed:
        deployed.direct("blocking", "stuck", 3)
        until(lambda: deployed.stored("stuck").promise.settled_at, deployed.told)
        assert deployed.value("stuck") == 9 + 16
        assert list(dict.fromkeys(log.read_text().split("\n")))[:-1] == ["stuck:1 1", "stuck:2 1"]
        assert set(deployed.function.errors) == {f"timed out after {TIMEOUT_S} s"}


def test_poison_goes_to_the_dead_letters_alone_and_a_redrive_finishes_what_can_be(tmp_path: Path) -> None:
    """First the store can't be reached, so that good messages end there too; then it can."""
    log = tmp_path / "steps"
    with Deployed(
        tmp_path,
        "flows",
        variables={"TEST_LOG": str(log)},
        visibility_s=1,
        receives_max=2,
        is_polled=False,
    ) as deployed:
        deployed.queues.send("{ this is no JSON")
        deployed.direct("excursion", "walk", 5)
        broken = deployed.start(RESONATE_FAAS_TABLE="no-such-table")
        with deployed.mapping(broken, batch_size=10, pollers=1):
            until(lambda: len(deployed.queues.dead()) == 2 or None, deployed.told)
        assert broken.errors == [], "failures are reported one by one, the function itself succeeds"
        assert deployed.stored("walk").promise.settled_at is None
        with deployed.mapping(deployed.function, batch_size=10, pollers=1):
            deployed.direct("excursion", "ride", 6)
            assert deployed.queues.redrive() == 2
            assert (deployed.result("walk"), deployed.result("ride")) == (25, 36)
            until(lambda: deployed.queues.dead() == ["{ this is no JSON"] or None, deployed.told)
        assert "message not understood" in deployed.told()
        assert "this is no JSON" not in deployed.told(), "bodies are not logged"


def test_two_versions_at_once(tmp_path: Path) -> None:
    """The old code does not know the function: the task backs off, and the new code does it. What both know, either does."""
    log = tmp_path / "steps"
    with (
        Deployed(tmp_path, "flows", variables={"TEST_LOG": str(log)}, is_polled=False) as deployed,
        ExitStack() as both,
    ):
        old = deployed.start(TEST_OLD="1")
        with deployed.mapping(old, pollers=1):
            deployed.direct("novelty", "new", 4)
            until(lambda: deployed.stored("new").reason, deployed.told)
            backing_off = deployed.stored("new")
            assert "'novelty'" in str(backing_off.reason)
            assert backing_off.promise.settled_at is None
            both.enter_context(deployed.mapping(deployed.function, pollers=1))
            deployed.direct("journey", "both", STEPS)
            assert deployed.result("both") == RESULT
        assert deployed.result("new") == 16
        assert old.errors == deployed.function.errors == []
        assert log.read_text().count("new:1 1\n") == 1


def test_the_guard_of_the_deployment_replaces_that_of_the_code(tmp_path: Path) -> None:
    with Deployed(tmp_path, "hasty", GUARDS, variables={"RESONATE_FAAS_GUARD": "error"}) as deployed:
        deployed.direct("hasty", "root")
        reason = until(lambda: deployed.stored("root").reason, deployed.told)
        assert "reads the clock (time.time)" in reason
