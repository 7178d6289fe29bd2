"""Several processes on one table, and processes killed in the middle of writes: nothing acknowledged is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from tests.emulators.ministack import Emulator, found_or_skip, running

from resonate_faas._machine.objects import PromiseObject
from resonate_faas.testing._kit import count, look_at
from resonate_faas_aws import DynamoDBStore, create_table

WRITER = Path(__file__).with_name("dynamodb_writer.py")
PROCESSES = 8
INCREMENTS = 10
KILLS = 4


class Writer:
    """One process of ``dynamodb_writer.py``."""

    def __init__(self, mode: str, url: str, table: str, name: str, *args: object) -> None:
        command = [sys.executable, "-P", str(WRITER), mode, url, table, name, *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self) -> str:
        return self.output.readline().strip()

    def end(self) -> list[str]:
        lines = self.output.read().split("\n")
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return lines[:-1]  # behind the last newline stands nothing, or half a line


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    found_or_skip()
    with running(tmp_path_factory.mktemp("ministack")) as emulator:
        yield emulator


@pytest.fixture
def store(ministack: Emulator, request: pytest.FixtureRequest) -> DynamoDBStore:
    client = ministack.client("dynamodb")
    table = f"processes-{request.function.__name__}"[:200]
    create_table(client, table)
    return DynamoDBStore(table, client=client)


def test_eight_processes_count_right(ministack: Emulator, store: DynamoDBStore) -> None:
    """One hot counter, and two that each transaction moves together."""
    writers = [Writer("increment", ministack.url, store.table, "hot", INCREMENTS) for _ in range(PROCESSES)]
    assert [writer.line() for writer in writers] == ["ready"] * PROCESSES
    for writer in writers:
        writer.go()
    told = [tuple(map(int, line.split())) for writer in writers for line in writer.end()]
    assert len(told) == PROCESSES
    alone, together = sum(each[0] for each in told), sum(each[1] for each in told)
    assert count(look_at(store, "hot")) == alone > PROCESSES * INCREMENTS // 2
    assert (count(look_at(store, "hot-2")), count(look_at(store, "hot-3"))) == (-together, together)


@pytest.mark.slow
def test_what_a_killed_writer_acknowledged_is_there(ministack: Emulator, store: DynamoDBStore) -> None:
    """Killed again and again; a counter, its record and the record's payload are written together."""
    reached = 0
    for number in range(KILLS):
        writer = Writer("write", ministack.url, store.table, "log")
        assert writer.line() == "ready"
        writer.go()
        told = [int(writer.line()) for _ in range(1 + 7 * number % 20)]
        writer.process.kill()
        told += [int(line) for line in writer.end()]
        assert told == list(range(reached + 1, reached + 1 + len(told)))
        reached = count(look_at(store, "log"))
        assert told[-1] <= reached <= told[-1] + 1, "the last one may be stored and not yet told"
        records = [found.object for page in store.history("log") for found in page]
        assert [count(each) for each in records] == list(range(1, reached + 1))
        sizes = [len(each.promise.param.data or "") for each in records if isinstance(each, PromiseObject)]
        assert sizes == [place * 379 % 9_000 for place in range(1, reached + 1)]
