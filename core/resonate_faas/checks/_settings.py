"""Settings: the defaults, the table ``[tool.resonate-faas]`` of pyproject.toml, the command line; in this order."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any, Final

from resonate_faas._engine.execution import PROMISES_MAX
from resonate_faas.checks._catalog import UNREADABLE, chosen, is_prefix

TABLE: Final = "resonate-faas"
_LISTS: Final = ("select", "ignore", "exclude")
ALWAYS_EXCLUDED: Final = (
    ".git", ".hg", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", "build", "dist", ".eggs", "site-packages",
    ".mypy_cache", ".ruff_cache", ".pytest_cache",
)  # fmt: skip


class SettingsError(Exception):
    """A setting, an option or a path that does not exist or has the wrong form; says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is checked, and how strictly.

    Attributes:
        select: codes or their beginnings.
        ignore: codes or their beginnings; the longer beginning wins.
        exclude: patterns of paths that are not read, beside ``ALWAYS_EXCLUDED``.
        per_file_ignores: codes to ignore by pattern of path.
        max_promises: records of one root, for RF405; as the deployment has it.
        root: the folder that patterns start from.
    """

    select: tuple[str, ...] = ("RF",)
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    max_promises: int = PROMISES_MAX
    root: Path = Path()

    def __post_init__(self) -> None:
        codes = [
            *self.select,
            *self.ignore,
            *(one for group in self.per_file_ignores.values() for one in group),
        ]
        for code in codes:
            if not is_prefix(code):
                raise SettingsError(
                    f"{code!r} is no code of a rule, nor the beginning of one (RF101, RF1, RF)"
                )
        if self.max_promises < 1:
            raise SettingsError(f"max-promises must be at least 1 ({self.max_promises} given)")

    def codes_for(self, path: PurePath) -> frozenset[str]:
        """Return the codes that are reported for a file."""
        patterns = [pattern for pattern in self.per_file_ignores if self._matches(path, pattern)]
        ignored = tuple(code for pattern in patterns for code in self.per_file_ignores[pattern])
        codes = chosen(self.select, self.ignore)
        return frozenset(
            code for code in codes if code == UNREADABLE or not code.startswith(ignored or ("-",))
        )

    def is_excluded(self, path: PurePath) -> bool:
        """True for a file or folder that is not read."""
        return path.name in ALWAYS_EXCLUDED or any(self._matches(path, one) for one in self.exclude)

    def _matches(self, path: PurePath, pattern: str) -> bool:
        """A pattern matches a name, or the path from the root; so does one of a folder around it."""
        inside = Path(path).absolute()
        root = self.root.absolute()
        relative = inside.relative_to(root) if inside.is_relative_to(root) else inside
        places = [relative, *relative.parents[:-1]]
        shown = pattern.rstrip("/").removesuffix("/**").removesuffix("/*")
        return any(fnmatch(one.as_posix(), shown) or fnmatch(one.name, shown) for one in places)


def load(start: Path, config: Path | None = None) -> Settings:
    """Return the settings of the nearest pyproject.toml that has a table for us, from a folder upwards.

    Args:
        start: the folder, or a file in it.
        config: the file to read instead.

    Raises:
        SettingsError: the file or a setting in it is wrong.
    """
    if config is not None:
        if not config.is_file():
            raise SettingsError(f"there is no file {config}")
        return _from_table(_table(config) or {}, config)
    for folder in (start.absolute(), *start.absolute().parents):
        place = folder / "pyproject.toml"
        table = _table(place) if place.is_file() else None
        if table is not None:
            return _from_table(table, place)
    return Settings(root=Path().absolute())


def _table(place: Path) -> Mapping[str, Any] | None:
    try:
        tools = tomllib.loads(place.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{place}: {error}") from error
    table = tools.get(TABLE)
    if table is not None and not isinstance(table, dict):
        raise SettingsError(f"{place}: [tool.{TABLE}] must be a table")
    return table


def _from_table(table: Mapping[str, Any], place: Path) -> Settings:
    known = {*_LISTS, "per-file-ignores", "max-promises"}
    unknown = sorted(set(table) - known)
    if unknown:
        raise SettingsError(f"{place}: unknown setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    settings = Settings(root=place.absolute().parent)
    try:
        for name in _LISTS:
            if name in table:
                given: dict[str, Any] = {name: _texts(table[name], name)}
                settings = replace(settings, **given)
        if "per-file-ignores" in table:
            settings = replace(settings, per_file_ignores=_groups(table["per-file-ignores"]))
        if "max-promises" in table:
            settings = replace(settings, max_promises=_whole(table["max-promises"]))
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error
    return settings


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SettingsError(f"{name} must be a list of strings")
    return tuple(value)


def _groups(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise SettingsError("per-file-ignores must be a table of lists")
    return {str(pattern): _texts(codes, pattern) for pattern, codes in value.items()}


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingsError("max-promises must be a whole number")
    return value
