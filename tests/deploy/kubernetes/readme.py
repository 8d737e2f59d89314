"""Runs the instructions of the manual for Kubernetes, Helm and scraping that need no cluster."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

import sources
from chart_values import ONE
from sources import CHART, KUBERNETES, ROOT, objects

PAGES = ("kubernetes", "scaling", "alerts")
MANUAL = "".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in PAGES)


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
        (shown,) = commands(title, "kubectl --namespace zt-risk-exporter create secret generic zt-risk-exporter ")
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
    values, *others = map(yaml.safe_load, blocks("With Helm", "yaml"))
    own = (CHART / "README.md").read_text(encoding="utf-8")
    others += [yaml.safe_load(after.split("```")[0]) for after in own.split("```yaml\n")[1:]]
    assert len(others) == 4
    for other in others:
        sources.charted(ONE | other)
    from_checkout = sources.chart_text(values)
    with tempfile.TemporaryDirectory() as directory, sources.quietly():
        package = helm.package(CHART, destination=directory)
        with helm.Chart.load(package) as chart:
            rendered = chart.render(values, name="zt-risk-exporter", namespace="risk")
    assert {path.removeprefix(f"{CHART.name}/"): text for path, text in rendered.items()} == from_checkout
    kinds = {one["kind"] for text in from_checkout.values() if "kind:" in text for one in objects(text)}
    assert {"PodMonitor", "PrometheusRule", "NetworkPolicy", "Deployment"} <= kinds


RULES = "Change thresholds, links and labels"


def patched(*patches: dict[str, Any], **files: str) -> dict[str, list[dict[str, Any]]]:
    """The groups of the example's PrometheusRules with these patches, by name of the object."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory).resolve()
        for name, text in files.items():
            (work / f"{name}.yaml").write_text(text, encoding="utf-8")
        resources = [os.path.relpath(KUBERNETES / "example", work)]
        (work / "kustomization.yaml").write_text(json.dumps({"resources": resources, "patches": patches}), "utf-8")
        found = sources.kustomized(work)
    return {one["metadata"]["name"]: one["spec"]["groups"] for one in found if one["kind"] == "PrometheusRule"}


def the_ways_to_change_the_rules_work() -> None:
    values, patch, copied = map(yaml.safe_load, blocks(RULES, "yaml"))
    rules = {
        rule["alert"]: rule
        for one in sources.charted(ONE | values)
        if one["metadata"]["name"] == "zt-risk-exporter-alerts"
        for group in one["spec"]["groups"]
        for rule in group["rules"]
    }
    assert "ZeroTrustBehaviorSilent" not in rules
    assert rules["ZeroTrustMassReset"]["labels"] == {"severity": "critical", "team": "soc"}
    before = patched()
    after = patched(*patch["patches"])
    changed = [
        (old, new)
        for name, groups in before.items()
        for old_group, new_group in zip(groups, after[name], strict=True)
        for old, new in zip(old_group["rules"], new_group["rules"], strict=True)
        if old != new
    ]
    ((old, new),) = changed
    assert new["expr"] == old["expr"].replace("86400", "48 * 3600"), changed
    # The copy for one namespace.
    assert copied == {"patches": [{"path": "rules.yaml"}]}
    (shown,) = commands(RULES, "deploy/kubernetes/prometheus-operator/make-rules --namespace")
    command, _, file = shown.partition(" >")
    assert file == "deploy/kubernetes/mine/rules.yaml"
    text = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    after = patched(*copied["patches"], rules=text)
    assert after == {one["metadata"]["name"]: one["spec"]["groups"] for one in objects(text)}
    assert 'namespace="zt-risk-exporter"' in json.dumps(after).replace("\\", "")


def the_steps_for_a_command_on_the_state_name_what_exists() -> None:
    title = "Commands on the state"
    upgrades = [shlex.split(line) for line in commands(title, "helm upgrade zt-risk-exporter ")]
    assert len(upgrades) == 2
    names = []
    for words in upgrades:
        assert words[3] == str(CHART.relative_to(ROOT)), words
        pairs = [words[at + 1].partition("=") for at, word in enumerate(words) if word == "--set"]
        values = {key.removeprefix("stateJob."): value for key, _, value in pairs}
        found = sources.charted(ONE | {"stateJob": values})
        names.append([one["metadata"]["name"] for one in found if one["kind"] == "Job"])
        assert sources.only(found, "Deployment")["spec"]["replicas"] == (0 if names[-1] else 1)
    example = sources.only(sources.kustomized(KUBERNETES / "example-state-job"), "Job")
    assert names == [[example["metadata"]["name"]], []]
    for line in commands(
        title, "kubectl --namespace zt-risk-exporter logs ", "kubectl --namespace zt-risk-exporter wait "
    ):
        assert line.endswith(f" job/{example['metadata']['name']}"), line
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(ROOT / "deploy", Path(directory) / "deploy", symlinks=True)
        script = "set -e\n" + "\n".join(commands(title, "cp ", "kubectl kustomize "))
        done = subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and objects(done.stdout) == [example], done.stderr


def the_kustomization_of_a_sidecar_is_part_of_the_example() -> None:
    shown, _ = map(yaml.safe_load, blocks("As a sidecar", "yaml"))
    example = yaml.safe_load((KUBERNETES / "example-sidecar/kustomization.yaml").read_text(encoding="utf-8"))
    for key, items in shown.items():
        assert all(item in example[key] for item in items), key


def a_sidecar_on_openshift_has_no_user() -> None:
    _, shown = map(yaml.safe_load, blocks("As a sidecar", "yaml"))
    native = json.loads(json.dumps(shown).replace("containers:", "initContainers:"))
    for form, patches in (("container", shown["patches"]), ("native", native["patches"])):
        before = sources.pod_of(sources.only(sources.with_components(f"sidecar/{form}"), "Deployment"))
        found = sources.with_components(f"sidecar/{form}", patches=patches)
        after = sources.pod_of(sources.only(found, "Deployment"))
        assert sources.exporter_in(before)["securityContext"].pop("runAsUser") == 65532
        assert sources.exporter_in(after) == sources.exporter_in(before), form


CHECKS = [
    the_copied_example_can_be_rendered,
    objects_in_commands_exist,
    a_check_in_the_pod_uses_the_configuration_of_the_exporter,
    the_created_secret_is_the_mounted_secret,
    the_values_are_valid_and_the_packaged_chart_renders_the_same,
    the_ways_to_change_the_rules_work,
    the_steps_for_a_command_on_the_state_name_what_exists,
    the_kustomization_of_a_sidecar_is_part_of_the_example,
    a_sidecar_on_openshift_has_no_user,
]
