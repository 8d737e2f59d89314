"""Checks of the chart's values: each has a default, a schema, a test and a row in the table; mistakes have messages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml
from helm_python.errors import HelmError
from kubernetes_validate.utils import all_versions

import sources
from chart_mistakes import REJECTED
from chart_values import ONE, VALUES
from sources import CHART, ROOT, charted

SETTINGS = ROOT / "deploy/zt-risk-exporter.example.yaml"
TABLE = ROOT / "deploy/helm/values-table"


def helm_lint_accepts_the_chart() -> None:
    for name, values in VALUES.items():
        with sources.quietly():
            report = helm.lint(CHART, values, strict=True)
        errors = [one["error"] for one in report["messages"] if one["error"] != "icon is recommended"]
        assert report["total_charts_linted"] == 1 and not errors and not report["errors"], f"{name}: {report}"


def a_wrong_value_is_rejected_with_a_message() -> None:
    for values, message in REJECTED:
        try:
            charted(values)
        except HelmError as error:
            assert message in str(error), f"{values}: {error}"
        else:
            raise AssertionError(f"{values} was accepted")


def every_contradiction_is_in_the_table_of_mistakes() -> None:
    text = (CHART / "templates/_checks.tpl").read_text(encoding="utf-8")
    messages = re.findall(r'fail (?:\(printf )?"(.*?)"', text)
    seen = "\n".join(str(error_of(values)) for values, _ in REJECTED)
    for message in messages:
        parts = [re.escape(part) for part in re.split(r"%\w", message)]
        assert re.search(".*".join(parts), seen), f"no test for: {message}"
    assert len(messages) > 25, messages


def error_of(values: dict[str, Any]) -> HelmError | None:
    try:
        charted(values)
    except HelmError as error:
        return error
    return None


def settable(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> set[str]:
    """The paths of all settings. What has free keys, or the keys of Kubernetes or of the operator, counts as one."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.startswith("secret"):
            return {path}
        schema = definitions[name]
    found: set[str] = set()
    for key, value in schema.get("items", schema).get("properties", {}).items():
        if value is not True:
            found |= settable(value, definitions, f"{path}.{key}")
    free = schema.get("additionalProperties")
    if isinstance(free, dict) and "properties" in free:
        found |= settable(free, definitions, f"{path}.*")
    return found or {path}


def is_set(values: Any, path: list[str]) -> bool:
    if isinstance(values, list):
        return any(is_set(one, path) for one in values)
    if path and isinstance(values, dict):
        inner = values.values() if path[0] == "*" else [values[path[0]]] if path[0] in values else []
        return any(is_set(one, path[1:]) for one in inner)
    return not path


def paths_of(values: Any, path: str = "") -> set[str]:
    """The paths of all defaults that are not maps."""
    if isinstance(values, dict) and values:
        return set().union(*(paths_of(value, f"{path}.{key}") for key, value in values.items()))
    return {path}


