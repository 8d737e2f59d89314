"""Runs the instructions of the manual for Kubernetes, Helm and scraping that need no cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import helm_python as helm
import yaml

import sources
from sources import CHART, KUBERNETES, ROOT, objects

MANUAL = "".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("kubernetes", "scaling"))


def section(title: str) -> str:
    (_, after) = MANUAL.split(f"\n## {title}\n")
    return after.split("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return [after.split("```")[0] for after in section(title).split(f"```{language}\n")[1:]]


def commands(title: str, *starts: str) -> list[str]:
    return [line for text in blocks(title, "sh") for line in text.splitlines() if line.startswith(starts)]


EXAMPLES = {"With kustomize": "example", "On Kubernetes": "example-sharded"}


def the_copied_example_can_be_rendered() -> None:
    for title, example in EXAMPLES.items():
        shown = commands(title, "cp ", "kubectl kustomize ")
        assert len(shown) == 2, shown
        with tempfile.TemporaryDirectory() as directory:
            for part in ("deploy", "dashboards"):
                shutil.copytree(ROOT / part, Path(directory) / part, symlinks=True)
            script = "set -e\n" + "\n".join(shown)
            done = subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert objects(done.stdout) == sources.kustomized(KUBERNETES / example)
        # The README applies the same directory that it renders.
        assert f"kubectl apply --kustomize {shown[1].split()[-1]}" in commands(title, "kubectl apply")


def objects_in_commands_exist() -> None:
    for title, example in EXAMPLES.items():
        found = sources.kustomized(KUBERNETES / example)
        workload = next(one for one in found if one["kind"] in sources.WORKLOADS)
        (waited,) = commands(title, "kubectl --namespace zt-risk-exporter rollout status")
        assert waited.endswith(f" {workload['kind'].lower()}/{workload['metadata']['name']}"), waited


def a_check_in_the_pod_uses_the_configuration_of_the_exporter() -> None:
    (shown,) = commands("With kustomize", "kubectl --namespace zt-risk-exporter exec ")
    workload = sources.only(sources.kustomized(KUBERNETES / "example"), "Deployment")
    _, config, *_ = sources.exporter_in(sources.pod_of(workload))["args"]
    assert shown.endswith(f" deployment/{workload['metadata']['name']} -- /zt-risk-exporter check {config}"), shown


def the_created_secret_is_the_mounted_secret() -> None:
    for title, example in (*EXAMPLES.items(), ("With Helm", "example")):
        (shown,) = commands(title, "kubectl --namespace zt-risk-exporter create secret")
        with tempfile.TemporaryDirectory() as directory:
            for file in re.findall(r"=(\w+\.token)", shown):
                (Path(directory) / file).write_text("t", encoding="utf-8")
            command = [*shown.split(), "--dry-run=client", "--output=yaml"]
            done = subprocess.run(command, input="t", cwd=directory, capture_output=True, text=True, check=True)
        secret = yaml.safe_load(done.stdout)
        found = sources.everything()[example]
        pod = sources.pod_of(next(one for one in found if one["kind"] in sources.WORKLOADS))
        (mounted,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        (config,) = [o["data"]["config.yaml"] for o in found if "config.yaml" in o.get("data", {})]
        files = [account["token_file"] for account in yaml.safe_load(config)["accounts"]]
        assert secret["metadata"]["name"] == mounted, title
        assert files == [f"/run/secrets/{mounted}/{key}" for key in secret["data"]], title


def the_values_are_valid_and_the_packaged_chart_renders_the_same() -> None:
    (shown,) = blocks("With Helm", "yaml")
    values = yaml.safe_load(shown)
    from_checkout = sources.chart_text(values)
    with tempfile.TemporaryDirectory() as directory, sources.quietly():
        package = helm.package(CHART, destination=directory)
        with helm.Chart.load(package) as chart:
            rendered = chart.render(values, name="zt-risk-exporter", namespace="risk")
    assert {path.removeprefix(f"{CHART.name}/"): text for path, text in rendered.items()} == from_checkout
    kinds = {one["kind"] for text in from_checkout.values() if "kind:" in text for one in objects(text)}
    assert {"PodMonitor", "PrometheusRule", "NetworkPolicy", "Deployment"} <= kinds


def the_kustomization_of_a_sidecar_is_part_of_the_example() -> None:
    (text,) = blocks("As a sidecar", "yaml")
    shown = yaml.safe_load(text)
    example = yaml.safe_load((KUBERNETES / "example-sidecar/kustomization.yaml").read_text(encoding="utf-8"))
    for key, items in shown.items():
        assert all(item in example[key] for item in items), key


CHECKS = [
    the_copied_example_can_be_rendered,
    objects_in_commands_exist,
    a_check_in_the_pod_uses_the_configuration_of_the_exporter,
    the_created_secret_is_the_mounted_secret,
    the_values_are_valid_and_the_packaged_chart_renders_the_same,
    the_kustomization_of_a_sidecar_is_part_of_the_example,
]
