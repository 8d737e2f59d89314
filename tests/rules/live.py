#!/usr/bin/env python3
"""Loads the drill rules into real servers, which scrape the exporter with its simulator: Prometheus 2.42 and 3.x, and
VictoriaMetrics with vmalert.

The test creates a campaign and a mass reset. Then every rule must evaluate without error, every recording rule must
have a result, and exactly the declared alerts must fire. The server must also accept each expression of the production
rules without error or warning. ZT_RISK_EXPORTER is the path of the exporter. ../conformance-prometheus/download
downloads the newer servers, unless PROMETHEUS_3 is the path of Prometheus 3; without one, the test reports that it
skipped this part.
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
from recordings import FAILING, FAILING_ACCOUNTS, HIGH, SHARED
from rules import alerts, recordings
from settings import Settings

HERE = Path(__file__).resolve().parent
DRILL_RULES = HERE.parents[1] / "deploy/prometheus/zt-risk-exporter.drill.yml"
ACCOUNT = "0123456789abcdef0123456789abcdef"
TIMEOUT_SECONDS = 60  # for each expected result
CAMPAIGN_USERS, RESET_USERS = 70, 20  # more than any threshold
USUAL_HIGH_USERS = 30  # of 300
# These have results only while accounts cannot be read, which outage.py tests.
OF_FAILURES = {FAILING, FAILING_ACCOUNTS, SHARED}

# The alerts of the campaign and the mass reset, and the alert that demo keeps its counters in memory. No other may
# fire.
FIRING = {
    "ZeroTrustHighRiskUsersRising",
    "ZeroTrustHighRiskUsersUnusual",
    "ZeroTrustRiskCampaign",
    "ZeroTrustMassReset",
    "ZtRiskExporterStateNotDurable",
}


def fetch(url: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def until(what: str, attempt: Callable[[], Any]) -> Any:
    """Calls `attempt` until it raises no error. Exits with the last error at the timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return attempt()
        except (OSError, AssertionError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"rules: {what}: not within {TIMEOUT_SECONDS} s: {error}")
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


def week_of_history(now: float) -> str:
    """The week of a drill as OpenMetrics, with about as many users at high risk as the simulator starts with."""
    day = 24 * 3600 / DRILL
    labels = f'{{job="{Settings().job}",account="demo"}}'
    samples = [f"{HIGH}{labels} {USUAL_HIGH_USERS} {now - second}" for second in range(round(8 * day), 60, -2)]
    return "\n".join([f"# TYPE {HIGH} gauge", *samples, "# EOF", ""])


