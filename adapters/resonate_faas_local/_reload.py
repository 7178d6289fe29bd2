"""Restart the dev server when its code changes. The socket stays open meanwhile: requests wait, none is refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from resonate_faas_local._dev_settings import DevSettings

LOOK_S: Final = 0.3
STOP_S: Final = 20.0
"""How long a server may take to release its tasks before it is killed; then their leases run out."""

FILES_MAX: Final = 10_000
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})

Stamps = Mapping[Path, int]


def supervise(target: str, folder: Path, listening: socket.socket, settings: DevSettings) -> None:
    """Run the server in a child process until SIGINT or SIGTERM, a fresh one after each change of a .py file.

    Args:
        target: as ``load_app`` takes it.
        folder: watched, with everything below it.
        listening: handed to every child.
        settings: of the server.
    """
    ended = threading.Event()
    before = {name: signal.signal(name, lambda *_: ended.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not ended.is_set():
            stamps = _stamps(folder)
            child = _start(target, listening, settings)
            try:
                _wait(child, folder, stamps, ended)
            finally:
                _stop(child)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        listening.close()


def child_arguments(text: str) -> tuple[str, socket.socket, DevSettings]:
    """Return what the parent wrote to a child's standard input."""
    given = json.loads(text)
    settings = given["settings"]
    settings |= {name: tuple(settings[name]) for name in ("allow", "cors")}
    return given["target"], socket.socket(fileno=given["fd"]), DevSettings(**settings)


def _start(target: str, listening: socket.socket, settings: DevSettings) -> subprocess.Popen[str]:
    fd = listening.fileno()
    child = subprocess.Popen(
        [sys.executable, "-m", "resonate_faas_local", "--child"],
        stdin=subprocess.PIPE,
        pass_fds=(fd,),
        text=True,
    )
    if child.stdin is None:
        raise RuntimeError("a pipe was asked for")
    with child.stdin:  # not in its arguments: the debug token is no business of other users of this machine
        child.stdin.write(json.dumps({"target": target, "fd": fd, "settings": asdict(settings)}))
    return child


def _wait(child: subprocess.Popen[str], folder: Path, stamps: Stamps, ended: threading.Event) -> None:
    """Return when a file has changed or we are told to end; a child that failed is started again after a change."""
    is_told = False
    while not ended.wait(LOOK_S):
        if _stamps(folder) != stamps:
            print("code changed: restarting", file=sys.stderr, flush=True)  # noqa: T201 - told to the developer
            return
        if child.poll() is not None and not is_told:
            is_told = True
            print("the server ended: waiting for a change", file=sys.stderr, flush=True)  # noqa: T201 - as above


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _stamps(folder: Path) -> Stamps:
    """Return the time of the last change of each .py file."""
    stamps: dict[Path, int] = {}
    for path in _files(folder):
        try:
            stamps[path] = path.stat().st_mtime_ns
        except OSError:
            continue  # deleted between listing and looking: a change all the same
        if len(stamps) >= FILES_MAX:
            break
    return stamps


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED
            and not name.startswith(".")
            and not Path(where, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(where, name) for name in files if name.endswith(".py"))
