"""Where a harness runs: the little it needs of a world in memory and of a deployment alike."""

from __future__ import annotations

from typing import NoReturn

import pytest

from resonate_faas._machine.objects import Promise
from resonate_faas.testing._harness.deployed import Deployment
from resonate_faas.testing._harness.world import World

Place = World | Deployment


def asked_of(place: Place, root_ids: list[str]) -> list[Promise]:
    """Return the external promises that wait for somebody: of the given executions on a deployment, else all."""
    if isinstance(place, Deployment):
        return [one for root_id in root_ids for one in place.asked(root_id)]
    return place.asked()


def skip(what: str, place: Deployment) -> NoReturn:
    """Skip the test that runs: a deployment can't do this.

    Raises:
        pytest.skip.Exception: always.
    """
    pytest.skip(f"on a deployment ({place.url}) the harness can't {what}: this test runs in memory only")
