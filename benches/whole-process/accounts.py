"""Hundreds of accounts in one process, and how long /metrics is unavailable during a restart; see `run`."""

import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from process import MIB, START_PAUSE_SECONDS, Metrics, Process, exporter, free_port, simulator

ACCOUNTS, USERS_EACH = 300, 1_000
# Long enough for four reads of each list of users, at the start and every 30 s.
MEMORY_SECONDS = 100
# Long enough for ten reads of each list of users, and two reads of each endpoint with an interval of five minutes.
WATCHED_SECONDS = 300
SCRAPES = 31
RESTARTS = 11
# The pause between two attempts to read /metrics while the exporter restarts.
GAP_PAUSE_SECONDS = 0.005


def account(number):
    return f"{number:032x}"


def write(directory, name, content):
    """Writes a configuration or scenario file: JSON is valid YAML."""
    path = Path(directory, name)
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def scenario(directory, count):
    """A scenario with so many accounts, each with its own token and so with its own budget."""
    return write(
        directory,
        "scenario.yaml",
        {
            "seed": 1,
            "accounts": [{"id": account(n), "generated_users": USERS_EACH} for n in range(count)],
            "tokens": [
                {
                    "token": f"token-{n}",
                    "permissions": ["Zero Trust Read", "Zero Trust: PII Read"],
                    "accounts": [account(n)],
                }
                for n in range(count)
            ],
        },
    )


def settings(directory, upstream, count, **state):
    return write(
        directory,
        "config.yaml",
        {
            "accounts": [{"id": account(n), "alias": f"account-{n}", "token": f"token-{n}"} for n in range(count)],
            "cloudflare": {"base_url": upstream},
            **state,
        },
    )


def serve(binary, config, port):
    """Starts the exporter with one malloc arena, like the image and the systemd unit."""
    address = f"127.0.0.1:{port}"
    return Process(binary, "serve", "--config.file", config, "--web.listen-address", address, MALLOC_ARENA_MAX="1")


def all_have_users(count):
    """Whether the lists of users of so many accounts were read."""
    return lambda metrics: len(metrics.samples("cloudflare_zt_risk_users", 'max_risk_level="high"')) == count


def memory(report, binary, count, limit):
    """The memory of so many accounts without a state file, while one Prometheus server scrapes them."""
    with tempfile.TemporaryDirectory() as directory:
        world = scenario(directory, count)
        with Process(binary, "simulate", "--listen-address", "127.0.0.1:0", "--scenario", world) as simulated:
            address = simulated.child.stdout.readline().strip()
            port = free_port()
            with serve(binary, settings(directory, address, count), port) as process:
                metrics = Metrics(port)
                metrics.until(process, all_have_users(count), START_PAUSE_SECONDS)
                end = time.monotonic() + MEMORY_SECONDS
                while time.monotonic() < end:
                    # There is no condition to wait for: this is the interval of a scrape.
                    time.sleep(5)
                    metrics.read()
                what = f"{count} accounts of {USERS_EACH:,} users"
                report.line(f"{what}: RSS", process.memory("VmRSS") / MIB, "MiB")
                report.line(f"{what}: RSS, peak", process.memory("VmHWM") / MIB, "MiB", limit)


def many_accounts(report, binary):
    """The cost of ACCOUNTS accounts with the default intervals."""
    with tempfile.TemporaryDirectory() as directory:
        played = scenario(directory, ACCOUNTS)
        simulated = Process(binary, "simulate", "--listen-address", "127.0.0.1:0", "--scenario", played)
        with simulated:
            address = simulated.child.stdout.readline().strip()
            state = {"state": {"path": str(Path(directory, "state.redb"))}}
            config, port = settings(directory, address, ACCOUNTS, **state), free_port()
            with serve(binary, config, port) as process:
                metrics = Metrics(port)
                complete = metrics.until(process, all_have_users(ACCOUNTS), START_PAUSE_SECONDS)
                what = f"{ACCOUNTS} accounts of {USERS_EACH:,} users"
                report.line(f"{what}: start until all have metrics", complete - process.started, "s")
                cpu, began, before = process.cpu(), time.monotonic(), requests_sent(metrics)
                # There is no condition to wait for: the measurement is over a fixed time.
                time.sleep(WATCHED_SECONDS)
                seconds = time.monotonic() - began
                report.line(f"{what}: CPU, part of one core", (process.cpu() - cpu) / seconds * 100, "%")
                metrics.read()
                report.line(f"{what}: requests", (requests_sent(metrics) - before) / seconds, "/s")
                report.line(f"{what}: accounts read whole", sum(metrics.samples("cloudflare_zt_risk_up")), "")
                report.line(f"{what}: RSS", process.memory("VmRSS") / MIB, "MiB")
                report.line(f"{what}: RSS, peak", process.memory("VmHWM") / MIB, "MiB")
                plain, _ = scrape(port, "identity")
                compressed = [scrape(port, "gzip") for _ in range(SCRAPES)]
                report.line(f"{what}: exposition", plain / MIB, "MiB")
                report.line(f"{what}: exposition, gzip", compressed[0][0] / MIB, "MiB")
                median = statistics.median(wall for _, wall in compressed)
                report.line(f"{what}: scrape, gzip, median", median * 1000, "ms")
                (build,) = metrics.samples("zt_risk_exporter_exposition_build_seconds")
                report.line(f"{what}: build of the exposition", build * 1000, "ms")
                state = Path(directory, "state.redb").stat().st_size
                report.line(f"{what}: state file", state / MIB, "MiB")
                began = time.monotonic()
            with serve(binary, config, port) as process:
                complete = metrics.until(process, all_have_users(ACCOUNTS), START_PAUSE_SECONDS)
                report.line(f"{what}: SIGTERM until all have metrics", complete - began, "s")


def requests_sent(metrics):
    return sum(metrics.samples("zt_risk_exporter_requests_total"))


def scrape(port, encoding):
    """The size of one scrape in bytes, and its duration in seconds."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": encoding})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=10) as answer:
        size = len(answer.read())
    return size, time.perf_counter() - began


def restarts(report, binary, users):
    """The time from SIGTERM to the first scrape with the account's data after the restart, with the state on disk."""
    upstream, address = simulator(binary, users)
    with upstream, tempfile.TemporaryDirectory() as directory:
        state = {"ZT_RISK_EXPORTER__STATE__PATH": str(Path(directory, "state.redb"))}
        port, gaps = free_port(), []
        metrics, process = Metrics(port), exporter(binary, address, port, **state)
        for _ in range(RESTARTS):
            with process:
                metrics.until(process, lambda metrics: metrics.users() > 0, START_PAUSE_SECONDS)
                began = time.monotonic()
            # The end of the `with` block stopped the process and waited for it.
            process = exporter(binary, address, port, **state)
            gaps.append((metrics.until(process, lambda metrics: metrics.users() > 0, GAP_PAUSE_SECONDS) - began) * 1000)
        with process:
            pass
    report.line(
        f"{users:,} users, state: SIGTERM to the next scrape, median of {RESTARTS}", statistics.median(gaps), "ms"
    )
    report.line(f"{users:,} users, state: SIGTERM to the next scrape, worst", max(gaps), "ms")
