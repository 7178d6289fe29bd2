"""The workflows with services to try them on: everything is a row of one SQLite file, each key once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from workflows import resonate

__all__ = ["Services", "resonate"]


class Services:
    """Payments, mail and accounts in a file.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._open() as rows:
            rows.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, what TEXT, amount INT)")
            rows.execute("CREATE TABLE IF NOT EXISTS plans (customer TEXT PRIMARY KEY, plan TEXT)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            yield connection

    def charge(self, customer: str, amount: int, key: str) -> str:
        """Charge; a key that was charged before answers its receipt."""
        with self._open() as rows:
            rows.execute("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", (key, f"charge {customer}", amount))
        return f"R-{key}"

    def send(self, to: str, text: str, key: str) -> None:
        """Send; a second mail of the same key is dropped."""
        with self._open() as rows:
            rows.execute("INSERT OR IGNORE INTO done VALUES (?, ?, 0)", (key, f"mail to {to}: {text}"))

    def set_plan(self, customer: str, plan: str) -> None:
        """Set what the customer has."""
        with self._open() as rows:
            rows.execute("INSERT OR REPLACE INTO plans VALUES (?, ?)", (customer, plan))

    def plan(self, customer: str) -> str:
        """Return what the customer has."""
        with self._open() as rows:
            found = rows.execute("SELECT plan FROM plans WHERE customer = ?", (customer,)).fetchone()
        return str(found[0]) if found else ""


services = Services(os.environ.get("SERVICES_FILE", "services.db"))
for name in ("payments", "mail", "accounts"):
    resonate.set_dependency(name, services)
