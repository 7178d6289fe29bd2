"""The harness for tests of workflows, fakes, and the contracts that say what a store and a queue are. Needs the extra ``testing`` (pytest)."""

from resonate_faas.testing._deployment import InlineRunner, MemoryDeployment
from resonate_faas.testing._fake_clock import EPOCH_MS, FakeClock
from resonate_faas.testing._harness.deployed import DeploymentError
from resonate_faas.testing._harness.findings import Finding, Report
from resonate_faas.testing._harness.harness import Harness
from resonate_faas.testing._harness.history import Entry, History
from resonate_faas.testing._harness.ledger import Effect
from resonate_faas.testing._harness.run import Run, Schedule
from resonate_faas.testing._harness.stubs import Stub, StubCall, StubExhaustedError
from resonate_faas.testing._memory_queue import Disorder, MemoryQueue
from resonate_faas.testing._memory_store import MemoryStore
from resonate_faas.testing._queue_contract import QueueContract
from resonate_faas.testing._session_contract import SessionContract, SessionStage
from resonate_faas.testing._store_contract import StoreContract
from resonate_faas.testing._wrappers import (
    CountingStore,
    Counts,
    Fault,
    FaultyStore,
    PrimitiveStore,
    WrappedStore,
)

__all__ = [
    "EPOCH_MS",
    "CountingStore",
    "Counts",
    "DeploymentError",
    "Disorder",
    "Effect",
    "Entry",
    "FakeClock",
    "Fault",
    "FaultyStore",
    "Finding",
    "Harness",
    "History",
    "InlineRunner",
    "MemoryDeployment",
    "MemoryQueue",
    "MemoryStore",
    "PrimitiveStore",
    "QueueContract",
    "Report",
    "Run",
    "Schedule",
    "SessionContract",
    "SessionStage",
    "StoreContract",
    "Stub",
    "StubCall",
    "StubExhaustedError",
    "WrappedStore",
]
