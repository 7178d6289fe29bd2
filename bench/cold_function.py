"""Cold start of a Cloud Function: CPU of a fresh interpreter, by what has been imported when."""

from __future__ import annotations

from typing import Final

from bench.measure import children_cpu_ms
from bench.report import Figure

TITLE: Final = "Cold start of a Cloud Function, CPU of a fresh interpreter"
RUNS: Final = 9

_NOTHING: Final = "pass"
_PLATFORM: Final = "import functions_framework\n"
_PACKAGE: Final = _PLATFORM + "import resonate_faas_gcp\n"
_HANDLER: Final = (
    _PACKAGE
    + """
from resonate_faas import Resonate
handler = resonate_faas_gcp.http_handler(
    Resonate(),
    queue="projects/p/locations/l/queues/q",
    public_url="https://example.com",
    queue_account="queue@example.com",
    timeout_seconds=60,
)
"""
)
_MESSAGE: Final = (
    _HANDLER
    + """
from resonate_faas_gcp._cloud_tasks_rpc import messages
messages()
"""
)
_FIRESTORE: Final = _PLATFORM + "from google.cloud import firestore\n"
_BOTH: Final = _FIRESTORE + "from google.cloud import tasks_v2\n"

_CASES: Final = {
    _NOTHING: ("an empty interpreter", ""),
    _PLATFORM: ("functions-framework", "what the platform loads for any function"),
    _FIRESTORE: ("and google-cloud-firestore", "what any function over Firestore loads"),
    _BOTH: ("and google-cloud-tasks", ""),
    _PACKAGE: ("functions-framework and resonate_faas_gcp", "no library of Google's"),
    _HANDLER: ("and the handler made: ready for the first request", "google-cloud-firestore among it"),
    _MESSAGE: ("and the first message sent", "google-cloud-tasks, for those that send one"),
}


def run() -> list[Figure]:
    """Return the figures; no budget: what Google's libraries take is theirs."""
    measured = children_cpu_ms(_CASES, runs=RUNS)
    return [
        Figure(name=name, value=measured[code], unit="ms", note=note) for code, (name, note) in _CASES.items()
    ]
