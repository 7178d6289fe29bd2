"""A hundred tasks, twenty at a time, one of them stubborn."""

from __future__ import annotations

from types import ModuleType

from resonate_faas._machine.objects import PromiseObject, PromiseState
from resonate_faas.testing import MemoryDeployment


def test_the_report_adds_up_and_names_the_retried_region(workflows: ModuleType) -> None:
    report = MemoryDeployment(workflows.resonate).run("report")
    assert report == {"total": 49_500, "regions": 100, "best": "region-099", "retried": ["region-042"]}


def test_never_more_than_twenty_in_flight(workflows: ModuleType) -> None:
    deployment = MemoryDeployment(workflows.resonate)
    deployment.start("report")
    most = 0
    while deployment.deliver_due() or deployment.queue.next_instant() is not None:
        children = deployment.store.search("promise", tags={"resonate:parent": "root"}, limit=1_000)
        pending = [
            child
            for child in children
            if isinstance(child, PromiseObject)
            and child.promise.state is PromiseState.PENDING
            and child.id != "root"
        ]
        most = max(most, len(pending))
        instant = deployment.queue.next_instant()
        if instant is not None:
            deployment.clock.advance_to(instant)
    assert most == 20
    assert deployment.result()["regions"] == 100
