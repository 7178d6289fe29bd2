"""Every Python block of the guides runs, the checks behind them hold, and every workflow shown is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.docs.pages import GUIDES, Block, blocks, write_files
from tests.packaging.tree import ROOT

from resonate_faas import PromiseState, Resonate
from resonate_faas.testing import MemoryDeployment

CHECKS_OF_README = 'assert run("countdown", 3, 60.0) == "lift-off"'
"""The README is read as it stands, so its check stands here."""


class Page:
    """Runs a page's blocks one after another, as a reader would type them."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = page
        self.files = write_files(page, folder)
        self.module = ModuleType(f"guide_{Path(page).stem.replace('-', '_')}")
        self.names: dict[str, Any] = self.module.__dict__
        self.executed: set[str] = set()
        self._count = 0

    def run_block(self, block: Block) -> None:
        """Run a block; a file is imported, and what it defines can be used by the blocks behind it."""
        if block.file is not None:
            module = import_module(block.file.removesuffix(".py").replace("/", "."))
            found = {name: value for name, value in vars(module).items() if not name.startswith("__")}
            self.names.update(found)
            return
        padded = "\n" * (block.line - 1) + block.text  # so that a traceback shows the page's own line
        exec(compile(padded, str(ROOT / self.page), "exec"), self.names)

    def check(self, block: Block) -> None:
        """Run a hidden check, with ``run``, ``deploy``, ``raises`` and PromiseState at hand."""
        tools = {
            "run": self.run,
            "deploy": self.deploy,
            "raises": pytest.raises,
            "PromiseState": PromiseState,
        }
        padded = "\n" * (block.line - 1) + block.text
        scope = {**self.names, **tools}
        exec(compile(padded, f"{ROOT / self.page} (check)", "exec"), scope)

    def deploy(self) -> MemoryDeployment:
        """Return a fresh deployment of the page's functions, which notes what is started."""
        resonate = self.names["resonate"]
        assert isinstance(resonate, Resonate)
        page = self

        class Noting(MemoryDeployment):
            def start(self, function: str, *args: Any, **kwargs: Any) -> Any:
                page.executed.add(function)
                return super().start(function, *args, **kwargs)

        return Noting(resonate)

    def run(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Run a function to its end, on a clock that skips."""
        self._count += 1
        return self.deploy().run(function, *args, id=f"{function}-{self._count}", **kwargs)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder that can be imported from; forget afterwards what was imported from it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")  # as every Lambda function has one
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("page", GUIDES)
def test_every_snippet_runs_and_does_what_is_said(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Page(page, folder)
    monkeypatch.setitem(sys.modules, run.module.__name__, run.module)
    found = [block for block in blocks(page) if block.language in {"python", "check"}]
    if page == "README.md":
        found.append(Block(language="check", text=CHECKS_OF_README, line=1))
    for block in found:
        if block.language == "check":
            run.check(block)
        else:
            run.run_block(block)
    resonate = run.names.get("resonate")
    if resonate is not None:
        shown = {name for name, _ in resonate.registry.names()}
        assert shown <= run.executed | called_by_others(run), f"{page} shows workflows that nothing runs"


def called_by_others(page: Page) -> set[str]:
    """Return the functions that the page's workflows name in their own code: they run as their children."""
    resonate = page.names["resonate"]
    named = [
        resonate.registry.get(name).call.__code__ for name in page.executed if resonate.registry.find(name)
    ]
    found: set[str] = set()
    while named:
        code = named.pop()
        for name in {*code.co_names, *(one for one in code.co_consts if isinstance(one, str))} - found:
            function = resonate.registry.find(name)
            if function is not None:
                found.add(name)
                named.append(function.call.__code__)
    return found


def test_a_page_whose_snippet_is_wrong_fails(tmp_path: Path) -> None:
    page = Page("README.md", tmp_path)
    page.names["resonate"] = Resonate()
    with pytest.raises(NameError, match="missing"):
        page.run_block(Block(language="python", text="missing()", line=3))
    with pytest.raises(AssertionError):
        page.check(Block(language="check", text="assert not 1", line=3))
