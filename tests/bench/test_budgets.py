"""The costs that design section 9 allows, by exact numbers: a change that adds a round trip fails here."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest
from tests.bench.counted import (
    Counted,
    Tally,
    activation_of,
    chain_costs,
    replay_of,
    rpc_cost,
    sleep_cost,
    workflows,
)

from resonate_faas._optimistic import Stored
from resonate_faas._ports import Versioned
from resonate_faas.testing import CountingStore, MemoryDeployment, MemoryStore


def tally(
    *, reads: int = 0, pages: int = 0, writes: int = 0, items: int = 0, executes: int = 0, pokes: int = 0
) -> Tally:
    return Tally(reads=reads, pages=pages, writes=writes, items=items, executes=executes, pokes=pokes)


def test_an_activation_costs_three_round_trips_besides_its_steps() -> None:
    """The task read counts as one with the first history page; then the claim, then the end."""
    cost = activation_of("nothing")
    assert cost == tally(reads=1, pages=1, writes=2, items=2)
    assert cost.budgeted == 3


class Far(MemoryStore):
    """A store far away: while a task is opened, no read is answered before the other one was asked for."""

    reads_at_once = True
    meeting: threading.Barrier | None = None

    def read(self, keys: Sequence[str]) -> Mapping[str, Stored]:
        self._meet()
        return super().read(keys)

    def history(self, task_id: str, after: str | None = None) -> Iterator[list[Versioned]]:
        self._meet()
        yield from super().history(task_id, after)

    def _meet(self) -> None:
        if self.meeting is not None:
            self.meeting.wait(timeout=10)


class Opening(CountingStore):
    """Counts over a store far away, and tells it when a task is opened."""

    def __init__(self) -> None:
        self.far = Far()
        super().__init__(self.far)

    def open(self, task_id: str) -> tuple[Versioned, Iterator[list[Versioned]]]:
        self.far.meeting = threading.Barrier(2)
        try:
            return super().open(task_id)
        finally:
            self.far.meeting = None


def test_an_activation_waits_for_three_answers_where_a_store_is_far() -> None:
    """Counted as they happen: the task and the first page of its history are asked for at once."""
    store = Opening()
    deployment = MemoryDeployment(workflows(), store=store)
    deployment.start("nothing")
    store.reset()
    deployment.deliver_due()
    counts = store.reset()
    assert (counts.reads, counts.pages, counts.writes) == (1, 1, 2)
    assert counts.latencies == 3


def test_an_activation_without_a_version_reads_one_after_the_other() -> None:
    """Without: a history read before another holder recorded, beside a task read after, would lack what it recorded."""
    store = Opening()
    deployment = MemoryDeployment(workflows(), store=store)
    deployment.start("nothing")
    store.reset()
    deployment.node.worker.activate("root")
    counts = store.reset()
    assert (counts.reads, counts.pages, counts.writes) == (1, 1, 2)
    assert counts.latencies == 4


@pytest.mark.parametrize(("steps", "round_trips"), [(1, 4), (10, 13), (100, 103), (1_000, 1_003)])
def test_a_sequential_step_costs_one_round_trip(steps: int, round_trips: int) -> None:
    """Create and settle go out together; nothing is read."""
    cost = activation_of("sequence", steps)
    assert cost == tally(reads=1, pages=1, writes=steps + 2, items=steps + 3)
    assert cost.budgeted == round_trips


@pytest.mark.parametrize(("steps", "round_trips"), [(10, 3), (998, 3), (1_000, 4), (2_500, 5)])
def test_a_replay_costs_one_round_trip_more_per_further_page(steps: int, round_trips: int) -> None:
    cost = replay_of(steps)
    assert cost.budgeted == round_trips
    assert (cost.reads, cost.writes) == (1, 2)


@pytest.mark.parametrize(("count", "commits"), [(1, 1), (99, 1), (100, 2), (198, 2), (199, 3), (1_000, 11)])
def test_a_fan_out_of_runs_is_packed_by_ninety_nine(count: int, commits: int) -> None:
    """One fenced commit per 99 results; the commit that ends the execution is the one more."""
    cost = activation_of("fan_run", count)
    assert cost.reads == cost.pages == 1
    assert cost.writes == 1 + commits + 1, "the claim, the results, the end"


@pytest.mark.parametrize(("count", "commits"), [(1, 1), (99, 1), (100, 2), (198, 2), (199, 3)])
def test_a_fan_out_of_tasks_is_packed_by_ninety_nine(count: int, commits: int) -> None:
    """One fenced commit per 99 creates; the suspension, on one child, is the one more."""
    cost = rpc_cost(count)
    assert cost.parent.reads == cost.parent.pages == 1
    assert cost.parent.writes == 1 + commits + 1, "the claim, the creates, the suspension"
    assert cost.end.budgeted == 3, "the parent is woken once and replays"


@pytest.mark.parametrize("count", [1, 99, 100])
def test_a_child_costs_three_round_trips_and_the_awaited_one_two_more(count: int) -> None:
    """The drain reads the awaiter and resumes it; the other children are not awaited, and drain nothing."""
    assert rpc_cost(count).children.budgeted == 3 * count + 2


def test_a_gather_of_a_thousand_suspends_on_one_promise() -> None:
    """Eleven commits create the promises; one registers a callback on one of them and gives the lease up."""
    cost = activation_of("wait_for_all", 1_000)
    assert cost.writes == 1 + 11 + 1
    assert cost.items == 1 + 1_000 + 2 + 1, (
        "the claim; the promises; the first commit's task; awaited and task"
    )


def test_a_fan_out_sends_one_execute_per_task_and_one_to_the_parent() -> None:
    cost = rpc_cost(100)
    assert cost.parent.executes == 100
    assert cost.children.executes == 1
    assert cost.end.executes == 0


def test_a_dispatch_sends_no_poke_since_the_sweep_repeats_one_that_was_lost() -> None:
    cost = rpc_cost(100)
    assert (cost.parent.pokes, cost.children.pokes, cost.end.pokes) == (0, 0, 0)


def test_a_sleep_sends_one_poke_and_its_end_one_dispatch() -> None:
    """The timer is one near wake; the woken task is one dispatch."""
    cost = sleep_cost(60.0)
    assert (cost.begin.executes, cost.begin.pokes) == (0, 1)
    assert (cost.wake.executes, cost.wake.pokes) == (1, 0)
    assert (cost.end.executes, cost.end.pokes) == (0, 0)


def test_the_end_of_a_sleep_costs_two_round_trips_to_settle_and_two_to_wake() -> None:
    cost = sleep_cost(60.0)
    assert cost.wake == tally(reads=2, writes=2, items=3, executes=1)
    assert cost.begin.writes == 3, "the claim, the timer, the suspension"


def test_steps_send_no_messages() -> None:
    cost = activation_of("sequence", 100)
    assert (cost.executes, cost.pokes) == (0, 0)


def test_every_iteration_of_a_chain_of_tail_calls_costs_what_the_first_one_does() -> None:
    """Five round trips: the three of an activation, its step, and the successor with the record of it."""
    costs = chain_costs(500)
    first, *others, last = costs
    assert first == tally(reads=1, pages=1, writes=4, items=6, executes=1)
    assert set(others) == {first}
    assert last == tally(reads=1, pages=1, writes=3, items=4)


def test_a_delivery_to_a_settled_task_costs_one_read() -> None:
    """Duplicates and late pokes are frequent by design, and must be cheap."""
    world = Counted(workflows())
    world.start("nothing")
    world.deliver()
    world.node.worker.activate("root")
    assert world.tally() == tally(reads=1)


def test_a_start_costs_two_round_trips_and_one_dispatch() -> None:
    world = Counted(workflows())
    assert world.start("nothing") == tally(reads=1, writes=1, items=1, executes=1)
