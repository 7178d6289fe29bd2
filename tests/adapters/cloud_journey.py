"""A process that runs the journey of tests/crash over a cloud's store until it has ended, or is killed. Started by the tests.

Usage: cloud_journey.py NAME LOG LEASE_MS ID... With FIRESTORE_EMULATOR_HOST, NAME is a project; else a table, and
DYNAMODB_URL the endpoint.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from resonate_faas import Invocation
from resonate_faas._clock import SystemClock
from resonate_faas._errors import StoreError
from resonate_faas._machine.objects import Message
from resonate_faas._node import Node
from resonate_faas._ports import Store
from resonate_faas._server import ServerSettings
from resonate_faas._worker import WorkerSettings
from resonate_faas_local._local_queue import LocalQueue

JOURNEY: Final = Path(__file__).parents[1] / "crash" / "journey.py"
SWEEP_MS: Final = 500
WAIT_MS: Final = 120_000


def journey() -> Any:
    """Return the module with the workflow."""
    spec = importlib.util.spec_from_file_location("journey", JOURNEY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["journey"] = module
    spec.loader.exec_module(module)
    return module


def opened(name: str) -> Store:
    """Return the store that the environment says."""
    firestore = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if firestore is not None:
        from resonate_faas_gcp import FirestoreStore, firestore_channel  # noqa: PLC0415 - of the two, one is needed

        return FirestoreStore(name, channel=firestore_channel(firestore))
    from resonate_faas_aws import DynamoDBStore, dynamodb_client  # noqa: PLC0415

    return DynamoDBStore(name, client=dynamodb_client(endpoint=os.environ["DYNAMODB_URL"]))


def main(name: str, log: str, lease_ms: str, *ids: str) -> None:
    module = journey()
    module.resonate.set_dependency("log", os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    clock = SystemClock()

    def deliver(message: Message) -> None:
        node.deliver(message)

    queue = LocalQueue(deliver, clock=clock, workers=4)
    node = Node(
        module.resonate,
        opened(name),
        queue,
        clock=clock,
        target="local://default",
        server=ServerSettings(sweep_interval_ms=SWEEP_MS),
        worker=WorkerSettings(lease_ms=int(lease_ms)),
    )
    queue.start()
    ended = threading.Event()

    def sweep_always() -> None:
        while not ended.wait(SWEEP_MS / 1000):
            try:
                node.server.sweep()
            except StoreError as error:
                sys.stderr.write(f"sweep: {error}\n")

    sweeper = threading.Thread(target=sweep_always, daemon=True)
    sweeper.start()
    for one in ids:
        node.client.invoke(Invocation(function="journey", args=[module.STEPS], id=one))
    os.write(sys.stdout.fileno(), b"ready\n")
    for one in ids:
        node.client.wait(one, WAIT_MS)
    ended.set()
    sweeper.join()
    queue.stop(10.0)
    node.worker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
