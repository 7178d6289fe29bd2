"""Cut the schemas that tests/terraform needs out of the bindings of terraform's providers.

The bindings (cdktf-cdktf-provider-google, -archive) are generated from the providers' own schemas: names, nesting and types of
arguments, what is required, what is exported. They are 50 MB; what the modules use is a few kilobytes.

    python tools/provider_schema.py tests/terraform/provider_schemas
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zipfile import ZipFile

Json = dict[str, Any]

GOOGLE: Final = (
    "cloud_run_service_iam_member",
    "cloud_scheduler_job",
    "cloud_tasks_queue",
    "cloud_tasks_queue_iam_member",
    "cloudfunctions2_function",
    "firestore_database",
    "firestore_field",
    "firestore_index",
    "logging_metric",
    "monitoring_alert_policy",
    "monitoring_notification_channel",
    "project_iam_member",
    "project_service",
    "secret_manager_secret",
    "secret_manager_secret_iam_member",
    "secret_manager_secret_version",
    "service_account",
    "service_account_iam_member",
    "storage_bucket",
    "storage_bucket_iam_member",
    "storage_bucket_object",
)
SOURCES: Final = (
    ("google", "16.12.1", "hashicorp/google 6.50.0", tuple(f"google_{name}" for name in GOOGLE)),
    ("archive", "11.0.1", "hashicorp/archive 2.7.1", ("data.archive_file",)),
)
NOTICE: Final = (
    "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. "
    "If a copy of the MPL was not distributed with this file, You can obtain one at http://mozilla.org/MPL/2.0/. "
    "Extracted from the Python package cdktf-cdktf-provider-{name} {version} by HashiCorp."
)
_PREFIXES: Final = {"cdktf.TerraformResource": "", "cdktf.TerraformDataSource": "data."}
_TYPE: Final = re.compile(r"\{@link \S+ (\w+)\}")
_LINK: Final = re.compile(r"\{@link \S+#(\w+) ")
_KINDS: Final = {"string": "string", "number": "number", "boolean": "bool", "any": "any"}


class Bindings:
    """The types of one provider's bindings.

    Args:
        types: of the jsii assembly, by their full names.
    """

    def __init__(self, types: dict[str, Json]) -> None:
        self._types = types
        self._classes = {
            _PREFIXES[one["base"]] + found[1]: name
            for name, one in types.items()
            if one.get("base") in _PREFIXES and (found := _TYPE.search(one["docs"]["summary"]))
        }

    def schema(self, type_: str) -> Json:
        """Return the schema of a resource, or of a data source (``data.`` in front of its type)."""
        name = self._classes[type_]
        parameters = self._types[name]["initializer"]["parameters"]
        block = self._block(next(one["type"]["fqn"] for one in parameters if one["name"] == "config"))
        exported = [_snake(one["name"]) for one in self._types[name]["properties"]]
        names = {one for one in exported if not one.endswith("_input")} - {"tf_resource_type"}
        block["exported"] = sorted(names | {"id"})
        return block

    def _block(self, name: str) -> Json:
        arguments: Json = {}
        required: list[str] = []
        for property_ in self._types[name].get("properties", ()):
            key = _terraform_name(property_)
            arguments[key] = self._type(property_["type"])
            if not property_.get("optional"):
                required.append(key)
        return {"arguments": dict(sorted(arguments.items())), "required": sorted(required)}

    def _type(self, type_: Json) -> Any:
        """Return a type's name, ``["list" or "map", of]``, or a block."""
        if "primitive" in type_:
            return _KINDS[type_["primitive"]]
        if "fqn" in type_:
            return {"block": self._block(type_["fqn"]), "max": 1}
        if "collection" in type_:
            inner = self._type(type_["collection"]["elementtype"])
            if isinstance(inner, dict):
                return {"block": inner["block"], "max": None}
            return ["map" if type_["collection"]["kind"] == "map" else "list", inner]
        members = [one for one in type_["union"]["types"] if one.get("fqn") != "cdktf.IResolvable"]
        return self._type(next((one for one in members if one.get("primitive") != "any"), members[0]))


def _terraform_name(property_: Json) -> str:
    found = _LINK.search(property_["docs"].get("remarks", "") + property_["docs"].get("summary", ""))
    return found[1] if found else _snake(property_["name"])


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()


def _types(name: str, version: str, folder: Path) -> tuple[dict[str, Json], str]:
    """Download the bindings; return their types and their licence."""
    package = f"cdktf-cdktf-provider-{name}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"{package}=={version}"], check=True)  # noqa: S603 - our own command
    (wheel,) = folder.glob(f"{package.replace('-', '_')}-*.whl")
    with ZipFile(wheel) as found:
        (inner,) = [one for one in found.namelist() if one.endswith(".jsii.tgz")]
        with found.open(inner) as stream, tarfile.open(fileobj=stream, mode="r:gz") as archive:
            assembly, licence = (archive.extractfile(f"package/{one}") for one in (".jsii", "LICENSE"))
            assert assembly is not None  # noqa: S101 - every jsii package has them
            assert licence is not None  # noqa: S101 - as above
            return json.loads(assembly.read())["types"], licence.read().decode()


def main() -> None:
    """Write one JSON file a provider, and the licence they stand under."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the files go")
    target = parser.parse_args().folder
    for name, version, provider, wanted in SOURCES:
        with TemporaryDirectory() as folder:
            types, licence = _types(name, version, Path(folder))
        bindings = Bindings(types)
        document = {
            "notice": NOTICE.format(name=name, version=version),
            "provider": provider,
            "schemas": {one: bindings.schema(one) for one in wanted},
        }
        lines = json.dumps(document, indent=1)
        (target / f"{name}.json").write_text(f"{lines}\n", encoding="utf-8")
        (target / "LICENSE").write_text(licence, encoding="utf-8")


if __name__ == "__main__":
    main()
