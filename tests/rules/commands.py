"""Runs the command of every alert, and those of the runbooks, with the exporter and a simulated account."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model import LOG
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
        command = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda label: LABELS[label[1]], alert.command)
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
            code = 1 if arguments[0] == "healthcheck" else 5 if "set" in arguments else 0
            assert done.returncode == code, f"{command}: code {done.returncode}\n{done.stderr}"
