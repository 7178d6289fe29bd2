"""What must hold of a journey in the table, whatever happened to the processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tests.aws.deployment import Deployed
from tests.aws.flows import REMOTE, STEPS, STUBBORN
from tests.crash.world import Witness

from resonate_faas._machine.objects import Promise, PromiseState

RESULT = [place * place for place in range(1, STEPS + 1)]


@dataclass
class TableWitness(Witness):
    """Looks at the table of a deployment. ``db`` is not looked at."""

    deployed: Deployed | None = None

    def promises(self) -> dict[str, Promise]:
        """Return every promise without its waiters: a kill may fall between a settlement and its drain."""
        assert self.deployed is not None
        found = self.deployed.promises()
        return {one: replace(promise, callbacks=(), listeners=()) for one, promise in found.items()}

    def check_end(self, root: str) -> None:
        """Check the result, and that every step of the execution is on record, each once."""
        assert self.deployed is not None
        found = {one: promise for one, promise in self.promises().items() if one.partition(":")[0] == root}
        assert self.deployed.value(root) == RESULT
        assert {promise.state for promise in found.values()} == {PromiseState.RESOLVED}
        assert set(found) == {root, f"{root}:{STUBBORN}.a1"} | steps(root) | tasks(root)
        ran = {one for one in self.runs if one.partition(":")[0] == root}
        assert ran == steps(root)
        assert set(self.attempts[f"{root}:{STUBBORN}"]) == {1, 2}


def witness(deployed: Deployed, log: Path) -> TableWitness:
    return TableWitness(log, log, deployed=deployed)


def tasks(root: str) -> set[str]:
    """Return the ids of the calls that run as tasks of their own."""
    return {f"{root}:{place}r" for place in REMOTE}


def steps(root: str) -> set[str]:
    """Return the ids of all steps, from the workflow's code."""
    return {f"{root}:{place}r.1" if place in REMOTE else f"{root}:{place}" for place in range(1, STEPS + 1)}
