"""The plugin in a pytest of its own, as a user has it: nothing to import, options, a line in the header."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.dev_server import dev_server

from resonate_faas._pytest_plugin import URL_VARIABLE, pytest_report_header

SUITE = """\
from datetime import timedelta

import pytest

from served import child, greet, nap, resonate


@pytest.fixture
def harness(resonate_harness):
    return resonate_harness(resonate)


def test_a_call(harness):
    assert harness.run(child, "ada") == "HELLO ada"


def test_a_week(harness):
    run = harness.start(nap, 7)
    harness.advance(timedelta(days=7))
    assert run.result() == "rested"


def test_a_stub(harness):
    harness.stub(greet, returns="hi")
    assert harness.run(child, "ada") == "hi"


def test_crashes(harness):
    harness.crash_matrix(child, "ada")


@pytest.mark.anyio
async def test_async(harness, anyio_backend_name):
    assert harness.run(child, "ada") == "HELLO ada"


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    served = Path(__file__).with_name("served.py")
    (tmp_path / "served.py").write_text(served.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\npytest.register_assert_rewrite('resonate_faas.testing')\nimport resonate_faas.testing\n"
    )
    return tmp_path


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    with dev_server(folder, app=Path(__file__).with_name("served.py")) as server:
        yield server.url


def run_pytest(folder: Path, *options: str, **variables: str) -> str:
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("RESONATE_FAAS", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-W", "error", "-rs", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_in_memory_everything_runs_whatever_url_the_command_line_uses(suite: Path) -> None:
    printed = run_pytest(suite, RESONATE_FAAS_URL="http://production.invalid")
    assert "5 passed" in printed
    assert "workflow tests run on" not in printed


def test_on_a_deployment_what_can_not_be_done_is_skipped_and_told(suite: Path, url: str) -> None:
    options = ("--resonate-url", url, "--resonate-wait", "15")
    printed = run_pytest(suite, *options, RESONATE_FAAS_TEST_URL="http://other.invalid")
    assert f"resonate-faas: workflow tests run on {url}" in printed
    assert "2 passed, 3 skipped" in printed
    assert "the harness can't let 7 days, 0:00:00 pass (wait_s is 15)" in printed


def test_the_variable_says_it_too(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    assert pytest_report_header(pytestconfig) is None
    monkeypatch.setenv(URL_VARIABLE, "http://test.invalid")
    assert pytest_report_header(pytestconfig) == "resonate-faas: workflow tests run on http://test.invalid"
