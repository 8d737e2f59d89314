"""Checks the job that runs a command on the state while the exporter is stopped, from the chart and from kustomize."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import scraping
import sources
from chart_values import ACCOUNT, ONE, USER
from sources import KUBERNETES, Object, charted, only, pod_of

STATE = "/var/lib/zt-risk-exporter"
EXAMPLE = "example-state-job"


def jobs() -> dict[str, tuple[Object, list[Object]]]:
    """The jobs of everything that has one, with the other objects beside them."""
    return {
        f"{source}: {one['metadata']['name']}": (one, found)
        for source, found in sources.everything().items()
        for one in found
        if one["kind"] == "Job"
    }


def container_of(job: Object) -> Object:
    (container,) = pod_of(job)["containers"]
    assert isinstance(container, dict)
    return container


def the_job_has_the_volume_of_an_exporter_that_is_stopped() -> None:
    found = jobs()
    assert len(found) >= 6, found
    for name, (job, together) in found.items():
        beside = sources.everything()["base"] if EXAMPLE in name else together
        workload = next(one for one in beside if one["kind"] in ("Deployment", "StatefulSet"))
        (volume,) = pod_of(job)["volumes"]
        claim = volume["persistentVolumeClaim"]["claimName"]
        if workload["kind"] == "Deployment":
            volumes = {one["name"]: one for one in pod_of(workload)["volumes"]}
            assert claim == volumes["state"]["persistentVolumeClaim"]["claimName"], name
        else:
            index = name.rpartition("-")[2]
            assert claim == f"state-{workload['metadata']['name']}-{index}", name
        if EXAMPLE not in name:
            assert workload["spec"]["replicas"] == 0, name
        (mount,) = container_of(job)["volumeMounts"]
        assert (mount["name"], mount["mountPath"]) == (volume["name"], STATE), name
        exporter = sources.exporter_in(pod_of(workload))
        for key in ("image", "imagePullPolicy", "securityContext", "resources"):
            assert container_of(job)[key] == exporter[key], f"{name}: {key}"
        for key in ("securityContext", "serviceAccountName", "imagePullSecrets"):
            if EXAMPLE not in name or key == "securityContext":
                assert pod_of(job).get(key) == pod_of(workload).get(key), f"{name}: {key}"


def only_the_shards_that_the_values_name_have_a_job() -> None:
    def indices(values: dict[str, Any]) -> list[str]:
        found = charted(ONE | {"shards": 3} | values)
        return [one["metadata"]["name"].rpartition("-")[2] for one in found if one["kind"] == "Job"]

    assert indices({"stateJob": {"command": "check"}}) == ["0", "1", "2"]
    assert indices({"stateJob": {"command": "check", "shard": 0}}) == ["0"]
    assert indices({"stateJob": {"command": "forget", "user": USER, "shard": 2}}) == ["2"]
    assert indices({}) == []


def nothing_takes_the_pod_of_the_job_for_an_exporter() -> None:
    for name, (job, beside) in jobs().items():
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert "zt-risk-exporter/scrape" not in labels, name
        for one in beside:
            selector = one.get("spec", {}).get("selector", {})
            selector = selector.get("matchLabels", selector)
            if selector and one["kind"] != "Job":
                assert not selector.items() <= labels.items(), f"{name}: selected by {one['kind']}"


def the_commands_work_with_the_state_of_a_stopped_exporter_only() -> None:
    exporter = os.environ["ZT_RISK_EXPORTER"]
    with scraping.simulator() as url, tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "token").write_text("simulated-token", encoding="utf-8")
        (work / "token").chmod(0o600)
        config = work / "config.yaml"
        address = f"127.0.0.1:{scraping.free_port()}"
        config.write_text(
            f"cloudflare: {{base_url: {url}}}\nstate: {{path: {work}/state.redb}}\n"
            f"web: {{listen_address: '{address}'}}\n"
            f"accounts: [{{id: {ACCOUNT}, alias: acme, token_file: {work}/token}}]\n",
            encoding="utf-8",
        )

        def run(job: Object) -> subprocess.CompletedProcess[str]:
            arguments = [one.replace(STATE, str(work)).replace(USER, user) for one in container_of(job)["args"]]
            return subprocess.run([exporter, *arguments], capture_output=True, text=True, check=False)

        listing = [exporter, "users", "--output", "json", f"--config.file={config}"]
        listed = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        user = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", listed)[0]
        with scraping.running([exporter, "serve", f"--config.file={config}"], work / "log"):
            metrics = f"http://{address}/metrics"
            scraping.until(
                "the list of users was read",
                lambda: re.search(r"^cloudflare_zt_risk_users\{", scraping.fetch(metrics), re.MULTILINE),
            )
            for name, (job, _) in jobs().items():
                assert run(job).returncode != 0, f"{name}: works while the exporter runs"
        commands = set()
        # The user is forgotten last.
        ordered = sorted(jobs().items(), key=lambda item: "forget" in container_of(item[1][0])["args"])
        for name, (job, _) in ordered:
            command = container_of(job)["args"][1]
            if command == "forget" and command in commands:
                continue
            done = run(job)
            assert done.returncode == 0, f"{name}: {done.stderr}"
            commands.add(command)
        assert commands == {"show", "check", "forget"}
        forgotten = run(ordered[-1][1][0])
        assert forgotten.returncode != 0 and user in forgotten.stderr, forgotten


def the_example_names_the_objects_of_the_base() -> None:
    job = only(sources.kustomized(KUBERNETES / EXAMPLE), "Job")
    base = only(sources.kustomized(KUBERNETES / "base"), "Deployment")
    assert (
        job["metadata"]["namespace"]
        == only(sources.kustomized(KUBERNETES / "example"), "Deployment")["metadata"]["namespace"]
    )
    assert pod_of(job)["automountServiceAccountToken"] is False
    assert container_of(job)["image"] == sources.exporter_in(pod_of(base))["image"]
    assert json.dumps(container_of(job)["args"]).count("state.redb") == 1


CHECKS = [
    the_job_has_the_volume_of_an_exporter_that_is_stopped,
    only_the_shards_that_the_values_name_have_a_job,
    nothing_takes_the_pod_of_the_job_for_an_exporter,
    the_commands_work_with_the_state_of_a_stopped_exporter_only,
    the_example_names_the_objects_of_the_base,
]
