"""Tests the scrape configurations and monitors in a real Prometheus, or compares them with a configuration that is
tested.

Debian's Prometheus is built without Kubernetes support, so a file provides the targets with the labels that Kubernetes
would set. Alloy, the Collector and VictoriaMetrics are not available here, so their configurations are compared with
that of Prometheus.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket
from typing import Any

import yaml

import alloy
import sources
from chart_values import ONE

SCRAPE = sources.ROOT / "deploy/scrape"
TIMEOUT_SECONDS = 30  # for each expected result
OWN_LABEL = {"__meta_kubernetes_pod_label_zt_risk_exporter_scrape": "true"}
POD = "__meta_kubernetes_pod_"
# The discovery labels of a pod, and the expected labels of its series. None if it must not be scraped.
PODS: dict[str, tuple[dict[str, str], dict[str, str] | None]] = {
    "an exporter in its own pod": (
        {
            f"{POD}name": "zt-risk-exporter-6d4cf56db6-x2x9p",
            f"{POD}label_app_kubernetes_io_name": "zt-risk-exporter",
            f"{POD}label_app_kubernetes_io_instance": "eu",
        },
        {"job": "zt-risk-exporter", "namespace": "risk", "container": "zt-risk-exporter", "instance": "risk/eu"},
    ),
    "one of several shards": (
        {
            f"{POD}name": "eu-zt-risk-exporter-2",
            f"{POD}label_app_kubernetes_io_name": "zt-risk-exporter",
            f"{POD}label_app_kubernetes_io_instance": "eu",
            f"{POD}label_apps_kubernetes_io_pod_index": "2",
        },
        {"job": "zt-risk-exporter", "namespace": "risk", "container": "zt-risk-exporter", "instance": "risk/eu/2"},
    ),
    "a sidecar": (
        {f"{POD}name": "shop-5c689d88bb-qkz7d", f"{POD}label_app_kubernetes_io_name": "shop"},
        {
            "job": "zt-risk-exporter",
            "namespace": "risk",
            "container": "zt-risk-exporter",
            "pod": "shop-5c689d88bb-qkz7d",
            "instance": "ADDRESS",
        },
    ),
    "a port of another container": ({f"{POD}name": "shop-5c689d88bb-qkz7d", f"{POD}container_port_name": "http"}, None),
}


def free_port() -> int:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def until(what: str, attempt: Callable[[], Any]) -> Any:
    """Calls `attempt` until it returns a value. Fails with its last error at the timeout."""
    deadline, last_error = time.monotonic() + TIMEOUT_SECONDS, None
    while time.monotonic() < deadline:
        try:
            if (found := attempt()) is not None:
                return found
        except OSError as error:
            last_error = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {TIMEOUT_SECONDS} s: {last_error}")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body.decode()


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def simulator() -> Iterator[str]:
    """Runs the simulated API with one account. Yields its base URL."""
    with tempfile.TemporaryDirectory() as work:
        log = Path(work) / "log"
        command = [os.environ["ZT_RISK_EXPORTER"], "simulate", "--listen-address", "127.0.0.1:0", "--users", "20"]
        with running(command, log):
            address = until(
                "the simulator prints its address", lambda: re.search(r"http://\S+", log.read_text("utf-8"))
            )
            yield address.group()


def scrape_configs(path: Path) -> dict[str, Any]:
    return {job["job_name"]: job for job in yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]}


def snake(relabeling: dict[str, Any]) -> dict[str, Any]:
    """Converts keys of a custom resource, such as `sourceLabels`, to the spelling of Prometheus."""
    return {
        re.sub(r"[A-Z]", lambda letter: f"_{letter.group().lower()}", key): value for key, value in relabeling.items()
    }


def endpoint(monitor: dict[str, Any]) -> dict[str, Any]:
    (found,) = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
    return dict(found)


def operator_scrape_config(monitor: dict[str, Any]) -> dict[str, Any]:
    """The scrape configuration that the operator generates: its default labels, then the monitor's relabelings."""
    found = endpoint(monitor)
    given = [("namespace", "namespace"), ("pod_container_name", "container"), ("pod_name", "pod")]
    labels = [{"source_labels": [f"__meta_kubernetes_{meta}"], "target_label": label} for meta, label in given]
    keep = {"source_labels": [f"{POD}container_port_name"], "regex": found["port"], "action": "keep"}
    job = {"target_label": "job", "replacement": f"risk/{monitor['metadata']['name']}"}
    return {
        "metrics_path": found["path"],
        "relabel_configs": [keep, *labels, job, *map(snake, found["relabelings"])],
    }


