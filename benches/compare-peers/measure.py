"""Compares the exporter with its peers; see `run`."""

import argparse
import gzip
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from process import ACCOUNT, MIB, TOKEN, Metrics, Process, exporter, free_port, simulator
from served import CODINGS, Served, nginx

HERE = Path(__file__).resolve().parent
# The exporter's budget allows a list every two seconds.
INTERVAL_SECONDS = 4
PAUSE_SECONDS = 0.5
# Series of single users, in the exporter and in the script.
SHOWN_USERS = 1_000


class Poller:
    """A program that reads the list of users, and the CPU time of each reading."""

    def __init__(self, name, process, port):
        self.name, self.process, self.metrics = name, process, Metrics(port)
        self.refreshes = []

    def until_ready(self):
        self.metrics.until(self.process, lambda metrics: metrics.users() > 0, PAUSE_SECONDS)

    def measure(self):
        """The CPU time from one reading to the next, with the scrapes that find out when."""
        last = self.metrics.read().last_summary()
        before = self.process.cpu()
        self.metrics.until(self.process, lambda metrics: metrics.last_summary() > last, PAUSE_SECONDS)
        self.refreshes.append(self.process.cpu() - before)


def page_of(url, size=0):
    """The answer of a server that starts, as soon as it has more than `size` bytes."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                body = answer.read()
                if len(body) > size:
                    return body
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"compare-peers: {url} does not answer")


def readings(options, stack):
    """Measures the readings, and returns the exporter, which goes on serving."""
    upstream, address = simulator(options.binary, options.users)
    stack.enter_context(upstream)
    port, peer_port = free_port(), free_port()
    settings = {
        "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": f"{INTERVAL_SECONDS}s",
        "ZT_RISK_EXPORTER__USERS__LIMIT": str(SHOWN_USERS),
    }
    ours = Poller("exporter", exporter(options.binary, address, port, **settings), port)
    arguments = [peer_port, address, ACCOUNT, TOKEN, INTERVAL_SECONDS, SHOWN_USERS]
    # Proxies cannot reach the simulator; Process passes no variables on.
    script = Process(sys.executable, str(HERE / "poller.py"), *map(str, arguments))
    theirs = Poller("SDK and prometheus_client", script, peer_port)
    for poller in (ours, theirs):
        stack.enter_context(poller.process)
        poller.until_ready()
    for _ in range(options.refreshes):
        for poller in (ours, theirs):
            poller.measure()
    print(f"One reading of {options.users:,} users:\n")
    print("| Program | CPU time, median | Slowest | Ratio | Memory, peak |\n|---|---|---|---|---|")
    base = statistics.median(ours.refreshes)
    for poller in (ours, theirs):
        median = statistics.median(poller.refreshes)
        print(
            f"| {poller.name} | {median * 1000:,.0f} ms | {max(poller.refreshes) * 1000:,.0f} ms "
            f"| {median / base:.1f} | {poller.process.memory('VmHWM') / MIB:,.0f} MiB |"
        )
    # It would compete with what follows.
    script.child.terminate()
    return Served(ours.name, ours.process, ours.metrics.url)


def scrapes(options, stack, ours):
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    # The workers of nginx run as another user.
    Path(directory).chmod(0o755)
    www = Path(directory) / "www"
    www.mkdir()
    page = page_of(ours.url)
    (www / "metrics").write_bytes(page)
    (www / "metrics.gz").write_bytes(gzip.compress(page, 1))
    registry_port = free_port()
    registry = Process(sys.executable, str(HERE / "registry.py"), str(registry_port), str(www / "metrics"))
    peers = [
        Served("prometheus_client", registry, f"http://127.0.0.1:{registry_port}/metrics"),
        nginx(directory, "nginx, a file", free_port()),
    ]
    for peer in peers:
        stack.enter_context(peer.process)
        page_of(peer.url, len(page) // 2)
    everyone = [ours, *peers]
    for _ in range(options.rounds):
        for coding in CODINGS:
            for served in everyone:
                served.load(coding, options.seconds)
    series = sum(not line.startswith(b"#") for line in page.splitlines())
    print(f"\nOne scrape of {series:,} series, {len(page):,} bytes:\n")
    print("| Coding | Server | CPU time, median | Rounds | To nginx |\n|---|---|---|---|---|")
    for coding in CODINGS:
        base = peers[-1].cost(coding)
        for served in everyone:
            costs = served.costs[coding]
            rounds = f"{min(costs):,.0f} to {max(costs):,.0f} us"
            cost = served.cost(coding)
            print(f"| {coding} | {served.name} | {cost:,.0f} us | {rounds} | {cost / base:,.1f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--refreshes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with ExitStack() as stack:
        scrapes(options, stack, readings(options, stack))


if __name__ == "__main__":
    main()
