"""The servers that are attacked: the exporter with its simulator, and node_exporter with the same web configuration."""

import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from process import Process, exporter, free_port, simulator

USERS, SERIES_USERS = 20_000, 16_000
TEXTFILE_BYTES = 10_000_000
PASSWORD = "secret"
# The first one scrapes from the beginning, the others log in for the first time while passwords are guessed.
USER, *NEWCOMERS = USERS_OF_WEB = ["prometheus", "newcomer", "neighbor"]
# Of this password, with the cost that `htpasswd -nBC 10` uses.
PASSWORD_HASH = "$2b$10$2QUTO//GygFFIZSttyBR0.w0qHsHeFI8MBMf8ESzQsaHDoh0Q7Mr6"
START_SECONDS = 120


class Protection:
    """What guards both servers: a password, over TLS or in clear."""

    def __init__(self, directory, security):
        self.security, self.directory = security, Path(directory)
        self.file, self.certificate = self.directory / "web.yaml", self.directory / "server.crt"
        text = f"basic_auth_users: {json.dumps(dict.fromkeys(USERS_OF_WEB, PASSWORD_HASH))}\n"
        self.context = None
        if security == "tls":
            key = self.directory / "server.key"
            command = (
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=server"
            )
            names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate]
            subprocess.run([*command.split(), *names], check=True, capture_output=True)
            text += "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
            self.context = ssl.create_default_context(cafile=self.certificate)
        self.file.write_text(text, encoding="utf-8")


class Server:
    """A server at a port that stays the same. Each `with` block runs a new process."""

    def __init__(self, name):
        self.name, self.port, self.process = name, free_port(), None
        # Whether the exposition must have some 10 MB.
        self.large = True

    def __enter__(self):
        self.process = self.start()
        self.process.__enter__()
        return self

    def __exit__(self, *error):
        self.process.__exit__(*error)

    def start(self):
        raise NotImplementedError

    def is_complete(self, _exposition):
        """Whether the exposition is as large as it becomes."""
        return True

    def until_ready(self, scrape):
        """Scrapes until the exposition is complete. This is also the first login."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            self.process.proc("stat")
            exposition = scrape(self.port)
            if exposition is not None and self.is_complete(exposition):
                return
            time.sleep(0.5)
        sys.exit(f"attack: {self.name} is not ready within {START_SECONDS} s")

    def reset_peak(self):
        Path(f"/proc/{self.process.child.pid}/clear_refs").write_text("5")


class Exporter(Server):
    """The exporter, with 16,000 users. It reads its own simulator, and keeps what it read in a state file."""

    def __init__(self, binary, protection):
        super().__init__("zt-risk-exporter")
        self.binary, self.protection = binary, protection
        self.upstream, self.address = simulator(binary, USERS)

    def start(self):
        settings = {
            "MALLOC_ARENA_MAX": "1",
            "ZT_RISK_EXPORTER__USERS__LIMIT": str(SERIES_USERS),
            # A new exposition in every few seconds, so that slow readers hold many different ones.
            "ZT_RISK_EXPORTER__INTERVALS__SUMMARY": "8s",
            "ZT_RISK_EXPORTER__STATE__PATH": str(self.protection.directory / "state.redb"),
            "ZT_RISK_EXPORTER__WEB__CONFIG_FILE": str(self.protection.file),
        }
        return exporter(self.binary, self.address, self.port, **settings)

    def is_complete(self, exposition):
        counts = re.findall(rb"^cloudflare_zt_risk_users\{.*\} (\S+)$", exposition, re.MULTILINE)
        return sum(map(float, counts)) >= SERIES_USERS


class NodeExporter(Server):
    """node_exporter: as it is, or with a text file of 10 MB, which it reads and encodes in each scrape."""

    def __init__(self, program, protection):
        super().__init__("node_exporter")
        self.program, self.protection = program, protection
        line = 'big_series{{user="{number:036}",text="' + "x" * 40 + '"}} 1\n'
        lines = (line.format(number=number) for number in range(TEXTFILE_BYTES // len(line.format(number=0))))
        (protection.directory / "big.prom").write_text("".join(lines), encoding="utf-8")

    def start(self):
        flags = [f"--web.config.file={self.protection.file}", f"--web.listen-address=127.0.0.1:{self.port}"]
        if self.large:
            flags += ["--collector.disable-defaults", "--collector.textfile"]
            flags.append(f"--collector.textfile.directory={self.protection.directory}")
        return Process(self.program, *flags)


class Prometheus:
    """A Prometheus that scrapes all servers all the time, as it usually does."""

    INTERVAL_SECONDS = 5

    def __init__(self, program, servers, protection):
        self.port, self.directory = free_port(), protection.directory
        job = {
            "scheme": "https" if protection.security == "tls" else "http",
            "scrape_interval": f"{self.INTERVAL_SECONDS}s",
            "scrape_timeout": f"{self.INTERVAL_SECONDS}s",
            "basic_auth": {"username": USER, "password": PASSWORD},
        }
        if protection.security == "tls":
            job["tls_config"] = {"ca_file": str(protection.certificate)}
        jobs = [
            {"job_name": server.name, "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}], **job}
            for server in servers
        ]
        settings = self.directory / "prometheus.yml"
        # JSON is valid YAML.
        settings.write_text(json.dumps({"scrape_configs": jobs}), encoding="utf-8")
        self.process = Process(
            program,
            f"--config.file={settings}",
            f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        )

    def query(self, expression, when):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode(
            {"query": expression, "time": when}
        )
        with urllib.request.urlopen(url, timeout=10) as answer:
            return [float(one["value"][1]) for one in json.load(answer)["data"]["result"]]

    def scrapes(self, server, began, ended):
        """How many scrapes there were, how many failed, and the seconds of the slowest."""
        window = f'{{job="{server.name}"}}[{int(ended - began)}s]'
        counted = self.query(f"count_over_time(up{window})", ended)
        good = self.query(f"sum_over_time(up{window})", ended)
        slowest = self.query(f"max_over_time(scrape_duration_seconds{window})", ended)
        if not counted:
            sys.exit("attack: Prometheus did not scrape")
        return int(counted[0]), int(counted[0] - good[0]), slowest[0]


def quiet_environment():
    # A proxy cannot reach local processes.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
