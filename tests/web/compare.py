"""Compares the web configuration with node_exporter's, and scrapes through it while the certificate is renewed.

ZT_RISK_EXPORTER is the path of the exporter, which runs as `demo`. Both exporters get the same files and the same
requests; `differences.yaml` lists what differs, each with its reason, and nothing else may differ. Then Prometheus 2.42
and 3.x scrape over TLS with a client certificate and a password, while the certificate is renewed 50 times: no scrape
may fail. Needs openssl, curl and prometheus. `../conformance-prometheus/download` gets node_exporter 1.11 and
Prometheus 3; without them, the test reports what it skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import yaml

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 60  # for each expected result
RENEWALS = 50
JOBS = 12
# Exit codes of curl: it could not connect, the server closed the connection, and failures of TLS and HTTP/2.
NO_ANSWER = {7, 16, 35, 52, 55, 56, 92}

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def run(*command: str, **options: Any) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def downloaded(program: str) -> str | None:
    found = subprocess.run(
        [HERE.parent / "conformance-prometheus/download", program], capture_output=True, text=True, check=False
    )
    if found.returncode:
        print(f"web: skipped {program}: {found.stderr.strip().splitlines()[-1:]}")
        return None
    return found.stdout.strip()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Place:
    """A directory with certificates and web configurations."""

    path: Path
    number: int = field(default=0)

    def openssl(self, command: str) -> None:
        run("openssl", *command.split(), cwd=self.path)

    def authority(self, name: str) -> None:
        self.openssl(f"req -x509 {NEW_KEY} -days 30 -keyout {name}.key -out {name}.crt -subj /CN={name}")

    def issue(self, name: str, authority: str, names: str) -> None:
        (self.path / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="utf-8")
        self.openssl(f"req {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signer = f"-CA {authority}.crt -CAkey {authority}.key -CAcreateserial"
        self.openssl(f"x509 -req -in {name}.csr {signer} -days 30 -extfile {name}.ext -out {name}.crt")

    def version_1(self, name: str) -> None:
        """A certificate without extensions is of version 1."""
        self.openssl(f"req {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        self.openssl(f"x509 -req -in {name}.csr -signkey {name}.key -days 30 -out {name}.crt")

    def config(self, text: str) -> Path:
        self.number += 1
        path = self.path / f"web-{self.number}.yaml"
        path.write_text(text, encoding="utf-8")
        return path


class Exporter:
    """A running exporter. `started` is false if it ended at once, because it refused its configuration."""

    def __init__(self, stack: ExitStack, place: Place, command: list[str], port: int, scheme: str) -> None:
        self.port, self.scheme, self.place = port, scheme, place
        log = stack.enter_context((place.path / f"exporter-{port}.log").open("w", encoding="utf-8"))
        environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        stack.callback(self.end)
        self.started = self._listens()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=TIMEOUT_SECONDS)

    def _listens(self) -> bool:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.05)
        sys.exit(f"web: port {self.port} does not listen within {TIMEOUT_SECONDS} s")

    def ask(self, arguments: list[str], path: str) -> dict[str, Any]:
        """What curl got: the status and the headers that a web configuration sets, or that there was no answer."""
        scheme = self.scheme
        if "--plain" in arguments:
            scheme = "http"
        if "--tls" in arguments:
            scheme = "https"
        given = [one for one in arguments if one not in ("--plain", "--tls")]
        done = subprocess.run(
            [
                "curl",
                "--silent",
                "--insecure",
                "--max-time",
                "20",
                "--output",
                os.devnull,
                "--write-out",
                "%{http_code} %{header_json}",
                *given,
                f"{scheme}://127.0.0.1:{self.port}{path}",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.place.path,
            env={"PATH": os.environ["PATH"]},
        )
        if done.returncode in NO_ANSWER:
            return {"answer": "none"}
        assert done.returncode == 0, f"curl {given}: {done.returncode} {done.stderr}"
        status, headers = done.stdout.split(" ", 1)
        found = {name: values[0] for name, values in json.loads(headers).items()}
        shown = ("www-authenticate", "x-frame-options", "strict-transport-security", "content-security-policy")
        return {"answer": int(status)} | {name: found[name] for name in shown if name in found}


def ours(stack: ExitStack, place: Place, config: Path, scheme: str) -> Exporter:
    port = free_port()
    # The demo takes no web configuration as a flag.
    command = [
        "env",
        f"ZT_RISK_EXPORTER__WEB__CONFIG_FILE={config}",
        os.environ["ZT_RISK_EXPORTER"],
        "demo",
        "--users=10",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Exporter(stack, place, command, port, scheme)


def theirs(stack: ExitStack, place: Place, config: Path, scheme: str, program: str) -> Exporter:
    port = free_port()
    command = [
        program,
        "--collector.disable-defaults",
        f"--web.config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Exporter(stack, place, command, port, scheme)


def compare(place: Place, program: str) -> None:
    cases = yaml.safe_load((HERE / "cases.yaml").read_text(encoding="utf-8"))
    known = yaml.safe_load((HERE / "differences.yaml").read_text(encoding="utf-8"))
    expected = {(one["configuration"], one["request"]): one for one in known}
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    requests, found = 0, {}
    for name, case in cases["configurations"].items():
        text = case["text"].replace("HASH", hashed)
        with ExitStack() as stack:
            config = place.config(text)
            scheme = "https" if "tls_server_config" in text else "http"
            pair = [ours(stack, place, config, scheme), theirs(stack, place, config, scheme, program)]
            starts = [{"starts": one.started} for one in pair]
            if starts[0] != starts[1]:
                found[name, "start"] = starts
            if not all(one.started for one in pair):
                requests += 1
                continue
            for request in case["requests"]:
                asked = cases["requests"][request]
                for change in asked.get("change", []):
                    config.write_text(change.replace("HASH", hashed), encoding="utf-8")
                path = asked.get("path", "/metrics")
                answers = [one.ask(asked.get("curl", []), path) for one in pair]
                config.write_text(text, encoding="utf-8")
                requests += 1
                if answers[0] != answers[1]:
                    found[name, request] = answers
    wrong = []
    for key, answers in found.items():
        one = expected.get(key)
        if one is None:
            wrong.append(f"{key}: ours {answers[0]}, node_exporter's {answers[1]}: not in differences.yaml")
        elif [one["ours"], one["theirs"]] != answers:
            wrong.append(f"{key}: ours {answers[0]}, node_exporter's {answers[1]}: differences.yaml says {one}")
    wrong += [f"{key}: differences.yaml lists it, but nothing differs" for key in expected if key not in found]
    if wrong:
        sys.exit("web:\n" + "\n".join(wrong))
    print(f"web: {requests} starts and requests compared, {len(found)} differences, all with a reason")


def scraped(place: Place, program: str) -> None:
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
        port = free_port()
        tls = {
            name: str(place.path / file)
            for name, file in (("ca_file", "server-ca.crt"), ("cert_file", "known.crt"), ("key_file", "known.key"))
        }
        job = {"scheme": "https", "tls_config": tls, "basic_auth": {"username": "prometheus", "password": "secret"}}
        targets = [{"targets": [f"127.0.0.1:{exporter.port}"]}]
        jobs = [
            job
            | {
                "job_name": f"job-{number}",
                "static_configs": targets,
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
            }
            for number in range(JOBS)
        ]
        for number, one in enumerate(jobs):
            one["enable_http2"] = number % 2 == 0
        settings = place.path / f"prometheus-{port}.yml"
        settings.write_text(yaml.safe_dump({"scrape_configs": jobs}), encoding="utf-8")
        data = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context((place.path / f"prometheus-{port}.log").open("w", encoding="utf-8"))
        command = [
            program,
            f"--config.file={settings}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(prometheus.wait)
        stack.callback(prometheus.terminate)

        def query(expression: str) -> list[float]:
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return [float(one["value"][1]) for one in json.load(answer)["data"]["result"]]

        def all_up() -> bool:
            try:
                return query("sum(up)") == [float(JOBS)]
            except OSError:
                return False

        until("Prometheus scrapes", all_up)
        began = time.time()
        ask = ["--cert", "known.crt", "--key", "known.key", "--user", "prometheus:secret"]
        for _ in range(RENEWALS):
            place.issue("renewed", "server-ca", "IP:127.0.0.1")
            # Connections of their own, beside those that Prometheus keeps open.
            for protocol in ("--http1.1", "--http2"):
                answer = exporter.ask([*ask, protocol], "/metrics")
                assert answer["answer"] == 200, answer
        seconds = int(time.time() - began) + 1
        window = f"[{seconds}s]"
        lowest = query(f"min(min_over_time(up{window}))")
        scrapes = query(f"sum(count_over_time(up{window}))")
        version = run(program, "--version").split("version ")[1].split(",")[0]
        assert lowest == [1.0], f"Prometheus {version}: a scrape failed while the certificate was renewed"
        others = 2 * RENEWALS
        print(f"web: Prometheus {version}: {scrapes[0]:.0f} scrapes, curl: {others}, {RENEWALS} renewals, none failed")


def until(what: str, attempt: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not attempt():
        if time.monotonic() > deadline:
            sys.exit(f"web: {what}: not within {TIMEOUT_SECONDS} s")
        time.sleep(0.2)


def main() -> None:
    # A proxy cannot reach local processes.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as directory:
        place = Place(Path(directory))
        for name in ("server-ca", "client-ca", "other-ca"):
            place.authority(name)
        place.issue("server", "server-ca", "IP:127.0.0.1,DNS:localhost")
        place.issue("known", "client-ca", "DNS:client.test")
        place.issue("unknown", "other-ca", "DNS:client.test")
        p521 = NEW_KEY.replace("prime256v1", "secp521r1")
        place.openssl(f"req -x509 {p521} -days 30 -keyout p521.key -out p521.crt -subj /CN=localhost")
        # What `openssl req -x509` makes is marked as a CA.
        place.authority("own")
        place.version_1("old")
        both = (place.path / "client-ca.crt").read_text() + (place.path / "own.crt").read_text()
        (place.path / "clients.crt").write_text(both, encoding="utf-8")
        node_exporter = downloaded("prometheus-node-exporter")
        if node_exporter:
            compare(place, node_exporter)
        programs = [shutil.which("prometheus"), downloaded("prometheus")]
        for program in programs:
            if program:
                scraped(place, program)


if __name__ == "__main__":
    main()
