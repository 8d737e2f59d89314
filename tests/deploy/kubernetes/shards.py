"""Checks that shards know their number and divide the accounts."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import scraping
import sources
from chart_values import ONE
from sources import Object

INDEX = {
    "name": "ZT_RISK_EXPORTER__SHARD__INDEX",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}},
}


def sharded() -> dict[str, list[Object]]:
    """What has shards, without those that a command on their state stops."""
    stopped = {name for name, found in sources.everything().items() if any(one["kind"] == "Job" for one in found)}
    return {name: found for name, found in sources.everything().items() if "shard" in name and name not in stopped}


def each_shard_knows_its_index_and_the_number_of_shards() -> None:
    counts = set()
    for name, found in sharded().items():
        spec = sources.only(found, "StatefulSet")["spec"]
        container = sources.exporter_in(spec["template"]["spec"])
        assert f"--shard.total={spec['replicas']}" in container["args"] and INDEX in container["env"], name
        assert not any(one["kind"] == "Deployment" for one in found), name
        counts.add(spec["replicas"])
    assert counts == {2, 3}


def each_shard_has_its_own_name_and_state() -> None:
    for name, found in sharded().items():
        spec = sources.only(found, "StatefulSet")["spec"]
        service = sources.only(found, "Service")
        assert spec["serviceName"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None", name
        claims = [one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", [])]
        volumes = [
            one["name"]
            for one in spec["template"]["spec"]["volumes"]
            if set(one) & {"emptyDir", "persistentVolumeClaim"}
        ]
        assert (claims, volumes) == (([], ["state"]) if "without" in name else (["state"], [])), name
        assert not any(one["kind"] == "PersistentVolumeClaim" for one in found), name


def shards_have_another_service_than_a_single_exporter() -> None:
    """A cluster refuses to remove the clusterIP of an existing Service, which would fail the upgrade."""
    base, charted = sources.everything()["base"], sources.everything()["the chart, one account"]
    for before, after in (
        (base, sources.base_with("sharded")),
        (charted, sources.charted(ONE | {"shards": 2})),
    ):
        names = [sources.only(found, "Service")["metadata"]["name"] for found in (before, after)]
        assert names == ["zt-risk-exporter", "zt-risk-exporter-shards"], names


def a_long_name_leaves_room_for_suffixes_of_kubernetes() -> None:
    # The longest name that Helm allows a release.
    found = sources.charted(ONE | {"shards": 2}, "r" * 53)
    # Each pod gets the label controller-revision-hash: the name, a dash, and up to 10 characters. The limit is 63.
    assert len(sources.only(found, "StatefulSet")["metadata"]["name"]) + 11 <= 63
    assert len(sources.only(found, "Service")["metadata"]["name"]) <= 63


def the_shards_of_a_cluster_divide_the_accounts() -> None:
    """Starts the exporter as in each pod. Its log says which accounts it watches."""
    for name, found in sharded().items():
        spec = sources.only(found, "StatefulSet")["spec"]
        args = sources.exporter_in(spec["template"]["spec"])["args"]
        (text,) = [one["data"]["config.yaml"] for one in found if "config.yaml" in one.get("data", {})]
        with scraping.simulator() as url, tempfile.TemporaryDirectory() as directory:
            work = Path(directory)
            for path in set(re.findall(r"/run/secrets/[^\s\"']+", text)):
                file = work / path.removeprefix("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(path.replace("/", "-"), encoding="utf-8")
            config = work / "config.yaml"
            for prefix in ("/run/secrets/", "/var/lib/"):
                text = text.replace(prefix, f"{work}{prefix}")
            config.write_text(text, encoding="utf-8")
            (work / "var/lib/zt-risk-exporter").mkdir(parents=True)
            watched: list[str] = []
            for index in range(spec["replicas"]):
                log = work / f"log-{index}"
                command = [os.environ["ZT_RISK_EXPORTER"], *args, "--web.listen-address=127.0.0.1:0"]
                command = [arg.replace("/etc/zt-risk-exporter", str(work)) for arg in command]
                environment = {INDEX["name"]: str(index), "ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL": url}
                with scraping.running(
                    ["env", *(f"{key}={value}" for key, value in environment.items()), *command], log
                ):
                    watched += scraping.until("the log has the accounts", lambda log=log: logged_accounts(log))
            accounts = re.findall(r"(?:alias|id): (\w+)", text)
            assert len(watched) == len(set(watched)) and set(watched) <= set(accounts), f"{name}: {watched}"
            assert len(watched) == text.count("token_file"), f"{name}: {watched}"


def logged_accounts(log: Path) -> list[str] | None:
    """The accounts of this shard in the log; `None` before they are logged."""
    whole, _, _ = log.read_text(encoding="utf-8").rpartition("\n")
    for line in whole.splitlines():
        fields = json.loads(line)
        if "shard" in fields["message"]:
            return [name for name in fields.get("accounts", "").split(", ") if name]
    return None


CHECKS = [
    each_shard_knows_its_index_and_the_number_of_shards,
    each_shard_has_its_own_name_and_state,
    shards_have_another_service_than_a_single_exporter,
    a_long_name_leaves_room_for_suffixes_of_kubernetes,
    the_shards_of_a_cluster_divide_the_accounts,
]
