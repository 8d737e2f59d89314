#!/usr/bin/env python3
"""Plays an outage of Cloudflare for forty accounts against a real Prometheus and a real Alertmanager, and counts the
messages that the pager and the workday's chat get.

Each account has a token of its own. Cloudflare's errors begin for all accounts at once. All times of the rules and of
alertmanager.yml are divided by 20. The pager must get one message, which says how many accounts fail and which is the
first, and no message about a single account, during the outage or after it.

ZT_RISK_EXPORTER is the path of the exporter. Needs prometheus and prometheus-alertmanager (Debian packages).

    tests/rules/run --outage           this test alone
    tests/rules/run --outage DEPLOY    counts the messages with the rules and the alertmanager.yml of another version,
                                       from its directory `deploy`
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

import make_rules
from live import fetch, local_address, scrape_every_second, start, until
from settings import Duration, Settings

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS = 40
DIVISOR = 20
# Three intervals are shorter than the minimum age of old data, as they are with the default.
INTERVAL_SECONDS = 2
OUTAGE_SECONDS = 60  # 20 minutes in production
# Until the last account was read again, the alert has ended, and so has the interval of a group.
RECOVERY_SECONDS = 60
UNAVAILABLE = {"fault": {"status": {"status": 503, "code": 1000, "message": "unavailable"}}}


def name(number: int) -> str:
    return f"account-{number:02}"


def identifier(number: int) -> str:
    return f"{number:032x}"


def scenario() -> dict[str, Any]:
    return {
        "accounts": [{"id": identifier(number), "generated_users": 5} for number in range(1, ACCOUNTS + 1)],
        "tokens": [
            {
                "token": f"token-{number:02}",
                "permissions": ["Zero Trust Read", "Zero Trust: PII Read"],
                "accounts": [identifier(number)],
                "user": f"u{number}",
            }
            for number in range(1, ACCOUNTS + 1)
        ],
    }


def configuration(work: Path, simulator: str, address: str) -> dict[str, Any]:
    accounts = []
    for number in range(1, ACCOUNTS + 1):
        token = work / f"token-{number:02}"
        token.write_text(token.name, encoding="utf-8")
        token.chmod(0o600)
        accounts.append({"id": identifier(number), "alias": name(number), "token_file": str(token)})
    every = f"{INTERVAL_SECONDS}s"
    return {
        "cloudflare": {"base_url": f"{simulator}/client/v4"},
        "accounts": accounts,
        "intervals": {"summary": every, "behaviors": "5s", "integrations": "5s"},
        "web": {"listen_address": address},
    }


@dataclass
class Messages:
    """What the receivers got: the name of the receiver, and the title and the text of each message."""

    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def of(self, receiver: str) -> list[str]:
        return [title for name, title, _ in self.seen if name == receiver]


def receiver(stack: ExitStack, messages: Messages) -> str:
    """A server that takes the messages for a chat. Its path is the name of the receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (message,) = body["attachments"]
            messages.seen.append((self.path.strip("/"), message["title"], message["text"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def shorter(value: Any) -> Any:
    """The configuration with all its times divided."""
    units = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    match value:
        case dict():
            return {
                key: f"{int(inner[:-1]) * units[inner[-1]] // DIVISOR}ms"
                if key in ("group_wait", "group_interval", "repeat_interval")
                else shorter(inner)
                for key, inner in value.items()
            }
        case list():
            return [shorter(inner) for inner in value]
    return value


def alertmanager_configuration(deploy: Path, chat: str) -> dict[str, Any]:
    """The one of deploy/, with receivers that use its templates if it has some."""
    found = shorter(yaml.safe_load((deploy / "alertmanager/alertmanager.yml").read_text(encoding="utf-8")))
    templates = [str(deploy / "alertmanager" / one) for one in found.get("templates", [])]
    own = {kind: f'{{{{ template "zt_risk_exporter.{kind}" . }}}}' for kind in ("title", "text")}
    texts = own if templates else {"title": "{{ .CommonLabels.alertname }}", "text": ""}
    receivers = [
        {"name": one["name"], "slack_configs": [{"api_url": f"{chat}/{one['name']}", "send_resolved": False, **texts}]}
        for one in found["receivers"]
    ]
    return {**found, "templates": templates, "receivers": receivers}


def servers(stack: ExitStack, work: Path, deploy: Path, target: str, chat: str) -> str:
    """Starts both. Returns the address of Prometheus."""
    alertmanager, prometheus = local_address(), local_address()
    (work / "alertmanager.yml").write_text(json.dumps(alertmanager_configuration(deploy, chat)), encoding="utf-8")
    command = [
        "prometheus-alertmanager",
        f"--config.file={work}/alertmanager.yml",
        f"--storage.path={work}/alerts",
        f"--web.listen-address={alertmanager}",
        "--cluster.listen-address=",
    ]
    start(stack, command, work / "alertmanager.log")
    until("Alertmanager answers", lambda: fetch(f"http://{alertmanager}/-/ready"))
    settings = Settings().scaled(DIVISOR)
    rules = make_rules.recording_groups(settings, make_rules.Options())
    rules += make_rules.alert_groups(settings, make_rules.Options(), {})
    (work / "rules.yml").write_text(json.dumps({"groups": rules}), encoding="utf-8")
    configured = scrape_every_second(target) | {
        "rule_files": [str(work / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }
    configured["global"]["evaluation_interval"] = str(Duration(settings.evaluation))
    (work / "prometheus.yml").write_text(json.dumps(configured), encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={work}/prometheus.yml",
        f"--storage.tsdb.path={work}/data",
        f"--web.listen-address={prometheus}",
        "--rules.alert.resend-delay=1s",
    ]
    start(stack, command, work / "prometheus.log")
    until("Prometheus answers", lambda: fetch(f"http://{prometheus}/-/ready"))
    return f"http://{prometheus}"


def read_accounts(prometheus: str) -> int:
    """How many accounts were last read completely."""
    answer = json.loads(fetch(f"{prometheus}/api/v1/query?query=sum(cloudflare_zt_risk_up)"))
    return sum(int(one["value"][1]) for one in answer["data"]["result"])


def all_are(prometheus: str, wanted: int) -> None:
    found = read_accounts(prometheus)
    assert found == wanted, f"{found} accounts are up, not {wanted}"


def play(deploy: Path) -> Messages:
    messages = Messages()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exporter = os.environ["ZT_RISK_EXPORTER"]
        (work / "scenario.yaml").write_text(json.dumps(scenario()), encoding="utf-8")
        simulate = [exporter, "simulate", f"--scenario={work}/scenario.yaml", "--listen-address=127.0.0.1:0"]
        start(stack, simulate, work / "simulator.log")

        def address() -> str:
            found = re.search(r"http://[\d.:]+", (work / "simulator.log").read_text(encoding="utf-8"))
            assert found, "the simulator did not print its address"
            return found[0]

        simulator, target = until("the simulator starts", address), local_address()
        config = work / "config.yaml"
        config.write_text(json.dumps(configuration(work, simulator, target)), encoding="utf-8")
        start(stack, [exporter, f"--config.file={config}", "--log.format=json"], work / "exporter.log")
        chat = receiver(stack, messages)
        prometheus = servers(stack, work, deploy, target, chat)
        until("all accounts are read", lambda: all_are(prometheus, ACCOUNTS))
        before = len(messages.seen)
        fetch(f"{simulator}/__control/faults", UNAVAILABLE)
        time.sleep(OUTAGE_SECONDS)
        all_are(prometheus, 0)
        delete(f"{simulator}/__control/faults")
        time.sleep(RECOVERY_SECONDS)
        all_are(prometheus, ACCOUNTS)
        # The counters are in memory, and the exporter says so.
        messages.seen = [one for one in messages.seen[before:] if "StateNotDurable" not in one[1]]
    return messages


def delete(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10):
        pass


def main() -> None:
    for program in ("prometheus", "prometheus-alertmanager"):
        if not shutil.which(program):
            sys.exit(f"rules: {program} is not installed (Debian: {program})")
    messages = play(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "deploy")
    for receiver_name in ("pager", "workday"):
        titles = Counter(messages.of(receiver_name))
        print(f"outage of {ACCOUNTS} accounts: {titles.total()} messages to {receiver_name}")
        for title, count in titles.most_common(5):
            print(f"  {count} x {title}")
    if len(sys.argv) == 1:
        title = (
            f"ZtRiskExporterAllAccountsFailing: {ACCOUNTS} accounts of {Settings().job} cannot be read for the same"
            f" cause: unavailable, the first is {name(1)}."
        )
        assert messages.of("pager") == [title], messages.of("pager")
        assert not messages.of("workday"), messages.of("workday")


if __name__ == "__main__":
    main()
