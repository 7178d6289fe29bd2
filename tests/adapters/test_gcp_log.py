"""Log lines of a Cloud Function, as a process writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

BEGIN = """
import logging
from resonate_faas_gcp._log import log_to_cloud
log = logging.getLogger("resonate_faas.worker")
"""


def lines(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    return (done.stderr + done.stdout).splitlines()


def entries(script: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(script)]


def test_an_event_is_one_json_object_with_its_severity_and_fields() -> None:
    script = (
        BEGIN + "log_to_cloud()\nlog.error('task halted', extra={'promise_id': 'a', 'reason': 'two\\nlines'})"
    )
    assert entries(script) == [
        {
            "severity": "ERROR",
            "message": "task halted",
            "logger": "resonate_faas.worker",
            "promise_id": "a",
            "reason": "two\nlines",
        }
    ]


def test_a_traceback_stays_in_its_line_and_any_field_can_be_shown() -> None:
    script = f"""{BEGIN}
log_to_cloud()
log_to_cloud()
try:
    1 / 0
except ZeroDivisionError:
    log.exception("bug in %s", "a route", extra={{"seen": {{1}}}})
log.debug("not shown")
"""
    (entry,) = entries(script)
    assert entry["message"] == "bug in a route"
    assert entry["exception"].startswith("Traceback")
    assert entry["seen"] == "{1}"


def test_a_form_that_the_user_chose_is_kept() -> None:
    script = (
        BEGIN + "logging.basicConfig(format='mine: %(message)s')\nlog_to_cloud()\nlog.error('task halted')"
    )
    assert lines(script) == ["mine: task halted"]


def test_the_framework_adds_its_execution_id_to_our_line() -> None:
    """Its handler is there before the function's module runs, and takes JSON lines apart."""
    script = f"""
from functions_framework import _configure_app_execution_id_logging
from functions_framework.execution_id import ExecutionContext, execution_context_var
_configure_app_execution_id_logging()
{BEGIN}
log_to_cloud()
execution_context_var.set(ExecutionContext("e-1"))
log.error("task halted", extra={{"promise_id": "a"}})
"""
    (entry,) = entries(script)
    assert (entry["severity"], entry["message"], entry["promise_id"]) == ("ERROR", "task halted", "a")
    assert entry["logging.googleapis.com/labels"] == {"execution_id": "e-1"}
