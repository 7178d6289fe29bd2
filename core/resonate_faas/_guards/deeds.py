"""What a workflow must not do itself: by audit event, and by function called."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Deed:
    """One kind of thing that a replay does not repeat.

    Attributes:
        what: completes "the workflow ...".
        cure: what to write instead.
    """

    what: str
    cure: str


_STEP: Final = "put it into a step: await ctx.run(fn, ...)"

CLOCK: Final = Deed("reads the clock", "use await ctx.now()")
SLEEP: Final = Deed("sleeps", "use await ctx.sleep(seconds)")
RANDOM: Final = Deed("draws at random", "use ctx.random")
UNIQUE: Final = Deed("draws at random", "use ctx.uuid4() or ctx.random; draw a secret in a step")
PROCESS_STATE: Final = Deed("asks the process it runs in", "pass it as an argument, or ask in a step")
FILE: Final = Deed("uses a file", _STEP)
NETWORK: Final = Deed("uses the network", _STEP)
DATABASE: Final = Deed("uses a database", _STEP)
PROGRAM: Final = Deed("starts a process", _STEP)
THREAD: Final = Deed("starts a thread", "start calls with ctx.run or ctx.rpc, and wait with ctx.gather")

_EVENTS: Final[Mapping[Deed, str]] = {
    FILE: "open os.listdir os.scandir os.mkdir os.remove os.rename os.rmdir os.link os.symlink os.truncate os.utime"
    " os.chmod os.chown shutil.copyfile shutil.copytree shutil.move shutil.rmtree shutil.make_archive glob.glob"
    " tempfile.mkstemp tempfile.mkdtemp",
    NETWORK: "socket.__new__ socket.connect socket.bind socket.sendto socket.getaddrinfo socket.gethostbyname"
    " urllib.Request http.client.connect smtplib.connect ftplib.connect imaplib.open poplib.connect",
    DATABASE: "sqlite3.connect",
    PROGRAM: "subprocess.Popen os.system os.fork os.forkpty os.exec os.spawn os.posix_spawn os.kill pty.spawn",
    THREAD: "_thread.start_new_thread _thread.start_joinable_thread",
    SLEEP: "time.sleep",
}
EVENTS: Final[Mapping[str, Deed]] = {
    event: deed for deed, names in _EVENTS.items() for event in names.split()
}
"""Audit events (PEP 578), as the library's own documentation lists them."""

_CALLS: Final[Mapping[tuple[str, Deed], str]] = {
    ("time", CLOCK): "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time"
    " process_time_ns thread_time thread_time_ns clock_gettime clock_gettime_ns",
    ("time", SLEEP): "sleep",
    ("uuid", UNIQUE): "uuid1 uuid4 uuid6 uuid7 uuid8 getnode",
    ("secrets", UNIQUE): "token_bytes token_hex token_urlsafe randbelow choice",
    ("posix", UNIQUE): "urandom getrandom",
    ("nt", UNIQUE): "urandom",
    ("posix", PROCESS_STATE): "getpid getppid getcwd cpu_count",
}
CALLS: Final[Mapping[tuple[str, str], Deed]] = {
    (module, name): deed for (module, deed), names in _CALLS.items() for name in names.split()
}
"""By the module and name that a function has itself, however it was imported."""

ENVIRONMENT: Final = os._Environ.__getitem__.__code__  # noqa: SLF001 - a read is no call, but it runs this
"""Runs when os.environ is read, in whatever way; so it is watched itself, not the calls of it."""
ENVIRONMENT_NAME: Final = "os.environ"

_NOW: Final = frozenset({"now", "utcnow", "today"})


def deed_of(called: Any, first: Any) -> Deed | None:
    """Return what calling an object does; None: nothing that is known.

    Args:
        called: a function, a bound method, a class, anything callable.
        first: the first argument: the object of a method that was called unbound.
    """
    name = getattr(called, "__name__", None)
    if not isinstance(name, str):
        return None
    owner = getattr(called, "__self__", first)
    if name in _NOW and isinstance(owner, type) and issubclass(owner, date):
        return CLOCK
    drawing = sys.modules.get("random")
    if drawing is not None and isinstance(owner, drawing.Random):
        is_shared = owner is drawing._inst or isinstance(owner, drawing.SystemRandom)  # noqa: SLF001
        return RANDOM if is_shared else None
    module = getattr(called, "__module__", None)
    return CALLS.get((module, name)) if isinstance(module, str) else None


def name_of(called: Any) -> str:
    """Return the name of a called function for a message: time.time."""
    owner = getattr(called, "__self__", None)
    if isinstance(owner, type):
        return f"{owner.__name__}.{called.__name__}"
    module = getattr(called, "__module__", None) or type(owner).__module__
    return f"{'os' if module in {'posix', 'nt'} else module}.{called.__name__}"
