# ruff: noqa: ASYNC221, ASYNC230, ASYNC240, ASYNC251, DTZ001, DTZ005, DTZ011, ICN001, PTH111, PTH123, PTH208, TRY301
"""Workflows that do, or seem to do, what a replay can't repeat; the line that does it ends in ``# here``.

What ruff would warn of is what the guards must see."""

from __future__ import annotations

import datetime as dates
import logging
import os
import pathlib
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Generator
from datetime import datetime
from time import monotonic as ticks
from typing import Any
from zoneinfo import ZoneInfo

from resonate_faas import Context, Future, StepContext

# ---- seen by audit events, on every Python


async def opens(_ctx: Context) -> str:
    with open(os.devnull) as file:  # here
        return file.read()


async def reads_path(_ctx: Context) -> str:
    return pathlib.Path(os.devnull).read_text()  # here


async def lists(_ctx: Context) -> int:
    return len(os.listdir(".")) * 0  # here


async def makes_file(_ctx: Context) -> None:
    tempfile.TemporaryFile().close()  # here


async def connects(_ctx: Context) -> None:
    with socket.socket() as made:  # here
        made.settimeout(1)


async def queries(_ctx: Context) -> None:
    sqlite3.connect(":memory:").close()  # here


async def runs_program(_ctx: Context) -> int:
    return subprocess.run(["true"], check=True).returncode  # here


async def starts_thread(_ctx: Context) -> None:
    threading.Thread(target=int).start()  # here


async def in_a_helper(_ctx: Context) -> str:
    return helper()


def helper() -> str:
    return pathlib.Path(os.devnull).read_text()  # here


def yields(ctx: Context) -> Generator[Future[Any], Any, int]:
    one: int = yield ctx.run(int, "1")
    return one + len(pathlib.Path(os.devnull).read_text())  # here


AUDITED: list[tuple[Callable[..., Any], str]] = [
    (opens, "uses a file (open)"),
    (reads_path, "uses a file (open)"),
    (lists, "uses a file (os.listdir)"),
    (makes_file, "uses a file (open)"),
    (connects, "uses the network (socket.__new__)"),
    (queries, "uses a database (sqlite3.connect)"),
    (runs_program, "starts a process (subprocess.Popen)"),
    (in_a_helper, "uses a file (open)"),
    (yields, "uses a file (open)"),
]

if sys.version_info >= (3, 12):
    event = "start_joinable_thread" if sys.version_info >= (3, 13) else "start_new_thread"
    AUDITED.append((starts_thread, f"starts a thread (_thread.{event})"))

# ---- seen by the calls


async def tells_time(_ctx: Context) -> float:
    return time.time() * 0  # here


async def tells_imported_time(_ctx: Context) -> float:
    return ticks() * 0  # here


async def tells_date(_ctx: Context) -> bool:
    return datetime.now() is None  # here


async def tells_day(_ctx: Context) -> bool:
    return dates.date.today() is None  # here


async def naps(_ctx: Context) -> None:
    time.sleep(0.001)  # here


async def draws(_ctx: Context) -> bool:
    return random.random() > 1  # here


async def chooses(_ctx: Context) -> int:
    return random.choice([1])  # here


async def numbers(_ctx: Context) -> bool:
    return uuid.uuid4() is None  # here


async def keeps_secret(_ctx: Context) -> bool:
    return secrets.token_hex(4) == ""  # here


async def takes_bytes(_ctx: Context) -> bool:
    return os.urandom(4) == b""  # here


async def asks_environment(_ctx: Context) -> bool:
    return os.getenv("HOME") == ""  # here


async def subscripts_environment(_ctx: Context) -> bool:
    return os.environ["PATH"] == ""  # here


async def gets_environment(_ctx: Context) -> bool:
    return os.environ.get("A_NAME_NOT_SET", "") is None  # here


async def looks_into_environment(_ctx: Context) -> bool:
    return "A_NAME_NOT_SET" in os.environ  # here


async def helped(ctx: Context) -> float:
    one = await ctx.run(int, "1")
    return one * await later()


async def later() -> float:
    return Clock().read()


class Clock:
    def read(self) -> float:
        return sum(time.perf_counter() * 0 for _ in range(1))  # here


CALLED: list[tuple[Callable[..., Any], str]] = [
    (tells_time, "reads the clock (time.time)"),
    (tells_imported_time, "reads the clock (time.monotonic)"),
    (tells_date, "reads the clock (datetime.now)"),
    (tells_day, "reads the clock (date.today)"),
    (naps, "sleeps (time.sleep)"),
    (draws, "draws at random (random.random)"),
    (chooses, "draws at random (random.choice)"),
    (numbers, "draws at random (uuid.uuid4)"),
    (keeps_secret, "draws at random (secrets.token_hex)"),
    (takes_bytes, "draws at random (os.urandom)"),
    (asks_environment, "asks the process it runs in (os.environ)"),
    (subscripts_environment, "asks the process it runs in (os.environ)"),
    (gets_environment, "asks the process it runs in (os.environ)"),
    (looks_into_environment, "asks the process it runs in (os.environ)"),
    (helped, "reads the clock (time.perf_counter)"),
]


async def works_long(_ctx: Context, calls: int, *, is_late: bool) -> float:
    for _ in range(calls):
        len("")
    return time.time() * 0 if is_late else 0.0  # here


# ---- clean, although something opens files or reads clocks underneath


def reads(step: StepContext) -> str:
    drawn = f"{time.time() * 0}{random.random() * 0}{len(os.environ['PATH']) * 0}"
    return f"{pathlib.Path(os.devnull).read_text()}{step.info.attempt}{drawn}"


async def reads_later() -> float:
    threading.Thread(target=int).start()
    return random.random() * 0


async def in_steps(ctx: Context) -> list[Any]:
    said = await ctx.run(reads)
    drawn = await ctx.run(lambda: random.random() * time.time() * 0)
    return [said, drawn, await ctx.run(reads_later), (await ctx.now()).tzinfo is None, ctx.random() > 1]


async def imports(_ctx: Context) -> str:
    from tests.guards import imported  # noqa: PLC0415 - the point of the test

    return imported.WORD


async def logs(_ctx: Context) -> None:
    log = logging.getLogger("tests.guards")
    log.setLevel(logging.INFO)
    log.info("a file handler opens its file at the first line")


async def explains(_ctx: Context) -> str:
    try:
        raise ValueError("known")
    except ValueError:
        return traceback.format_exc().splitlines()[-1]


async def warns(_ctx: Context) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("said by the workflow", stacklevel=1)


async def zones(_ctx: Context) -> str:
    ZoneInfo.clear_cache()
    return datetime(2030, 1, 31, 12, tzinfo=ZoneInfo("Europe/Berlin")).isoformat()


async def asks_library(_ctx: Context) -> str:
    return os.path.expanduser("~")


async def seeded(ctx: Context) -> list[float]:
    dice = random.Random(7)
    dates_known = [datetime(2030, 1, 31), datetime.fromtimestamp(0, tz=dates.UTC)]
    return [dice.random(), dice.choice([1, 2]), len(dates_known), await ctx.run(float, "1")]


CLEAN: list[Callable[..., Any]] = [in_steps, imports, logs, explains, warns, zones, asks_library, seeded]
