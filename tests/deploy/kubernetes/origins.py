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

import yaml

import scraping
import sources
from chart_values import ACCOUNT, ONE
from sources import KUBERNETES, ROOT, Object, charted, kustomized, only, pod_of


def the_dashboards_are_up_to_date() -> None:
    everything_on = ONE | {"dashboards": {"enabled": True}}
    for source, found in (("example", kustomized(KUBERNETES / "example")), ("chart", charted(everything_on))):
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


FIRST = ONE["accounts"][0]


def only_settings_that_need_a_restart_start_a_new_pod() -> None:
    def rendered(values: dict[str, Any]) -> tuple[Any, Any]:
        found = charted(values)
        return only(found, "Deployment")["spec"]["template"], only(found, "ConfigMap")["data"]

    # A second account whose token is in the Secret that is mounted already.
    second = {"id": "f" * 32, "alias": "second", "tokenSecret": {"name": "zt-risk-exporter", "key": "second"}}
    reloaded: list[dict[str, Any]] = [
        {"accounts": [FIRST | {"alias": "other", "budgetShare": 0.5}]},
        {"accounts": [FIRST, second]},
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


BASELINE = "imp_travel: {enabled: true, risk_level: high}\n"


def the_exporter_accepts_every_configuration() -> None:
    """`check` reads the file as in the pod, with other files instead of the mounted Secrets, and a simulator."""
    exporter = os.environ["ZT_RISK_EXPORTER"]
    configured = {
        source: (found, text)
        for source, found in sources.everything().items()
        for text in [one["data"]["config.yaml"] for one in found if "config.yaml" in one.get("data", {})]
    }
    # A job alone has no configuration.
    assert set(sources.everything()) - set(configured) == {"example-state-job"}
    with scraping.simulator() as url, tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for source, (found, mounted) in configured.items():
            mounts = [
                mount["mountPath"]
                for one in found
                if one["kind"] in sources.WORKLOADS - {"Job"}
                for mount in sources.exporter_in(sources.pod_of(one))["volumeMounts"]
            ]
            assert "/var/lib/zt-risk-exporter" in mounts and "/etc/zt-risk-exporter" in mounts, source
            files = set(re.findall(r"\w+_file: [\"']?(/[^\s\"',}]+)", mounted))
            # Whoever names a baseline in `config` mounts it.
            baselines = set(re.findall(r"baseline: [\"']?(/[^\s\"',}]+)", mounted))
            text = mounted
            directories = set(re.findall(r"tokens_dir: [\"']?(/[^\s\"',}]+)", mounted))
            assert files | directories and all(str(Path(path).parent) in mounts for path in files), (
                f"{source}: {files} {mounts}"
            )
            for path in directories:
                (work / path.removeprefix("/")).mkdir(parents=True, exist_ok=True)
                (work / path.removeprefix("/") / ACCOUNT).write_text("simulated-token", encoding="utf-8")
                text = text.replace(path, str(work / path.removeprefix("/")))
            for path in set(re.findall(r"path: [\"']?(/var/log/[^\s\"',}]+)", mounted)):
                (work / path.removeprefix("/")).parent.mkdir(parents=True, exist_ok=True)
                text = text.replace(path, str(work / path.removeprefix("/")))
            for path in files | baselines:
                file = work / path.removeprefix("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                # The simulator accepts one token. Other secrets differ from each other, and are long enough for a hash
                # key.
                secret = "simulated-token" if path.endswith("/token") else path.replace("/", "-")
                content = {"/web.yaml": "{}\n", "/all.yaml": BASELINE}
                given = [text for end, text in content.items() if path.endswith(end)]
                file.write_text(*given or [secret], encoding="utf-8")
                text = re.sub(rf"(?<=[ \"']){re.escape(path)}\b", str(file), text)
            config = work / "config.yaml"
            for one in found:
                if "config.yaml" in one.get("data", {}):
                    for name, content in one["data"].items():
                        (work / name).write_text(content, encoding="utf-8")
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
            known = [account["id"] for account in yaml.safe_load(text).get("accounts", [])] == [ACCOUNT]
            output = done.stdout + done.stderr
            assert done.returncode in ((0, 1) if directories else (0,) if known else (1,)), (
                f"{source}: code {done.returncode}\n{output}"
            )
            for name in filter(None, (account.get("alias") for account in yaml.safe_load(text).get("accounts", []))):
                assert name in output, f"{source}: the output does not mention {name}\n{output}"


CHECKS = [
    the_dashboards_are_up_to_date,
    the_chart_and_the_base_are_equivalent,
    only_settings_that_need_a_restart_start_a_new_pod,
    the_exporter_accepts_every_configuration,
]
