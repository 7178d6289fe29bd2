"""A cold start imports what the first request needs, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.gcp.deployment import CALLER, QUEUE_ACCOUNT, Deployed, issuer
from tests.gcp.framework import HERE


def test_each_library_is_imported_by_the_first_request_that_needs_it(tmp_path: Path) -> None:
    """Cloud Tasks' by the first message that is sent: a delivery that sends none does without."""
    with Deployed(tmp_path, "flows", start=False) as deployed:
        tokens = [issuer().token(deployed.url, account) for account in (QUEUE_ACCOUNT, CALLER)]
        done = subprocess.run(
            [sys.executable, "-P", str(HERE / "cold_start.py"), deployed.url, *tokens],
            capture_output=True,
            text=True,
            env={**os.environ, **deployed.variables, "PYTHONPATH": str(HERE)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
    assert told["statuses"] == [200, 200, 202], done.stderr
    started = ["flask", "google-cloud-firestore"]
    assert told["seen"] == {
        "before": ["flask"],
        "started": started,
        "health": started,
        "delivery": started,
        "message": [*started, "google-cloud-tasks", "pydantic"],
    }
