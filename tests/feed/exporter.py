"""The exporter writes a feed: a record for each user of a first list, so that its files are rotated within seconds."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

EXPORTER = Path(os.environ["ZT_RISK_EXPORTER"]).resolve()
USERS = 9_000  # some 400 bytes each, so that files of 1 MiB are rotated at least twice
TIMEOUT_SECONDS = 40


def write(directory: Path) -> set[str]:
    """Runs an exporter until it has written a record of each user, and returns the ids of all records."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = [EXPORTER, "simulate", "--listen-address", "127.0.0.1:0", "--users", str(USERS)]
        simulator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        stack.callback(simulator.communicate)
        stack.callback(simulator.terminate)
        assert simulator.stdout
        simulator.stdout.readline()
        # As the shell reads them.
        exports = [simulator.stdout.readline().removeprefix("export ").strip() for _ in range(3)]
        environment = dict(export.split("=", 1) for export in exports)
        settings = {
            "state": {"path": str(state / "state.redb")},
            "web": {"listen_address": "127.0.0.1:0"},
            "feed": {"path": str(directory / "feed.jsonl"), "rotate_mib": 1, "history": True},
        }
        # JSON is valid YAML.
        (state / "zt.yaml").write_text(json.dumps(settings), "utf-8")
        command = [EXPORTER, "serve", "--config.file", state / "zt.yaml"]
        exporter = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + TIMEOUT_SECONDS
        while len(records(directory)) < USERS and exporter.poll() is None and time.monotonic() < end:
            time.sleep(0.5)
        exporter.terminate()
        _, errors = exporter.communicate()
        assert exporter.returncode == 0, errors
    found = records(directory)
    rotated = len(list(directory.glob("feed-*.jsonl")))
    assert len(found) >= USERS and rotated >= 2, f"{len(found)} records, {rotated} rotated files\n{errors}"
    assert sorted(one["sequence"] for one in found) == list(range(1, len(found) + 1)), "numbers are missing or repeated"
    return {one["id"] for one in found}


def records(directory: Path) -> list[dict[str, object]]:
    """The whole lines of all files."""
    lines = [line for path in directory.glob("feed*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith(b"\n")]