def every_value_has_a_default_and_a_schema_and_is_used_by_a_test() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(defaults)
    paths = settable(schema, schema["definitions"])
    unused = {p for p in paths if not any(is_set(v, p.split(".")[1:]) for v in VALUES.values())}
    assert len(paths) > 250 and not unused, unused
    # Below the first level, the sections that the table shows have a default for each key. The others are of the
    # exporter and of Kubernetes.
    for section, inner in defaults.items():
        described = schema["properties"][section]
        described = schema["definitions"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described
        others = ("config", "resources", "podSecurityContext", "securityContext")
        if isinstance(inner, dict) and inner and section not in others and "Probe" not in section:
            keys = set(described.get("properties", inner))
            assert keys == set(inner), f"{section}: {keys ^ set(inner)}"


def every_object_says_which_keys_it_may_have() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def open_objects(one: Any, path: str) -> set[str]:
        if isinstance(one, list):
            return set().union(*(open_objects(inner, path) for inner in one))
        if not isinstance(one, dict):
            return set()
        found = set().union(*(open_objects(inner, f"{path}.{key}") for key, inner in one.items()))
        limited = {"additionalProperties", "propertyNames"} & set(one)
        return found | ({path} if one.get("type") == "object" and not limited else set())

    # The values of a parent chart, and the objects of the Gateway API, which another check validates.
    found = {re.sub(r"\.(properties|items|definitions)\b", "", path) for path in open_objects(schema, "")}
    assert found == {".global", ".objects"}, found


def the_keys_of_objects_of_kubernetes_are_those_of_its_newest_known_version() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    newest = Path(kubernetes_validate.__file__).parent / f"kubernetes-json-schema/v{all_versions()[-1]}-local"
    compared = 0
    for name, described in schema["definitions"].items():
        if described.get("description") == f"As {name} of Kubernetes.":
            (file,) = newest.glob(f"{name.lower()}-*v1.json")
            keys = json.loads(file.read_text(encoding="utf-8"))["properties"]
            assert set(described["properties"]) == set(keys), name
            compared += 1
    assert compared > 10, compared


def the_chart_accepts_every_setting_of_the_exporter() -> None:
    """Except those that the chart sets itself."""
    own = {"state.path", "users.hash_key_file", "shard.index", "shard.total", "config.auto_reload"}
    own |= {"accounts_from.tokens_dir"}
    own |= {f"web.{key}" for key in ("listen_address", "systemd_socket", "config_file", "health_address")}
    section, settings = "", set()
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(\w+):$", line):
            section = found[1]
        # `#key: value` is a default, `# key: example` has none.
        elif section != "accounts" and (found := re.match(r"  # ?(\w+): ", line)):
            settings.add(f"{section}.{found[1]}")
    assert len(settings) > 10, "this test does not understand the example"
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    sections = schema["properties"]["config"]["properties"]
    accepted = {f"{name}.{key}" for name, inner in sections.items() for key in inner["properties"]}
    assert accepted | own == settings and not accepted & own, accepted ^ settings


def the_table_of_values_is_up_to_date_and_explains_each() -> None:
    done = subprocess.run([TABLE, "--print"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout in (CHART / "README.md").read_text(encoding="utf-8"), "run deploy/helm/values-table"
    rows = [[cell.strip() for cell in line.split(" | ")] for line in done.stdout.splitlines()[2:]]
    documented = {row[0].strip("| `") for row in rows}
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path in paths_of(defaults):
        parts = path.split(".")[1:]
        assert any(".".join(parts[:count]) in documented for count in range(1, len(parts) + 1)), f"no row for {path}"
    assert all(len(row) == 3 and row[2].strip(" |") for row in rows), [row for row in rows if len(row) != 3]


def the_chart_works_below_a_parent_with_values_of_its_own() -> None:
    with tempfile.TemporaryDirectory() as directory, sources.quietly():
        parent = Path(directory) / "parent"
        shutil.copytree(CHART, parent / "charts/zt-risk-exporter")
        (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 0.1.0\n", encoding="utf-8")
        values = {"global": {"imageRegistry": "mirror.example.com", "of": "another"}, "zt-risk-exporter": ONE}
        with helm.Chart.load(parent) as chart:
            rendered = chart.render(values, name="eu", namespace="risk")
    (workload,) = [yaml.safe_load(text) for path, text in rendered.items() if path.endswith("/workload.yaml")]
    assert sources.exporter_in(sources.pod_of(workload))["image"].startswith("mirror.example.com/zt-risk-exporter:")


def global_values_are_used_where_the_chart_has_none_of_its_own() -> None:
    def used(values: dict[str, Any]) -> tuple[str, Any, Any]:
        found = charted(ONE | values)
        pod = sources.pod_of(sources.only(found, "Deployment"))
        claim = sources.only(found, "PersistentVolumeClaim")
        image = sources.exporter_in(pod)["image"].partition(":0.")[0]
        return image, pod.get("imagePullSecrets"), claim["spec"].get("storageClassName")

    everywhere = {"imageRegistry": "mirror:5000/", "imagePullSecrets": ["a", {"name": "b"}], "storageClass": "slow"}
    own = {
        "image": {"registry": "own"},
        "imagePullSecrets": [{"name": "c"}],
        "persistence": {"storageClassName": "fast"},
    }
    names = [{"name": "a"}, {"name": "b"}]
    assert used({}) == ("zt-risk-exporter", None, None)
    assert used({"global": everywhere}) == ("mirror:5000/zt-risk-exporter", names, "slow")
    assert used({"global": everywhere} | own) == ("own/zt-risk-exporter", [{"name": "c"}, *names], "fast")


def the_annotations_for_artifact_hub_are_valid() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    found = {key.removeprefix("artifacthub.io/"): value for key, value in chart["annotations"].items()}
    assert all(isinstance(value, str) for value in found.values()), "annotations are texts"
    assert found["category"] == "monitoring-logging" and found["license"] == "Apache-2.0"
    assert found["operator"] == "false" and found["prerelease"] in ("true", "false")
    changes = yaml.safe_load(found["changes"])
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert changes and all(set(one) == {"kind", "description"} and one["kind"] in kinds for one in changes)
    assert "example.com" not in json.dumps(chart)


CHECKS = [
    helm_lint_accepts_the_chart,
    a_wrong_value_is_rejected_with_a_message,
    every_contradiction_is_in_the_table_of_mistakes,
    every_value_has_a_default_and_a_schema_and_is_used_by_a_test,
    every_object_says_which_keys_it_may_have,
    the_keys_of_objects_of_kubernetes_are_those_of_its_newest_known_version,
    the_chart_accepts_every_setting_of_the_exporter,
    the_table_of_values_is_up_to_date_and_explains_each,
    the_chart_works_below_a_parent_with_values_of_its_own,
    global_values_are_used_where_the_chart_has_none_of_its_own,
    the_annotations_for_artifact_hub_are_valid,
]
