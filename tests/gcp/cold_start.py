"""A function that starts and is asked a few things in turn; tells after each which libraries have been imported.

Usage: cold_start.py URL TOKEN_OF_THE_QUEUE TOKEN_OF_A_CALLER. The settings are in the environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from functions_framework import create_app

HEAVY: Final = {
    "flask": "flask",
    "google-cloud-firestore": "google.cloud.firestore_v1",
    "google-cloud-tasks": "google.cloud.tasks_v2",
    "protocol": "resonate_faas._protocol",
    "cronsim": "cronsim",
    "PyJWT": "jwt",
    "pydantic": "pydantic",
}
STALE: Final = {"kind": "execute", "head": {}, "data": {"task": {"id": "nobody", "version": 1}}}


def loaded() -> list[str]:
    return [name for name, module in HEAVY.items() if module in sys.modules]


def main(url: str, queue_token: str, caller_token: str) -> None:
    seen = {"before": loaded()}
    app: Any = create_app("handler", str(Path(__file__).with_name("cloud_function.py")))  # type: ignore[no-untyped-call]
    client = app.test_client()
    seen["started"] = loaded()

    def post(path: str, token: str, body: object) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return int(client.post(path, base_url=url, headers=headers, json=body).status_code)

    statuses = [client.get("/health", base_url=url).status_code]
    seen["health"] = loaded()
    statuses.append(post("/", queue_token, STALE))
    seen["delivery"] = loaded()
    statuses.append(post("/invoke/nothing", caller_token, {"id": "one"}))
    seen["message"] = loaded()
    sys.stdout.write(json.dumps({"statuses": statuses, "seen": seen}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
