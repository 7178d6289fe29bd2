"""Checks a module against what its providers' schemas say, where no provider is at hand to do it.

It finds names that do not exist, required ones that are missing, literals of the wrong type, blocks in the wrong place or number,
references to what is not declared or not exported. It knows nothing of values: whether a role exists only the service can tell.
``tools/provider_schema.py`` cuts the schemas out of the providers' bindings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.terraform.hcl import IS_BLOCK, MARKS, Body, Module, Reference, is_literal, module, unquoted

META: Final = frozenset({"count", "for_each", "depends_on", "provider", "lifecycle", "dynamic", *MARKS})
SCHEMAS: Final = Path(__file__).with_name("provider_schemas")

Schema = Mapping[str, Any]


def schemas() -> dict[str, Schema]:
    """Return the schemas by type; a data source's type has ``data.`` in front."""
    found: dict[str, Schema] = {}
    for path in SCHEMAS.glob("*.json"):
        found |= json.loads(path.read_text(encoding="utf-8"))["schemas"]
    return found


def problems(checked: Module, known: Mapping[str, Schema]) -> list[str]:
    """Return what is wrong with a module, a line each."""
    found: list[str] = []
    for name, body in checked.objects.items():
        schema = known.get(name.rpartition(".")[0])
        if schema is None:
            found.append(f"{name}: no such type")
        else:
            found += _block(body, schema, name)
    for reference in checked.references():
        found += _reference(reference, checked, known)
    for name, call in checked.calls.items():
        found += _call(name, call, checked)
    return [*found, *_unused(checked)]


def _block(body: Body, schema: Schema, place: str) -> Iterator[str]:
    """Yield what is wrong with the arguments and blocks of a block."""
    arguments = schema["arguments"]
    dynamic = [
        (unquoted(name), inner)
        for one in body.get("dynamic", ())
        for name, inner in one.items()
        if name not in MARKS
    ]
    names = [*body, *(name for name, _ in dynamic)]
    given = {name: value for name, value in body.items() if name not in META}
    for name in schema["required"]:
        if name not in names:
            yield f"{place}: {name} is missing"
    for name, value in given.items():
        if name not in arguments:
            yield f"{place}: {name} is no argument"
        elif isinstance(arguments[name], Mapping):
            yield from _blocks(value, arguments[name], f"{place}.{name}")
        elif _is_blocks(value):
            yield f"{place}: {name} is an argument, not a block"
        else:
            yield from _typed(value, arguments[name], f"{place}.{name}")
    for name, inner in dynamic:
        if not isinstance(arguments.get(name), Mapping):
            yield f"{place}: {name} is no block"
        elif names.count(name) > 1 and arguments[name]["max"] is not None:
            yield f"{place}.{name} may stand only once"
        else:
            yield from _blocks(inner["content"], arguments[name], f"{place}.{name}")


def _blocks(value: Any, schema: Schema, place: str) -> Iterator[str]:
    if not _is_blocks(value):
        yield f"{place} is a block, not an argument"
        return
    if schema["max"] is not None and len(value) > schema["max"]:
        yield f"{place} may stand only once"
    for one in value:
        yield from _block(one, schema["block"], place)


def _is_blocks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) and IS_BLOCK in one for one in value)


def _typed(value: Any, type_: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a literal; what an expression gives is not known here."""
    if isinstance(type_, list):
        kind, inner = type_
        if kind == "list" and isinstance(value, list):
            for one in value:
                yield from _typed(one, inner, place)
        elif kind == "map" and isinstance(value, Mapping):
            for one in value.values():
                yield from _typed(one, inner, place)
        elif isinstance(value, list | Mapping | bool | int | float) or is_literal(value):
            yield f"{place} must be a {kind}"
    elif isinstance(value, list | Mapping) or (_is_constant(value) and not _fits(value, type_)):
        yield f"{place} must be a {type_}"


def _is_constant(value: Any) -> bool:
    return isinstance(value, bool | int | float) or is_literal(value)


def _fits(value: Any, type_: str) -> bool:
    """True if terraform converts the constant to the type."""
    if type_ in {"string", "any"}:
        return True
    text = unquoted(str(value)).lower()
    return text in {"true", "false"} if type_ == "bool" else _is_number(text) and not isinstance(value, bool)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _reference(reference: Reference, checked: Module, known: Mapping[str, Schema]) -> Iterator[str]:
    root, steps, place = reference.root, reference.steps, reference.place
    if root == "var" and steps[0] not in checked.variables:
        yield f"{place}: var.{steps[0]} is not declared"
    elif root == "local" and steps[0] not in checked.locals:
        yield f"{place}: local.{steps[0]} is not declared"
    elif root == "module":
        yield from _output(steps, checked, place)
    elif root == "data" or any(type_.partition("_")[0] == root.partition("_")[0] for type_ in known):
        names = (root, *steps)
        prefix = "data." if root == "data" else ""
        type_, name, *rest = names[1:] if prefix else names
        yield from _object(f"{prefix}{type_}.{name}", tuple(rest), checked, known, place)


def _object(
    name: str, steps: tuple[str, ...], checked: Module, known: Mapping[str, Schema], place: str
) -> Iterator[str]:
    body = checked.objects.get(name)
    if body is None:
        yield f"{place}: {name} is not declared"
        return
    is_several = "count" in body or "for_each" in body
    if steps and (steps[0] == "[") != is_several:
        yield f"{place}: {name} needs {'an' if is_several else 'no'} index"
        return
    attribute = next((step for step in steps if step != "["), None)
    schema = known.get(name.rpartition(".")[0], {"exported": ()})
    if attribute is not None and attribute not in schema["exported"]:
        yield f"{place}: {name} has no attribute {attribute}"


def _output(steps: tuple[str, ...], checked: Module, place: str) -> Iterator[str]:
    call = checked.calls.get(steps[0])
    if call is None:
        yield f"{place}: module.{steps[0]} is not declared"
    elif len(steps) > 1 and steps[1] not in _called(call, checked).outputs:
        yield f"{place}: module.{steps[0]} has no output {steps[1]}"


def _call(name: str, call: Body, checked: Module) -> Iterator[str]:
    """Yield what is wrong with a call of a module in another folder."""
    variables = _called(call, checked).variables
    given = set(call) - META - {"source", "version", "providers"}
    for argument in sorted(given - set(variables)):
        yield f"module {name}: {argument} is no variable"
    for variable, body in variables.items():
        if "default" not in body and variable not in given:
            yield f"module {name}: {variable} is missing"


def _called(call: Body, checked: Module) -> Module:
    return module(checked.folder / unquoted(call["source"]))


def _unused(checked: Module) -> Iterator[str]:
    """Yield variables, locals and data sources that nothing refers to."""
    used = {
        f"{one.root}.{'.'.join(one.steps[:2])}" if one.root == "data" else f"{one.root}.{one.steps[0]}"
        for one in checked.references()
    }
    declared = [
        *(f"var.{name}" for name in checked.variables),
        *(f"local.{name}" for name in checked.locals),
        *(name for name in checked.objects if name.startswith("data.")),
    ]
    for name in declared:
        if name not in used:
            yield f"{name} is not used"
