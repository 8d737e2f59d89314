"""Checks that rules, dashboards, settings, the chart and the base agree, because they have common sources."""

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
from sources import CHART, KUBERNETES, ONE, ROOT, Object, charted, kustomized, only, pod_of

SETTINGS = ROOT / "deploy/zt-risk-exporter.example.yaml"


def rules_and_dashboards_are_up_to_date() -> None:
    component = KUBERNETES / "prometheus-operator"
    generated = subprocess.run(
        [str(component / "make-rules"), "--print"], capture_output=True, text=True, check=True
    ).stdout
    assert (component / "rules.yaml").read_text(encoding="utf-8") == generated, "run prometheus-operator/make-rules"
    # Compare the parsed content too, not only the output of the script.
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


def comparable(found: list[Object]) -> list[Object]:
    """The objects without differences between the tools: labels and annotations of Helm, and names of ConfigMaps."""
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


def only_named(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (one,) = [one for one in found if one["name"] == name]
    return one


def the_chart_and_the_base_are_equivalent() -> None:
    base = kustomized(KUBERNETES / "base")
    assert comparable(charted(ONE)) == comparable(base)
    assert comparable(charted(ONE | {"shards": 2})) == comparable(sources.base_with("sharded"))
    secret = "zt-risk-exporter-web"
    protected = pod_of(only(charted(ONE | {"web": {"configSecret": secret}}), "Deployment"))
    kustomized_pod = pod_of(only(sources.base_with("protected"), "Deployment"))
    assert only_named(protected["volumes"], "web") == only_named(kustomized_pod["volumes"], "web")
    switched_on = charted(ONE | {"networkPolicy": {"enabled": True}, "dashboards": {"enabled": True}})
    example = kustomized(KUBERNETES / "example")
    assert only(switched_on, "NetworkPolicy")["spec"] == only(example, "NetworkPolicy")["spec"]
    assert only(charted(ONE), "PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    # The comparison detects a change.
    assert comparable(charted(ONE | {"terminationGracePeriodSeconds": 16})) != comparable(base)


ACCOUNT = ONE["accounts"][0]


def only_settings_that_need_a_restart_start_a_new_pod() -> None:
    def rendered(values: dict[str, Any]) -> tuple[Any, Any]:
        found = charted(values)
        return only(found, "Deployment")["spec"]["template"], only(found, "ConfigMap")["data"]

    # A second account whose token is in the Secret that is mounted already.
    second = {"id": "f" * 32, "alias": "second", "tokenSecret": {"name": "zt-risk-exporter", "key": "second"}}
    reloaded: list[dict[str, Any]] = [
        {"accounts": [ACCOUNT | {"alias": "other", "budgetShare": 0.5}]},
        {"accounts": [ACCOUNT, second]},
        {"config": {"intervals": {"summary": "1m"}}},
        {"config": {"users": {"limit": 1, "identity": "none"}}},
        {"config": {"log": {"level": "debug"}}},
    ]
    restarted: list[dict[str, Any]] = [
        {"config": {"log": {"format": "text"}}},
        {"config": {"web": {"page": False}}},
        {"config": {"state": {"cache_mib": 64}}},
        {"config": {"cloudflare": {"base_url": "https://api.example.com"}}},
        {"config": {"config": {"auto_reload_interval": "1m"}}},
    ]
    one = ONE | {"config": {}}
    pod, config = rendered(one)
    assert rendered(deepcopy(one)) == (pod, config)
    for values in reloaded:
        changed = rendered(one | values)
        assert changed[0] == pod and changed[1] != config, values
    for values in restarted:
        assert rendered(one | values)[0] != pod, values
    # The exporter reloads the file, so the name of the ConfigMap must stay the same.
    for name in ("base", "example", "example-sidecar", "example-sharded"):
        maps = [found["metadata"]["name"] for found in kustomized(KUBERNETES / name) if found["kind"] == "ConfigMap"]
        assert "zt-risk-exporter" in maps, f"{name}: {maps}"


def helm_lint_accepts_the_chart() -> None:
    for name, values in sources.VALUES.items():
        with sources.quietly():
            report = helm.lint(CHART, values, strict=True)
        errors = [one["error"] for one in report["messages"] if one["error"] != "icon is recommended"]
        assert report["total_charts_linted"] == 1 and not errors and not report["errors"], f"{name}: {report}"


# Wrong values, and the expected part of the error message.
REJECTED: list[tuple[dict[str, Any], str]] = [
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
    (ONE | {"shards": 2, "persistence": {"existingClaim": "mine"}}, "each shard needs its own claim"),
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


def a_wrong_value_is_rejected_with_a_message() -> None:
    for values, message in REJECTED:
        try:
            charted(values)
        except HelmError as error:
            assert message in str(error), f"{values}: {error}"
        else:
            raise AssertionError(f"{values} was accepted")


def settable(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> set[str]:
    """The paths of all settings. An object with free keys, such as labels, counts as one setting."""
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
    # Helm passes `global` to a subchart.
    assert set(schema["properties"]) == set(defaults) | {"global"}
    paths = {path for path in settable(schema, schema["definitions"]) if path != ".global"}
    unused = {p for p in paths if not any(is_set(v, p.split(".")[1:]) for v in sources.VALUES.values())}
    assert len(paths) > 50 and not unused, unused


def the_chart_accepts_every_setting_of_the_exporter() -> None:
    """Except those that the chart sets itself."""
    own = {"state.path", "users.hash_key_file", "shard.index", "shard.total", "config.auto_reload"}
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


def the_exporter_accepts_every_configuration() -> None:
    """`check` reads the file as in the pod, with files instead of the mounted Secrets, and a simulator."""
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
                # The simulator accepts one token. Other secrets differ from each other, and are long enough for a hash
                # key.
                file.write_text(
                    "simulated-token" if path.endswith("/token") else path.replace("/", "-"), encoding="utf-8"
                )
            web = set(re.findall(r"/etc/zt-risk-exporter-web/[^\s\"']+", text))
            assert all(str(Path(path).parent) in mounts for path in web), f"{source}: {mounts}"
            for path in web:
                file = work / path.removeprefix("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("{}\n", encoding="utf-8")
            config = work / "config.yaml"
            for mounted in ("/run/secrets/", "/etc/zt-risk-exporter-web/"):
                text = text.replace(mounted, f"{work}{mounted}")
            config.write_text(text, encoding="utf-8")
            environment = os.environ | {"ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL": url}
            done = subprocess.run(
                [exporter, "check", f"--config.file={config}"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            # The simulator has one account. With other accounts, this checks only the configuration.
            known = [account["id"] for account in yaml.safe_load(text)["accounts"]] == [sources.ACCOUNT]
            output = done.stdout + done.stderr
            assert done.returncode == (0 if known else 1), f"{source}: code {done.returncode}\n{output}"
            for name in re.findall(r"^(?:- |  - )?\s*alias: (\S+)", text, re.MULTILINE):
                assert name in output, f"{source}: the output does not mention {name}\n{output}"


CHECKS = [
    rules_and_dashboards_are_up_to_date,
    the_chart_and_the_base_are_equivalent,
    only_settings_that_need_a_restart_start_a_new_pod,
    helm_lint_accepts_the_chart,
    a_wrong_value_is_rejected_with_a_message,
    every_value_has_a_default_and_a_schema_and_is_used_by_a_test,
    the_chart_accepts_every_setting_of_the_exporter,
    the_exporter_accepts_every_configuration,
]
