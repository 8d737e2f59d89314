"""Certificates, web configurations, and the two exporters that use them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 60  # for each expected result
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


def until(what: str, attempt: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not attempt():
        if time.monotonic() > deadline:
            sys.exit(f"web: {what}: not within {TIMEOUT_SECONDS} s")
        time.sleep(0.2)
