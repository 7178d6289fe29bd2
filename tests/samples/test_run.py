"""Each sample's one command, as a real process: it ends well, and prints what its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packaging.tree import ROOT

SAMPLES = ROOT / "samples"
RUNS = {
    "countdown/demo.py --numbers 3 --every 2.1 --kill-after 2": [
        "kill -9 the server",
        "result: lift-off",
        "done",
    ],
    "approval/run.py": ["/resolve?token=", "'state': 'approved', 'note': 'enjoy'", "boat 🟢"],
    "approval/run.py --decision reject": ["'state': 'rejected', 'note': 'too big'", "boat:1 🔴"],
    "approval/run.py --decision silence": ["'state': 'expired'", "timed out"],
    "money_transfer/run.py": [
        "done: moved",
        "refused: ada",
        "compensated: closed",
        "{'ada': 3000, 'bob': 7000}",
    ],
    "play/run.py --games 4": ["play: game 1:", "game 4:", "4 games, 4 executions"],
    "subscription/run.py": ["sub: subscribed", ": ended", "charged: [650, 650, 650]"],
    "fanout_report/run.py --regions 43": ["'total': 9030", "retry 1: WarehouseBusyError: region-042"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", RUNS)
def test_a_sample_runs_by_one_command(command: str, tmp_path: Path) -> None:
    script, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(SAMPLES / script), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for text in RUNS[command]:
        assert text in done.stdout
    assert list(tmp_path.iterdir()) == []  # a sample leaves nothing behind


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in SAMPLES.glob("*/workflows.py")), ids=lambda one: one.name
)
def test_a_sample_has_a_readme_a_test_and_one_command_that_is_tested(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    assert len(commands) == 1
    script = commands[0].removeprefix("python samples/")
    assert (SAMPLES / script).is_file()
    assert any(command.split()[0] == script for command in RUNS)
    assert list(folder.glob("test_*.py"))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/workflows.py")), ids=lambda path: path.parent.name)
def test_business_code_imports_no_platform(path: Path) -> None:
    imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in imported if name.startswith("resonate_faas_")] == []
    assert [name for name in imported if "._" in name] == []
