"""The workflows with a bank to try them on: accounts in a SQLite file, where each key moves money once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal

from workflows import AccountError, resonate

__all__ = ["FileBank", "resonate"]


class FileBank:
    """A bank in a file; the account "closed" takes nothing.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._open() as accounts:
            accounts.execute(
                "CREATE TABLE IF NOT EXISTS moves (key TEXT PRIMARY KEY, account TEXT, cents INT)"
            )
            accounts.execute("INSERT OR IGNORE INTO moves VALUES ('opening', 'ada', 10000)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            yield connection

    def withdraw(self, account: str, amount: Decimal, key: str) -> None:
        """Take."""
        self._move(account, -amount, key)

    def deposit(self, account: str, amount: Decimal, key: str) -> None:
        """Give."""
        self._move(account, amount, key)

    def _move(self, account: str, amount: Decimal, key: str) -> None:
        cents = int(amount * 100)
        with self._open() as accounts:
            accounts.execute("BEGIN IMMEDIATE")
            if accounts.execute("SELECT 1 FROM moves WHERE key = ?", (key,)).fetchone():
                return  # this step ran before and died before its result was on record
            query = "SELECT coalesce(sum(cents), 0) FROM moves WHERE account = ?"
            (balance,) = accounts.execute(query, (account,)).fetchone()
            if account == "closed" or balance + cents < 0:
                raise AccountError(f"{account} can't take {amount}")
            accounts.execute("INSERT INTO moves VALUES (?, ?, ?)", (key, account, cents))

    def balances(self) -> dict[str, Decimal]:
        """Return what is in each account."""
        with self._open() as accounts:
            rows = accounts.execute("SELECT account, sum(cents) FROM moves GROUP BY account ORDER BY account")
            return {account: Decimal(cents) / 100 for account, cents in rows}


resonate.set_dependency("bank", FileBank(os.environ.get("BANK_FILE", "bank.db")))
