#!/usr/bin/env python3
"""Loads the drill variant into real servers, Prometheus 2.42 and a 3.x, that scrape the exporter on its simulator.

A campaign and a mass reset are made. Then every rule has to be evaluated without error, every recording has to give
something, and exactly the declared alerts have to fire; and each expression of the rules for work has to be one that
the server takes without error or warning. ZT_RISK_EXPORTER names the exporter's binary. Prometheus 3 is brought by
../conformance-prometheus/prometheus-3, or is the binary in PROMETHEUS_3; without one the end says so.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from make_rules import DRILL
from recordings import HIGH
from rules import alerts, recordings
from settings import Settings

HERE = Path(__file__).resolve().parent
DRILL_RULES = HERE.parents[1] / "deploy/prometheus/zt-risk-exporter.drill.yml"
ACCOUNT = "0123456789abcdef0123456789abcdef"
PATIENCE = 60  # seconds until something that should happen has happened
HIT, RESET = 70, 20  # users; more than any threshold
USUALLY_HIGH = 30  # users, of 300

# What the deeds below make fire, and that demo keeps its counters in memory. Nothing else may fire.
FIRING = {
    "ZeroTrustHighRiskUsersRising",
    "ZeroTrustHighRiskUsersUnusual",
    "ZeroTrustRiskCampaign",
    "ZeroTrustMassReset",
    "ZtRiskExporterStateNotDurable",
}


def fetch(url: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return str(answer.read().decode())


def until(what: str, attempt: Callable[[], Any]) -> Any:
    """Calls `attempt` until it does not complain; its last complaint is shown if it always does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except (OSError, AssertionError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"rules: {what}: not within {PATIENCE} s: {error}")
        time.sleep(0.2)


def start(stack: ExitStack, command: list[str], log: Path) -> None:
    output = stack.enter_context(log.open("w", encoding="utf-8"))
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def past(now: float) -> str:
    """A drill's week, as OpenMetrics: as many at high risk as there are before the deeds, or somewhat more."""
    day = 24 * 3600 / DRILL
    labels = f'{{job="{Settings().job}",account="demo"}}'
    samples = [f"{HIGH}{labels} {USUALLY_HIGH} {now - second}" for second in range(round(8 * day), 60, -2)]
    return "\n".join([f"# TYPE {HIGH} gauge", *samples, "# EOF", ""])


class Prometheus:
    """One server with the drill's rules."""

    def __init__(self, stack: ExitStack, binary: str, target: str) -> None:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.url = f"http://127.0.0.1:{free_port()}"
        (work / "past.om").write_text(past(time.time()), encoding="utf-8")
        backfill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", f"{work}/past.om", f"{work}/data"]
        subprocess.run(backfill, check=True, capture_output=True)
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DRILL_RULES)],
            "scrape_configs": [{"job_name": Settings().job, "static_configs": [{"targets": [target]}]}],
        }
        # JSON is YAML.
        (work / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")
        command = [
            binary,
            f"--config.file={work}/prometheus.yml",
            f"--storage.tsdb.path={work}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        start(stack, command, work / "log")
        build = until(f"{binary} answers", lambda: self.get("status/buildinfo"))
        self.version = build["data"]["version"]

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = json.loads(fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
        assert answer["status"] == "success", answer
        return dict(answer)

    def query(self, expression: str) -> list[Any]:
        answer = self.get("query", query=expression)
        assert not answer.get("warnings"), f"{expression}: {answer['warnings']}"
        return list(answer["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["data"]["groups"] for rule in group["rules"]]

    def counters_have_begun(self) -> None:
        assert self.query("count_over_time(cloudflare_zt_risk_resets_total[10s]) >= 3"), "no counters yet"
        assert self.query("count_over_time(cloudflare_zt_risk_behavior_users_total[10s]) >= 3"), "no counters yet"

    def fires_as_declared(self) -> None:
        firing = {rule["name"] for rule in self.rules() if rule.get("state") == "firing"}
        assert firing == FIRING, f"missing: {FIRING - firing}, in excess: {firing - FIRING}"

    def evaluates_everything(self) -> int:
        rules = self.rules()
        wanted = {rule.name: rule.expr for rule in recordings(Settings())}
        wanted |= {alert.name: alert.expr for alert in alerts(Settings())}
        assert {rule["name"] for rule in rules} == set(wanted)
        for rule in rules:
            assert rule["health"] == "ok", f"{rule['name']}: {rule['health']}: {rule.get('lastError')}"
            for told in (text for alert in rule.get("alerts", []) for text in alert["annotations"].values()):
                assert "error expanding" not in told and "<no value>" not in told, f"{rule['name']}: {told}"
            if rule["type"] == "recording":
                assert self.query(rule["name"]), f"{rule['name']} gives nothing"
        for expression in wanted.values():
            self.query(expression)
        return len(wanted)


def deeds(api: str) -> None:
    """A campaign over users who were not at high risk, and resets of others."""
    users = json.loads(fetch(f"{api}/__truth?users=1"))["users"]
    calm = [user["user"] for user in users if user["max_risk_level"] != "high"]
    assert len(calm) >= HIT + RESET, f"only {len(calm)} users"
    for user in calm[:HIT]:
        fetch(f"{api}/__control/events", {"account": ACCOUNT, "user": user, "behavior": "imp_travel"})
    for user in calm[HIT : HIT + RESET]:
        fetch(f"{api}/__control/reset", {"account": ACCOUNT, "user": user})


def prometheus_3() -> str | None:
    given = os.environ.get("PROMETHEUS_3")
    if given:
        return given
    bring = HERE.parent / "conformance-prometheus/prometheus-3"
    done = subprocess.run([bring], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> None:
    newer = prometheus_3()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = f"127.0.0.1:{free_port()}"
        log = work / "exporter.log"
        demo = ["demo", "--users", "300", "--speed", "60", "--web.listen-address", target]
        start(stack, [os.environ["ZT_RISK_EXPORTER"], *demo], log)

        def address() -> str:
            said = re.search(r"(http://\S+)/client/v4", log.read_text(encoding="utf-8"))
            assert said, "the simulator did not say its address"
            return said[1]

        api = until("the simulator starts", address)
        servers = [Prometheus(stack, binary, target) for binary in ("prometheus", newer) if binary]
        for server in servers:
            until(f"Prometheus {server.version} has counters", server.counters_have_begun)
        deeds(api)
        for server in servers:
            until(f"Prometheus {server.version} fires", server.fires_as_declared)
            count = server.evaluates_everything()
            print(f"Prometheus {server.version}: {count} rules evaluated, {len(FIRING)} alerts fire as declared")
    if not newer:
        print("rules: NOT SEEN BY PROMETHEUS 3: it could not be brought here", file=sys.stderr)


if __name__ == "__main__":
    main()
