"""Ids of the protocol, ids of detached roots, and random draws that must be the same for ever, on every Python."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from resonate_faas import Context, Future, LimitExceededError, Resonate
from resonate_faas._engine.ids import DeterministicRandom, attempt_id, child_prefix, detached_id
from resonate_faas._machine.ids import owner
from resonate_faas._machine.objects import PromiseObject
from resonate_faas.testing._deployment import MemoryDeployment


def stored(deployment: MemoryDeployment) -> dict[str, PromiseObject]:
    """Return every promise by id."""
    found = deployment.store.search("promise", limit=1_000)
    return {one.id: one for one in found if isinstance(one, PromiseObject)}


def test_ids_are_numbered_in_call_order_with_a_colon_after_the_root_and_dots_below() -> None:
    resonate = Resonate()

    @resonate.register
    async def remote(ctx: Context) -> None:
        await ctx.run(str)
        await ctx.rpc(leaf)

    @resonate.register
    def leaf() -> None:
        """Do nothing."""

    def inner(ctx: Context) -> Generator[Any, Any, None]:
        yield ctx.run(str)
        yield ctx.run(middle)

    async def middle(ctx: Context) -> None:
        await ctx.sleep(1)
        await ctx.rpc(remote)

    @resonate.register
    async def flow(ctx: Context) -> None:
        await ctx.gather(ctx.run(inner), ctx.rpc(remote), ctx.sleep(5), ctx.now())
        await ctx.race(ctx.sleep(1), ctx.sleep(2))
        await ctx.map(leaf, [], remote=True)
        await ctx.detached(leaf)
        await ctx.run(str)

    deployment = MemoryDeployment(resonate)
    deployment.run("flow", id="my.root")
    ids = set(stored(deployment))
    detached = next(promise_id for promise_id in ids if promise_id.startswith("my.root-d"))
    assert ids - {detached} == {
        "my.root",
        "my.root:1",
        "my.root:1.1",
        "my.root:1.2",
        "my.root:1.2.1",
        "my.root:1.2.2r",
        "my.root:1.2.2r.1",
        "my.root:1.2.2r.2r",
        "my.root:2r",
        "my.root:2r.1",
        "my.root:2r.2r",
        "my.root:3",
        "my.root:4",
        "my.root:5",
        "my.root:6",
        "my.root:7",
        "my.root:8",
        "my.root:9",
    }
    for promise_id, found in stored(deployment).items():
        tags = found.promise.tags
        if promise_id not in {"my.root", detached}:
            assert tags["resonate:origin"] == "my.root"
            assert promise_id.startswith(child_prefix(tags["resonate:parent"]))
            assert tags.get("resonate:scope") in {"local", "global"}
            assert tags["resonate:branch"] in {promise_id, owner(promise_id)}


def test_an_id_of_ones_own_is_a_root_and_shared_by_all_who_name_it() -> None:
    resonate = Resonate()
    runs: list[int] = []

    @resonate.register
    def leaf(number: int) -> int:
        runs.append(number)
        return number * 10

    @resonate.register
    async def flow(ctx: Context) -> list[Any]:
        shared = ctx.options(id="shared", tags={"team": "a", "resonate:scope": "ignored"})
        both: list[Future[Any]] = [shared.rpc(leaf, 1), ctx.rpc(leaf, 2)]
        return await ctx.gather(*both)

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == [10, 20]
    assert deployment.run("flow", id="other") == [10, 20]
    assert sorted(runs) == [1, 2, 2]
    tags = stored(deployment)["shared"].promise.tags
    assert (tags["resonate:origin"], tags["team"], tags["resonate:scope"]) == ("shared", "a", "global")


@pytest.mark.parametrize("bad", ["", "a:b", "x" * 257, "tab\t", "\ud800"])
@pytest.mark.parametrize("how", ["rpc", "detached", "promise"])
def test_an_unusable_id_is_refused_at_the_call(how: str, bad: str) -> None:
    resonate = Resonate()
    resonate.register(name="leaf")(str)

    @resonate.register
    async def flow(ctx: Context) -> str:
        call = getattr(ctx.options(id=bad), how)
        with pytest.raises(ValueError, match=r"options\(id="):
            call(*(() if how == "promise" else ("leaf",)))
        return "refused"

    deployment = MemoryDeployment(resonate)
    assert deployment.run("flow") == "refused"
    assert set(stored(deployment)) == {"root"}


# ---- detached roots


@pytest.mark.parametrize("name", ["chain", "c" * 256, "\u00e9" * 128])
def test_a_chain_of_a_thousand_tail_calls_keeps_its_ids_short_its_history_flat_and_its_origins_fresh(
    name: str,
) -> None:
    resonate = Resonate()
    links: list[tuple[str, str, int]] = []

    @resonate.register
    async def link(ctx: Context, number: int) -> int:
        links.append((ctx.info.id, ctx.info.tags["resonate:origin"], len(ctx.info.root_id.encode())))
        if number < 1_000:
            await ctx.detached(link, number + 1)
        return number

    deployment = MemoryDeployment(resonate)
    deployment.run("link", 1, id=name)
    assert len(links) == 1_000
    assert len({promise_id for promise_id, _, _ in links}) == 1_000
    prefix = len(name.encode()[:64].decode(errors="ignore").encode())
    assert {size for _, _, size in links[1:]} == {prefix + len("-d") + 32}
    assert all(promise_id == origin for promise_id, origin, _ in links)
    last, _, _ = links[-2]
    assert len(list(deployment.store.history(last))) <= 1
    assert sum(map(len, deployment.store.history(last))) == sum(map(len, deployment.store.history(name))) == 1
    assert deployment.result(links[-1][0]) == 1_000


def test_a_detached_root_is_not_joined_nor_cancelled_and_its_id_is_the_value() -> None:
    resonate = Resonate()

    @resonate.register
    async def later(ctx: Context) -> str:
        await ctx.sleep(500)
        return "done"

    @resonate.register
    async def flow(ctx: Context) -> list[str]:
        own = await ctx.options(id="mine").detached(later)
        made = await ctx.detached(later)
        raising = ctx.run(abandons)
        with pytest.raises(ValueError, match="no"):
            await raising
        return [own, made]

    async def abandons(ctx: Context) -> None:
        ctx.detached(later)
        raise ValueError("no")

    deployment = MemoryDeployment(resonate)
    deployment.start("flow")
    deployment.settle(until_ms=deployment.clock.now_ms() + 100_000)
    own, made = deployment.result()
    assert own == "mine"
    roots = [promise_id for promise_id in stored(deployment) if ":" not in promise_id]
    assert len(roots) == 4
    deployment.settle()
    assert [deployment.result(one) for one in roots if one != "root"] == ["done"] * 3
    assert made in roots


def test_the_id_of_a_detached_root_is_a_hash_of_its_place_and_of_this_very_execution() -> None:
    first = detached_id("root", "birth", "root:1")
    assert first == "root-d0010c8540289a423987b54b9e13eead9"
    assert len(first) == 4 + 2 + 32
    assert detached_id("root", "birth", "root:1") == first
    assert detached_id("root", "birth", "root:2") != first
    assert detached_id("root", "rebirth", "root:1") != first
    assert detached_id(first, "birth", f"{first}:1").startswith("root-d")
    assert detached_id("no-dash", "b", "p").startswith("no-dash-d")


def test_a_detached_call_counts_against_the_promise_limit() -> None:
    resonate = Resonate()

    @resonate.register
    async def flow(ctx: Context) -> int:
        for number in range(10):
            try:
                await ctx.options(id=f"r{number}").detached("elsewhere")
            except LimitExceededError:
                return number
        return -1

    assert MemoryDeployment(resonate, promises_max=4).run("flow") == 4


def test_attempts_and_prefixes() -> None:
    assert (child_prefix("a"), child_prefix("a:1"), child_prefix("a.b")) == ("a:", "a:1.", "a.b:")
    assert (attempt_id("a", 1), attempt_id("a:2r", 12)) == ("a:a1", "a:2r.a12")


# ---- draws


def test_draws_are_these_for_ever() -> None:
    random = DeterministicRandom("root:1\x001700000000000")
    assert [
        random(),
        random.random(),
        random.getrandbits(1),
        random.getrandbits(600),
        random.randint(1, 6),
        random.randint(-(10**30), 10**30),
        random.uniform(-1, 1),
        random.choice("abcdef"),
        random.sample(range(10), 4),
        shuffled(random, list("abcdefgh")),
        random.uuid4(),
    ] == GOLDEN


def shuffled(random: DeterministicRandom, items: list[str]) -> str:
    """Return the items, reordered, as a text."""
    random.shuffle(items)
    return "".join(items)


GOLDEN: list[Any] = [
    0.8458531611305039,
    0.3567266836363129,
    0,
    1829255862338959701218391224491245660073733470069405650554757140312421265982301693864218852510841193179156253912610628637096793516123751361602966054493910756491027317571333049453352,
    4,
    -660173684610584627815155563100,
    -0.06110759863145354,
    "c",
    [4, 3, 5, 1],
    "hacebgfd",
    UUID("3b09cff2-a540-459b-85fc-7c8528c49372"),
]


def test_draws_lie_in_their_ranges_and_reach_every_value() -> None:
    random = DeterministicRandom("any")
    dice = [random.randint(1, 6) for _ in range(600)]
    assert set(dice) == {1, 2, 3, 4, 5, 6}
    assert all(60 <= dice.count(face) <= 145 for face in range(1, 7))
    assert all(0 <= random() < 1 for _ in range(1_000))
    assert random.randint(5, 5) == 5
    assert sorted(random.sample([1, 2, 3], 3)) == [1, 2, 3]
    with pytest.raises(ValueError, match="low <= high"):
        random.randint(2, 1)
    with pytest.raises(IndexError):
        random.choice([])
    with pytest.raises(ValueError, match="sample of 2 from 1"):
        random.sample([1], 2)


def test_uuid4_is_of_version_four() -> None:
    made = DeterministicRandom("any").uuid4()
    assert (made.version, made.variant) == (4, RFC_4122)
