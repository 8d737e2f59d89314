"""Writes the files of a feed like the exporter does, but faster and with more rotations than any account needs."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

ACCOUNT, EPOCH = "0123456789abcdef0123456789abcdef", 1_764_325_000_123
LONGEST = 16 * 1024 - 1  # bytes, with the newline
KEEP = 3  # rotated files, and those that a reader has not read yet
IN_A_FILE = 150  # records
HALVES = 0.02  # the share of lines that are written in two parts, as after a full disk
LONG = 0.01  # the share of lines of the greatest length


def record(sequence: int, length: int) -> bytes:
    """A line of this length, in bytes."""
    fields = {
        "id": f"{ACCOUNT}:{EPOCH}:{sequence}",
        "kind": "risk_event",
        "time": "2026-11-29T12:00:00.123Z",
        "logged_time": "2026-11-29T12:00:30.456Z",
        "account": "acme",
        "account_id": ACCOUNT,
        "epoch": EPOCH,
        "sequence": sequence,
        "behavior": "imp_travel",
        "level": "high",
        "details": "",
    }
    empty = len(json.dumps(fields)) + 1
    fields["details"] = "x" * (length - empty)
    return json.dumps(fields).encode() + b"\n"


def write(directory: Path, records: int, rng: random.Random, is_read: Callable[[str], bool]) -> set[str]:
    """Writes this many records, and returns their ids. A file is removed once every reader has its last record."""
    file, path, in_file = None, directory / "feed.jsonl", 0
    rotated: list[tuple[str, Path]] = []
    for sequence in range(1, records + 1):
        if file is None:
            file, first, in_file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), sequence, 0
        line = record(sequence, LONGEST if rng.random() < LONG else rng.randint(450, 600))
        if rng.random() < HALVES:
            half = rng.randrange(1, len(line))
            os.write(file, line[:half])
            time.sleep(0.05)
            line = line[half:]
        os.write(file, line)
        in_file += 1
        if in_file == IN_A_FILE:
            os.close(file)
            file = None
            rotated.append((f"{ACCOUNT}:{EPOCH}:{sequence}", path.rename(directory / f"feed-{first:010}.jsonl")))
            while len(rotated) > KEEP and is_read(rotated[0][0]):
                rotated.pop(0)[1].unlink()
        time.sleep(rng.uniform(0, 0.008))
    if file is not None:
        os.close(file)
    return {f"{ACCOUNT}:{EPOCH}:{sequence}" for sequence in range(1, records + 1)}
