"""Play some games: each is an execution of its own, started by the one before as its last call.

Exits 0 only if all were played, each in a root of its own with a short history.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

HISTORY_MAX = 3
"""Promises of one game: the bets, the pause, the successor."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A loop without end, some rounds of it.")
    parser.add_argument("--games", type=int, default=10)
    parser.add_argument("--every", type=float, default=0.2, help="seconds between two games")
    asked = parser.parse_args()
    with (
        temporary_folder() as folder,
        Server(Path(__file__).with_name("workflows.py"), folder) as server,
    ):
        say(f"POST /invoke/play: {asked.games} games, one every {asked.every} s")
        server.invoke("play", "play", 1, asked.games, asked.every)
        root, seen = "play", []
        for game in range(1, asked.games + 1):
            print(f"    {root}: {server.result(root)}", flush=True)
            seen.append(root)
            assert server.promise(f"{root}:{HISTORY_MAX + 1}") is None
            if game < asked.games:
                successor = server.promise(f"{root}:3")
                assert successor is not None
                root = successor["value"]
        assert len(set(seen)) == asked.games
        assert server.promise(f"{root}:3") is None, "the last game started another one"
        server.tree("play")
        say(f"{asked.games} games, {asked.games} executions, at most {HISTORY_MAX} promises each")


if __name__ == "__main__":
    main()
