"""Measures a server while it is attacked; see `run`."""

import argparse
import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from process import MIB, Metrics, Process, exporter, free_port, simulator

ATTACKERS = Path(__file__).with_name("attackers.py")
ATTACKS = {"idle": "10,000 idle connections", "drip": "1,000 dripped headers", "slow": "500 slow readers of 10 MB"}

USERS, SERIES_USERS = 20_000, 16_000
# Scrapes per second. Prometheus sends one in 15 seconds; more make it likely to meet the worst moment.
SCRAPES = 4
SCRAPE_LIMIT_SECONDS = 1
# Without an attack the exporter takes some 120 MiB here. Unsent answers may add 16 MiB or three times the largest one,
# 10 MB, and 288 connections some 64 KiB each.
MEMORY_LIMIT_MIB = 200
TEXTFILE_BYTES = 10_000_000


def scrape(port):
    """The seconds that a scrape takes on a new connection, or None if it fails."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        return time.monotonic() - began if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def attacked(process, port, attack, seconds):
    """The seconds of the scrapes during an attack, the number of those that failed, and the largest memory in bytes."""
    command = [sys.executable, str(ATTACKERS), attack, str(port)] if attack else ["sleep", "infinity"]
    attacker = subprocess.Popen(command)
    times, failed, memory = [], 0, 0
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1 / SCRAPES)
            took = scrape(port)
            if took is None:
                failed += 1
            else:
                times.append(took)
            memory = max(memory, process.memory("VmRSS"))
            if attacker.poll() is not None:
                sys.exit("attack: the attackers have ended")
    finally:
        attacker.kill()
        attacker.wait()
    return times, failed, memory


def row(who, what, times, failed, memory):
    worst = f"{max(times) * 1000:.0f} ms" if times else "-"
    median = f"{statistics.median(times) * 1000:.0f} ms" if times else "-"
    print(f"| {who} | {what} | {len(times)} | {failed} | {median} | {worst} | {memory / MIB:.0f} MiB |", flush=True)


def measure(who, process, port, seconds, judge):
    bad = []
    for attack, what in {"": "no attack", **ATTACKS}.items():
        # Connections of the last attack are gone.
        time.sleep(2)
        times, failed, memory = attacked(process, port, attack, seconds)
        row(who, what, times, failed, memory)
        bad += judge(what, times, failed, memory)
    return bad


def must_hold(what, times, failed, memory):
    worst = max(times, default=0)
    found = {
        f"{what}: {failed} scrapes failed": failed > 0,
        f"{what}: a scrape took {worst:.2f} s": worst >= SCRAPE_LIMIT_SECONDS,
        f"{what}: {memory / MIB:.0f} MiB": memory > MEMORY_LIMIT_MIB * MIB,
    }
    return [text for text, is_bad in found.items() if is_bad]


def measure_exporter(binary, seconds):
    upstream, address = simulator(binary, USERS)
    with upstream, tempfile.TemporaryDirectory() as directory:
        port = free_port()
        settings = {
            "MALLOC_ARENA_MAX": "1",
            "ZT_RISK_EXPORTER__USERS__LIMIT": str(SERIES_USERS),
            # A new exposition in every few seconds, so that slow readers hold many different ones.
            "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": "8s",
            "ZT_RISK_EXPORTER__STATE__PATH": f"{directory}/state.redb",
        }
        with exporter(binary, address, port, **settings) as process:
            Metrics(port).until(process, lambda metrics: metrics.users() >= SERIES_USERS, 0.5)
            return measure("zt-risk-exporter", process, port, seconds, must_hold)


def measure_other(command, seconds):
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        line = 'big_series{{user="{number:036}",text="' + "x" * 40 + '"}} 1\n'
        lines = (line.format(number=number) for number in range(TEXTFILE_BYTES // len(line.format(number=0))))
        (Path(directory) / "big.prom").write_text("".join(lines))
        command = [part.replace("{port}", str(port)).replace("{directory}", directory) for part in command]
        with Process(*command) as process:
            while scrape(port) is None:
                process.proc("stat")
                time.sleep(0.5)
            measure(Path(command[0]).name, process, port, seconds, lambda *_: [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--other", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    print("| Server | Attack | Scrapes | Failed | Median | Worst | Memory |\n|---|---|---|---|---|---|---|", flush=True)
    bad = measure_exporter(arguments.binary, arguments.seconds)
    if arguments.other:
        measure_other(arguments.other, arguments.seconds)
    if bad:
        sys.exit("attack: " + "; ".join(bad))


if __name__ == "__main__":
    main()
