"""Cold import: CPU of a fresh interpreter, as a ratio to pydantic with one model."""

from __future__ import annotations

import tempfile
from typing import Final

from bench.measure import children_cpu_ms, run_child
from bench.report import Figure

TITLE: Final = "Cold import, CPU of a fresh interpreter"
RUNS: Final = 25
MODULES_SHOWN: Final = 12
BUDGET_MS: Final = 30.0
"""Allowed on top of pydantic with one model (design section 9)."""

_MODEL: Final = "\nimport pydantic\nclass Order(pydantic.BaseModel):\n    id: int\n    name: str = ''\n"
_NOTHING: Final = "pass"
_PYDANTIC: Final = "import pydantic"
_CORE: Final = "import resonate_faas"
_NODE: Final = "import resonate_faas._node"
_HTTP: Final = "import resonate_faas._node, resonate_faas._http"

_CASES: Final = {
    _CORE: ("the face", False),
    _NODE: ("all that runs an execution", True),
    _HTTP: ("and the routes, with their wire models", True),
    _NODE + _MODEL: ("and one model of the user's", False),
    _HTTP + _MODEL: ("and one model of the user's", False),
}
"""What is imported: a note, and whether the budget is about it."""


def run() -> list[Figure]:
    """Return the figures: milliseconds for this machine now, and ratios, which travel better."""
    measured = children_cpu_ms([_NOTHING, _PYDANTIC, _MODEL, *_CASES], runs=RUNS)
    model = measured[_MODEL]
    limit = model + BUDGET_MS
    figures = [
        Figure(name="an empty interpreter", value=measured[_NOTHING], unit="ms"),
        Figure(name=_PYDANTIC, value=measured[_PYDANTIC], unit="ms"),
        Figure(name="pydantic with one model", value=model, unit="ms"),
    ]
    for code, (note, is_bounded) in _CASES.items():
        figures += [
            Figure(
                name=code.replace(_MODEL, ", one model"),
                value=measured[code],
                unit="ms",
                budget=limit if is_bounded else None,
                note=note,
            ),
            Figure(
                name="  to pydantic with one model",
                value=measured[code] / model,
                unit="x",
                budget=limit / model if is_bounded else None,
            ),
        ]
    return [*figures, *_slowest(_NODE)]


def _slowest(code: str) -> list[Figure]:
    """Return the modules that take longest by themselves, as the interpreter reports it; that slows it a little."""
    with tempfile.TemporaryDirectory() as bytecode:
        run_child(code, bytecode=bytecode)
        report = run_child(code, "-X", "importtime", bytecode=bytecode).stderr
    times: dict[str, float] = {}
    for line in report.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            times[rest.rpartition("|")[2].strip()] = int(own) / 1_000
    slowest = sorted(times.items(), key=lambda item: -item[1])[:MODULES_SHOWN]
    return [
        Figure(name=f"  {name}", value=took, unit="ms", note="own time, one run") for name, took in slowest
    ]
