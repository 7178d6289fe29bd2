"""What these tests deploy: the business code of a module, behind the handler; functions-framework loads this file."""

from __future__ import annotations

import importlib
import json
import os

from resonate_faas._worker import WorkerSettings
from resonate_faas_gcp import http_handler

module = importlib.import_module(os.environ["TEST_MODULE"])
if "TEST_LOG" in os.environ:
    module.resonate.set_dependency(
        "log", os.open(os.environ["TEST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    )
worker = WorkerSettings(**json.loads(os.environ.get("TEST_WORKER", "{}")))
handler = http_handler(module.resonate, worker=worker)
