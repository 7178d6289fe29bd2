"""Ask many warehouses at once, at most twenty at a time; one of them is stubborn. Exits 0 only if the report adds up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

STUBBORN = "region-042"


def main() -> None:
    parser = argparse.ArgumentParser(description="A fan-out over rpc.")
    parser.add_argument(
        "--regions", type=int, default=100, help="at least 43, so that the stubborn one is there"
    )
    count: int = parser.parse_args().regions
    regions = [f"region-{number:03}" for number in range(count)]
    with (
        temporary_folder() as folder,
        Server(Path(__file__).with_name("workflows.py"), folder) as server,
    ):
        say(f"POST /invoke/report: {count} tasks, at most 20 at a time")
        server.invoke("report", "report", regions)
        found = server.result("report")
        say(f"result: {found}")
        assert found["regions"] == count
        assert found["total"] == sum(10 * number for number in range(count))
        assert found["retried"] == [STUBBORN]
        number = regions.index(STUBBORN) + 1
        say(f"the stubborn one, with its failed attempts ({STUBBORN}):")
        server.tree(f"report:{number}r")


if __name__ == "__main__":
    main()
