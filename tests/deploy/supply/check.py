"""Checks pinned actions, versions, permissions of workflows, and the SBOM."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import checks

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ["ZT_RISK_EXPORTER"]
TARGET = "x86_64-unknown-linux-gnu"
PACKAGE = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def output(*command: str, **variables: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def steps() -> Iterator[tuple[str, Json]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            for step in job.get("steps", []):
                yield f"{path.name}, {name}", step


def every_action_is_pinned_and_says_its_version() -> None:
    used = [(path.name, line) for path in WORKFLOWS for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert len(used) > 5
    for name, line in used:
        local = re.search(r"uses: \./\S+$", line)
        pinned = re.search(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
        assert local or pinned, f"{name}: {line.strip()}"


def an_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for _, step in steps():
        if "uses" in step:
            action, _, commit = step["uses"].partition("@")
            pins.setdefault(action, set()).add(commit)
    assert all(len(commits) == 1 for commits in pins.values()), pins


# The jobs with write permissions, for the release with its files and for the provenance.
WRITES = {
    "release.yml, image": {"id-token", "attestations"},
    "release.yml, release": {"contents", "id-token", "attestations"},
}


def no_job_has_more_rights_than_it_needs() -> None:
    writes = {}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name
        # In YAML 1.1 the key `on` is true. A pull request from a fork must not run with this repository's secrets.
        assert "pull_request_target" not in workflow[True], path.name
        for name, job in workflow["jobs"].items():
            assert job.get("secrets") != "inherit", f"{path.name}, {name}"
            rights = job.get("permissions", {})
            # `write-all` would be a string.
            assert isinstance(rights, dict), f"{path.name}, {name}"
            if may := {right for right, how in rights.items() if how == "write"}:
                writes[f"{path.name}, {name}"] = may
    assert writes == WRITES, writes
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def only_reviewed_code_runs_in_a_privileged_container() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            container = job.get("container", {})
            options = container.get("options", "") if isinstance(container, dict) else ""
            assert options in ("", "${{ github.event_name != 'pull_request' && '--privileged' || '' }}"), (
                f"{path.name}, {name}: {options}"
            )


def scripts_in_workflows_pass_shellcheck() -> None:
    scripts = [(where, step["run"]) for where, step in steps() if "run" in step]
    assert len(scripts) > 10
    for where, script in scripts:
        # GitHub would insert the value into the script, where the shell would interpret it.
        assert "${{" not in script, f"{where}: {script}"
        subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, text=True, check=True)


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def all_files_use_the_same_toolchain_and_it_is_new_enough() -> None:
    wanted = PACKAGE["rust-version"]
    for path in [*WORKFLOWS, ROOT / "deploy/container/Dockerfile"]:
        for found in re.findall(r"\brust:([\d.]+)", path.read_text(encoding="utf-8")):
            assert found == wanted, f"{path.name}: rust {found}"
    assert f"Rust toolchain ({wanted} or later)" in (ROOT / "README.md").read_text(encoding="utf-8")
    packages = json.loads(output("cargo", "metadata", "--locked", "--format-version=1"))["packages"]
    newer = {
        p["name"]: p["rust_version"]
        for p in packages
        if p["rust_version"] and number(p["rust_version"]) > number(wanted)
    }
    assert not newer, f"these need a later Rust than {wanted}: {newer}"
    (has,) = re.findall(r"^rustc (\d+\.\d+)", output("rustc", "--version"))
    if has != wanted:
        print(f"skipped: a build with Rust {wanted}, because this machine has {has}")


def sbom(**variables: str) -> Json:
    found: Json = json.loads(output("deploy/release/sbom", BINARY, TARGET, **variables))
    return found


def validation_error(document: Json) -> str | None:
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    return None if found is None else str(found)


def the_sbom_is_valid_cyclonedx() -> None:
    found = sbom()
    assert validation_error(found) is None, validation_error(found)
    # The validator detects errors.
    for change in ({"bomFormat": "SPDX"}, {"components": [{"name": "x"}]}, {"serialNumber": "1"}, {"licence": "MIT"}):
        assert validation_error(deepcopy(found) | change) is not None, change


def the_sbom_lists_the_same_crates_as_cargo_tree() -> None:
    """`cargo tree` is an independent source of the linked crates."""
    tree = output("cargo", "tree", "--locked", "--edges=normal,no-proc-macro", f"--target={TARGET}", "--prefix=none")
    wanted = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    found = sbom()
    main = found["metadata"]["component"]
    listed = {(one["name"], f"v{one['version']}") for one in [*found["components"], main] if "purl" in one}
    assert listed == wanted and len(listed) > 100, listed ^ wanted
    assert {one["name"] for one in found["components"] if "purl" not in one} == {"rust-std", "glibc"}
    lock = {
        (p["name"], p["version"]): p.get("checksum")
        for p in tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))["package"]
    }
    for one in found["components"]:
        if "purl" in one:
            assert one["hashes"] == [{"alg": "SHA-256", "content": lock[one["name"], one["version"]]}], one["name"]
            assert one["licenses"][0]["expression"], one["name"]
    digest = hashlib.sha256(Path(BINARY).read_bytes()).hexdigest()
    assert main["hashes"][0]["content"] == digest and main["version"] == PACKAGE["version"]
    refs = {one["bom-ref"] for one in [*found["components"], main]}
    named = {ref for one in found["dependencies"] for ref in [one["ref"], *one["dependsOn"]]}
    assert named == refs, named ^ refs


def the_same_binary_has_the_same_sbom() -> None:
    assert sbom(SOURCE_DATE_EPOCH="86400") == sbom(SOURCE_DATE_EPOCH="86400")
    assert sbom(SOURCE_DATE_EPOCH="86400")["metadata"]["timestamp"] == "1970-01-02T00:00:00Z"


def the_binary_is_static_and_contains_no_path_of_the_build_machine() -> None:
    header = output("readelf", "--program-headers", BINARY)
    assert "INTERP" not in header and "LOAD" in header
    text = Path(BINARY).read_bytes()
    home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    for directory in (str(ROOT), home, tempfile.gettempdir() + "/"):
        assert directory.encode() not in text, directory
    assert b"/cargo/registry/" in text


CHECKS = [
    every_action_is_pinned_and_says_its_version,
    an_action_has_one_version_everywhere,
    no_job_has_more_rights_than_it_needs,
    only_reviewed_code_runs_in_a_privileged_container,
    scripts_in_workflows_pass_shellcheck,
    all_files_use_the_same_toolchain_and_it_is_new_enough,
    the_sbom_is_valid_cyclonedx,
    the_sbom_lists_the_same_crates_as_cargo_tree,
    the_same_binary_has_the_same_sbom,
    the_binary_is_static_and_contains_no_path_of_the_build_machine,
]


if __name__ == "__main__":
    checks.run("supply", CHECKS)
