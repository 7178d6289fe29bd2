"""What is shipped: the packages and nothing else, importable without any extra, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from email import message_from_string
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tests.packaging.tree import PACKAGES, PYPROJECT, ROOT

PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS = {"local", "cli", "gcp", "aws", "jwt", "remote", "otel", "testing", "dev"}
BLOCKED = ("starlette", "uvicorn", "typer", "rich", "httpx", "cronsim", "pytest", "hypothesis", "anyio")
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} belongs to an extra")

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-P",
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(folder),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_every_package_is_shipped_and_watched() -> None:
    folders = {path.parent for room in ("core", "adapters") for path in (ROOT / room).glob("*/__init__.py")}
    assert set(PACKAGES.values()) == folders
    assert PYPROJECT["tool"]["importlinter"]["root_packages"] == list(PACKAGES)


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: ZipFile) -> None:
    metadata = f"resonate_faas-{PROJECT['version']}.dist-info/"
    found = {one for one in wheel.namelist() if not one.startswith(metadata)}
    expected = {
        path.relative_to(folder.parent).as_posix()
        for folder in PACKAGES.values()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == expected
    assert f"{metadata}licenses/LICENSE" in wheel.namelist()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_that_it_is_typed(wheel: ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_extras_are_named_as_promised(wheel: ZipFile) -> None:
    assert set(PROJECT["optional-dependencies"]) == EXTRAS
    told = message_from_string(
        wheel.read(f"resonate_faas-{PROJECT['version']}.dist-info/METADATA").decode("utf-8")
    )
    assert set(told.get_all("Provides-Extra") or []) == EXTRAS
    assert told["Requires-Python"] == ">=3.11"
    required = [one for one in told.get_all("Requires-Dist") or [] if "extra ==" not in one]
    assert [one.partition(">")[0].partition("<")[0] for one in required] == ["pydantic"]


def test_the_program_is_an_entry_point(wheel: ZipFile) -> None:
    text = wheel.read(f"resonate_faas-{PROJECT['version']}.dist-info/entry_points.txt").decode("utf-8")
    assert "resonate-faas = resonate_faas_cli:main" in text


@pytest.mark.parametrize("module", ["resonate_faas", "resonate_faas._node", "resonate_faas._http"])
def test_core_needs_no_extra(module: str) -> None:
    script = f"{BLOCKER}\nimport {module}\nfound = [name for name in {BLOCKED!r} if name in sys.modules]\nassert not found, found"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks() -> None:
    script = f"{BLOCKER}\nimport httpx"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert "httpx belongs to an extra" in done.stderr


def test_imports_point_one_way() -> None:
    environment = {**os.environ, "PYTHONPATH": f"core{os.pathsep}adapters"}
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_version_is_one_and_the_changelog_knows_it() -> None:
    assert version("resonate-faas") == PROJECT["version"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", text, re.MULTILINE)
    assert headings
    assert len(headings) == len(re.findall(r"^## ", text, re.MULTILINE))
    released = [(name, day) for name, day in headings if name != "Unreleased"]
    numbers = [tuple(int(part) for part in name.split(".")) for name, _ in released]
    assert numbers == sorted(numbers, reverse=True)
    assert all(date.fromisoformat(day) for _, day in released)
    own = tuple(int(part) for part in PROJECT["version"].split("."))
    assert headings[0][0] == "Unreleased" or numbers[0] == own
    assert all(number <= own for number in numbers)
