"""What these tests deploy: the business code of a module, behind the handler; in the process of the runtime client."""

from __future__ import annotations

import importlib
import json
import os

from resonate_faas._worker import WorkerSettings
from resonate_faas_aws import lambda_handler

module = importlib.import_module(os.environ["TEST_MODULE"])
worker = WorkerSettings(**json.loads(os.environ.get("TEST_WORKER", "{}")))
handler = lambda_handler(module.resonate, worker=worker)
