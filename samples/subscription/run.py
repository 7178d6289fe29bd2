"""A subscription of three short months on a real server: the manager approves, three charges, then it ends.

Exits 0 only if every month was charged once, at the approved price.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

MONTHS = 3
ORDER = {"customer": "ada", "price": 900, "discount": 300, "months": MONTHS, "trial": 0.3, "month": 0.2}
DECISION = "sub:1.1"


def charges(services: Path) -> list[int]:
    """Return the amounts charged so far."""
    with closing(sqlite3.connect(services)) as rows:
        found = rows.execute("SELECT amount FROM done WHERE what = 'charge ada' ORDER BY rowid")
        return [int(amount) for (amount,) in found]


def main() -> None:
    with temporary_folder() as folder:
        services = folder / "services.db"
        program = Path(__file__).with_name("main.py")
        with Server(program, folder, environment={"SERVICES_FILE": str(services)}) as server:
            say(f"POST /invoke/subscribe {ORDER}")
            server.invoke("subscribe", "sub", ORDER)
            server.until(lambda: server.promise(DECISION), "nobody is asked")
            say("the manager grants 250 of the 300")
            answer = httpx.post(
                f"{server.url}/promises/{quote(DECISION, safe='')}/resolve", json={"value": 250}
            )
            assert answer.status_code == 200, answer.text
            print(f"    sub: {server.result('sub')}")
            renewal = server.promise("sub:6")
            for _ in range(MONTHS):
                assert renewal is not None
                print(f"    {renewal['value']}: {server.result(renewal['value'])}", flush=True)
                renewal = server.promise(f"{renewal['value']}:6")
            server.tree("sub")
        say(f"charged: {charges(services)}")
        assert charges(services) == [650] * MONTHS


if __name__ == "__main__":
    main()
