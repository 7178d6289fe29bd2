"""Loading the application: what is found, and what is said when nothing is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resonate_faas import Resonate
from resonate_faas_local import AppLoadError, load_app
from resonate_faas_local._load import app_folder

ONE = "from resonate_faas import Resonate\nresonate = Resonate()\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Give a way to write a module; what a test imports is forgotten."""
    monkeypatch.chdir(tmp_path)
    modules, path = set(sys.modules), list(sys.path)

    def file(name: str, text: str = ONE) -> Path:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    yield file
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_file_is_loaded_by_its_path(write: Write) -> None:
    assert isinstance(load_app(str(write("somewhere/deep/flows_a.py"))), Resonate)


def test_a_file_is_imported_under_its_bare_name_so_that_errors_keep_theirs(write: Write) -> None:
    write("flows_b.py")
    resonate = load_app("flows_b.py")
    assert sys.modules["flows_b"].resonate is resonate


def test_a_file_may_import_its_neighbours(write: Write) -> None:
    write("neighbour_c.py", "VALUE = 1\n")
    write("flows_c.py", ONE + "import neighbour_c\n")
    load_app("flows_c.py")


def test_a_module_is_loaded_by_its_dotted_name_from_here(write: Write) -> None:
    write("package_d/__init__.py", "")
    write("package_d/flows.py")
    assert isinstance(load_app("package_d.flows"), Resonate)


@pytest.mark.parametrize("target", ["flows_e.py:second", "flows_e:second"])
def test_one_of_several_instances_is_chosen_by_name(write: Write, target: str) -> None:
    write("flows_e.py", ONE + "second = Resonate()\n")
    assert load_app(target) is sys.modules["flows_e"].second


def test_one_instance_under_two_names_is_one(write: Write) -> None:
    write("flows_f.py", ONE + "alias = resonate\n")
    load_app("flows_f.py")


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("x = 1\n", "bad_g.py", "it defines no Resonate instance"),
        (
            ONE + "other = Resonate()\n",
            "bad_h.py",
            "several Resonate instances (other, resonate); name one: bad_h.py:NAME",
        ),
        (ONE, "bad_i.py:missing", "'missing' must be a Resonate instance, but it is missing"),
        (ONE + "number = 1\n", "bad_j.py:number", "but it is a int"),
        ("import nothing_of_that_name\n", "bad_k.py", "No module named 'nothing_of_that_name' ("),
        ("import nothing_of_that_name\n", "bad_k2.py", "bad_k2.py, line 1: import nothing_of_that_name)"),
        ("def f():\n    return 1 / 0\n\nf()\n", "bad_l.py", "ZeroDivisionError: division by zero ("),
        ("def f():\n    return 1 / 0\n\nf()\n", "bad_m.py", "bad_m.py, line 2: return 1 / 0)"),
        ("def f(:\n", "bad_n.py", "bad_n.py, line 1)"),
        ("raise ValueError('no settings')\n", "bad_o", "ValueError: no settings ("),
    ],
)
def test_what_cannot_be_loaded_says_why_and_where(write: Write, text: str, target: str, reason: str) -> None:
    name = target.partition(":")[0].removesuffix(".py")
    write(f"{name}.py", text)
    with pytest.raises(AppLoadError) as raised:
        load_app(target)
    assert reason in str(raised.value)
    assert repr(target) in str(raised.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.py", "there is no file"),
        ("nowhere/at/all", "there is no file"),
        (
            "no_such_module_p",
            "there is no module 'no_such_module_p' here; a file is given as no_such_module_p.py",
        ),
        ("", "give a file such as workflows.py"),
    ],
)
def test_a_target_that_does_not_exist_says_so(write: Write, target: str, reason: str) -> None:
    del write
    with pytest.raises(AppLoadError) as raised:
        load_app(target)
    assert reason in str(raised.value)


def test_a_file_that_hides_an_imported_module_is_refused(write: Write) -> None:
    write("json.py")
    with pytest.raises(AppLoadError, match="a module named 'json' is imported already"):
        load_app("json.py")


def test_the_folder_to_watch_is_the_applications(write: Write, tmp_path: Path) -> None:
    write("package_q/flows.py")
    assert app_folder("package_q/flows.py:resonate") == tmp_path / "package_q"
    assert app_folder("package_q.flows") == tmp_path / "package_q"
    assert app_folder("flows") == tmp_path
