"""Round trips, transactions and messages, counted: the numbers that tests/bench asserts."""

from __future__ import annotations

from typing import Final

from tests.bench.counted import activation_of, chain_costs, replay_of, rpc_cost, sleep_cost

from bench.report import Figure

TITLE: Final = "Round trips and messages, counted"
STEPS: Final = 100
FAN: Final = 100
FAN_COMMITS_MAX: Final = 2 + 1
CHAIN: Final = 500
OVERHEAD_MAX: Final = 3


def run() -> list[Figure]:
    """Return the figures; a second run gives the same."""
    return [*_activations(), *_fan_outs(), *_messages()]


def _activations() -> list[Figure]:
    nothing, steps = activation_of("nothing"), activation_of("sequence", STEPS)
    chain = chain_costs(CHAIN)
    return [
        _count("activation", nothing.budgeted, OVERHEAD_MAX, "task read and first page count as one"),
        _count(
            "activation, latencies in a row",
            nothing.sequential,
            None,
            "the stores of the clouds read at once: 3",
        ),
        _count("a sequential step", (steps.writes - nothing.writes) / STEPS, 1),
        _count("a sequential step, reads", steps.reads - nothing.reads, 0),
        _count("activation that replays 998 steps", replay_of(998).budgeted, OVERHEAD_MAX),
        _count("activation that replays 2,500 steps", replay_of(2_500).budgeted, OVERHEAD_MAX + 2, "3 pages"),
        _count("tail call, first", chain[0].budgeted, None, "one step and one tail call"),
        _count(f"tail call, {CHAIN - 1}th", chain[-2].budgeted, chain[0].budgeted),
    ]


def _fan_outs() -> list[Figure]:
    runs, tasks, waits = activation_of("fan_run", FAN), rpc_cost(FAN), activation_of("wait_for_all", 1_000)
    children = (tasks.children.budgeted - 2) / FAN
    parent = tasks.parent.budgeted + tasks.end.budgeted
    return [
        _count(f"fan-out of {FAN} runs, commits", runs.writes - 1, FAN_COMMITS_MAX, "and the claim"),
        _count(f"fan-out of {FAN} tasks, commits", tasks.parent.writes - 1, FAN_COMMITS_MAX, "and the claim"),
        _count(f"fan-out of {FAN} runs, all requests", runs.sequential, None),
        _count(f"fan-out of {FAN} tasks, all of the parent's", parent, None, "two activations"),
        _count(f"fan-out of {FAN} tasks, each child's", children, OVERHEAD_MAX, "the awaited one 2 more"),
        _count("gather of 1,000, promises suspended on", waits.items - 1_003, 1),
    ]


def _messages() -> list[Figure]:
    tasks, sleep = rpc_cost(FAN), sleep_cost(60.0)
    dispatches = tasks.parent.executes + tasks.children.executes
    return [
        _count("messages per dispatch, execute", dispatches / (FAN + 1), 1),
        _count(
            "messages per dispatch, poke",
            (tasks.parent.pokes + tasks.children.pokes) / (FAN + 1),
            1,
            "at 5 s, in case nobody took the task: a near wake",
        ),
        _count("messages per sleep", sleep.begin.pokes + sleep.begin.executes, 1),
        _count("messages per step", activation_of("sequence", STEPS).executes, 0),
    ]


def _count(name: str, value: float, budget: float | None, note: str = "") -> Figure:
    return Figure(name=name, value=value, unit="", budget=budget, note=note)
