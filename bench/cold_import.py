"""Cold import: CPU of a fresh interpreter, as a ratio to pydantic with one model."""

from __future__ import annotations

from typing import Final

from bench.measure import child_cpu_ms, run_child
from bench.report import Figure

TITLE: Final = "Cold import, CPU of a fresh interpreter"
RUNS: Final = 25
MODULES_SHOWN: Final = 12
BUDGET_MS: Final = 30.0
"""Allowed on top of pydantic with one model (design section 9)."""

_MODEL: Final = "\nimport pydantic\nclass Order(pydantic.BaseModel):\n    id: int\n    name: str = ''\n"
_CORE: Final = "import resonate_faas"
_NODE: Final = "import resonate_faas._node"
_HTTP: Final = "import resonate_faas._node, resonate_faas._http"


def run() -> list[Figure]:
    """Return the figures: milliseconds for this machine now, and ratios, which travel better."""
    nothing = child_cpu_ms("pass", runs=RUNS)
    pydantic = child_cpu_ms("import pydantic", runs=RUNS)
    model = child_cpu_ms(_MODEL, runs=RUNS)
    budget = model + BUDGET_MS
    cases = {
        _CORE: ("the face", None),
        _NODE: ("all that runs an execution", budget),
        _HTTP: ("and the routes, with their wire models", budget),
        _NODE + _MODEL: ("and one model of the user's", None),
        _HTTP + _MODEL: ("and one model of the user's", None),
    }
    measured = {code: child_cpu_ms(code, runs=RUNS) for code in cases}
    figures = [
        Figure(name="an empty interpreter", value=nothing, unit="ms"),
        Figure(name="pydantic", value=pydantic, unit="ms"),
        Figure(name="pydantic with one model", value=model, unit="ms"),
    ]
    for code, (note, limit) in cases.items():
        name = code.replace(_MODEL, ", one model")
        figures += [
            Figure(name=name, value=measured[code], unit="ms", budget=limit, note=note),
            Figure(
                name="  to pydantic with one model",
                value=measured[code] / model,
                unit="x",
                budget=None if limit is None else limit / model,
            ),
        ]
    return [*figures, *_slowest(_NODE)]


def _slowest(code: str) -> list[Figure]:
    """Return the modules that take longest by themselves, as the interpreter reports it; that slows it a little."""
    report = run_child(code, "-X", "importtime").stderr
    times: dict[str, float] = {}
    for line in report.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            times[rest.rpartition("|")[2].strip()] = int(own) / 1_000
    slowest = sorted(times.items(), key=lambda item: -item[1])[:MODULES_SHOWN]
    return [
        Figure(name=f"  {name}", value=took, unit="ms", note="own time, one run") for name, took in slowest
    ]
