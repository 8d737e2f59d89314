"""Requirements for all objects from kustomize and Helm."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from typing import Any

import yaml
from kubernetes_validate import ValidationError, validate
from kubernetes_validate.utils import all_versions

import custom_resources
import pod_security
import sources
from chart_values import VALUES
from sources import KUBERNETES, ROOT, exporter_in, only, pod_of

# The versions that support `restartPolicy` in `initContainers`, a budget's policy for unhealthy pods, and a Service's
# preference for endpoints.
NATIVE_SINCE = "1.29"
UNHEALTHY_SINCE = "1.27"
TRAFFIC_SINCE = "1.31"


def yamllint_accepts_the_sources_and_the_rendered_chart() -> None:
    config = ROOT / "tests/rules/yamllint.yml"
    written = ["deploy/kubernetes", "deploy/scrape", "dashboards/kustomization.yaml"]
    written += [f"deploy/helm/zt-risk-exporter/{name}.yaml" for name in ("Chart", "values")]
    command = ["yamllint", "--strict", "--config-file", str(config), *written]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    # Helm does not indent lists.
    config_for_rendered = {"extends": str(config), "rules": {"indentation": {"indent-sequences": "whatever"}}}
    command = ["yamllint", "--strict", "--config-data", json.dumps(config_for_rendered), "-"]
    # Other tests check dashboards and rules.
    excluded = ("NOTES.txt", "dashboards.yaml", "rules.yaml")
    seen = {""}
    for name, values in VALUES.items():
        texts = [text.strip() for path, text in sources.chart_text(values).items() if not path.endswith(excluded)]
        # Most texts are the same with many values.
        rendered = "\n---\n".join(text for text in texts if text not in seen) + "\n"
        seen |= set(texts)
        done = subprocess.run(command, input=rendered, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}:\n{done.stdout}{rendered}"


def is_native(one: dict[str, Any]) -> bool:
    return one["kind"] in sources.WORKLOADS and any(
        "restartPolicy" in container for container in pod_of(one).get("initContainers", [])
    )


def oldest(one: dict[str, Any], known: str) -> str:
    """The oldest version that has everything of this object."""
    if is_native(one):
        return NATIVE_SINCE
    if "trafficDistribution" in one.get("spec", {}):
        return TRAFFIC_SINCE
    return UNHEALTHY_SINCE if "unhealthyPodEvictionPolicy" in one.get("spec", {}) else known


def kubernetes_of_the_oldest_and_the_newest_known_version_accepts_everything() -> None:
    known = [version.rpartition(".")[0] for version in all_versions()]
    checked = 0
    seen = set()
    for name, one in sources.all_objects():
        text = json.dumps(one)
        if custom_resources.is_custom(one) or text in seen:
            continue
        seen.add(text)
        for version in (oldest(one, known[0]), known[-1]):
            try:
                validate(one, version, strict=True)
            except ValidationError as error:
                raise AssertionError(f"{name}, Kubernetes {version}: {error.message}") from error
            checked += 1
    assert checked > 50, f"only {checked} objects were checked"


def custom_resources_are_accepted_and_wrong_ones_are_rejected() -> None:
    ours = [one for _, one in sources.all_objects() if custom_resources.is_custom(one)]
    assert {one["kind"] for one in ours} == set().union(*(kinds for _, kinds in custom_resources.GROUPS.values()))
    errors = custom_resources.complaints(list({json.dumps(one): one for one in ours}.values()))
    assert not errors, errors
    monitor = next(one for one in ours if one["kind"] == "PodMonitor")
    for key, value in (("intervall", "30s"), ("interval", 30), ("interval", "half a minute")):
        wrong = deepcopy(monitor)
        wrong["spec"]["podMetricsEndpoints"][0][key] = value
        assert custom_resources.complaints([wrong]), f"{key}: {value!r} was accepted"
    route = deepcopy(next(one for one in ours if one["kind"] == "HTTPRoute"))
    route["spec"]["rules"][0]["backendRefs"][0]["port"] = "http"
    assert custom_resources.complaints([route]), "a port that is a text was accepted"


def pods() -> dict[str, dict[str, Any]]:
    return {name: pod_of(one) for name, one in sources.all_objects() if one["kind"] in sources.WORKLOADS}


def exporters() -> dict[str, dict[str, Any]]:
    """The pods with an exporter, without those of jobs."""
    return {name: pod for name, pod in pods().items() if "Job" not in name}


def every_pod_follows_the_restricted_standard() -> None:
    found = {name: list(pod_security.violations(pod)) for name, pod in pods().items()}
    assert len(found) >= 10 and not any(found.values()), found


def a_pod_that_breaks_the_standard_is_detected() -> None:
    (base,) = [pod for name, pod in pods().items() if name.startswith("base:")]
    for where, what in pod_security.BREACHES:
        found = list(pod_security.violations(pod_security.breached(base, where, what)))
        assert found, f"{where} = {what} was not detected"


def the_container_has_only_the_rights_that_it_needs() -> None:
    for name, pod in exporters().items():
        own = "sidecar" not in name
        container = exporter_in(pod)
        context = pod["securityContext"] | container["securityContext"]
        assert context["readOnlyRootFilesystem"] and context["allowPrivilegeEscalation"] is False, name
        assert context["runAsNonRoot"] is True and context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        if "OpenShift" in name:
            # Its admission gives each namespace other ids.
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context), name
        elif "everything of the pod" not in name:
            # A sidecar reads its token as group root, because it must not set the pod's fsGroup.
            assert (context["runAsUser"], context["runAsGroup"]) == (65532, 0 if "sidecar" in name else 65532), name
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name
        # The kubelet can present neither a certificate nor a password.
        ports = {"zt-risk-metrics": 10069} | ({"zt-risk-health": 10070} if "protected" in name else {})
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports, name
        probes = {key: probe["httpGet"] for key, probe in container.items() if key.endswith("Probe")}
        wanted = {"livenessProbe": "/-/healthy"}
        if own:
            wanted |= {"startupProbe": "/-/healthy", "readinessProbe": "/-/ready"}
            assert pod["automountServiceAccountToken"] is ("other tools" in name), name
            assert pod["enableServiceLinks"] is False, name
            # Open responses get 5 s.
            assert pod["terminationGracePeriodSeconds"] > 5, name
        else:
            tokens = [
                m for m in container["volumeMounts"] if m["mountPath"].startswith("/var/run/secrets/kubernetes.io")
            ]
            (volume,) = [v for v in pod["volumes"] if v["name"] == tokens[0]["name"]]
            assert volume["emptyDir"] == {}, f"{name}: the pod's service account token is visible"
        probed = "zt-risk-health" if "protected" in name else "zt-risk-metrics"
        assert probes == {k: {"path": path, "port": probed} for k, path in wanted.items()}, name


def only_the_exporter_mounts_its_secrets() -> None:
    for name, pod in exporters().items():
        container = exporter_in(pod)
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        volumes = [volume for volume in pod["volumes"] if "secret" in volume]
        assert bool(volumes) != ("other tools" in name), name
        for volume in volumes:
            mount = mounts[volume["name"]]
            # A subPath does not update when the Secret changes.
            assert mount["readOnly"] and "subPath" not in mount, name
            others = [one for one in pod_security.containers(pod) if one["name"] != container["name"]]
            assert not any(volume["name"] == m["name"] for one in others for m in one.get("volumeMounts", [])), name
            # The exporter warns of a token that others may read.
            assert volume["secret"]["defaultMode"] == 0o440, name
            assert "sidecar" in name or "OpenShift" in name or pod["securityContext"]["fsGroup"], name
        assert not any("secretKeyRef" in json.dumps(variable) for variable in container.get("env", [])), name


def only_one_exporter_at_a_time_uses_a_state() -> None:
    for name, one in sources.all_objects():
        if one["kind"] != "Deployment":
            continue
        volumes = pod_of(one)["volumes"]
        claimed = any("persistentVolumeClaim" in volume for volume in volumes)
        recreated = one["spec"].get("strategy") == {"type": "Recreate"}
        # A command on the state needs it alone.
        replicas = 0 if any(text in name for text in ("of the state:", "to forget")) else 1
        assert one["spec"]["replicas"] == replicas and (recreated or not claimed), name
        assert claimed == (
            "example-sidecar" not in name and "a native" not in name and "without a volume" not in name
        ), name


def a_sidecar_does_not_change_the_other_containers() -> None:
    (before,) = sources.objects(sources.NEIGHBOUR.read_text(encoding="utf-8"))
    forms = {}
    for form in ("container", "native"):
        after = only(sources.with_components(f"sidecar/{form}"), "Deployment")
        pod = pod_of(after)
        forms[form] = exporter_in(pod)
        # After the additions are removed again, the Deployment must be the same as before.
        kind = "containers" if form == "container" else "initContainers"
        assert pod[kind].pop()["name"] == "zt-risk-exporter", "the container is not the last one"
        if form == "native":
            assert pod.pop("initContainers") == []
        added = pod.pop("volumes")
        assert all(volume["name"].startswith("zt-risk-exporter-") for volume in added)
        assert after["spec"]["template"]["metadata"]["labels"].pop("zt-risk-exporter/scrape") == "true"
        assert after == before, form
    assert forms["native"].pop("restartPolicy") == "Always"
    assert forms["native"] == forms["container"], "the two kinds of sidecar differ"
    # A Deployment without the label stays unchanged.
    unlabelled = deepcopy(before)
    del unlabelled["metadata"]["labels"]
    found = sources.with_components("sidecar/container", neighbour=yaml.safe_dump(unlabelled))
    assert only(found, "Deployment") == unlabelled


def the_container_is_the_same_in_a_pod_of_its_own_and_as_a_sidecar() -> None:
    base = exporter_in(pod_of(only(sources.kustomized(KUBERNETES / "base"), "Deployment")))
    sidecar = exporter_in(pod_of(only(sources.with_components("sidecar/container"), "Deployment")))
    for key in ("image", "imagePullPolicy", "args", "ports", "resources"):
        assert sidecar[key] == base[key], key


def the_image_is_of_this_version() -> None:
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    (version,) = [line.split('"')[1] for line in manifest.splitlines() if line.startswith("version = ")]
    chart = yaml.safe_load((sources.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == version, "Chart.yaml"
    others = ("everything of the pod", "without a volume", "a load balancer")
    for name, pod in exporters().items():
        if not any(text in name for text in others):
            assert exporter_in(pod)["image"] == f"zt-risk-exporter:{version}", name


CHECKS = [
    yamllint_accepts_the_sources_and_the_rendered_chart,
    kubernetes_of_the_oldest_and_the_newest_known_version_accepts_everything,
    custom_resources_are_accepted_and_wrong_ones_are_rejected,
    every_pod_follows_the_restricted_standard,
    a_pod_that_breaks_the_standard_is_detected,
    the_container_has_only_the_rights_that_it_needs,
    only_the_exporter_mounts_its_secrets,
    only_one_exporter_at_a_time_uses_a_state,
    a_sidecar_does_not_change_the_other_containers,
    the_container_is_the_same_in_a_pod_of_its_own_and_as_a_sidecar,
    the_image_is_of_this_version,
]
