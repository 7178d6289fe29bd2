"""The official SDKs, installed from their registries into a folder of the repository that git ignores."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

PYTHON_SDK: Final = "resonate-sdk==0.8.1"
TYPESCRIPT_SDK: Final = "@resonatehq/sdk@0.11.5"
NODE: Final = "node@22"
"""What the TypeScript SDK asks for; installed where the machine's own is older."""

NODE_MAJOR: Final = 22
INSTALL_S: Final = 240
RUN_S: Final = 90
ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".interop"
PROGRAMS: Final = Path(__file__).parent / "programs"
PYTHONS: Final = ("3.12", "3.13", "3.14")


def python() -> Path:
    """Return an interpreter that has resonate-sdk; skip, or fail in CI, where there is none."""
    folder = CACHE / PYTHON_SDK
    program = folder / "bin" / "python"
    with _locked():
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install([_newer_python(), "-m", "venv", str(folder)])
            install = [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "-q",
                "--python",
                str(program),
                PYTHON_SDK,
            ]
            _install(install if _has_uv() else [str(program), "-m", "pip", "install", "-q", PYTHON_SDK])
            (folder / "done").touch()
    return program


def node() -> tuple[str, Path]:
    """Return node and a folder that has @resonatehq/sdk; skip, or fail in CI, where there is no node."""
    folder = CACHE / TYPESCRIPT_SDK.replace("/", "-")
    own = shutil.which("node")
    npm = shutil.which("npm")
    if own is None or npm is None:
        _missing("node and npm are not on this machine: the TypeScript SDK")
    is_old = int(subprocess.check_output([own, "-p", "process.versions.node.split('.')[0]"])) < NODE_MAJOR
    with _locked():
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text(
                json.dumps({"name": "programs", "private": True, "type": "module"})
            )
            packages = [TYPESCRIPT_SDK, *([NODE] if is_old else [])]
            _install([npm, "install", "--no-audit", "--no-fund", "--no-package-lock", *packages], cwd=folder)
            (folder / "done").touch()
    for program in PROGRAMS.glob("*.mjs"):
        copy = folder / program.name  # node looks for packages next to the program
        if not copy.exists() or copy.read_bytes() != program.read_bytes():
            copy.write_bytes(program.read_bytes())
    return (str(folder / "node_modules" / ".bin" / "node") if is_old else own), folder


def run_python(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program on the Python SDK and return what it printed."""
    return _json([str(python()), str(PROGRAMS / program), *arguments])


def run_node(program: str, *arguments: str) -> dict[str, Any]:
    """Run a program on the TypeScript SDK and return what it printed."""
    binary, folder = node()
    return _json([binary, str(folder / program), *arguments])


def command(program: str, *arguments: str) -> list[str]:
    """Return the command line of a program of either language."""
    if program.endswith(".py"):
        return [str(python()), str(PROGRAMS / program), *arguments]
    binary, folder = node()
    return [binary, str(folder / program), *arguments]


def _json(arguments: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=RUN_S, check=False, env=_environment()
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RESONATE_")}


def _newer_python() -> str:
    finder = str(ROOT / "tools" / "find_python.sh")
    found = (
        subprocess.run([finder, minor], capture_output=True, text=True, check=False).stdout.strip()
        for minor in PYTHONS
    )
    return next(filter(None, found), None) or _missing("no Python 3.12 or newer is here: resonate-sdk")


def _has_uv() -> bool:
    return (
        subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def _install(arguments: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=INSTALL_S, check=False, cwd=cwd)
    if done.returncode != 0:
        _missing(f"{' '.join(arguments)} failed: {done.stderr[-1000:]}\nIt")


def _missing(what: str) -> NoReturn:
    reason = f"NOT TESTED against the official SDKs: {what} is not tested"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process install at a time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