def a_real_prometheus_gives_pods_the_expected_labels() -> None:
    operator = sources.only(sources.kustomized(sources.KUBERNETES / "example"), "PodMonitor")
    charted = {
        kind: sources.only(sources.charted(ONE | {switch: {"enabled": True}}, "eu"), kind)
        for kind, switch in (("PodMonitor", "podMonitor"), ("ServiceMonitor", "serviceMonitor"))
    }
    plain = scrape_configs(SCRAPE / "prometheus.yml")
    jobs = {
        "prometheus.yml": plain["zt-risk-exporter-pods"],
        "the operator's": operator_scrape_config(operator),
        "the chart's PodMonitor": operator_scrape_config(charted["PodMonitor"]),
        "the chart's ServiceMonitor": operator_scrape_config(charted["ServiceMonitor"]),
    }
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = f"127.0.0.1:{free_port()}"
        demo = [os.environ["ZT_RISK_EXPORTER"], "demo", "--users", "20", "--web.listen-address", address]
        stack.enter_context(running(demo, work / "demo.log"))
        common = OWN_LABEL | {
            f"{POD}container_port_name": "zt-risk-metrics",
            f"{POD}container_name": "zt-risk-exporter",
            "__meta_kubernetes_namespace": "risk",
        }
        targets = [{"targets": [address], "labels": common | meta} for meta, _ in PODS.values()]
        (work / "pods.json").write_text(json.dumps(targets), encoding="utf-8")
        quick = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        written = [
            {k: v for k, v in job.items() if k != "kubernetes_sd_configs"}
            | quick
            | {"job_name": name, "file_sd_configs": [{"files": ["pods.json"]}]}
            for name, job in jobs.items()
        ]
        static = plain["zt-risk-exporter"] | quick
        assert static["static_configs"] == [{"targets": ["localhost:10069"]}]
        static["static_configs"] = [{"targets": [address]}]
        (work / "prometheus.yml").write_text(json.dumps({"scrape_configs": [static, *written]}), encoding="utf-8")
        checked = subprocess.run(
            ["promtool", "check", "config", str(work / "prometheus.yml")], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr

        url = f"http://127.0.0.1:{free_port()}"
        command = ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data"]
        command.append(f"--web.listen-address={url.removeprefix('http://')}")
        stack.enter_context(running(command, work / "prometheus.log"))

        def scraped() -> list[Any] | None:
            found = json.loads(fetch(f"{url}/api/v1/targets?state=active"))["data"]["activeTargets"]
            return found if found and all(target["health"] != "unknown" for target in found) else None

        until("the exporter is ready", lambda: fetch(f"http://{address}/-/ready"))
        # Prometheus scrapes a target again that was not ready.
        found = until(
            "every target is up",
            lambda: (all_ := scraped()) and (all_ if {t["health"] for t in all_} == {"up"} else None),
        )
    wanted = [
        {**labels, "instance": labels["instance"].replace("ADDRESS", address)} for _, labels in PODS.values() if labels
    ]
    for name in jobs:
        got = [target["labels"] for target in found if target["scrapePool"] == name]
        # The chart's monitors select only the pods of its release, and no sidecar.
        expected = wanted[:2] if "chart" in name else wanted
        got = [one for one in got if one["instance"].startswith("risk/eu") or "chart" not in name]
        assert by_text(got) == by_text(expected), f"{name}: {got}"
    (alone,) = [target["labels"] for target in found if target["scrapePool"] == "zt-risk-exporter"]
    assert alone == {"job": "zt-risk-exporter", "instance": address}


# The bcrypt hash of "secret", with the lowest cost.
HASH = "$2b$04$MIQ6RQHVdYFOWp4hIV0FDeammBqaXXP5iWjJ/bg/BXezPKHLNtli."


def protected_web_configuration(work: Path) -> Path:
    """The files of a protected exporter, as the manual says how to make them, and beside them those of Prometheus."""
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", work / "server.key", "-out", work / "ca.crt"]
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=exporter"
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    (work / "password").write_text("secret", encoding="utf-8")
    web = work / "web.yaml"
    text = f"tls_server_config: {{cert_file: ca.crt, key_file: server.key}}\nbasic_auth_users: {{prometheus: {HASH}}}\n"
    web.write_text(text, encoding="utf-8")
    return web


def a_real_prometheus_scrapes_a_protected_exporter() -> None:
    protected = scrape_configs(sources.ROOT / "deploy/prometheus/prometheus.protected.yml")
    jobs = {
        "prometheus.yml": scrape_configs(SCRAPE / "prometheus.yml")["zt-risk-exporter-protected"],
        "prometheus.protected.yml": protected["zt-risk-exporter"],
    }
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = f"127.0.0.1:{free_port()}"
        web = f"ZT_RISK_EXPORTER__WEB__CONFIG_FILE={protected_web_configuration(work)}"
        demo = ["env", web, os.environ["ZT_RISK_EXPORTER"], "demo", "--users", "20", "--web.listen-address", address]
        stack.enter_context(running(demo, work / "demo.log"))
        written = []
        for name, job in jobs.items():
            for key, value in (("tls_config", "ca_file"), ("basic_auth", "password_file")):
                job[key][value] = str(work / Path(job[key][value]).name)
            quick = {"job_name": name, "scrape_interval": "1s", "scrape_timeout": "1s"}
            written.append(job | quick | {"static_configs": [{"targets": [address]}]})
        (work / "prometheus.yml").write_text(json.dumps({"scrape_configs": written}), encoding="utf-8")
        url = f"http://127.0.0.1:{free_port()}"
        command = ["prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data"]
        command.append(f"--web.listen-address={url.removeprefix('http://')}")
        stack.enter_context(running(command, work / "prometheus.log"))

        def all_up() -> list[Any] | None:
            found = json.loads(fetch(f"{url}/api/v1/targets?state=active"))["data"]["activeTargets"]
            return found if found and {target["health"] for target in found} == {"up"} else None

        found = until("every target is up", all_up)
    assert {target["scrapePool"] for target in found} == set(jobs)
    (label,) = [target["labels"]["job"] for target in found if target["scrapePool"] == "prometheus.yml"]
    assert label == "zt-risk-exporter"


def by_text(labels: list[dict[str, str]]) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in labels)


