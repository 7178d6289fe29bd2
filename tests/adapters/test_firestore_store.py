"""The Firestore store keeps the contract of stores, on the official emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.emulators.firestore import FirestoreEmulator, running

from resonate_faas.testing import StoreContract
from resonate_faas_gcp import FirestoreStore


@pytest.fixture(scope="module")
def emulator() -> FirestoreEmulator:
    return running()


class TestFirestoreStore(StoreContract):
    HISTORY_RECORDS = 2_500
    ROUNDS = 10

    @pytest.fixture
    def store(self, emulator: FirestoreEmulator) -> Iterator[FirestoreStore]:
        channel = emulator.channel()
        yield FirestoreStore(emulator.project(), channel=channel)
        channel.close()
