"""Measures the cost of a protected scrape; see `run`."""

import argparse
import base64
import gzip
import hashlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from process import Process, exporter, free_port, simulator
from servers import PASSWORD, PASSWORD_HASH, USER, Protection, quiet_environment

# To nginx, with TLS and a password and without compression.
MAX_RATIO = 1.5
CODINGS = ["identity", "gzip"]
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# Debian's defaults that matter here (sendfile, tcp_nopush). No access log, like the exporter. One process, so that
# there is one CPU time.
NGINX = """
daemon off;
master_process off;
pid {directory}/pid-{port};
error_log stderr crit;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip_static on;
    keepalive_requests 10000000;
    default_type "text/plain; version=0.0.4; charset=utf-8";
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        root {directory}/www;
        {protection}
    }}
}}
"""
NGINX_PROTECTION = """
        ssl_certificate {directory}/server.crt;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        auth_basic "metrics";
        auth_basic_user_file {directory}/{users};
"""


class Served:
    """A server, the URL of its metrics, and what its requests cost in each coding."""

    def __init__(self, name, process, url):
        self.name, self.process, self.url = name, process, url
        self.costs = {coding: [] for coding in CODINGS}

    def cpu(self):
        """CPU time so far in microseconds. From schedstat, because stat counts in ticks of 10 ms."""
        tasks = Path(f"/proc/{self.process.child.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000

    def load(self, coding, seconds):
        """One round: appends the microseconds of CPU time for each request."""
        headers = ["--header", f"Accept-Encoding: {coding}", "--header", f"Authorization: Basic {LOGIN}"]
        before = self.cpu()
        command = ["wrk", "--threads", "1", "--connections", "1", "--duration", f"{seconds}s", *headers, self.url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = self.cpu()
        if "Non-2xx" in output or "Socket errors" in output:
            sys.exit(f"protected: {self.name}:\n{output}")
        requests = int(re.search(r"(\d+) requests in", output)[1])
        self.costs[coding].append((after - before) / requests)

    def cost(self, coding):
        return statistics.median(self.costs[coding])


def body(url, context, coding):
    headers = {"Accept-Encoding": coding, "Authorization": f"Basic {LOGIN}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=10) as answer:
        return answer.read()


def until_answered(served, context, condition):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        served.process.proc("stat")
        try:
            answer = body(served.url, context, "identity")
            if condition(answer):
                return answer
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"protected: {served.name} does not answer")


def nginx(directory, name, port, users):
    protection, tls = "", ""
    if users:
        protection, tls = NGINX_PROTECTION.format(directory=directory, users=users), " ssl"
    file = Path(directory) / f"nginx-{port}.conf"
    text = NGINX.format(directory=directory, port=port, tls=tls, protection=protection)
    file.write_text(text, encoding="utf-8")
    process = Process("nginx", "-e", "stderr", "-c", str(file))
    return Served(name, process, f"http{'s' if users else ''}://127.0.0.1:{port}/metrics")


def cipher(url):
    """The version and the cipher suite that OpenSSL and the server agree on."""
    address = url.split("/")[2]
    command = ["openssl", "s_client", "-connect", address, "-brief"]
    output = subprocess.run(command, check=False, capture_output=True, text=True, input="").stderr
    return ", ".join(re.findall(r"(?:Protocol version|Ciphersuite): (\S+)", output))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    quiet_environment()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        # The workers of nginx run as another user.
        Path(directory).chmod(0o755)
        protection = Protection(directory, "tls")
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()  # nginx's cheapest
        (Path(directory) / "users-sha").write_text(f"{USER}:{{SHA}}{digest}\n", encoding="utf-8")
        (Path(directory) / "users-bcrypt").write_text(f"{USER}:{PASSWORD_HASH}\n", encoding="utf-8")
        upstream, address = simulator(options.binary, options.users)
        stack.enter_context(upstream)

        def exporter_at(name, scheme, **settings):
            port = free_port()
            limit = {"ZT_RISK_EXPORTER__USERS__LIMIT": str(options.users)}
            served = Served(
                name,
                exporter(options.binary, address, port, **limit, **settings),
                f"{scheme}://127.0.0.1:{port}/metrics",
            )
            stack.enter_context(served.process)
            return served

        plain = exporter_at("exporter, plain", "http")
        web = {"ZT_RISK_EXPORTER__WEB__CONFIG_FILE": str(protection.file)}
        secure = exporter_at("exporter, TLS and password", "https", **web)
        for served in (plain, secure):
            page = until_answered(served, protection.context, lambda answer: b"cloudflare_zt_risk_users{" in answer)
        www = Path(directory) / "www"
        www.mkdir()
        (www / "metrics").write_bytes(page)
        (www / "metrics.gz").write_bytes(gzip.compress(page, 1))
        theirs = [
            nginx(directory, "nginx, plain", free_port(), None),
            nginx(directory, "nginx, TLS and password", free_port(), "users-sha"),
            nginx(directory, "nginx, TLS and bcrypt", free_port(), "users-bcrypt"),
        ]
        for served in theirs:
            stack.enter_context(served.process)
            until_answered(served, protection.context, lambda answer: answer == page)
        print(f"TLS: {cipher(secure.url)} here, {cipher(theirs[1].url)} with nginx")
        everyone = [plain, theirs[0], secure, theirs[1]]
        for _ in range(options.rounds):
            for coding in CODINGS:
                for served in everyone:
                    served.load(coding, options.seconds)
        theirs[2].load("identity", options.seconds)

        print("| Coding | Server | CPU time per request | Rounds | To nginx | To plain |\n|---|---|---|---|---|---|")
        exceeded = False
        for coding in CODINGS:
            size = len(body(secure.url, protection.context, coding))
            for served, other, clear in [
                (plain, theirs[0], plain),
                (theirs[0], theirs[0], theirs[0]),
                (secure, theirs[1], plain),
                (theirs[1], theirs[1], theirs[0]),
            ]:
                rounds = f"{min(served.costs[coding]):.0f} to {max(served.costs[coding]):.0f} us"
                ratio = served.cost(coding) / other.cost(coding)
                exceeded |= served is secure and coding == "identity" and ratio > MAX_RATIO
                to_plain = served.cost(coding) / clear.cost(coding)
                print(
                    f"| {coding}, {size:,} bytes | {served.name} | {served.cost(coding):.0f} us | {rounds} "
                    f"| {ratio:.2f} | {to_plain:.2f} |"
                )
        print(f"{theirs[2].name}: {theirs[2].cost('identity'):,.0f} us")
        if exceeded:
            sys.exit(f"protected: the ratio to nginx is above {MAX_RATIO}")


if __name__ == "__main__":
    main()
