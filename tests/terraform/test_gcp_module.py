"""terraform/gcp: names and nesting by the provider's schema, settings and validations by terraform itself, indexes by the store's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from tests.packaging.tree import ROOT
from tests.terraform.gcp_module import EXAMPLE, FOLDER, WITHOUT_PROVIDER, evaluated, gcp, initialised
from tests.terraform.hcl import Module, add, module, references, unquoted
from tests.terraform.schema_checker import SCHEMAS, problems, schemas

from resonate_faas._deployment import Source
from resonate_faas_gcp._indexes import COMPOSITE_INDEXES, SINGLE_FIELD_EXEMPTIONS, TTL_FIELD
from resonate_faas_gcp._settings import CloudSettings

README = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", [FOLDER, EXAMPLE], ids=["module", "example"])
def test_every_name_is_one_that_the_provider_knows(folder: Path) -> None:
    assert problems(module(folder), schemas()) == []


@pytest.mark.parametrize("folder", [FOLDER, EXAMPLE], ids=["module", "example"])
def test_the_provider_that_is_asked_for_is_the_one_whose_schema_is_checked(folder: Path) -> None:
    (terraform,) = module(folder).terraform
    (asked,) = terraform["required_providers"]
    for name in set(asked) & {"google", "archive"}:
        told = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))["provider"]
        source, _, version = told.partition(" ")
        major_minor = ".".join(version.split(".")[:2])
        assert {key: unquoted(value) for key, value in asked[name].items()} == {
            "source": source,
            "version": f"~> {major_minor}",
        }


def test_what_runs_without_the_provider_refers_to_no_resource() -> None:
    alone = Module(FOLDER)
    for name in WITHOUT_PROVIDER:
        add(alone, (FOLDER / name).read_text(encoding="utf-8"))
    assert not {one.root for one in alone.references() if "_" in one.root or one.root == "data"}


def test_the_validations_hold_and_refuse(tmp_path: Path) -> None:
    ran = initialised(tmp_path).ok("test")
    tried = re.findall(r'run "\w+"', (FOLDER / "tests" / "variables.tftest.hcl").read_text(encoding="utf-8"))
    assert f"Success! {len(tried)} passed, 0 failed." in ran


def test_every_validation_is_tried() -> None:
    text = (FOLDER / "tests" / "variables.tftest.hcl").read_text(encoding="utf-8")
    tried = set(re.findall(r"expect_failures = \[var\.(\w+)\]", text))
    validated = {name for name, body in gcp().variables.items() if "validation" in body}
    assert tried == validated - {"source_dir"}


class TestVariables:
    @pytest.mark.parametrize("name", list(gcp().variables))
    def test_is_typed_and_described_and_in_the_readme(self, name: str) -> None:
        body = gcp().variables[name]
        assert body["type"]
        assert unquoted(body["description"])
        assert len(rows(name)) == 1

    def test_are_few(self) -> None:
        assert len(gcp().variables) < 20

    def test_the_readme_lists_no_other(self) -> None:
        listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
        assert listed == {*gcp().variables, *gcp().outputs}

    @pytest.mark.parametrize("name", list(gcp().outputs))
    def test_an_output_is_described_and_in_the_readme(self, name: str) -> None:
        assert unquoted(gcp().outputs[name]["description"])
        assert len(rows(name)) == 1


def rows(name: str) -> list[str]:
    return re.findall(rf"^\| `{name}` \|.+$", README, re.MULTILINE)


def roles() -> set[str]:
    """Return every role that the module gives."""
    return set(re.findall(r'"(roles/[\w.]+)"', (FOLDER / "access.tf").read_text(encoding="utf-8")))


def test_every_role_is_justified_in_the_readme() -> None:
    assert roles() == set(re.findall(r"`(roles/[\w.]+)`", README))


def test_no_role_is_a_basic_or_an_administrators_one() -> None:
    assert not {role for role in roles() if re.search(r"(owner|editor|viewer|[aA]dmin)$", role)} - {
        "roles/storage.objectViewer"
    }


def test_alerts_come_last_and_their_metrics_first() -> None:
    """A policy over a metric of the last minute is refused: hashicorp/terraform-provider-google, issue 11102."""
    metric = {one.root for one in references(gcp().objects["google_logging_metric.this"], "")}
    assert metric <= {"local", "var", "each", "google_project_service"}
    for policy in ("halted_tasks", "tick"):
        body = gcp().objects[f"google_monitoring_alert_policy.{policy}"]
        assert body["depends_on"] == ["${google_cloud_scheduler_job.tick}"]
    assert gcp().objects["google_cloud_scheduler_job.tick"]["depends_on"] == [
        "${google_cloudfunctions2_function.this}"
    ]
    assert not [one for one in references(gcp().locals["from_tick"], "") if one.root not in {"local", "var"}]


class TestIndexes:
    @staticmethod
    def literals(name: str) -> Any:
        return gcp().locals[name]

    def test_are_those_of_the_store(self) -> None:
        declared = {
            tuple((unquoted(one["field"]), unquoted(one["mode"])) for one in fields)
            for key, fields in self.literals("composite_indexes").items()
            if not key.startswith("__")
        }
        assert declared == {index.fields for index in COMPOSITE_INDEXES}

    def test_exempt_fields_are_those_of_the_store(self) -> None:
        declared = [unquoted(one) for one in self.literals("exempt_fields")]
        assert sorted(declared) == sorted(SINGLE_FIELD_EXEMPTIONS)

    def test_exempt_fields_have_no_index_of_their_own(self) -> None:
        (config,) = gcp().objects["google_firestore_field.exempt"]["index_config"]
        assert "indexes" not in config

    def test_documents_expire_by_the_field_that_retention_writes(self) -> None:
        assert unquoted(self.literals("ttl_field")) == TTL_FIELD
        (ttl,) = gcp().objects["google_firestore_field.exempt"]["dynamic"]
        assert "each.value == local.ttl_field" in ttl['"ttl_config"']["for_each"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluated(
        tmp_path_factory.mktemp("settings"),
        "settings",
        "reserved",
        retention_days="30",
        lease_seconds="20",
        queues="{reports = {}}",
    )


class TestSettings:
    def test_are_read_by_the_handler_as_they_are_meant(self, told: dict[str, Any]) -> None:
        read = CloudSettings.read(Source(told["settings"]), {})
        assert read.database == "countdown"
        assert read.queue == "projects/my-project/locations/us-central1/queues/countdown"
        assert read.queue_account == "countdown-queue@my-project.iam.gserviceaccount.com"
        assert read.tick_account == "countdown-tick@my-project.iam.gserviceaccount.com"
        assert read.callers == ("countdown-caller@my-project.iam.gserviceaccount.com",)
        assert (read.timeout_ms, read.dispatch_deadline_s) == (540_000, 540)
        settings = read.common
        assert settings.lease_ms == 20_000
        assert settings.sweep_interval_ms == 60_000
        assert settings.retention_ms == 30 * 86_400_000
        assert settings.public_url == "https://us-central1-my-project.cloudfunctions.net/countdown"
        assert settings.queues == {
            "reports": "projects/my-project/locations/us-central1/queues/countdown-reports"
        }
        assert settings.credentials == ()

    def test_none_can_be_given_twice(self, told: dict[str, Any]) -> None:
        assert set(told["settings"]) <= set(told["reserved"])

    def test_accounts_are_called_in_the_settings_what_they_are_called_in_the_project(self) -> None:
        account = gcp().objects["google_service_account.this"]
        assert unquoted(account["account_id"]) == "${var.name}-${each.key}"
        assert "${var.name}-${role}@${var.project_id}.iam" in gcp().locals["emails"]

    def test_queues_are_called_in_the_settings_what_they_are_called_in_the_project(self) -> None:
        queue = gcp().objects["google_cloud_tasks_queue.this"]
        assert queue["name"] == '${each.key == "" ? var.name : "${var.name}-${each.key}"}'
        assert "${local.queue}-${target}" in gcp().locals["queues"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example's source in a copy of the tree that the script needs."""
    root = tmp_path_factory.mktemp("tree")
    example = root / EXAMPLE.relative_to(ROOT)
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns("build", ".terraform*"))
    for name in ("core", "adapters", "samples", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        (root / name).symlink_to(ROOT / name)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PIP_NO_BUILD_ISOLATION": "0"}
    ran = subprocess.run(
        ["bash", str(example / "build.sh")], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return example / "build"


class TestExample:
    def test_deploys_the_sample_as_it_is(self, built: Path) -> None:
        sample = ROOT / "samples" / "countdown" / "workflows.py"
        assert (built / "workflows.py").read_bytes() == sample.read_bytes()

    def test_brings_the_wheel_that_it_requires(self, built: Path) -> None:
        required, _, extras = (built / "requirements.txt").read_text(encoding="utf-8").strip().partition("[")
        assert extras == "gcp]"
        with ZipFile(built / required) as wheel:
            assert "resonate_faas_gcp/__init__.py" in wheel.namelist()

    def test_has_what_the_module_asks_for_at_its_top(self, built: Path) -> None:
        assert {"main.py", "requirements.txt", "workflows.py"} < {one.name for one in built.iterdir()}
        entry = unquoted(gcp().variables["entry_point"]["default"])
        assert f"\n{entry} = http_handler(" in (built / "main.py").read_text(encoding="utf-8")

    def test_starts_with_the_settings_of_the_module_and_lets_no_stranger_in(
        self, built: Path, told: dict[str, Any]
    ) -> None:
        """The framework loads it as the platform does; the addresses of emulators stand for the account that is not here."""
        script = """
from functions_framework import create_app
client = create_app("handler", "main.py").test_client()
print(client.get("/health").status_code, client.post("/tick", json={}).status_code)
"""
        nowhere = {
            "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
            "RESONATE_FAAS_CLOUD_TASKS_EMULATOR": "127.0.0.1:1",
        }
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **told["settings"], **nowhere},
            cwd=built,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.stdout.split() == ["200", "401"], ran.stderr
