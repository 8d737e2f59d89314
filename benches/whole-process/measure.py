"""Measures the whole process by /proc; see `run`."""

import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import accounts
from process import MIB, START_PAUSE_SECONDS, Metrics, Report, exporter, free_port, simulator

# About a quarter of the default of 30 s, for more refreshes. The budget allows one every two seconds.
INTERVAL_SECONDS = 8
REFRESHES = 4
IDLE_SECONDS = 60
STARTS = 21
# The pause between two scrapes during refreshes. It is longer, because a scrape costs CPU time too.
REFRESH_PAUSE_SECONDS = 0.5


def refreshes(report, binary, users, limits):
    """CPU time and memory for the first list and further lists."""
    upstream, address = simulator(binary, users)
    with upstream:
        port = free_port()
        with exporter(binary, address, port, ZT_RISK_EXPORTER__INTERVALS__SUMMARY=f"{INTERVAL_SECONDS}s") as process:
            metrics = Metrics(port)
            shown = metrics.until(process, lambda metrics: metrics.users() > 0, START_PAUSE_SECONDS)
            cpu = process.cpu()
            report.line(f"{users:,} users: start to metrics, wall", shown - process.started, "s")
            report.line(f"{users:,} users: start to metrics, CPU", cpu, "s", limits.get("cpu"))
            each = []
            for _ in range(REFRESHES):
                last = metrics.last_summary()
                metrics.until(process, lambda metrics, last=last: metrics.last_summary() > last, REFRESH_PAUSE_SECONDS)
                cpu, before = process.cpu(), cpu
                each.append(cpu - before)
            report.line(f"{users:,} users: refresh, CPU, median", statistics.median(each), "s", limits.get("cpu"))
            report.line(f"{users:,} users: refresh, CPU, worst", max(each), "s", limits.get("cpu"))
            details = sum(metrics.samples("zt_risk_exporter_requests_total", 'resource="user"'))
            report.line(f"{users:,} users: users' events read meanwhile", details, "")
            report.line(f"{users:,} users: RSS between refreshes", process.memory("VmRSS") / MIB, "MiB")
            report.line(f"{users:,} users: RSS, peak", process.memory("VmHWM") / MIB, "MiB", limits["peak"])


def idle(report, binary, users, limit):
    """Memory a minute after the list was read, with the default intervals."""
    upstream, address = simulator(binary, users)
    with upstream:
        port = free_port()
        with exporter(binary, address, port) as process:
            Metrics(port).until(process, lambda metrics: metrics.users() > 0, START_PAUSE_SECONDS)
            # There is no condition to wait for: the measurement is after a fixed time.
            time.sleep(IDLE_SECONDS)
            report.line(f"{users:,} users: RSS after an idle minute", process.memory("VmRSS") / MIB, "MiB", limit)
            for field in ("RssAnon", "RssFile"):
                report.line(f"{users:,} users:   of that {field}", process.memory(field) / MIB, "MiB")
            report.line(f"{users:,} users: RSS, peak", process.memory("VmHWM") / MIB, "MiB")


def durable(report, binary, users):
    """The same with a state file: its size, memory, CPU time, and a restart after a crash."""
    upstream, address = simulator(binary, users)
    with upstream, tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "state.redb")
        settings = {
            "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": f"{INTERVAL_SECONDS}s",
            "ZT_RISK_EXPORTER__STATE__PATH": str(path),
        }
        port = free_port()
        metrics = Metrics(port)
        with exporter(binary, address, port, **settings) as process:
            shown = metrics.until(process, lambda metrics: metrics.users() > 0, START_PAUSE_SECONDS)
            cpu = process.cpu()
            report.line(f"{users:,} users, state: first start to metrics, wall", shown - process.started, "s")
            report.line(f"{users:,} users, state: first start to metrics, CPU", cpu, "s")
            last = metrics.last_summary()
            metrics.until(process, lambda metrics: metrics.last_summary() > last, REFRESH_PAUSE_SECONDS)
            report.line(f"{users:,} users, state: refresh, CPU", process.cpu() - cpu, "s")
            report.line(f"{users:,} users, state: RSS, peak", process.memory("VmHWM") / MIB, "MiB")
            report.line(f"{users:,} users, state: file", path.stat().st_size / MIB, "MiB")
            process.child.kill()
        with exporter(binary, address, port, **settings) as process:
            shown = metrics.until(process, lambda metrics: metrics.users() > 0, START_PAUSE_SECONDS)
            report.line(f"{users:,} users, state: restart to metrics, wall", shown - process.started, "s")
            report.line(f"{users:,} users, state: restart to metrics, CPU", process.cpu(), "s")
            report.line(f"{users:,} users, state: restart, RSS, peak", process.memory("VmHWM") / MIB, "MiB")


def start(report, binary, limit_ms):
    """The time from exec until the process accepts a connection. There is no upstream."""
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
        "hundred-accounts": lambda: accounts.memory(report, binary, 100, limit=64),
        "four-hundred-accounts": lambda: accounts.memory(report, binary, 400, limit=260),
        "accounts": lambda: accounts.many_accounts(report, binary),
        "restart": lambda: [accounts.restarts(report, binary, users) for users in (1_000, 100_000)],
    }
    for name in chosen or measurements:
        if name not in measurements:
            sys.exit(f"whole-process: {name} is not one of {', '.join(measurements)}")
        measurements[name]()
    return min(report.exceeded, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
