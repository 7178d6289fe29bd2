"""What can be imported from a package is what its ``__all__`` says, sorted."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

import pytest
from tests.packaging.tree import PACKAGES


def packages() -> list[str]:
    """Return every package of the distribution, the inner ones too."""
    found = list(PACKAGES)
    for package, folder in PACKAGES.items():
        found += [one.name for one in pkgutil.walk_packages([str(folder)], prefix=f"{package}.") if one.ispkg]
    return sorted(found)


def public_names(module: ModuleType) -> set[str]:
    """Return the names a user finds in a package: its modules are found by their own paths."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and value is not annotations
    }


def in_order(names: list[str]) -> list[str]:
    """Return names as ruff sorts them: constants, then classes, then the rest."""
    return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


@pytest.mark.parametrize("package", packages())
def test_all_names_what_is_public_and_is_sorted(package: str) -> None:
    module = import_module(package)
    names = list(getattr(module, "__all__", []))
    assert set(names) == public_names(module)
    assert names == in_order(names)
    assert len(names) == len(set(names))


def test_there_are_packages_to_look_at() -> None:
    assert {"resonate_faas", "resonate_faas.testing", "resonate_faas_local", "resonate_faas_cli"} <= set(
        packages()
    )
