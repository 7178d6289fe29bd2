"""resonate-faas on one machine: everything in one SQLite file."""

from resonate_faas_local._sqlite_store import SqliteStore

__all__ = ["SqliteStore"]
