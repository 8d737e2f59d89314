"""Measures servers while they are attacked; see `run`."""

import argparse
import base64
import gzip
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import servers
from process import MIB
from servers import Exporter, NodeExporter, Prometheus, Protection

ATTACKERS = Path(__file__).with_name("attackers.py")
ATTACKS = {
    "idle": "10,000 idle connections",
    "drip": "1,000 dripped headers",
    "slow": "500 slow readers of 10 MB",
    "guess": "500 guess passwords",
}
# Before and after the attacks. The second one has a large exposition, as the slow readers need it.
CALM = {"before": "no attack", "after": "no attack, 10 MB"}
LARGE = {"slow", "after"}

# Scrapes per second on a new connection each, beside those of Prometheus. More of them meet the worst moment.
SCRAPES = 4
# They come in turns from an address of their own, and from one that they share with attackers, as behind NAT.
OWN_ADDRESS, SHARED_ADDRESS = "127.0.2.2", "127.0.0.1"
# Each attacker at the shared address counts like the scraper, so a scrape can lose against those that came after it.
SHARED_FAILURES = 0.1
# The time-out of Prometheus.
SCRAPE_TIMEOUT_SECONDS = 10
SCRAPE_LIMIT_SECONDS = 1
# Without an attack the exporter takes some 120 MiB here. Unsent answers may add 16 MiB or three times the largest one,
# 10 MB, and 288 connections some 64 KiB each.
MEMORY_LIMIT_MIB = 200
# Ports and connections of the last attack are gone after this time.
PAUSE_SECONDS = 2
# The addresses of the newcomers: one of its own, and one that it shares with attackers.
NEWCOMERS = dict(zip(servers.NEWCOMERS, ["127.0.2.1", "127.0.1.1"], strict=True))


class Scraper:
    """Scrapes on a new connection each time, as a Prometheus does whose connection was closed."""

    def __init__(self, protection, user, source="127.0.0.1"):
        self.protection, self.source = protection, (source, 0)
        login = base64.b64encode(f"{user}:{servers.PASSWORD}".encode()).decode()
        self.headers = {"Accept-Encoding": "gzip", "Authorization": f"Basic {login}"}

    def __call__(self, port):
        """The exposition, or None if the scrape failed."""
        where = {"host": "127.0.0.1", "port": port, "timeout": SCRAPE_TIMEOUT_SECONDS, "source_address": self.source}
        if self.protection.context:
            connection = http.client.HTTPSConnection(**where, context=self.protection.context)
        else:
            connection = http.client.HTTPConnection(**where)
        try:
            connection.request("GET", "/metrics", headers=self.headers)
            answer = connection.getresponse()
            body = answer.read()
            return body if answer.status == http.HTTPStatus.OK else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def timed(self, port):
        """The seconds that a scrape takes, or None if it failed or took longer than Prometheus waits."""
        began = time.monotonic()
        exposition = self(port)
        took = time.monotonic() - began
        return took if exposition is not None and took < SCRAPE_TIMEOUT_SECONDS else None

    def exposition(self, port):
        body = self(port)
        return gzip.decompress(body) if body is not None else None


COLUMNS = [
    "Server",
    "Attack",
    "Failed scrapes, own address",
    "Failed, shared address",
    "Median",
    "Worst",
    "Failed, Prometheus",
    "Worst, Prometheus",
    "Memory, peak",
    "Connections opened",
]


@dataclass
class Result:
    """What happened to one server during one attack."""

    server: str
    attack: str
    times: list
    failed: dict
    scrapes: dict
    prometheus: tuple
    peak: int
    attackers: dict
    newcomers: dict

    def row(self):
        worst = f"{max(self.times) * 1000:.0f} ms" if self.times else "-"
        median = f"{statistics.median(self.times) * 1000:.0f} ms" if self.times else "-"
        cells = [self.server, self.attack]
        cells += [f"{self.failed[source]} of {self.scrapes[source]}" for source in (OWN_ADDRESS, SHARED_ADDRESS)]
        cells += [median, worst]
        if self.prometheus:
            scrapes, failed, slowest = self.prometheus
            cells += [f"{failed} of {scrapes}", f"{slowest * 1000:.0f} ms"]
        else:
            cells += ["-", "-"]
        cells += [f"{self.peak / MIB:.0f} MiB", f"{self.attackers.get('opened', 0):,}"]
        return "| " + " | ".join(cells) + " |"

    def details(self):
        if "guess" in self.attackers:
            answered = f"{self.attackers['answers']:,} guesses answered"
            logins = (
                f"first login from {where}: " + (f"{took:.1f} s" if took is not None else "failed")
                for where, took in self.newcomers.items()
            )
            yield f"{self.server}, {self.attack}: " + ", ".join([answered, *logins])

    def complaints(self):
        """What must not happen to the exporter."""
        worst = max(self.times, default=0)
        own, shared = self.failed[OWN_ADDRESS], self.failed[SHARED_ADDRESS]
        found = {
            f"{own} scrapes from an address of their own failed": own > 0,
            f"{shared} scrapes from an address of attackers failed": shared
            > SHARED_FAILURES * self.scrapes[SHARED_ADDRESS],
            f"a scrape took {worst:.2f} s": worst >= SCRAPE_LIMIT_SECONDS,
            f"{self.peak / MIB:.0f} MiB": self.peak > MEMORY_LIMIT_MIB * MIB,
        }
        found["a first login from an address without attackers failed"] = NEWCOMERS["newcomer"] in self.newcomers and (
            self.newcomers[NEWCOMERS["newcomer"]] is None
        )
        return [f"{self.attack}: {text}" for text, is_bad in found.items() if is_bad]


