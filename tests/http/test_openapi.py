"""The hand-written document against the routes, and their answers against it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from tests.http.site import BASE, VERSION, Site

from resonate_faas._http.app import ROUTES
from resonate_faas._http.openapi import document


def test_the_document_lists_every_route_and_no_other() -> None:
    listed = {(method.upper(), path) for path, methods in document("")["paths"].items() for method in methods}
    assert listed == {(route.method, route.template) for route in ROUTES}


def test_it_is_served_with_the_deployments_url() -> None:
    answer = Site().send("GET", "/openapi.json")
    assert answer.json["servers"] == [{"url": BASE}]
    assert document("")["servers"] == [{"url": "/"}]
    assert json.loads(json.dumps(document(""))) == document("")


def test_every_path_parameter_is_described() -> None:
    for path, methods in document("")["paths"].items():
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in methods.values():
            given = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert given == named


def _validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document("")["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def _answers() -> list[tuple[str, Any]]:
    site = Site()
    found = [
        ("Invoked", site.invoke("approve")),
        ("Promise", site.send("GET", "/promises/root")),
        ("Problem", site.invoke("add", "x", id="other")),
        ("Problem", site.send("GET", "/promises/none")),
        ("Sweep", site.send("POST", "/tick")),
        ("Health", site.send("GET", "/health")),
        ("Explanation", site.send("GET", "/promises/root/explain")),
        ("Promise", site.send("POST", "/promises/root/cancel")),
    ]
    envelope = {"kind": "promise.get", "head": {"corrId": "1", "version": VERSION}, "data": {"id": "root"}}
    found.append(("EnvelopeAnswer", site.send("POST", "/", envelope)))
    message = {"kind": "execute", "head": {}, "data": {"task": {"id": "root", "version": 0}}}
    found.append(("Delivered", site.send("POST", "/", message)))
    return [(name, answer.json) for name, answer in found]


def test_answers_are_as_described() -> None:
    for name, body in _answers():
        _validator(name).validate(body)


@pytest.mark.parametrize(
    ("name", "body"),
    [("Invoked", {"id": 1}), ("Problem", {}), ("Promise", {"id": "a"}), ("Explanation", {"at": 1})],
)
def test_the_descriptions_refuse_something(name: str, body: Any) -> None:
    assert not _validator(name).is_valid(body)
