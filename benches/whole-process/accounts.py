"""Hundreds of accounts in one process, and how long the page is away while the process is replaced; see `run`."""

import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from process import MIB, START_PAUSE_SECONDS, Page, Process, exporter, free_port, simulator

ACCOUNTS, USERS_EACH = 300, 1_000
# Long enough for ten readings of each list of users, and two of everything that is read every five minutes.
WATCHED_SECONDS = 300
SCRAPES = 31
RESTARTS = 11
# How often the page is looked for while the exporter is replaced.
GAP_PAUSE_SECONDS = 0.005


def account(number):
    return f"{number:032x}"


def write(directory, name, content):
    """A file of settings: JSON is YAML."""
    path = Path(directory, name)
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def world(directory):
    """That many accounts, each with a token of its own, and so with a budget of its own."""
    return write(
        directory,
        "world.yaml",
        {
            "seed": 1,
            "accounts": [{"id": account(n), "generated_users": USERS_EACH} for n in range(ACCOUNTS)],
            "tokens": [
                {
                    "token": f"token-{n}",
                    "permissions": ["Zero Trust Read", "Zero Trust: PII Read"],
                    "accounts": [account(n)],
                }
                for n in range(ACCOUNTS)
            ],
        },
    )


def settings(directory, upstream):
    return write(
        directory,
        "config.yaml",
        {
            "accounts": [{"id": account(n), "alias": f"account-{n}", "token": f"token-{n}"} for n in range(ACCOUNTS)],
            "cloudflare": {"base_url": upstream},
            "state": {"path": str(Path(directory, "state.redb"))},
        },
    )


def serve(binary, config, port):
    """With one pool of memory, as in the image and in the systemd unit."""
    address = f"127.0.0.1:{port}"
    return Process(binary, "serve", "--config.file", config, "--web.listen-address", address, MALLOC_ARENA_MAX="1")


def shown(page):
    """How many accounts are on the page with their users."""
    return len(page.samples("cloudflare_zt_risk_users", 'max_risk_level="high"'))


def many(report, binary):
    """What that many accounts cost, read as often as one is."""
    with tempfile.TemporaryDirectory() as directory:
        simulated = Process(binary, "simulate", "--listen-address", "127.0.0.1:0", "--scenario", world(directory))
        with simulated:
            address = simulated.child.stdout.readline().strip()
            config, port = settings(directory, address), free_port()
            with serve(binary, config, port) as process:
                page = Page(port)
                whole = page.until(process, lambda page: shown(page) == ACCOUNTS, START_PAUSE_SECONDS)
                what = f"{ACCOUNTS} accounts of {USERS_EACH:,} users"
                report.line(f"{what}: start to all on the page", whole - process.started, "s")
                cpu, began, before = process.cpu(), time.monotonic(), sent(page)
                # Nothing can be awaited here: what is measured is that time passes.
                time.sleep(WATCHED_SECONDS)
                seconds = time.monotonic() - began
                report.line(f"{what}: CPU, part of one core", (process.cpu() - cpu) / seconds * 100, "%")
                page.read()
                report.line(f"{what}: requests", (sent(page) - before) / seconds, "/s")
                report.line(f"{what}: accounts read whole", sum(page.samples("cloudflare_zt_risk_up")), "")
                report.line(f"{what}: RSS", process.memory("VmRSS") / MIB, "MiB")
                report.line(f"{what}: RSS, peak", process.memory("VmHWM") / MIB, "MiB")
                plain, _ = scrape(port, "identity")
                packed = [scrape(port, "gzip") for _ in range(SCRAPES)]
                report.line(f"{what}: page", plain / MIB, "MiB")
                report.line(f"{what}: page, gzip", packed[0][0] / MIB, "MiB")
                report.line(f"{what}: scrape, gzip, median", statistics.median(wall for _, wall in packed) * 1000, "ms")
                (build,) = page.samples("zt_risk_exporter_page_build_seconds")
                report.line(f"{what}: making the page", build * 1000, "ms")
                state = Path(directory, "state.redb").stat().st_size
                report.line(f"{what}: state file", state / MIB, "MiB")
                began = time.monotonic()
            with serve(binary, config, port) as process:
                whole = page.until(process, lambda page: shown(page) == ACCOUNTS, START_PAUSE_SECONDS)
                report.line(f"{what}: SIGTERM to all on the next page", whole - began, "s")


def sent(page):
    return sum(page.samples("zt_risk_exporter_requests_total"))


def scrape(port, encoding):
    """The bytes of one scrape, and the seconds that it took."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": encoding})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=10) as answer:
        size = len(answer.read())
    return size, time.perf_counter() - began


def restarts(report, binary, users):
    """From SIGTERM to the first page with the account's data after the next start, the state being on disk."""
    upstream, address = simulator(binary, users)
    with upstream, tempfile.TemporaryDirectory() as directory:
        state = {"ZT_RISK_EXPORTER__STATE__PATH": str(Path(directory, "state.redb"))}
        port, gaps = free_port(), []
        page, process = Page(port), exporter(binary, address, port, **state)
        for _ in range(RESTARTS):
            with process:
                page.until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
                began = time.monotonic()
            # Leaving the block told it to stop, and waited until it had.
            process = exporter(binary, address, port, **state)
            gaps.append((page.until(process, lambda page: page.users() > 0, GAP_PAUSE_SECONDS) - began) * 1000)
        with process:
            pass
    report.line(
        f"{users:,} users, state: SIGTERM to the next page, median of {RESTARTS}", statistics.median(gaps), "ms"
    )
    report.line(f"{users:,} users, state: SIGTERM to the next page, worst", max(gaps), "ms")
