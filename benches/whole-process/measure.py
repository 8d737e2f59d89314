"""What the whole process costs, from /proc; see `run` beside this file."""

import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import accounts
from process import MIB, START_PAUSE_SECONDS, Page, Report, exporter, free_port, simulator

# A quarter of the 30 s it is in life: refreshes are what is measured. The budget allows one in two seconds.
INTERVAL_SECONDS = 8
REFRESHES = 4
IDLE_SECONDS = 60
STARTS = 21
# How often the page is looked at between refreshes, where looking costs CPU too.
REFRESH_PAUSE_SECONDS = 0.5


def refreshes(report, binary, users, limits):
    """The first list and further ones, and the memory they took."""
    upstream, address = simulator(binary, users)
    with upstream:
        port = free_port()
        with exporter(binary, address, port, ZT_RISK_EXPORTER__INTERVALS__SUMMARY=f"{INTERVAL_SECONDS}s") as process:
            page = Page(port)
            shown = page.until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
            cpu = process.cpu()
            report.line(f"{users:,} users: start to page, wall", shown - process.started, "s")
            report.line(f"{users:,} users: start to page, CPU", cpu, "s", limits.get("cpu"))
            each = []
            for _ in range(REFRESHES):
                last = page.last_summary()
                page.until(process, lambda page, last=last: page.last_summary() > last, REFRESH_PAUSE_SECONDS)
                cpu, before = process.cpu(), cpu
                each.append(cpu - before)
            report.line(f"{users:,} users: refresh, CPU, median", statistics.median(each), "s", limits.get("cpu"))
            report.line(f"{users:,} users: refresh, CPU, worst", max(each), "s", limits.get("cpu"))
            details = sum(page.samples("zt_risk_exporter_requests_total", 'endpoint="user"'))
            report.line(f"{users:,} users: users' events read meanwhile", details, "")
            report.line(f"{users:,} users: RSS between refreshes", process.memory("VmRSS") / MIB, "MiB")
            report.line(f"{users:,} users: RSS, peak", process.memory("VmHWM") / MIB, "MiB", limits["peak"])


def idle(report, binary, users, limit):
    """Memory a minute after the list was read, the intervals being those of life."""
    upstream, address = simulator(binary, users)
    with upstream:
        port = free_port()
        with exporter(binary, address, port) as process:
            Page(port).until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
            # Nothing can be awaited here: what is measured is that a minute passes.
            time.sleep(IDLE_SECONDS)
            report.line(f"{users:,} users: RSS after an idle minute", process.memory("VmRSS") / MIB, "MiB", limit)
            for field in ("RssAnon", "RssFile"):
                report.line(f"{users:,} users:   of that {field}", process.memory(field) / MIB, "MiB")
            report.line(f"{users:,} users: RSS, peak", process.memory("VmHWM") / MIB, "MiB")


def durable(report, binary, users):
    """The same with a state file: what it takes on disk and in memory, and a restart after a crash."""
    upstream, address = simulator(binary, users)
    with upstream, tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "state.redb")
        settings = {
            "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": f"{INTERVAL_SECONDS}s",
            "ZT_RISK_EXPORTER__STATE__PATH": str(path),
        }
        port = free_port()
        page = Page(port)
        with exporter(binary, address, port, **settings) as process:
            shown = page.until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
            cpu = process.cpu()
            report.line(f"{users:,} users, state: first start to page, wall", shown - process.started, "s")
            report.line(f"{users:,} users, state: first start to page, CPU", cpu, "s")
            last = page.last_summary()
            page.until(process, lambda page: page.last_summary() > last, REFRESH_PAUSE_SECONDS)
            report.line(f"{users:,} users, state: refresh, CPU", process.cpu() - cpu, "s")
            report.line(f"{users:,} users, state: RSS, peak", process.memory("VmHWM") / MIB, "MiB")
            report.line(f"{users:,} users, state: file", path.stat().st_size / MIB, "MiB")
            process.child.kill()
        with exporter(binary, address, port, **settings) as process:
            shown = page.until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
            report.line(f"{users:,} users, state: restart to page, wall", shown - process.started, "s")
            report.line(f"{users:,} users, state: restart to page, CPU", process.cpu(), "s")
            report.line(f"{users:,} users, state: restart, RSS, peak", process.memory("VmHWM") / MIB, "MiB")


def start(report, binary, limit_ms):
    """From exec to a connection that is taken; the upstream does not even exist."""
    times = []
    for _ in range(STARTS):
        port, nowhere = free_port(), f"http://127.0.0.1:{free_port()}/client/v4"
        with exporter(binary, nowhere, port) as process:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > process.started + 10:
                    sys.exit("whole-process: nothing listens within 10 s")
                time.sleep(0.0002)
            times.append((time.monotonic() - process.started) * 1000)
    report.line(f"start to listening, median of {STARTS}", statistics.median(times), "ms", limit_ms)
    report.line(f"start to listening, worst of {STARTS}", max(times), "ms")


def main(binary, *chosen):
    report = Report()
    measurements = {
        "start": lambda: start(report, binary, limit_ms=20),
        "million": lambda: refreshes(report, binary, 1_000_000, {"cpu": 1.0, "peak": 200}),
        "hundred-thousand": lambda: refreshes(report, binary, 100_000, {"peak": 40}),
        "state": lambda: (durable(report, binary, 1_000_000), durable(report, binary, 1_000)),
        "idle": lambda: idle(report, binary, 1_000, limit=10),
        "accounts": lambda: accounts.many(report, binary),
        "restart": lambda: [accounts.restarts(report, binary, users) for users in (1_000, 100_000)],
    }
    for name in chosen or measurements:
        if name not in measurements:
            sys.exit(f"whole-process: {name} is none of {', '.join(measurements)}")
        measurements[name]()
    return min(report.broken, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
