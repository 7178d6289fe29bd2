"""Find the Resonate instance that a file or module defines."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from resonate_faas import Resonate
from resonate_faas._errors import ResonateFaasError


class AppLoadError(ResonateFaasError):
    """The application can't be loaded."""

    code = "app-load"
    status = 400

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target, self.reason = target, reason

    def __str__(self) -> str:
        return f"can't load {self.target!r}: {self.reason}"


def load_app(target: str) -> Resonate:
    """Import the business code and return its Resonate instance.

    Args:
        target: ``workflows.py``, ``package.module``, or either with ``:name`` of the instance behind it. A file is
            imported under its bare name, with its folder importable: as ``import workflows`` would.

    Raises:
        AppLoadError: there is no such file or module, importing it fails (the reason ends in the line that
            failed), or it has no instance, or several and none is named.
    """
    place, name = _split(target)
    return _instance(target, _imported(target, place), name)


def app_folder(target: str) -> Path:
    """Return the folder that holds the code of a target, for watching; nothing is imported."""
    place, _ = _split(target)
    if place.endswith(".py"):
        return Path(place).resolve().parent
    top = Path.cwd() / place.partition(".")[0]
    return top if top.is_dir() else Path.cwd()


def _split(target: str) -> tuple[str, str | None]:
    """Return what to import, and the name behind the last colon that is an identifier (a drive letter's is not)."""
    place, colon, name = target.rpartition(":")
    if colon and place and name.isidentifier():
        return place, name
    return target, None


def _imported(target: str, place: str) -> ModuleType:
    if not place:
        raise AppLoadError(target, "give a file such as workflows.py, or a module")
    is_file = place.endswith(".py") or "/" in place or Path(place).is_file()
    if is_file:
        path = Path(place).resolve()
        if not path.is_file():
            raise AppLoadError(target, f"there is no file {path}")
        name, folder = path.stem, str(path.parent)
        loaded = sys.modules.get(name)
        if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() != path:
            raise AppLoadError(
                target, f"a module named {name!r} is imported already; give the file another name"
            )
    else:
        name, folder = place, str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0] and not is_file:
            reason = f"there is no module {name!r} here; a file is given as {name.replace('.', '/')}.py"
            raise AppLoadError(target, reason) from error
        raise AppLoadError(target, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Return an import's failure with the innermost line of the user's code that led to it."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not own:
        return text
    last = own[-1]
    return f"{text} ({last.filename}, line {last.lineno}: {last.line})"


def _is_users(filename: str) -> bool:
    return not filename.startswith("<") and filename not in {__file__, importlib.__file__}


def _instance(target: str, module: ModuleType, name: str | None) -> Resonate:
    if name is not None:
        chosen = getattr(module, name, None)
        if not isinstance(chosen, Resonate):
            found = "missing" if chosen is None else f"a {type(chosen).__name__}"
            raise AppLoadError(target, f"{name!r} must be a Resonate instance, but it is {found}")
        return chosen
    instances: dict[int, tuple[str, Resonate]] = {}
    for key, value in vars(module).items():
        if isinstance(value, Resonate):
            instances.setdefault(id(value), (key, value))
    if not instances:
        raise AppLoadError(target, "it defines no Resonate instance; write `resonate = Resonate()` in it")
    if len(instances) > 1:
        names = ", ".join(sorted(key for key, _ in instances.values()))
        raise AppLoadError(target, f"it has several Resonate instances ({names}); name one: {target}:NAME")
    return next(iter(instances.values()))[1]
