"""Reads a file and the clock when it is imported: a workflow that imports it late has done nothing wrong."""

from __future__ import annotations

import time
from pathlib import Path

WORD = f"imported{len(Path(__file__).read_text()) * 0}{time.time() * 0}"
