"""Runs checks whose names are sentences."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


def run(name: str, checks: Sequence[Callable[[], None]]) -> None:
    """Runs all checks, prints a line for each and their numbers, and exits with 1 if one failed."""
    failed = 0
    for check in checks:
        sentence = check.__name__.replace("_", " ")
        try:
            check()
            print(f"ok: {sentence}", flush=True)
        except Exception as error:  # noqa: BLE001 (any exception fails the check, and the other checks still run)
            failed += 1
            print(f"FAILED: {sentence}: {type(error).__name__} {error}", file=sys.stderr, flush=True)
    print(f"{name}: {len(checks) - failed} checks passed, {failed} failed")
    sys.exit(1 if failed else 0)
