"""What the guides list is what the code has: routes, problems, flags, options, limits, defaults."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest
import typer.main
from tests.docs.pages import GUIDES
from tests.packaging.tree import ROOT

import resonate_faas
from resonate_faas import Constant, Context, Exponential, HttpError, Linear
from resonate_faas._engine.execution import PROMISES_MAX
from resonate_faas._http.app import ROUTES
from resonate_faas._http.messages import BODY_BYTES_MAX
from resonate_faas._http.problems import INTERNAL_CODE, PROBLEMS
from resonate_faas._http.room import WAIT_S_MAX
from resonate_faas._machine.ids import PAYLOAD_BYTES_MAX, id_error
from resonate_faas._machine.objects import DEFAULT_RULES
from resonate_faas._worker import WorkerSettings
from resonate_faas_cli._app import build
from resonate_faas_cli._exits import Exit
from resonate_faas_local._local_node import LEASE_MS

BRING_THEIR_STATUS = {"access-denied", "refused", "invocation-conflict"}
"""Their instances say it; the tests of the routes hold them to it."""


def guide(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str, header: str) -> list[list[str]]:
    """Return the cells of the table that begins with this header row."""
    _, _, rest = guide(name).partition(f"{header}\n")
    assert rest, f"docs/{name}.md has no table {header!r}"
    table = rest.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_routes() -> None:
    listed = set()
    for cell, _ in rows("http", "| route | does |"):
        method, path = codes(cell)[0].split(" ")
        listed.add((method, re.sub(r"/(resolve|reject|cancel)$", "/{action}", path)))
    assert listed == {(route.method, route.template) for route in ROUTES}


def test_the_problems() -> None:
    listed = {
        code: statuses
        for statuses, cell, _ in rows("http", "| status | code | what it means |")
        for code in codes(cell)
    }
    for kind, problem in PROBLEMS.items():
        if kind.code in listed and kind.code not in BRING_THEIR_STATUS:
            assert int(listed[kind.code]) == (problem.status or kind.status)
    assert set(listed) <= {kind.code for kind in PROBLEMS} | {INTERNAL_CODE}
    assert {kind.code for kind in PROBLEMS if issubclass(kind, HttpError)} <= set(listed)
    assert f"over {BODY_BYTES_MAX:,} bytes" in guide("http")
    assert f"(at most {WAIT_S_MAX})" in guide("http")


def test_the_flags_of_the_dev_server() -> None:
    program = typer.main.get_command(build())
    dev = program.commands["dev"]  # type: ignore[attr-defined]
    flags = {name for parameter in dev.params for name in parameter.opts if name.startswith("--")}
    listed = {code.split(" ")[0] for cell, _ in rows("dev-server", "| flag | |") for code in codes(cell)}
    assert listed == flags - {"--help"}


def test_the_exit_codes() -> None:
    listed = [int(code) for code, _ in rows("dev-server", "| code | means |")]
    assert listed == [int(code) for code in Exit]


def test_the_options_of_a_call() -> None:
    listed = {
        code for cell, _ in rows("writing-workflows", "| option | what it does |") for code in codes(cell)
    }
    assert listed == set(inspect.signature(Context.options).parameters) - {"self"}


@pytest.mark.parametrize("name", [name for name in vars(Context) if not name.startswith("_")])
def test_every_call_of_the_context_is_shown(name: str) -> None:
    text = guide("writing-workflows")
    assert re.search(rf"\b(ctx|step)\.{name}\b", text), name


def test_the_limits() -> None:
    text = guide("writing-workflows")
    assert f"| {PROMISES_MAX:,};" in text
    assert f"| {PAYLOAD_BYTES_MAX:,} bytes encoded |" in text
    assert f"| waiters of one promise | {DEFAULT_RULES.waiters_max:,} |" in text
    assert id_error("x" * 256) is None
    assert id_error("x" * 257) is not None
    assert WorkerSettings().promises_share == 0.5
    assert WorkerSettings().in_place_ms == 2_000
    assert "longer than two seconds" in text


def test_the_retry_policies() -> None:
    told = [
        code
        for cell, _ in rows("errors-and-time", "| policy | waits before retry n |")
        for code in codes(cell)
    ]
    for kind in (Exponential, Linear, Constant):
        fields = inspect.signature(kind).parameters.values()
        shown = ", ".join(
            f"{field.name}={field.default:g}" if field.default is not None else f"{field.name}=None"
            for field in fields
        )
        assert f"{kind.__name__}({shown})" in told


def test_leases_and_patience() -> None:
    text = guide("errors-and-time")
    assert (WorkerSettings().lease_ms, LEASE_MS) == (30_000, 10_000)
    assert "(30 seconds; 10 on the dev server)" in text
    assert (DEFAULT_RULES.barren_patience, DEFAULT_RULES.barren_max) == (3, 10)
    assert "three times in a row" in text


def test_no_document_has_snippets_that_nothing_runs() -> None:
    run = {ROOT / page for page in GUIDES}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "adr").glob("*.md")]
    for path in pages:  # the linter's pages hold bad examples for it, and are not meant to be run
        fences = re.findall(r"^```(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert path in run or not {"python", "console", "bash", "sh"} & set(fences), path.name


def test_every_error_a_guide_names_exists() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        defined = set(re.findall(r"^class (\w+)", text, re.MULTILINE))
        for name in set(re.findall(r"`(\w+Error)`", text)) - defined:
            found = getattr(resonate_faas, name, None) or getattr(builtins, name)
            assert issubclass(found, BaseException)
