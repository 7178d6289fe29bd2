"""Ask for an approval, answer it by the link, see what became of it. Exits 0 only if it came out as asked for."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _server import Server, say, temporary_folder

ANSWERS = {"approve": ("resolve", "enjoy"), "reject": ("reject", "too big")}
STATES = {"approve": "approved", "reject": "rejected", "silence": "expired"}


def link(outbox: Path, action: str) -> str | None:
    """Return the link that the approver was sent; None: the mail is not there yet."""
    found = re.search(rf"\S+/{action}\?token=\S+", outbox.read_text()) if outbox.exists() else None
    return None if found is None else found.group()


def answer(server: Server, outbox: Path, decision: str) -> None:
    """Do what the approver does: open the link and press the button."""
    action, value = ANSWERS[decision]
    url = server.until(lambda: link(outbox, action), "no mail was sent")
    say(f"the mail is there; POST {url}")
    told = httpx.post(url, json={"value": value})
    assert told.status_code == 200, told.text


def main() -> None:
    parser = argparse.ArgumentParser(description="An approval by link.")
    parser.add_argument("--decision", choices=STATES, default="approve", help="what the approver does")
    decision: str = parser.parse_args().decision
    with temporary_folder() as folder:
        outbox = folder / "outbox"
        workflows = Path(__file__).with_name("workflows.py")
        with Server(workflows, folder, environment={"APPROVAL_OUTBOX": str(outbox)}) as server:
            wait = 3 if decision == "silence" else 86_400
            say(f"POST /invoke/approval: waits at most {wait} s for an answer")
            server.invoke("approval", "boat", "buy a boat", "ada@example.com", wait)
            if decision in ANSWERS:
                answer(server, outbox, decision)
            result = server.result("boat")
            say(f"result: {result}")
            server.tree("boat")
    assert result["state"] == STATES[decision]


if __name__ == "__main__":
    main()
