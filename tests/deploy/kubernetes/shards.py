"""That shards are as many as they think, and share out the accounts."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import scraping
import sources
from sources import Object

INDEX = {
    "name": "ZT_RISK_EXPORTER__SHARD__INDEX",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}},
}


def sharded() -> dict[str, list[Object]]:
    return {name: found for name, found in sources.everything().items() if "shard" in name}


def each_shard_knows_its_index_and_how_many_there_are() -> None:
    counts = set()
    for name, found in sharded().items():
        spec = sources.only(found, "StatefulSet")["spec"]
        container = sources.exporter_in(spec["template"]["spec"])
        assert f"--shard.total={spec['replicas']}" in container["args"] and INDEX in container["env"], name
        assert not any(one["kind"] == "Deployment" for one in found), name
        counts.add(spec["replicas"])
    assert counts == {2, 3}


def each_shard_has_a_name_and_a_state_of_its_own() -> None:
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


def the_service_of_shards_is_another_than_that_of_one_exporter() -> None:
    """A cluster refuses to take the address from a Service that has one, and with it the whole upgrade."""
    base, charted = sources.everything()["base"], sources.everything()["the chart, one account"]
    for before, after in ((base, sources.sharded_base()), (charted, sources.charted(sources.ONE | {"shards": 2}))):
        names = [sources.only(found, "Service")["metadata"]["name"] for found in (before, after)]
        assert names == ["zt-risk-exporter", "zt-risk-exporter-shards"], names


def a_long_name_leaves_room_for_what_kubernetes_adds() -> None:
    # The longest name that Helm allows a release.
    found = sources.charted(sources.ONE | {"shards": 2}, "r" * 53)
    # Each pod gets the label controller-revision-hash: the name, a dash, and up to 10 characters. A label may have 63.
    assert len(sources.only(found, "StatefulSet")["metadata"]["name"]) + 11 <= 63
    assert len(sources.only(found, "Service")["metadata"]["name"]) <= 63


def the_shards_of_a_cluster_share_out_the_accounts() -> None:
    """The exporter is started as each pod would start it, and says which accounts it has."""
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
            shared: list[str] = []
            for index in range(spec["replicas"]):
                log = work / f"log-{index}"
                command = [os.environ["ZT_RISK_EXPORTER"], *args, "--web.listen-address=127.0.0.1:0"]
                command = [arg.replace("/etc/zt-risk-exporter", str(work)) for arg in command]
                environment = {INDEX["name"]: str(index), "ZT_RISK_EXPORTER__CLOUDFLARE__BASE_URL": url}
                with scraping.running(
                    ["env", *(f"{key}={value}" for key, value in environment.items()), *command], log
                ):
                    shared += scraping.until("it says which accounts are its", lambda log=log: said(log))
            accounts = re.findall(r"(?:alias|id): (\w+)", text)
            assert len(shared) == len(set(shared)) and set(shared) <= set(accounts), f"{name}: {shared}"
            assert len(shared) == text.count("token_file"), f"{name}: {shared}"


def said(log: Path) -> list[str] | None:
    """The accounts that the log says are this shard's; `None` while it says nothing."""
    whole, _, _ = log.read_text(encoding="utf-8").rpartition("\n")
    for line in whole.splitlines():
        fields = json.loads(line)
        if "shard" in fields["message"]:
            return [name for name in fields.get("accounts", "").split(", ") if name]
    return None


CHECKS = [
    each_shard_knows_its_index_and_how_many_there_are,
    each_shard_has_a_name_and_a_state_of_its_own,
    the_service_of_shards_is_another_than_that_of_one_exporter,
    a_long_name_leaves_room_for_what_kubernetes_adds,
    the_shards_of_a_cluster_share_out_the_accounts,
]
