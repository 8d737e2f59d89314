"""What the whole process costs, from /proc; see `run` beside this file."""

import gzip
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ACCOUNT, TOKEN = "0123456789abcdef0123456789abcdef", "simulated-token"
TICK = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1 << 20

# Events keep coming, so that users' events are read between two lists as in life; but not a campaign at a time.
SPEED = "0.1"
# A quarter of the 30 s it is in life: refreshes are what is measured. The budget allows one in two seconds.
INTERVAL_SECONDS = 8
REFRESHES = 4
IDLE_SECONDS = 60
STARTS = 21
# How often the page is looked at: when a start is timed, and between refreshes, where looking costs CPU too.
START_PAUSE_SECONDS, REFRESH_PAUSE_SECONDS = 0.05, 0.5
# Building a world of a million users takes the simulator some seconds; more than these mean that it hangs.
PATIENCE_SECONDS = 90


class Process:
    """A command that is ended with the block it was started in."""

    def __init__(self, *command, **environment):
        self.started = time.monotonic()
        self.child = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()

    def proc(self, name):
        if self.child.poll() is not None:
            sys.exit(f"whole-process: {self.child.args[0]} ended with {self.child.returncode}")
        with open(f"/proc/{self.child.pid}/{name}") as file:
            return file.read()

    def cpu(self):
        """Seconds of CPU so far, user and system."""
        fields = self.proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def memory(self, field):
        """VmRSS, VmHWM, RssAnon or the like, in bytes."""
        return int(re.search(rf"^{field}:\s+(\d+) kB", self.proc("status"), re.M)[1]) << 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def simulator(binary, users):
    """The simulated API and its address, which it says once its world stands."""
    process = Process(
        binary, "simulate", "--listen-address", "127.0.0.1:0", "--users", str(users), "--speed", SPEED
    )
    address = process.child.stdout.readline().strip()
    return process, address


def exporter(binary, upstream, port, **environment):
    return Process(
        binary,
        "serve",
        "--web.listen-address",
        f"127.0.0.1:{port}",
        CLOUDFLARE_BASE_URL=upstream,
        CLOUDFLARE_API_TOKEN=TOKEN,
        CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
        **environment,
    )


class Page:
    """/metrics as last read."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.text = ""

    def read(self):
        try:
            # Compressed, as Prometheus asks for it.
            request = urllib.request.Request(self.url, headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                self.text = gzip.decompress(answer.read()).decode()
        except (urllib.error.URLError, ConnectionError):
            self.text = ""
        return self

    def samples(self, name, labels=""):
        return [
            float(value)
            for found, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.text, re.M)
            if labels in found
        ]

    def users(self):
        return sum(self.samples("cloudflare_zt_risk_users"))

    def last_summary(self):
        name = "cloudflare_zt_risk_last_success_timestamp_seconds"
        return next(iter(self.samples(name, 'endpoint="summary"')), 0)

    def until(self, process, condition, pause):
        """Reads until the condition holds; when it did."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition(self.read()):
            process.proc("stat")
            if time.monotonic() > end:
                sys.exit(f"whole-process: no such page within {PATIENCE_SECONDS} s")
            time.sleep(pause)
        return time.monotonic()


class Report:
    """Prints figures with their limits."""

    def __init__(self):
        self.broken = 0

    def line(self, what, value, unit, limit=None):
        if limit is None:
            verdict = ""
        elif value <= limit:
            verdict = f"limit {limit:g}: holds"
        else:
            verdict = f"limit {limit:g}: BROKEN"
            self.broken += 1
        print(f"{what:<58} {value:>8.2f} {unit:<4} {verdict}", flush=True)


def refreshes(report, binary, users, limits):
    """The first list and further ones, and the memory they took."""
    upstream, address = simulator(binary, users)
    with upstream:
        port = free_port()
        with exporter(
            binary, address, port, ZT_RISK_EXPORTER__INTERVALS__SUMMARY=f"{INTERVAL_SECONDS}s"
        ) as process:
            page = Page(port)
            shown = page.until(process, lambda page: page.users() > 0, START_PAUSE_SECONDS)
            cpu = process.cpu()
            report.line(f"{users:,} users: start to page, wall", shown - process.started, "s")
            report.line(f"{users:,} users: start to page, CPU", cpu, "s", limits.get("cpu"))
            each = []
            for _ in range(REFRESHES):
                last = page.last_summary()
                page.until(process, lambda page: page.last_summary() > last, REFRESH_PAUSE_SECONDS)
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
        path = os.path.join(directory, "state.redb")
        settings = {
            "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": f"{INTERVAL_SECONDS}s",
            "ZT_RISK_EXPORTER__STATE__PATH": path,
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
            report.line(f"{users:,} users, state: file", os.path.getsize(path) / MIB, "MiB")
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
    }
    for name in chosen or measurements:
        if name not in measurements:
            sys.exit(f"whole-process: {name} is none of {', '.join(measurements)}")
        measurements[name]()
    return min(report.broken, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