def the_collector_has_the_configuration_of_prometheus() -> None:
    collector = yaml.safe_load((SCRAPE / "otel-collector.yaml").read_text(encoding="utf-8"))
    config = collector["receivers"]["prometheus"]["config"]
    assert config == yaml.safe_load((SCRAPE / "prometheus.yml").read_text(encoding="utf-8"))
    # The names of metrics stay as they are, by the setting that replaced `add_metric_suffixes`.
    (exporter,) = collector["exporters"].items()
    assert exporter[0] == "prometheus_remote_write" and set(exporter[1]) == {"endpoint", "translation_strategy"}
    assert exporter[1]["translation_strategy"] == "UnderscoreEscapingWithoutSuffixes"
    # The Collector expands `$` as a variable.
    assert "$" not in json.dumps(collector)
    for name, pipeline in collector["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) == set(collector[kind]), f"{kind} of {name}"


def the_operators_have_the_configuration_of_prometheus() -> None:
    plain = scrape_configs(SCRAPE / "prometheus.yml")["zt-risk-exporter-pods"]
    pod_monitor = sources.only(sources.kustomized(sources.KUBERNETES / "example"), "PodMonitor")
    scrape = yaml.safe_load((SCRAPE / "vmpodscrape.yaml").read_text(encoding="utf-8"))
    for monitor in (pod_monitor, scrape):
        found = endpoint(monitor)
        (key,) = set(found) - {"port", "path", "interval", "scrapeTimeout"}
        assert key == ("relabelings" if monitor is pod_monitor else "relabelConfigs")
        given = {"namespace", "container", None}
        ours = [
            rule
            for rule in plain["relabel_configs"]
            if rule.get("target_label") not in given and rule.get("source_labels") != [f"{POD}name"]
        ]
        assert [snake(rule) for rule in found[key]] == ours, monitor["kind"]
        assert (found["interval"], found["scrapeTimeout"]) == (plain["scrape_interval"], plain["scrape_timeout"])
        assert monitor["spec"]["selector"]["matchLabels"] == {"zt-risk-exporter/scrape": "true"}


# The components that config.alloy may use: their attributes, their blocks, and their export.
ALLOY = {
    "prometheus.scrape": (
        {"targets", "forward_to", "job_name", "scrape_interval", "scrape_timeout", "scheme"},
        {"tls_config", "basic_auth"},
        None,
    ),
    "discovery.kubernetes": ({"role"}, {"selectors"}, "targets"),
    "discovery.relabel": ({"targets"}, {"rule"}, "output"),
    "prometheus.remote_write": (set(), {"endpoint"}, "receiver"),
}


def alloy_has_the_configuration_of_prometheus() -> None:
    blocks = {
        f"{one.name}.{one.label}": one for one in alloy.parse((SCRAPE / "config.alloy").read_text(encoding="utf-8"))
    }
    exports = {f"{path}.{ALLOY[one.name][2]}" for path, one in blocks.items() if ALLOY[one.name][2]}
    used = set()
    for path, one in blocks.items():
        attributes, inner, _ = ALLOY[one.name]
        assert set(one.attributes) <= attributes and {b.name for b in one.blocks} <= inner, path
        for value in one.attributes.values():
            used |= {v.path for v in (value if isinstance(value, list) else [value]) if isinstance(v, alloy.Reference)}
    assert used == exports, f"used: {used}, exported: {exports}"
    plain = scrape_configs(SCRAPE / "prometheus.yml")
    rules = [rule.attributes for rule in blocks["discovery.relabel.zt_risk_exporter"].blocks]
    assert rules == plain["zt-risk-exporter-pods"]["relabel_configs"]
    discovery = blocks["discovery.kubernetes.zt_risk_exporter"]
    (expected,) = plain["zt-risk-exporter-pods"]["kubernetes_sd_configs"]
    assert discovery.attributes | {"selectors": [one.attributes for one in discovery.blocks]} == expected
    for suffix in ("", "_protected", "_pods"):
        name, job = f"zt_risk_exporter{suffix}", f"zt-risk-exporter{suffix.replace('_', '-')}"
        scrape = blocks[f"prometheus.scrape.{name}"].attributes
        inner = {one.name: one.attributes for one in blocks[f"prometheus.scrape.{name}"].blocks}
        assert inner == {key: plain[job][key] for key in ("tls_config", "basic_auth") if key in plain[job]}, name
        assert scrape.get("scheme") == plain[job].get("scheme"), name
        assert scrape["job_name"] == "zt-risk-exporter"
        for key in ("scrape_interval", "scrape_timeout"):
            assert scrape[key] == plain[job][key], f"{key} of {name}"
        if "static_configs" in plain[job]:
            static = [one["__address__"] for one in scrape["targets"]]
            assert [{"targets": static}] == plain[job]["static_configs"], name


CHECKS = [
    a_real_prometheus_gives_pods_the_expected_labels,
    a_real_prometheus_scrapes_a_protected_exporter,
    the_collector_has_the_configuration_of_prometheus,
    the_operators_have_the_configuration_of_prometheus,
    alloy_has_the_configuration_of_prometheus,
]
