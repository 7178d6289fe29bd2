"""Three transfers: one that works, one without the money, one into a closed account, which is compensated.

Exits 0 only if each came out as expected and no money was made or lost.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

TRANSFERS = (
    ("rent", {"source": "ada", "destination": "bob", "amount": "70.00"}, "done"),
    ("yacht", {"source": "ada", "destination": "bob", "amount": "1000.00"}, "refused"),
    ("gift", {"source": "ada", "destination": "closed", "amount": "10.00"}, "compensated"),
)


def balances(bank: Path) -> dict[str, int]:
    """Return the cents in each account."""
    with closing(sqlite3.connect(bank)) as accounts:
        rows = accounts.execute("SELECT account, sum(cents) FROM moves GROUP BY account ORDER BY account")
        return {str(account): int(cents) for account, cents in rows}


def main() -> None:
    with temporary_folder() as folder:
        bank = folder / "bank.db"
        program = Path(__file__).with_name("main.py")
        with Server(program, folder, environment={"BANK_FILE": str(bank)}) as server:
            say(f"cents at the beginning: {balances(bank)}")
            for promise_id, order, expected in TRANSFERS:
                say(f"POST /invoke/transfer {order}")
                server.invoke("transfer", promise_id, order)
                receipt = server.result(promise_id)
                print(f"    {receipt['state']}: {receipt['reason'] or 'moved'}")
                assert receipt["state"] == expected, receipt
            server.tree("gift")
        say(f"cents at the end: {balances(bank)}")
        assert balances(bank) == {"ada": 3_000, "bob": 7_000}


if __name__ == "__main__":
    main()
