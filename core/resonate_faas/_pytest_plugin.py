"""The pytest plugin: the fixture ``resonate_harness``, and the options that let tests run on a deployment.

It stands outside ``resonate_faas.testing``, which it imports only when a test asks for a harness: so pytest can still
rewrite the asserts in there, and test suites without workflows pay nothing for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from resonate_faas._resonate import Resonate
    from resonate_faas.testing import Harness

URL_VARIABLE: Final = "RESONATE_FAAS_TEST_URL"
"""Not the one that the command line reads: whoever has exported that one does not mean their tests."""
TOKEN_VARIABLE: Final = "RESONATE_FAAS_TEST_TOKEN"  # noqa: S105 - the name of a variable
WAIT_S: Final = 10.0

if "resonate_faas.testing" not in sys.modules:  # before any conftest imports it
    pytest.register_assert_rewrite("resonate_faas.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("resonate-faas", "durable functions")
    group.addoption(
        "--resonate-url",
        default=None,
        metavar="URL",
        help=f"run workflow tests on this deployment instead of in memory ({URL_VARIABLE}; its token: {TOKEN_VARIABLE})",
    )
    group.addoption(
        "--resonate-wait",
        type=float,
        default=WAIT_S,
        metavar="SECONDS",
        help="the longest to wait for the deployment in a row; a test that needs more is skipped",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say it, if tests run on a deployment."""
    url = _url(config)
    return None if url is None else f"resonate-faas: workflow tests run on {url}"


@pytest.fixture
def resonate_harness(request: pytest.FixtureRequest) -> Iterator[Callable[..., Harness]]:
    """Give a function that makes harnesses: ``resonate_harness(resonate, setup=...)``; they are closed after the test.

    With ``--resonate-url`` they run on that deployment, else in memory.
    """
    from resonate_faas.testing import Harness  # noqa: PLC0415 - see above

    made: list[Harness] = []

    def make(resonate: Resonate, **options: Any) -> Harness:
        url = _url(request.config)
        if url is not None:
            place = {
                "url": url,
                "token": os.environ.get(TOKEN_VARIABLE),
                "wait_s": request.config.getoption("--resonate-wait"),
            }
            options = {**place, **options}
        harness = Harness(resonate, **options)
        made.append(harness)
        return harness

    yield make
    for harness in made:
        harness.close()


def _url(config: pytest.Config) -> str | None:
    found = config.getoption("--resonate-url") or os.environ.get(URL_VARIABLE)
    return str(found) if found else None