def attacked(server, attack, seconds, protection, prometheus):
    """One attack on a new process of the server."""
    scraper = Scraper(protection, servers.USER)
    server.large = attack in LARGE
    with server, ExitStack() as stack:
        server.until_ready(scraper.exposition)
        time.sleep(Prometheus.INTERVAL_SECONDS if prometheus else 0)
        server.reset_peak()
        attacker = None
        if attack in ATTACKS:
            command = [sys.executable, str(ATTACKERS), attack, str(server.port), protection.security]
            attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(attacker.wait)
            stack.callback(attacker.kill)
        times, newcomers = [], {}
        sources = itertools.cycle((OWN_ADDRESS, SHARED_ADDRESS))
        failed, scrapes = Counter(), Counter()
        waiting = dict(NEWCOMERS) if attack == "guess" else {}
        began = time.time()
        while time.time() < began + seconds:
            time.sleep(1 / SCRAPES)
            source = next(sources)
            took = Scraper(protection, servers.USER, source).timed(server.port)
            scrapes[source] += 1
            if took is None:
                failed[source] += 1
            else:
                times.append(took)
            server.process.proc("stat")
            if attacker and attacker.poll() is not None:
                sys.exit("attack: the attackers have ended")
            # A third and two thirds of the time have passed.
            if waiting and time.time() > began + seconds * (1 - len(waiting) / 3):
                user = next(iter(waiting))
                source = waiting.pop(user)
                newcomers[source] = Scraper(protection, user, source).timed(server.port)
        ended = time.time()
        peak = server.process.memory("VmHWM")
        scraped = prometheus.scrapes(server, began, ended) if prometheus else ()
        done = {}
        if attacker:
            attacker.terminate()
            done = {attack: True, **json.loads(attacker.communicate(timeout=30)[0])}
    time.sleep(PAUSE_SECONDS)
    return Result(server.name, (ATTACKS | CALM)[attack], times, failed, scrapes, scraped, peak, done, newcomers)


def cpu_shares():
    """The ticks of all processors: idle, stolen by other machines, and all."""
    numbers = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return numbers[3] + numbers[4], numbers[7], sum(numbers)


def computation():
    """The milliseconds that the same computation takes, twenty times. They differ by what else the machine does."""
    times = []
    for _ in range(20):
        began = time.perf_counter()
        sum(number * number for number in range(300_000))
        times.append((time.perf_counter() - began) * 1000)
    return times


def print_noise(when):
    times = computation()
    print(
        f"{when}: a fixed computation takes {min(times):.1f} to {max(times):.1f} ms, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--attack", action="append", choices=ATTACKS, help="only this one; can be repeated")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--node-exporter")
    parser.add_argument("--prometheus")
    options = parser.parse_args()
    servers.quiet_environment()
    bad = []
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        protection = Protection(directory, "plain" if options.plain else "tls")
        exporter = Exporter(options.binary, protection)
        stack.enter_context(exporter.upstream)
        all_servers = [exporter]
        if options.node_exporter:
            all_servers.append(NodeExporter(options.node_exporter, protection))
        prometheus = None
        if options.prometheus:
            prometheus = Prometheus(options.prometheus, all_servers, protection)
            stack.enter_context(prometheus.process)
        print_noise("before")
        _, stolen_before, ticks_before = cpu_shares()
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
        details = []
        # Servers alternate, so that noise of the machine hits all of them.
        for attack in ["before", *(options.attack or ATTACKS), "after"]:
            seconds = (
                options.seconds if attack in ATTACKS else max(options.seconds / 4, 2 * Prometheus.INTERVAL_SECONDS)
            )
            for server in all_servers:
                result = attacked(server, attack, seconds, protection, prometheus)
                print(result.row(), flush=True)
                details += result.details()
                if server is exporter:
                    bad += result.complaints()
        _, stolen, ticks = cpu_shares()
        print("\n".join(details))
        print_noise("after")
        print(f"stolen by other machines: {(stolen - stolen_before) / (ticks - ticks_before):.1%} of the CPU time")
    if bad:
        sys.exit("attack: " + "; ".join(bad))


if __name__ == "__main__":
    main()
