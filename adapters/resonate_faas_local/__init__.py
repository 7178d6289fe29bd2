"""resonate-faas on one machine: everything in one SQLite file, with workers and the routes in one process."""

from resonate_faas_local._load import AppLoadError, load_app
from resonate_faas_local._local_node import LocalNode
from resonate_faas_local._local_queue import LocalQueue
from resonate_faas_local._serve import serve
from resonate_faas_local._sqlite_store import SqliteStore

__all__ = ["AppLoadError", "LocalNode", "LocalQueue", "SqliteStore", "load_app", "serve"]
