"""Run seeds: ``make simulate SEEDS=1000``, or one that failed: ``make simulate SEED=7 ONLY=deep``."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

from tests.simulation.simulation import Simulation, simulate
from tests.simulation.workloads import BY_NAME

FAILURES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one seed; ``failure`` None: nothing."""

    seed: int
    events: int = 0
    writes: int = 0
    virtual_ms: int = 0
    failure: str | None = None


def run(seed: int, only: tuple[str, ...]) -> Figures:
    """Run one seed."""
    try:
        simulation = simulate(seed, **_options(only))
    except AssertionError as error:
        return Figures(seed, failure=str(error))
    return Figures(seed, len(simulation.trace), simulation.audit.writes, simulation.scheduler.now)


def _options(only: tuple[str, ...]) -> dict[str, object]:
    return {"only": tuple(BY_NAME[name] for name in only)} if only else {}


def show(seed: int, only: tuple[str, ...], *, fingerprint: bool) -> int:
    """Run one seed and print its whole trace, or only its digest."""
    if fingerprint:
        print(simulate(seed, **_options(only)).fingerprint)  # noqa: T201 - the command's output
        return 0
    simulation = Simulation(seed, **_options(only))  # type: ignore[arg-type]
    try:
        simulation.run()
    finally:
        print("\n".join(simulation.trace))  # noqa: T201 - the command's output
    return 0


def search(first: int, count: int, only: tuple[str, ...]) -> int:
    """Run many seeds on all processors; print figures, and what failed."""
    started, failures = time.monotonic(), 0
    done: list[Figures] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run, seed, only) for seed in range(first, first + count)]
        for one in as_completed(runs):
            figures = one.result()
            done.append(figures)
            if figures.failure is not None:
                failures += 1
                print(figures.failure, flush=True)  # noqa: T201 - the command's output
                if failures == FAILURES_MAX:
                    pool.shutdown(cancel_futures=True)
                    break
    hours = sum(one.virtual_ms for one in done) / 3_600_000
    print(  # noqa: T201 - the command's output
        f"{len(done)} seeds from {first}: {failures} failed; {sum(one.events for one in done)} events, "
        f"{sum(one.writes for one in done)} writes, {hours:.0f} virtual hours in {time.monotonic() - started:.0f} s"
    )
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, help="the first of them; by default any")
    parser.add_argument("--seed", type=int, help="this one alone, with its whole trace")
    parser.add_argument("--only", default="", help="workloads to run, separated by commas")
    parser.add_argument("--fingerprint", action="store_true", help="print a digest instead of the trace")
    wanted = parser.parse_args()
    only = tuple(filter(None, wanted.only.split(",")))
    if wanted.seed is not None:
        return show(wanted.seed, only, fingerprint=wanted.fingerprint)
    return search(secrets.randbits(31) if wanted.first is None else wanted.first, wanted.seeds, only)


if __name__ == "__main__":
    raise SystemExit(main())
