"""Runs every check of this directory and prints the results."""

from __future__ import annotations

import sys
import time
import traceback

import chart
import chart_rules
import manifests
import origins
import other_charts
import page
import readme
import scraping
import shards
import state_job

CHECKS = [
    *manifests.CHECKS,
    *chart.CHECKS,
    *chart_rules.CHECKS,
    *origins.CHECKS,
    *other_charts.CHECKS,
    *page.CHECKS,
    *scraping.CHECKS,
    *shards.CHECKS,
    *state_job.CHECKS,
    *readme.CHECKS,
]


def main() -> None:
    failed = 0
    for check in CHECKS:
        sentence = check.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            check()
            print(f"ok: {sentence} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # noqa: BLE001 (any exception fails the check, and the other checks still run)
            failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{type(error).__name__} {error} ({where.name}, line {where.lineno})"
            print(f"FAILED: {sentence}: {message}", file=sys.stderr, flush=True)
    print(f"kubernetes: {len(CHECKS) - failed} checks passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
