"""That there is one source: of rules, of dashboards, of settings, and of what the chart and the base have in common."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml
from helm_python.errors import HelmError

import scraping
import sources
from sources import CHART, KUBERNETES, ONE, ROOT, Object, charted, kustomized, only

SETTINGS = ROOT / "deploy/zt-risk-exporter.example.yaml"


def rules_and_dashboards_are_those_of_the_source() -> None:
    component = KUBERNETES / "prometheus-operator"
    made = subprocess.run([str(component / "make-rules"), "--print"], capture_output=True, text=True, check=True).stdout
    assert (component / "rules.yaml").read_text(encoding="utf-8") == made, "run prometheus-operator/make-rules"
    # By what the files mean, and not only by what the script does.
    everything_on = ONE | {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
    for source, found in (("example", kustomized(KUBERNETES / "example")), ("chart", charted(everything_on))):
        for part in ("recordings", "alerts"):
            text = (ROOT / f"deploy/prometheus/zt-risk-exporter.{part}.yml").read_text(encoding="utf-8")
            (rule,) = [o["spec"] for o in found if o["metadata"]["name"] == f"zt-risk-exporter-{part}"]
            assert rule == yaml.safe_load(text), f"{source}: {part}"
        dashboards = {
            name.removeprefix("zt-risk-exporter-"): json.loads(text)
            for one in found
            if one["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
            for name, text in one["data"].items()
        }
        wanted = {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "dashboards").glob("*.json")}
        assert dashboards == wanted and len(wanted) == 4, source


def in_substance(found: list[Object]) -> list[Object]:
    """Without what differs because of the tool: labels and annotations of Helm, and how a new ConfigMap is noticed."""
    kept = deepcopy(found)
    renamed = {
        one["metadata"]["name"]: "config" for one in kept if one["kind"] == "ConfigMap" and "config.yaml" in one["data"]
    }
    for one in kept:
        metadata = one["metadata"]
        metadata.pop("namespace", None)
        for place in ("labels", "annotations"):
            for key in [
                key for key in metadata.get(place, {}) if "helm" in key or key.endswith(("/version", "managed-by"))
            ]:
                del metadata[place][key]
            if not metadata.get(place):
                metadata.pop(place, None)
        if one["kind"] == "ConfigMap" and metadata["name"] in renamed:
            metadata["name"] = "config"
            one["data"] = yaml.safe_load(one["data"]["config.yaml"])
        if one["kind"] in sources.WORKLOADS:
            for claim in one["spec"].get("volumeClaimTemplates", []):
                claim["metadata"].pop("annotations", None)
            template = one["spec"]["template"]
            template["metadata"].pop("annotations", None)
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = renamed[volume["configMap"]["name"]]
    return sorted(kept, key=lambda one: (one["kind"], one["metadata"]["name"]))


def the_chart_and_the_base_are_the_same_in_substance() -> None:
    base = kustomized(KUBERNETES / "base")
    assert in_substance(charted(ONE)) == in_substance(base)
    assert in_substance(charted(ONE | {"shards": 2})) == in_substance(sources.sharded_base())
    switched_on = charted(ONE | {"networkPolicy": {"enabled": True}, "dashboards": {"enabled": True}})
    example = kustomized(KUBERNETES / "example")
    assert only(switched_on, "NetworkPolicy")["spec"] == only(example, "NetworkPolicy")["spec"]
    assert only(charted(ONE), "PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    # One that looks like another would be no use: a change of either is noticed.
    assert in_substance(charted(ONE | {"terminationGracePeriodSeconds": 16})) != in_substance(base)


def a_changed_configuration_starts_a_new_pod() -> None:
    def template(values: dict[str, Any]) -> Any:
        return only(charted(values), "Deployment")["spec"]["template"]

    assert template(ONE) == template(deepcopy(ONE))
    assert template(ONE) != template(ONE | {"config": {"log": {"level": "debug"}}})


def lint_has_nothing_against_the_chart() -> None:
    for name, values in sources.VALUES.items():
        with sources.quietly():
            report = helm.lint(CHART, values, strict=True)
        said = [one["error"] for one in report["messages"] if one["error"] != "icon is recommended"]
        assert report["total_charts_linted"] == 1 and not said and not report["errors"], f"{name}: {report}"


ACCOUNT = ONE["accounts"][0]
# Values that are wrong, and what has to be in the sentence that refuses them.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "accounts is empty: list at least one"),
    ({"accounts": [{"alias": "acme"}]}, "missing property 'id'"),
    ({"accounts": [{"id": "acme"}]}, "at '/accounts/0/id': 'acme' does not match pattern"),
    ({"accounts": [{"id": 1}]}, "at '/accounts/0/id': got number, want string"),
    ({"accounts": [ACCOUNT | {"token": "secret"}]}, "additional properties 'token' not allowed"),
    ({"accounts": [ACCOUNT | {"budgetShare": 2}]}, "at '/accounts/0/budgetShare': maximum: got 2, want 1"),
    ({"accounts": [ACCOUNT | {"email": "a@b.c"}]}, "properties 'apiKeySecret' required, if 'email' exists"),
    (
        {"accounts": [ACCOUNT | {"email": "a@b.c", "apiKeySecret": {"name": "a"}, "tokenSecret": {"name": "b"}}]},
        "has both email and tokenSecret",
    ),
    (ONE | {"config": {"intervals": {"sumary": "30s"}}}, "additional properties 'sumary' not allowed"),
    (ONE | {"config": {"intervals": {"summary": "30"}}}, "at '/config/intervals/summary': '30' does not match pattern"),
    (ONE | {"config": {"users": {"limit": -1}}}, "at '/config/users/limit': minimum: got -1, want 0"),
    (ONE | {"config": {"users": {"identity": "name"}}}, "value must be one of 'id', 'hash', 'email', 'none'"),
    (ONE | {"config": {"users": {"identity": "hash"}}}, "hashKeySecret names no Secret"),
    (ONE | {"hashKeySecret": {"name": "hash"}}, "config.users.identity is not hash"),
    (ONE | {"config": {"web": {"listen_address": ":1"}}}, "additional properties 'listen_address' not allowed"),
    (ONE | {"replicas": 2}, "additional properties 'replicas' not allowed"),
    (ONE | {"shards": 0}, "at '/shards': minimum: got 0, want 1"),
    (ONE | {"shards": 2, "persistence": {"existingClaim": "mine"}}, "each of the shards needs a claim of its own"),
    (ONE | {"shards": 2, "service": {"type": "NodePort"}}, "one address for all shards"),
    (ONE | {"commonLabels": {"app.kubernetes.io/name": "risk"}}, "invalid propertyName 'app.kubernetes.io/name'"),
    (ONE | {"podLabels": {"app.kubernetes.io/instance": "eu"}}, "invalid propertyName 'app.kubernetes.io/instance'"),
    (ONE | {"terminationGracePeriodSeconds": 5}, "minimum: got 5, want 6"),
    (ONE | {"persistence": {"size": "much"}}, "at '/persistence/size': 'much' does not match pattern"),
    (
        ONE | {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        "the exporter would be scraped twice",
    ),
]


def a_wrong_value_is_refused_with_a_sentence() -> None:
    for values, sentence in REFUSED:
        try:
            charted(values)
        except HelmError as error:
            assert sentence in str(error), f"{values}: {error}"
        else:
            raise AssertionError(f"{values} was accepted")


def settable(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> set[str]:
    """The paths of everything that can be set; what has no names of its own, such as labels, is one thing."""
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    found: set[str] = set()
    for key, value in schema.get("items", schema).get("properties", {}).items():
        found |= settable(value, definitions, f"{path}.{key}")
    return found or {path}


def is_set(values: Any, path: list[str]) -> bool:
    if isinstance(values, list):
        return any(is_set(one, path) for one in values)
    return not path or (isinstance(values, dict) and path[0] in values and is_set(values[path[0]], path[1:]))


def every_value_has_a_default_and_a_schema_and_is_used_by_a_test() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    # `global` is what Helm hands to a part of another chart.
    assert set(schema["properties"]) == set(defaults) | {"global"}
    paths = {path for path in settable(schema, schema["definitions"]) if path != ".global"}
    unused = {p for p in paths if not any(is_set(v, p.split(".")[1:]) for v in sources.VALUES.values())}
    assert len(paths) > 50 and not unused, unused


def the_chart_takes_every_setting_of_the_exporter() -> None:
    """Beside those that it sets itself."""
    own = {"web.listen_address", "state.path", "users.hash_key_file", "shard.index", "shard.total"}
    section, settings = "", set()
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(\w+):$", line):
            section = found[1]
        # `#key: value` is a default, `# key: example` has none.
        elif section != "accounts" and (found := re.match(r"  # ?(\w+): ", line)):
            settings.add(f"{section}.{found[1]}")
    assert len(settings) > 10, "the example is written otherwise than this test thinks"
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    sections = schema["properties"]["config"]["properties"]
    taken = {f"{name}.{key}" for name, inner in sections.items() for key in inner["properties"]}
    assert taken | own == settings and not taken & own, taken ^ settings


def the_exporter_takes_every_configuration() -> None:
    """`check` reads the file as in the pod, with files in place of the mounted Secrets, and asks a simulator."""
    exporter = os.environ["ZT_RISK_EXPORTER"]
    with scraping.simulator() as url, tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for source, found in sources.everything().items():
            (text,) = [one["data"]["config.yaml"] for one in found if "config.yaml" in one.get("data", {})]
            secrets = set(re.findall(r"/run/secrets/[^\s\"']+", text))
            mounts = [
                mount["mountPath"]
                for one in found
                if one["kind"] in sources.WORKLOADS
                for mount in sources.exporter_in(sources.pod_of(one))["volumeMounts"]
            ]
            assert secrets and all(str(Path(path).parent) in mounts for path in secrets), f"{source}: {mounts}"
            assert "/var/lib/zt-risk-exporter" in mounts and "/etc/zt-risk-exporter" in mounts, source
            for path in secrets:
                file = work / path.removeprefix("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                # The simulator takes one token. Others differ, as the credentials that they stand for, and are long
                # enough for a hash key.
                file.write_text(
                    "simulated-token" if path.endswith("/token") else path.replace("/", "-"), encoding="utf-8"
                )
            config = work / "config.yaml"
            config.write_text(text.replace("/run/secrets/", f"{work}/run/secrets/"), encoding="utf-8")
            environment = os.environ | {"ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL": url}
            done = subprocess.run(
                [exporter, "check", f"--config.file={config}"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            # The simulator knows one account: where there are others, the configuration is all that is judged.
            known = [account["id"] for account in yaml.safe_load(text)["accounts"]] == [sources.ACCOUNT]
            said = done.stdout + done.stderr
            assert done.returncode == (0 if known else 1), f"{source}: code {done.returncode}\n{said}"
            for name in re.findall(r"^(?:- |  - )?\s*alias: (\S+)", text, re.MULTILINE):
                assert name in said, f"{source}: nothing was said of {name}\n{said}"


CHECKS = [
    rules_and_dashboards_are_those_of_the_source,
    the_chart_and_the_base_are_the_same_in_substance,
    a_changed_configuration_starts_a_new_pod,
    lint_has_nothing_against_the_chart,
    a_wrong_value_is_refused_with_a_sentence,
    every_value_has_a_default_and_a_schema_and_is_used_by_a_test,
    the_chart_takes_every_setting_of_the_exporter,
    the_exporter_takes_every_configuration,
]
