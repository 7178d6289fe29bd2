"""Recorded observation: in every order of events, cut anywhere, an execution keeps its ids and its result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
from tests.engine.shapes import SHAPES, Shape, resonate
from tests.engine.stage import Stage, begun, note

from resonate_faas import Context, OutcomeUnknownError
from resonate_faas._machine.objects import Message, PromiseState

ORDERS_MAX = 24
"""Every order of up to four events."""
CUT_ORDERS = 2
"""Orders of a shape that are cut everywhere, half of that for long ones; drawn by the shape's name."""


def orders(shape: Shape) -> list[list[str]]:
    return [list(order) for order in permutations(shape.names)][:ORDERS_MAX]


def cut_orders(shape: Shape) -> list[list[str]]:
    every = orders(shape)
    count = CUT_ORDERS if len(shape.names) < 4 else CUT_ORDERS // 2
    return random.Random(shape.function).sample(every, min(count, len(every)))


def played(shape: Shape, order: list[str], arrange: Callable[[Stage], None] = lambda _: None) -> Stage:
    stage = Stage(resonate)
    stage.start(shape.function, order, names=order)
    arrange(stage)
    stage.play()
    return stage


def ids(shapes: list[Shape]) -> Iterator[Any]:
    for shape in shapes:
        yield pytest.param(shape, id=shape.function)


each_shape = pytest.mark.parametrize("shape", list(ids(SHAPES)))


@each_shape
def test_every_order_of_events_gives_the_result_written_by_hand(shape: Shape) -> None:
    for order in orders(shape):
        stage = played(shape, order)
        assert stage.outcome() == ("value", shape.expected(order)), order
        assert not stage.reruns


@each_shape
def test_an_order_that_no_race_observes_leaves_the_very_same_records(shape: Shape) -> None:
    stories = [played(shape, order).story() for order in orders(shape)]
    for story in stories:
        del story["root"]  # the order is an argument
    records = [record for story in stories for record in story.values()]
    by_time = {PromiseState.CANCELED, PromiseState.TIMEDOUT}
    if any('"kind":"race"' in record[1] or record[0] in by_time for record in records):
        return
    assert all(story == stories[0] for story in stories)


def assert_fixed(stage: Stage) -> None:
    for task_id, record in stage.records().items():
        if record.task is None or record.promise.state is PromiseState.CANCELED:
            continue
        awaiting, turn = stage.replay(task_id)
        own = [
            effect for effect in turn.effects if ":" not in effect.id
        ]  # ids of the user's own are asked for anew
        assert len(turn.effects) == len(own), f"{task_id}: {turn.effects}"
        assert not turn.launches
        if record.promise.settled_at is None:
            assert turn.finish is None
            assert awaiting
        elif not own:
            assert turn.finish is not None
            assert (turn.finish.state, turn.finish.value) == (record.promise.state, record.promise.value)


@each_shape
def test_replay_of_an_unchanged_history_is_a_fixed_point(shape: Shape) -> None:
    """At every rest, and after the end, replaying asks for no effect and starts no step."""

    def watch(stage: Stage) -> None:
        stage.at_rest = lambda: assert_fixed(stage)

    for order in orders(shape)[:6]:
        assert played(shape, order, watch).outcome() == ("value", shape.expected(order))


def crash_before(stage: Stage, number: int) -> None:
    stage.store.before[number] = stage.store.die


def crash_after(stage: Stage, number: int) -> None:
    stage.store.after[number] = stage.store.die


def lose_answer(stage: Stage, number: int) -> None:
    def lose() -> None:
        raise OutcomeUnknownError(("?",), f"answer {number} was lost")

    stage.store.after[number] = lose


def overtake(stage: Stage, number: int) -> None:
    """Another process takes the task over just before the write arrives."""

    def overtaken() -> None:
        held = [
            key for key, record in stage.records().items() if record.task and record.task.state == "acquired"
        ]
        for task_id in held:
            stage.rival(task_id)

    stage.store.before[number] = overtaken


CUTS = (crash_before, crash_after, lose_answer, overtake)


def cut_everywhere(
    shape: Shape, order: list[str], cut: Callable[[Stage, int], None]
) -> Iterator[tuple[int, Stage]]:
    number = 0
    while True:
        number += 1
        stage = played(shape, order, lambda stage, number=number: cut(stage, number))  # type: ignore[misc]
        if stage.store.writes < number:
            return
        yield number, stage


@each_shape
@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_at_any_write_changes_neither_ids_nor_result(
    shape: Shape, cut: Callable[[Stage, int], None]
) -> None:
    for order in cut_orders(shape):
        plain = played(shape, order)
        for number, stage in cut_everywhere(shape, order, cut):
            where = f"{cut.__name__} {number} in the order {order}"
            assert stage.outcome() == ("value", shape.expected(order)), where
            assert stage.story() == plain.story(), where
            assert not stage.reruns, where


@each_shape
def test_messages_delivered_twice_change_nothing(shape: Shape) -> None:
    def twice(stage: Stage) -> None:
        once = stage.deliver

        def deliver(message: Message) -> None:
            once(message)
            once(message)

        stage.deliver = deliver  # type: ignore[method-assign]

    for order in cut_orders(shape):
        plain, stage = played(shape, order), played(shape, order, twice)
        assert stage.outcome() == ("value", shape.expected(order))
        assert stage.story() == plain.story()
        assert not stage.reruns


def test_the_winner_is_told_only_after_the_race_was_awaited_live_and_on_replay() -> None:
    """Else a replay, which knows the winner, would see what the first run could not."""
    asked: list[str] = []

    async def asks(ctx: Context) -> int:
        race = ctx.race(ctx.run(note, "a"), ctx.sleep(500))
        try:
            asked.append(str(race.winner))
        except RuntimeError as error:
            asked.append(str(error))
        await race
        await ctx.sleep(60)
        return race.winner

    stage = begun(asks, within_ms=100_000)
    assert stage.outcome() == ("value", 0)
    assert asked == ["await the race before you ask for its winner"] * 2


def test_of_members_seen_together_the_one_that_settled_first_wins() -> None:
    """However late the activation comes: the choice is by instants, then by place."""

    async def races(ctx: Context) -> int:
        race = ctx.race(ctx.promise(), ctx.promise(), ctx.promise())
        await race
        return race.winner

    for instants, winner in (((3, 2, 1), 2), ((3, 1, 2), 1), ((2, 1, 1), 1), ((1, 1, 1), 0)):
        stage = begun(races)
        for instant in (1, 2, 3):
            stage.clock.advance(1)
            for number, at in enumerate(instants, start=1):
                if at == instant:
                    stage.outside.client.settle(f"root:{number}", PromiseState.RESOLVED)
        stage.play(until_ms=stage.clock.now_ms() + 1_000)
        assert stage.outcome() == ("value", winner), instants
