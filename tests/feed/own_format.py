"""Validates each record of a feed by deploy/feed/feed.schema.json.

Starts the simulator and an exporter with all that a record can have (e-mail addresses, names, details, the first
list), lets users have events, be reset and be removed, changes a behavior, and deletes an integration. Each line must
be valid, and each kind of record must occur. Then it checks that the schema refuses records with a mistake.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMA = Path(__file__).resolve().parents[2] / "deploy" / "feed" / "feed.schema.json"
EXPORTER = os.environ["ZT_RISK_EXPORTER"]
ACCOUNT = "0123456789abcdef0123456789abcdef"
INTEGRATION = "00000000-0000-0000-0000-0000000000aa"
USERS = [f"00000000-0000-0000-0000-{number:012}" for number in range(1, 41)]
SCENARIO = f"""
limit: {{ quota: 1000000 }}
accounts:
  - id: {ACCOUNT}
    integrations:
      - {{ id: {INTEGRATION}, reference_id: okta, tenant_url: 'https://a.okta.com', active: true, created_at: -1h }}
    users:
      - id: {USERS[0]}
        email: first@example.com
        name: "Zoë \\"the first\\""
        events: [{{ behavior: high_dlp, at: -1h }}]
tokens:
  - {{ token: one, permissions: [Zero Trust Read, Zero Trust Write, 'Zero Trust: PII Read'] }}
"""
# A record has a kind of `gap` only after a failure, so one is made by hand.
GAP = {"kind": "gap", "reason": "buffer_full", "count": 5, "first_sequence": 3, "last_sequence": 7}
PATIENCE_SECONDS = 120


def call(url: str, body: dict[str, Any] | None, method: str = "POST") -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer one"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)):
        pass


def started(process: subprocess.Popen[str]) -> str:
    """The address that the simulator prints first."""
    assert process.stdout
    return re.sub(r"/client/v4\s*$", "", process.stdout.readline())


def records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait(path: Path, what: str, kinds: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not kinds <= {record["kind"] for record in records(path)}:
        if time.monotonic() > deadline:
            raise SystemExit(f"feed: {what}: {kinds} did not occur in {records(path)}")
        time.sleep(0.1)


def play(folder: Path) -> list[dict[str, Any]]:
    (folder / "scenario.yaml").write_text(SCENARIO)
    simulate = [EXPORTER, "simulate", "--scenario", str(folder / "scenario.yaml"), "--listen-address", "127.0.0.1:0"]
    with subprocess.Popen(simulate, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as simulator:
        base = started(simulator)
        config = folder / "config.yaml"
        config.write_text(
            f"cloudflare: {{ base_url: '{base}/client/v4' }}\n"
            "state: { path: state.redb }\n"
            "feed: { path: feed.jsonl, identity: email, details: true, history: true }\n"
            "web: { listen_address: '127.0.0.1:0' }\n"
            "intervals: { summary: 1s, behaviors: 1s, integrations: 1s }\n"
            f"accounts: [{{ id: '{ACCOUNT}', alias: acme, token: one, budget_share: 1 }}]\n"
        )
        path = folder / "feed.jsonl"
        with subprocess.Popen([EXPORTER, "--config.file", str(config)], stderr=subprocess.DEVNULL) as exporter:
            wait(path, "the first list", {"level_change"})
            control = f"{base}/__control"
            for user in USERS:
                call(f"{control}/events", {"account": ACCOUNT, "user": user, "behavior": "imp_travel", "count": 4})
            wait(path, "events", {"risk_event"})
            call(f"{control}/reset", {"account": ACCOUNT, "user": USERS[0]})
            call(f"{control}/remove", {"account": ACCOUNT, "user": USERS[1]})
            behavior = {"id": "imp_travel", "name": "Impossible Travel", "enabled": False, "risk_level": "low"}
            call(f"{control}/behaviors", {"account": ACCOUNT, "behavior": behavior})
            api = f"{base}/client/v4/accounts/{ACCOUNT}/zt_risk_scoring"
            call(f"{api}/integrations/{INTEGRATION}", None, "DELETE")
            wait(path, "changes", {"reset", "user_gone", "behavior_change", "integration_change"})
            exporter.terminate()
        simulator.terminate()
        return records(path)


def main() -> int:
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        found = play(Path(folder))
    head = {
        name: found[0][name] for name in ("id", "time", "logged_time", "account", "account_id", "epoch", "sequence")
    }
    found.append(head | GAP)
    invalid = [(record, [error.message for error in validator.iter_errors(record)]) for record in found]
    invalid = [(record, errors) for record, errors in invalid if errors]
    for record, errors in invalid[:10]:
        print(f"feed: {record}: {errors}", file=sys.stderr)
    event = next(record for record in found if record["kind"] == "risk_event")
    mistakes = [
        {**event, "kind": "reset"},
        {**event, "level": "critical"},
        {**event, "more": 1},
        {**event, "time": "yesterday"},
        {**event, "id": "1"},
        {name: value for name, value in event.items() if name != "behavior"},
    ]
    accepted = [record for record in mistakes if validator.is_valid(record)]
    for record in accepted:
        print(f"feed: the schema takes {record}", file=sys.stderr)
    kinds = {record["kind"]: 0 for record in found}
    for record in found:
        kinds[record["kind"]] += 1
    print(f"feed: {len(found)} records are valid: {kinds}")
    return 1 if invalid or accepted else 0


if __name__ == "__main__":
    sys.exit(main())
