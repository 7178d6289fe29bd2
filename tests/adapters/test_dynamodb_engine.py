"""Workflows over DynamoDB end as they do in memory, with the same records, while answers are lost and writes throttled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count as counted
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from tests.adapters.dynamodb_tables import ExactDue
from tests.bench.counted import chain, child, fan_rpc, fan_run, sequence, sleeper
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas import Context, Resonate
from resonate_faas._machine.objects import ORIGIN, PromiseObject
from resonate_faas._ports import Store
from resonate_faas._records import encode_object
from resonate_faas.testing import MemoryDeployment, MemoryStore
from resonate_faas_aws import create_table

_names = counted(1)


async def everything(ctx: Context, count: int) -> list[Any]:
    first = await ctx.run(str, count)
    await ctx.sleep(3_600.0)
    numbers = await ctx.gather(*[ctx.rpc(child, number) for number in range(count)])
    texts = await ctx.gather(*[ctx.run(str, number) for number in range(count)])
    return [first, numbers, texts]


async def fails(ctx: Context) -> None:
    number = await ctx.run(int, "7")
    raise ValueError(f"{number} is not enough")


async def large(ctx: Context, size: int) -> int:
    text = await ctx.run(random.Random(7).randbytes(size).hex)
    await ctx.sleep(60.0)
    return len(text)


def workflows() -> Resonate:
    resonate = Resonate()
    for workflow in (chain, child, everything, fails, fan_rpc, fan_run, large, sequence, sleeper):
        resonate.register(workflow)
    return resonate


SHAPES: dict[str, tuple[Any, ...]] = {
    "sequence": (12,),
    "sleeper": (40_000.0,),
    "fan_run": (30,),
    "fan_rpc": (12,),
    "chain": (5,),
    "everything": (4,),
    "fails": (),
    "large": (90_000,),
}


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture
def client(ministack: Emulator) -> Any:
    return ministack.client("dynamodb")


@pytest.fixture
def store(client: Any) -> ExactDue:
    table = f"engine-{next(_names)}"
    create_table(client, table)
    return ExactDue(table, client=client, pause=lambda _: None)


def outcome(store: Store, function: str) -> tuple[str, list[str]]:
    """Run a workflow to its end; return what came of it, and its records without what is random in them."""
    deployment = MemoryDeployment(workflows(), store=store)
    deployment.start(function, *SHAPES[function])
    deployment.settle()
    try:
        result = repr(deployment.result())
    except ValueError as error:
        result = repr(error)
    found = [one for one in store.search("promise", limit=1_000) if isinstance(one, PromiseObject)]
    return result, sorted(f"{_place(one)} {one.promise.state}" for one in found)


def _place(found: PromiseObject) -> str:
    """Return the id; of a detached root, whose name is drawn, what stands below it."""
    origin = found.promise.tags.get(ORIGIN, "")
    return found.id if origin == "root" else found.id.replace(origin, "detached")


@pytest.mark.parametrize("function", SHAPES)
def test_a_workflow_ends_as_in_memory_with_the_same_records(store: ExactDue, function: str) -> None:
    assert outcome(store, function) == outcome(MemoryStore(), function)


@pytest.mark.parametrize("seed", range(4))
def test_a_workflow_survives_lost_answers_throttling_and_conflicts(
    client: Any, store: ExactDue, seed: int
) -> None:
    """One request in five goes wrong, before or after the server did it."""
    chance = random.Random(seed)
    faults = 0

    def before(**_: Any) -> None:
        nonlocal faults
        if chance.random() < 0.12:
            faults += 1
            code = chance.choice(["ThrottlingException", "TransactionConflictException"])
            raise ClientError({"Error": {"Code": code, "Message": f"seed {seed}"}}, "Any")

    def after(**_: Any) -> None:
        nonlocal faults
        if chance.random() < 0.12:
            faults += 1
            raise ReadTimeoutError(endpoint_url="lost by the test")

    client.meta.events.register("before-call.dynamodb", before)
    client.meta.events.register("after-call.dynamodb", after)
    found = outcome(store, "everything")
    client.meta.events.unregister("before-call.dynamodb", before)
    client.meta.events.unregister("after-call.dynamodb", after)
    assert found[0] == outcome(MemoryStore(), "everything")[0]
    assert faults >= 5


def test_records_are_those_of_every_other_store(store: ExactDue) -> None:
    """The format is one: a record moves between stores byte for byte."""
    deployment = MemoryDeployment(workflows(), store=store)
    assert deployment.run("sequence", 3) == 3
    for found in store.search("promise"):
        again = store.read((found.id,))[found.id].object
        assert again is not None
        assert encode_object(again) == encode_object(found)
