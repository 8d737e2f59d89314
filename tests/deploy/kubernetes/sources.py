"""Renders the objects of deploy/ with kustomize and Helm."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/zt-risk-exporter"
ACCOUNT = "0123456789abcdef0123456789abcdef"
# Workloads with pods.
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


def objects(text: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(text) if found]


@functools.cache
def kustomized_text(directory: Path) -> str:
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, check=False)
    # kubectl prints warnings about deprecated fields and succeeds, so warnings must fail here.
    assert done.returncode == 0 and not done.stderr, f"kubectl kustomize {directory}:\n{done.stderr}"
    return done.stdout


def kustomized(directory: Path) -> list[Object]:
    return objects(kustomized_text(directory))


NEIGHBOUR = KUBERNETES / "example-sidecar/your-deployment.yaml"


def with_components(*components: str, neighbour: str | None = None) -> list[Object]:
    """A user's Deployment, by default that of the example, with these components of deploy/kubernetes."""
    with tempfile.TemporaryDirectory() as directory:
        # kustomize needs relative paths without symbolic links.
        work = Path(directory).resolve()
        (work / "deployment.yaml").write_text(neighbour or NEIGHBOUR.read_text(encoding="utf-8"), encoding="utf-8")
        (work / "config.yaml").write_text(
            (KUBERNETES / "base/config.yaml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        kustomization = {
            "resources": ["deployment.yaml"],
            "components": [os.path.relpath(KUBERNETES / name, work) for name in components],
            "configMapGenerator": [{"name": "zt-risk-exporter", "files": ["config.yaml"]}],
        }
        # JSON is valid YAML.
        (work / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        return kustomized(work)


def base_with(*components: str) -> list[Object]:
    """The base with these components of deploy/kubernetes."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory).resolve()
        kustomization = {
            key: [os.path.relpath(KUBERNETES / name, work) for name in names]
            for key, names in (("resources", ("base",)), ("components", components))
        }
        (work / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
        return kustomized(work)


ONE = {"accounts": [{"id": ACCOUNT, "alias": "acme"}]}
# Together they set every value of the chart; a check in origins.py verifies this.
VALUES: dict[str, dict[str, Any]] = {
    "one account": ONE,
    "with the operator": ONE
    | {
        "podMonitor": {"enabled": True, "labels": {"release": "stack"}, "interval": "1m", "scrapeTimeout": "5s"},
        "prometheusRule": {"enabled": True, "labels": {"release": "stack"}},
        "dashboards": {
            "enabled": True,
            "namespace": "monitoring",
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "Risk"},
        },
        "networkPolicy": {
            "enabled": True,
            "from": [{"podSelector": {}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 3128}]}],
        },
    },
    "many accounts and Secrets": {
        "accounts": [
            # Only decimal digits: YAML reads it as a number unless it is quoted.
            {
                "id": "01234567890123456789012345678901",
                "budgetShare": 0.5,
                "tokenSecret": {"name": "first", "key": "a"},
            },
            {"id": "1" * 32, "alias": "second", "budgetShare": 0.5, "tokenSecret": {"name": "first", "key": "a"}},
            {"id": "2" * 32, "email": "ops@example.com", "apiKeySecret": {"name": "third", "key": "k"}},
            {"id": "3" * 32},
        ],
        "hashKeySecret": {"name": "hash", "key": "key"},
        "config": {
            "cloudflare": {"base_url": "https://api.cloudflare.com/client/v4"},
            "intervals": {"summary": "1m", "behaviors": "10m", "integrations": "1h30m", "audit": "1d"},
            "users": {"limit": 100000, "identity": "hash"},
            "state": {"cache_mib": 64},
            "web": {"page": False},
            "log": {"level": "info,hyper=warn", "format": "text"},
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "stack"}, "interval": "1m", "scrapeTimeout": "5s"},
    },
    "everything of the pod": ONE
    | {
        "image": {"repository": "images.example.com/risk", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "fullnameOverride": "risk",
        "commonLabels": {"team": "security"},
        "podLabels": {"tier": "monitoring"},
        "podAnnotations": {"example.com/note": "yes"},
        "persistence": {"existingClaim": "mine"},
        "serviceAccount": {"create": False, "name": "mine"},
        "service": {"type": "NodePort", "port": 80, "annotations": {"example.com/note": "yes"}},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "terminationGracePeriodSeconds": 30,
        "podSecurityContext": {"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000},
        "securityContext": {"privileged": False},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "extraVolumes": [{"name": "anchors", "configMap": {"name": "anchors"}}],
        "extraVolumeMounts": [{"name": "anchors", "mountPath": "/etc/anchors", "readOnly": True}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "low",
    },
    "without a volume": ONE
    | {
        "persistence": {"enabled": False, "size": "100Mi"},
        "nameOverride": "other",
        "image": {"tag": "1.2.3"},
        "networkPolicy": {"enabled": True, "from": []},
    },
    "shards": {
        "accounts": [{"id": digit * 32, "tokenSecret": {"name": "tokens", "key": digit}} for digit in "abcdef"],
        "shards": 3,
        "podMonitor": {"enabled": True},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
    },
    "a protected port": ONE
    | {
        "web": {"configSecret": "web"},
        "config": {"web": {"allowed_hosts": "exporter.internal", "telemetry_path": "/risk"}},
        "podMonitor": {
            "enabled": True,
            "scheme": "https",
            "tlsConfig": {"ca": {"secret": {"name": "web", "key": "ca.crt"}}, "serverName": "exporter.internal"},
            "basicAuth": {
                "username": {"name": "web", "key": "username"},
                "password": {"name": "web", "key": "password"},
            },
        },
    },
    "a protected port behind a Service": ONE
    | {
        "web": {"configSecret": "web"},
        "serviceMonitor": {
            "enabled": True,
            "scheme": "https",
            "tlsConfig": {"insecureSkipVerify": True},
            "basicAuth": {
                "username": {"name": "web", "key": "username"},
                "password": {"name": "web", "key": "password"},
            },
        },
    },
    "protected shards": {
        "accounts": [{"id": digit * 32} for digit in "abc"],
        "shards": 2,
        "web": {"configSecret": "web"},
    },
    "shards without a volume": ONE | {"shards": 2, "persistence": {"enabled": False}},
    "a custom volume": ONE
    | {
        "persistence": {
            "storageClassName": "fast",
            "size": "2Gi",
            "accessModes": ["ReadWriteOncePod"],
            "annotations": {"example.com/note": "yes"},
        },
        "serviceAccount": {"annotations": {"example.com/note": "yes"}},
    },
}


@contextmanager
def quietly() -> Iterator[None]:
    """Hides the notes about symbolic links that Helm's library writes to standard error. Errors are exceptions."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def chart_text(values: dict[str, Any], release: str = "zt-risk-exporter") -> dict[str, str]:
    """The rendered templates, by their path in the chart."""
    with quietly(), helm.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=release, namespace="risk")
    return {path.removeprefix(f"{CHART.name}/"): text for path, text in rendered.items()}


def charted(values: dict[str, Any], release: str = "zt-risk-exporter") -> list[Object]:
    texts = chart_text(values, release)
    return [found for path, text in texts.items() if path.endswith(".yaml") for found in objects(text)]


@functools.cache
def everything() -> dict[str, list[Object]]:
    """All rendered objects, by their name in messages."""
    found = {name: kustomized(KUBERNETES / name) for name in ("base", "example", "example-sidecar", "example-sharded")}
    found["the protected base"] = base_with("protected")
    found["protected shards of the base"] = base_with("sharded", "protected")
    found["a native sidecar"] = with_components("sidecar/native")
    found["a durable sidecar"] = with_components("sidecar/container", "sidecar/durable")
    found["a durable native sidecar"] = with_components("sidecar/native", "sidecar/durable")
    return found | {f"the chart, {name}": charted(values) for name, values in VALUES.items()}


def all_objects() -> Iterator[tuple[str, Object]]:
    for source, found in everything().items():
        for one in found:
            yield f"{source}: {one['kind']} {one['metadata']['name']}", one


def pod_of(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def exporter_in(pod: Object) -> Object:
    """The exporter's container, wherever it is."""
    (found,) = [
        one for one in [*pod["containers"], *pod.get("initContainers", [])] if one["name"] == "zt-risk-exporter"
    ]
    return dict(found)


def only(found: list[Object], kind: str) -> Object:
    (one,) = [one for one in found if one["kind"] == kind]
    return one
