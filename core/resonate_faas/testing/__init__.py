"""Fakes, and the contracts that say what a store and a queue are. Needs the extra ``testing`` (pytest)."""

from resonate_faas.testing._deployment import InlineRunner, MemoryDeployment
from resonate_faas.testing._fake_clock import EPOCH_MS, FakeClock
from resonate_faas.testing._memory_queue import Disorder, MemoryQueue
from resonate_faas.testing._memory_store import MemoryStore
from resonate_faas.testing._queue_contract import QueueContract
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
    "Disorder",
    "FakeClock",
    "Fault",
    "FaultyStore",
    "InlineRunner",
    "MemoryDeployment",
    "MemoryQueue",
    "MemoryStore",
    "PrimitiveStore",
    "QueueContract",
    "StoreContract",
    "WrappedStore",
]