def scrape_every_second(target: str) -> dict[str, Any]:
    """The configuration of a server without rules."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": Settings().job, "static_configs": [{"targets": [target]}]}],
    }


def local_address() -> str:
    return f"127.0.0.1:{free_port()}"


class Server:
    """A server with the drill rules."""

    def __init__(self, name: str, queries: str, rules: str) -> None:
        self.name = name
        self.queries_at, self.rules_at = f"http://{queries}", f"http://{rules}"

    def get(self, url: str, **query: str) -> dict[str, Any]:
        answer = json.loads(fetch(f"{url}?{urllib.parse.urlencode(query)}"))
        assert answer["status"] == "success", answer
        return dict(answer)

    def query(self, expression: str) -> list[Any]:
        answer = self.get(f"{self.queries_at}/api/v1/query", query=expression)
        assert not answer.get("warnings"), f"{expression}: {answer['warnings']}"
        return list(answer["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        groups = self.get(f"{self.rules_at}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def has_counters(self) -> None:
        assert self.query("count_over_time(cloudflare_zt_risk_resets_total[10s]) >= 3"), "no counters yet"
        assert self.query("count_over_time(cloudflare_zt_risk_behavior_users_total[10s]) >= 3"), "no counters yet"

    def fires_as_declared(self) -> None:
        firing = {rule["name"] for rule in self.rules() if rule.get("state") == "firing"}
        assert firing == FIRING, f"missing: {FIRING - firing}, unexpected: {firing - FIRING}"

    def evaluates_everything(self) -> int:
        rules = self.rules()
        wanted = {rule.name: rule.expr for rule in recordings(Settings())}
        wanted |= {alert.name: alert.expr for alert in alerts(Settings())}
        assert {rule["name"] for rule in rules} == set(wanted)
        for rule in rules:
            assert rule["health"] == "ok", f"{rule['name']}: {rule['health']}: {rule.get('lastError')}"
            for text in (text for alert in rule.get("alerts", []) for text in alert["annotations"].values()):
                assert "error expanding" not in text and "<no value>" not in text, f"{rule['name']}: {text}"
            if rule["type"] == "recording" and rule["name"] not in OF_FAILURES:
                assert self.query(rule["name"]), f"{rule['name']} has no result"
        for expression in wanted.values():
            self.query(expression)
        return len(wanted)


def prometheus(stack: ExitStack, binary: str, target: str) -> Server:
    work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    address = local_address()
    (work / "history.om").write_text(week_of_history(time.time()), encoding="utf-8")
    backfill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", f"{work}/history.om", f"{work}/data"]
    subprocess.run(backfill, check=True, capture_output=True)
    configuration = scrape_every_second(target) | {"rule_files": [str(DRILL_RULES)]}
    configuration["global"]["evaluation_interval"] = "1s"
    # JSON is valid YAML.
    (work / "prometheus.yml").write_text(json.dumps(configuration), encoding="utf-8")
    command = [
        binary,
        f"--config.file={work}/prometheus.yml",
        f"--storage.tsdb.path={work}/data",
        f"--web.listen-address={address}",
    ]
    start(stack, command, work / "log")
    server = Server("", address, address)
    build = until(f"{binary} answers", lambda: server.get(f"http://{address}/api/v1/status/buildinfo"))
    server.name = f"Prometheus {build['data']['version']}"
    return server


def victoriametrics(stack: ExitStack, binary: str, target: str) -> Server:
    work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    queries, rules = local_address(), local_address()
    # JSON is valid YAML.
    (work / "scrape.yml").write_text(json.dumps(scrape_every_second(target)), encoding="utf-8")
    database = [
        binary,
        f"-promscrape.config={work}/scrape.yml",
        f"-storageDataPath={work}/data",
        f"-httpListenAddr={queries}",
        # For production, where scrapes are further apart, the defaults hide the newest 30 s.
        "-search.latencyOffset=0s",
    ]
    start(stack, database, work / "log")
    until(f"{binary} answers", lambda: fetch(f"http://{queries}/health"))
    samples = re.sub(
        r" ([\d.]+)$", lambda at: f" {float(at[1]) * 1000:.0f}", week_of_history(time.time()), flags=re.MULTILINE
    )
    request = urllib.request.Request(f"http://{queries}/api/v1/import/prometheus", data=samples.encode())
    with urllib.request.urlopen(request, timeout=10):
        pass
    vmalert = [
        str(Path(binary).with_name("vmalert")),
        f"-rule={DRILL_RULES}",
        f"-datasource.url=http://{queries}",
        f"-remoteWrite.url=http://{queries}",
        f"-httpListenAddr={rules}",
        "-notifier.blackhole",
        "-evaluationInterval=1s",
        "-rule.evalDelay=0s",
        "-remoteWrite.flushInterval=200ms",
    ]
    start(stack, vmalert, work / "vmalert.log")
    server = Server("VictoriaMetrics", queries, rules)
    until("vmalert answers", server.rules)
    return server


def make_events_and_resets(api: str) -> None:
    """Creates a campaign among users who are not at high risk, and resets other users."""
    users = json.loads(fetch(f"{api}/__truth?users=1"))["users"]
    candidates = [user["user"] for user in users if user["max_risk_level"] != "high"]
    assert len(candidates) >= CAMPAIGN_USERS + RESET_USERS, f"only {len(candidates)} users"
    for user in candidates[:CAMPAIGN_USERS]:
        fetch(f"{api}/__control/events", {"account": ACCOUNT, "user": user, "behavior": "imp_travel"})
    for user in candidates[CAMPAIGN_USERS : CAMPAIGN_USERS + RESET_USERS]:
        fetch(f"{api}/__control/reset", {"account": ACCOUNT, "user": user})


def downloaded(program: str) -> str | None:
    download = HERE.parent / "conformance-prometheus/download"
    done = subprocess.run([download, program], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"skipped: rules with a newer {program}, because it could not be downloaded", file=sys.stderr)
        return None
    return done.stdout.strip()


def main() -> None:
    newer = os.environ.get("PROMETHEUS_3") or downloaded("prometheus")
    victoria = downloaded("victoria-metrics")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = f"127.0.0.1:{free_port()}"
        log = work / "exporter.log"
        demo = ["demo", "--users", "300", "--speed", "60", "--web.listen-address", target]
        start(stack, [os.environ["ZT_RISK_EXPORTER"], *demo], log)

        def address() -> str:
            found = re.search(r"(http://\S+)/client/v4", log.read_text(encoding="utf-8"))
            assert found, "the simulator did not print its address"
            return found[1]

        api = until("the simulator starts", address)
        servers = [prometheus(stack, binary, target) for binary in ("prometheus", newer) if binary]
        servers += [victoriametrics(stack, victoria, target)] if victoria else []
        for server in servers:
            until(f"{server.name} has counters", server.has_counters)
        make_events_and_resets(api)
        for server in servers:
            until(f"{server.name} fires", server.fires_as_declared)
            count = server.evaluates_everything()
            print(f"{server.name}: {count} rules evaluated, {len(FIRING)} alerts fire as declared")


if __name__ == "__main__":
    main()
