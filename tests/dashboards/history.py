"""Loads a recorded history of two days into a Prometheus server."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 60  # until Prometheus answers
# The same numbers of users a week earlier, and four hours later in the day, so that comparisons with the week before
# have a result that is not 0.
EARLIER_SECONDS = 7 * 86_400 - 4 * 3_600
USERS = "cloudflare_zt_risk_users"


def record(folder: Path) -> None:
    """Records the history with the test binary, which is already built."""
    command = [
        "cargo",
        "test",
        "--quiet",
        "--locked",
        "--test",
        "daemon",
        "end_to_end::history",
        "--",
        "--ignored",
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "HISTORY_FOLDER": str(folder)}, check=True, stdout=sys.stderr)


def parts(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.om"))
    if not found:
        sys.exit(f"dashboards: no history in {folder}")
    return found


def end(folder: Path) -> int:
    """The timestamp of the last sample, in seconds."""
    with parts(folder)[-1].open("rb") as part:
        part.seek(-4_096, os.SEEK_END)
        lines = part.read().decode().splitlines()
    return int(float(lines[-2].rsplit(" ", 1)[1]))


def start(folder: Path) -> int:
    """The timestamp of the first sample, in seconds."""
    with parts(folder)[0].open(encoding="utf-8") as part:
        first = next(line for line in part if not line.startswith("#"))
    return int(float(first.rsplit(" ", 1)[1]))


def relabeled(folder: Path, into: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Writes the samples with other labels, and the numbers of users a second time for the week before."""
    into.mkdir(parents=True)
    known: dict[str, str] = {}
    for part in parts(folder):
        with (
            part.open(encoding="utf-8") as lines,
            (into / part.name).open("w", encoding="utf-8") as output,
            (into / f"earlier-{part.name}").open("w", encoding="utf-8") as earlier,
        ):
            earlier.write(f"# TYPE {USERS} gauge\n")
            for line in lines:
                if line.startswith("#"):
                    output.write(line)
                    if line.startswith("# EOF"):
                        earlier.write(line)
                    continue
                series, value, timestamp = line.rsplit(" ", 2)
                if series not in known:
                    name, _, labels = series.partition("{")
                    found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
                    known[series] = (
                        name + "{" + ",".join(f'{key}="{text}"' for key, text in change(found).items()) + "}"
                    )
                output.write(f"{known[series]} {value} {timestamp}")
                if series.startswith(f"{USERS}{{"):
                    earlier.write(f"{known[series]} {value} {float(timestamp) - EARLIER_SECONDS:.3f}\n")


def load(folder: Path, data: Path) -> None:
    """Creates TSDB blocks from the samples."""
    for part in parts(folder):
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", part, data]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Prometheus:
    """A Prometheus server with a copy of the blocks, because it may compact them."""

    def __init__(self, stack: ExitStack, binary: str, blocks: Path) -> None:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(blocks, work / "data")
        (work / "prometheus.yml").write_text("{}", encoding="utf-8")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [
            binary,
            f"--config.file={work}/prometheus.yml",
            f"--storage.tsdb.path={work}/data",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        log = stack.enter_context((work / "log").open("w", encoding="utf-8"))
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        self.version = self._until_ready(process, work / "log")

    def _until_ready(self, process: subprocess.Popen[bytes], log: Path) -> str:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return self.get("status/buildinfo")["version"]
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        sys.exit(f"dashboards: this Prometheus does not start:\n{log.read_text(encoding='utf-8')}")

    def get(self, path: str, **parameters: Any) -> Any:
        """The data of an answer. Raises ValueError with the message of Prometheus on an error."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error


def prometheus_3() -> str | None:
    """The path of Prometheus 3, or None if it is not available."""
    if given := os.environ.get("PROMETHEUS_3"):
        return given
    download = ROOT / "tests/conformance-prometheus/download"
    done = subprocess.run([download, "prometheus"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
