"""The outside answers: by id, by tag, or as promises appear."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from resonate_faas import ApplicationError, Context, PromiseCanceledError, PromiseState, Resonate
from resonate_faas.testing import Harness

resonate = Resonate()


@resonate.register(timeout=timedelta(days=30))
async def board(ctx: Context) -> list[str]:
    asked = [
        ctx.options(tags={"ask": person}).promise(str, timeout=timedelta(days=20))
        for person in ("ada", "bob")
    ]
    return list(await ctx.gather(*asked))


@resonate.register(timeout=timedelta(days=30))
async def one_after_another(ctx: Context) -> list[str]:
    first = await ctx.promise(str)
    await ctx.sleep(60)
    second = await ctx.options(tags={"ask": "bob"}).promise(str)
    return [first, second]


@pytest.fixture
def harness(resonate_harness: Callable[..., Harness]) -> Harness:
    return resonate_harness(resonate)


def test_by_tag_and_by_id(harness: Harness) -> None:
    run = harness.start(board)
    waiting = harness.waiting()
    assert [(one.id, one.kind, dict(one.tags)) for one in waiting] == [
        ("board-1:1", "promise", {"ask": "ada"}),
        ("board-1:2", "promise", {"ask": "bob"}),
    ]
    harness.resolve("yes", tags={"ask": "bob"})
    assert [one.id for one in harness.waiting()] == ["board-1:1"]
    harness.advance(timedelta(days=3))
    harness.resolve("no", id="board-1:1")
    assert run.state is PromiseState.RESOLVED
    assert run.result() == ["no", "yes"]


def test_rejected_and_cancelled(harness: Harness) -> None:
    harness.start(board)
    harness.reject("never", tags={"ask": "ada"})
    harness.cancel(tags={"ask": "bob"})
    with pytest.raises(ApplicationError, match="never"):
        harness.result()
    harness.start(board)
    harness.cancel(tags={"ask": "ada"})
    harness.resolve("yes")  # one waits, so no tag is needed
    with pytest.raises(PromiseCanceledError):
        harness.result()


def test_as_they_appear_each_after_its_time(harness: Harness) -> None:
    began = harness.now
    harness.respond(resolve="default", after=timedelta(hours=1))
    harness.respond(resolve="from bob", tags={"ask": "bob"}, after=timedelta(hours=5))
    assert harness.run(one_after_another) == ["default", "from bob"]
    assert harness.now == began + timedelta(hours=6, minutes=1)


def test_rejections_as_they_appear_and_by_id(harness: Harness) -> None:
    harness.respond(resolve="yes")
    harness.respond(reject="no", id="board-1:2")
    with pytest.raises(ApplicationError, match="no"):
        harness.run(board)


def test_none_or_several_is_an_error_that_names_what_waits(harness: Harness) -> None:
    with pytest.raises(AssertionError, match="0 external promises wait, not one; waiting are: none"):
        harness.resolve("yes")
    harness.start(board)
    with pytest.raises(AssertionError, match=r"2 external promises wait, not one; .*board-1:1.*'ask': 'bob'"):
        harness.resolve("yes")
    with pytest.raises(AssertionError, match=r"0 external promises wait with .*carol.*board-1:2"):
        harness.resolve("yes", tags={"ask": "carol"})


def test_an_answer_does_one_thing(harness: Harness) -> None:
    with pytest.raises(ValueError, match="one of"):
        harness.respond()
    with pytest.raises(ValueError, match="one of"):
        harness.respond(resolve=1, reject="no")
