"""Scrapes with a client certificate and a password, while the server's certificate is renewed 50 times: none may fail.

Prometheus 2.42, Prometheus 3.x and vmagent scrape with some jobs each, half of them over HTTP/2 where the scraper
speaks it, and curl asks on new connections all the time. The key of a new certificate is written before the
certificate, so for a moment they do not belong together.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from subprocess import Popen
from typing import Any

import bcrypt
import yaml
from rig import Exporter, Place, free_port, ours, run, until

RENEWALS = 50
JOBS = 8
ASK = ["--cert", "known.crt", "--key", "known.key", "--user", "prometheus:secret"]


class Scraper:
    """A program that scrapes the exporter with several jobs."""

    def __init__(self, place: Place, name: str, target: str, differing: list[dict[str, Any]]) -> None:
        self.name, self.port = name, free_port()
        tls = {
            key: str(place.path / file)
            for key, file in (("ca_file", "server-ca.crt"), ("cert_file", "known.crt"), ("key_file", "known.key"))
        }
        jobs: list[dict[str, Any]] = [
            {
                "job_name": f"job-{number}",
                "scheme": "https",
                "tls_config": tls,
                "basic_auth": {"username": "prometheus", "password": "secret"},
                "static_configs": [{"targets": [target]}],
                # A machine that is busy with other tests may need more than a second.
                "scrape_interval": "2s",
                "scrape_timeout": "2s",
                **differing[number % len(differing)],
            }
            for number in range(JOBS)
        ]
        self.settings = place.path / f"scraper-{self.port}.yml"
        self.settings.write_text(yaml.safe_dump({"scrape_configs": jobs}), encoding="utf-8")
        self.data = place.path / f"data-{self.port}"

    def start(self, stack: ExitStack, command: list[str]) -> None:
        log = stack.enter_context(self.settings.with_suffix(".log").open("w", encoding="utf-8"))
        process = Popen(command, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)

    def scrapes(self) -> tuple[float, float]:
        """How many scrapes there were so far, and how many of them failed."""
        raise NotImplementedError

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body


class Prometheus(Scraper):
    def __init__(self, stack: ExitStack, place: Place, program: str, target: str) -> None:
        version = run(program, "--version").split("version ")[1].split()[0]
        super().__init__(place, f"Prometheus {version}", target, [{"enable_http2": True}, {"enable_http2": False}])
        flags = [f"--config.file={self.settings}", f"--storage.tsdb.path={self.data}"]
        self.start(stack, [program, *flags, f"--web.listen-address=127.0.0.1:{self.port}"])

    def scrapes(self) -> tuple[float, float]:
        def query(function: str) -> float:
            path = "/api/v1/query?query=" + urllib.parse.quote(f"sum({function}_over_time(up[1h]))")
            found = json.loads(self.fetch(path))["data"]["result"]
            return float(found[0]["value"][1]) if found else 0

        succeeded, total = query("sum"), query("count")
        return total, total - succeeded


class Vmagent(Scraper):
    def __init__(self, stack: ExitStack, place: Place, program: str, target: str) -> None:
        super().__init__(place, "vmagent", target, [{}])
        # Nothing listens there. What was scraped waits in a file, which does not matter here.
        remote = f"-remoteWrite.url=http://127.0.0.1:{free_port()}/"
        flags = [f"-promscrape.config={self.settings}", f"-remoteWrite.tmpDataPath={self.data}", remote]
        self.start(stack, [program, *flags, f"-httpListenAddr=127.0.0.1:{self.port}"])

    def scrapes(self) -> tuple[float, float]:
        lines = self.fetch("/metrics").decode().splitlines()
        samples = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
        succeeded = samples.get('vm_promscrape_scrapes_total{status_code="200"}', 0)
        # Answers with another status have a series of their own.
        refused = sum(value for name, value in samples.items() if name.startswith("vm_promscrape_scrapes_total{"))
        failed = samples["vm_promscrape_scrapes_failed_total"] + samples["vm_promscrape_scrapes_timed_out_total"]
        return refused + failed, refused - succeeded + failed


class Curl:
    """Asks on new connections, one after the other, until it is stopped."""

    def __init__(self, exporter: Exporter) -> None:
        self.exporter, self.asked, self.failed = exporter, 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self) -> Curl:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()

    def ask(self) -> None:
        while not self.stopping.is_set():
            protocol = ["--http1.1", "--http2"][self.asked % 2]
            answer = self.exporter.ask([*ASK, protocol], "/metrics")
            self.asked += 1
            if answer["answer"] != 200:
                self.failed.append(answer)


def scraped(place: Place, prometheus: list[str | None], vmagent: str | None) -> None:
    """No scrape fails while the certificate is renewed."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    place.issue("renewed", "server-ca", "IP:127.0.0.1")
    config = place.config(
        "tls_server_config:\n  cert_file: renewed.crt\n  key_file: renewed.key\n  client_ca_file: client-ca.crt\n"
        f"  client_auth_type: RequireAndVerifyClientCert\nbasic_auth_users: {{prometheus: {hashed}}}\n"
    )
    with ExitStack() as stack:
        exporter = ours(stack, place, config, "https")
        assert exporter.started, "the exporter refuses its web configuration"
        target = f"127.0.0.1:{exporter.port}"
        scrapers: list[Scraper] = [Prometheus(stack, place, program, target) for program in prometheus if program]
        scrapers += [Vmagent(stack, place, program, target) for program in [vmagent] if program]

        def all_scrape() -> bool:
            try:
                return all(scraper.scrapes()[0] >= JOBS for scraper in scrapers)
            except OSError:
                return False

        until("every job scrapes", all_scrape)
        before = [scraper.scrapes() for scraper in scrapers]
        with Curl(exporter) as curl:
            for _ in range(RENEWALS):
                place.issue("renewed", "server-ca", "IP:127.0.0.1")
                # So that there are scrapes with each certificate.
                time.sleep(0.2)
        after = [scraper.scrapes() for scraper in scrapers]
        assert not curl.failed, f"curl: {len(curl.failed)} of {curl.asked} failed: {curl.failed[:3]}"
        for scraper, (total, failed), (total_after, failed_after) in zip(scrapers, before, after, strict=True):
            assert failed_after == failed, f"{scraper.name}: {failed_after - failed:.0f} scrapes failed"
            print(f"web: {scraper.name}: {total_after - total:.0f} scrapes, {RENEWALS} renewals, none failed")
        print(f"web: curl: {curl.asked} connections, none failed")
