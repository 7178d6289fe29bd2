"""Run the benchmarks and print their tables."""

from __future__ import annotations

import argparse
import importlib
from typing import Final

from bench.measure import machine
from bench.report import Figure, table, write_json

NAMES: Final = (
    "counts",
    "replay",
    "steps",
    "fanout",
    "cadence",
    "cold_import",
    "cold_lambda",
    "cold_function",
    "memory",
)


def main() -> None:
    """Measure what is asked for; a missed budget is printed, not an exit status: tests/bench asserts the counted ones."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--json", action="store_true", help="also write bench/results.json")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    host = machine()
    print(", ".join(f"{key} {text}" for key, text in host.items()))
    results: dict[str, list[Figure]] = {}
    for name in options.names or NAMES:
        module = importlib.import_module(f"bench.{name}")
        results[name] = module.run()
        print(table(module.TITLE, results[name]), flush=True)
    if options.json:
        print(f"\nwritten: {write_json(results, host).name}")
    missed = [figure.name for figures in results.values() for figure in figures if figure.verdict == "MISSED"]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
