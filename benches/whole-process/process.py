"""Starts the measured commands, reads /metrics, and prints the results."""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT, TOKEN = "0123456789abcdef0123456789abcdef", "simulated-token"
TICK = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1 << 20

# Slow enough that no campaign happens, but with new events, so that the exporter reads users between two lists.
SPEED = "0.1"
# The pause between two scrapes while the start is measured.
START_PAUSE_SECONDS = 0.05
# The simulator needs some seconds to create a million users. After this time, something hangs.
TIMEOUT_SECONDS = 90


class Process:
    """A running command. The end of the `with` block stops it."""

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
        return Path(f"/proc/{self.child.pid}/{name}").read_text()

    def cpu(self):
        """CPU time so far in seconds, user and system."""
        fields = self.proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def memory(self, field):
        """A field such as VmRSS, VmHWM or RssAnon, in bytes."""
        return int(re.search(rf"^{field}:\s+(\d+) kB", self.proc("status"), re.MULTILINE)[1]) << 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def simulator(binary, users):
    """The simulated API and its address. The simulator prints the address when its data is ready."""
    process = Process(binary, "simulate", "--listen-address", "127.0.0.1:0", "--users", str(users), "--speed", SPEED)
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


class Metrics:
    """The last scrape of /metrics."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.text = ""

    def read(self):
        try:
            # What Prometheus asks for.
            headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
            request = urllib.request.Request(self.url, headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                self.text = gzip.decompress(answer.read()).decode()
        except (urllib.error.URLError, ConnectionError):
            self.text = ""
        return self

    def samples(self, name, labels=""):
        return [
            float(value)
            for found, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.text, re.MULTILINE)
            if labels in found
        ]

    def users(self):
        return sum(self.samples("cloudflare_zt_risk_users"))

    def last_summary(self):
        name = "cloudflare_zt_risk_last_success_timestamp_seconds"
        return next(iter(self.samples(name, 'resource="summary"')), 0)

    def until(self, process, condition, pause):
        """Scrapes until the condition holds. Returns the time when it did."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not condition(self.read()):
            process.proc("stat")
            if time.monotonic() > end:
                sys.exit(f"whole-process: the metrics did not reach the expected state within {TIMEOUT_SECONDS} s")
            time.sleep(pause)
        return time.monotonic()


class Report:
    """Prints results with their limits."""

    def __init__(self):
        self.exceeded = 0

    def line(self, what, value, unit, limit=None):
        if limit is None:
            verdict = ""
        elif value <= limit:
            verdict = f"limit {limit:g}: ok"
        else:
            verdict = f"limit {limit:g}: EXCEEDED"
            self.exceeded += 1
        print(f"{what:<58} {value:>8.2f} {unit:<4} {verdict}", flush=True)
