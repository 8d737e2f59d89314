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

from chart_values import VALUES

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/zt-risk-exporter"
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


def with_components(
    *components: str, neighbour: str | None = None, patches: list[Object] | None = None
) -> list[Object]:
    """A user's Deployment, by default that of the example, with these components of deploy/kubernetes and patches."""
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
            "patches": patches or [],
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
    directories = ("base", "example", "example-sidecar", "example-sharded", "example-state-job")
    found = {name: kustomized(KUBERNETES / name) for name in directories}
    found["the protected base"] = base_with("protected")
    found["protected shards of the base"] = base_with("sharded", "protected")
    found["the base on OpenShift"] = base_with("openshift")
    found["protected shards of the base on OpenShift"] = base_with("sharded", "protected", "openshift")
    found["a reader of the feed"] = base_with("../feed/vector")
    found["readers of the feeds of shards"] = base_with("sharded", "../feed/vector")
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
