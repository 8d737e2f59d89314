"""Runs the command of every alert, and those of the runbooks, with the exporter and a simulated account."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines import Engine
from model import LOG, quoted
from rules import alerts
from settings import Settings

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs/runbooks.md"
PROGRAM = "zt-risk-exporter"
# A simulated account has these.
LABELS = {"account": "acme", "behavior": "imp_travel"}
TIMEOUT_SECONDS = 30


@contextmanager
def configuration() -> Iterator[Path]:
    """A configuration with the account `acme` at a simulator that runs."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = [os.environ["ZT_RISK_EXPORTER"], "simulate", "--listen-address", "127.0.0.1:0", "--users", "20"]
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not (url := re.search(r"http://\S+", log.read_text(encoding="utf-8"))):
                assert time.monotonic() < deadline, "the simulator prints no address"
                time.sleep(0.05)
            token = Path(directory) / "token"
            token.write_text("simulated-token", encoding="utf-8")
            token.chmod(0o600)
            baseline = Path(directory) / "baseline.yaml"
            baseline.write_text("imp_travel: {enabled: true, risk_level: high}\n", encoding="utf-8")
            config = Path(directory) / "config.yaml"
            config.write_text(
                f"cloudflare: {{base_url: {url.group()}}}\n"
                f"accounts: [{{id: 0123456789abcdef0123456789abcdef, alias: acme, token_file: {token}}}]\n"
                "behaviors: {baseline: baseline.yaml}\n",
                encoding="utf-8",
            )
            yield config
        finally:
            process.terminate()
            process.wait(10)


def filled(command: str, labels: dict[str, str]) -> str:
    """The command of an alert with these labels, which a shell reads as they are."""
    for label, value in labels.items():
        command = command.replace(quoted(label), f"'{value}'")
    assert "{{" not in command, command
    return command


def in_the_runbooks() -> dict[str, list[str]]:
    """The commands of each section that can be pasted: those with arguments."""
    sections = re.split(r"^## ", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: re.findall(rf"`({PROGRAM} [^`]+|{LOG})`", " ".join(section.split()))
        for section in sections
    }


def every_command_works() -> None:
    runbooks = in_the_runbooks()
    wanted: set[str] = set()
    for alert in alerts(Settings()):
        command = filled(alert.command, LABELS)
        assert alert.description.endswith(f" Run: {alert.command}"), alert.name
        # The person pastes it from either of the two.
        assert command in runbooks[alert.name], f"docs/runbooks.md: {alert.name} has no line {command}"
        # An alert about an account names it. Those about the process have no account.
        of_account = "$labels.account" in alert.summary
        assert of_account == ("--account" in command), f"{alert.name}: {command}"
        wanted |= {command, *runbooks[alert.name]} - {LOG}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDFLARE_")}
    with configuration() as config:
        for command in sorted(wanted):
            program, *arguments = shlex.split(command)
            assert program == PROGRAM, command
            done = subprocess.run(
                [os.environ["ZT_RISK_EXPORTER"], *arguments, f"--config.file={config}"],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
            # No exporter runs that could be healthy, and nobody confirms a change.
            code = 1 if arguments[0] == "healthcheck" else 5 if {"set", "apply"} & set(arguments) else 0
            assert done.returncode == code, f"{command}: code {done.returncode}\n{done.stderr}"


def every_name_is_one_word_of_the_command(engine: Engine) -> None:
    """The engine expands the templates of the commands with names that a shell would execute without quotes."""
    labels = {"account": "acme's $(exit 1)", "behavior": "a'; exit 1; '`exit 1`\\\"$0"}
    of_accounts = {alert.command for alert in alerts(Settings()) if "{{" in alert.command}
    rules = [
        {"alert": f"A{number}", "expr": "risk", "annotations": {"command": command}}
        for number, command in enumerate(sorted(of_accounts))
    ]
    # In quotes, a shell reads all but the quote itself as it is. That stands between two quoted parts.
    escaped = {label: value.replace("'", "'\\''") for label, value in labels.items()}
    expected = [filled(rule["annotations"]["command"], escaped) for rule in rules]
    assert len(rules) >= 7, rules
    for command in expected:
        words = shlex.split(command)
        for flag in ("account", "behavior"):
            if f"--{flag}" in words:
                assert words[words.index(f"--{flag}") + 1] == labels[flag], command
    values = ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())
    test = {
        "interval": "1m",
        "input_series": [{"series": f"risk{{{values}}}", "values": "1 1 1"}],
        "alert_rule_test": [
            {
                "eval_time": "1m",
                "alertname": rule["alert"],
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"command": command}}],
            }
            for rule, command in zip(rules, expected, strict=True)
        ],
    }
    with tempfile.TemporaryDirectory() as directory:
        files = {"rules.yml": {"groups": [{"name": "group", "rules": rules}]}}
        files["tests.yml"] = {"rule_files": [f"{directory}/rules.yml"], "evaluation_interval": "1m", "tests": [test]}
        for name, content in files.items():
            (Path(directory) / name).write_text(json.dumps(content), encoding="utf-8")
        done = subprocess.run(
            engine.testing(Path(directory) / "tests.yml"), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
