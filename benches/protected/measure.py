"""Measures the cost of a protected scrape; see `run`."""

import argparse
import base64
import gzip
import hashlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from process import exporter, free_port, simulator
from served import CODINGS, Served, nginx
from servers import PASSWORD, PASSWORD_HASH, USER, Protection, quiet_environment

# To nginx, with TLS and a password and without compression.
MAX_RATIO = 1.5
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
AUTHORIZATION = f"Authorization: Basic {LOGIN}"


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
                AUTHORIZATION,
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
            nginx(directory, "nginx, plain", free_port(), None, AUTHORIZATION),
            nginx(directory, "nginx, TLS and password", free_port(), "users-sha", AUTHORIZATION),
            nginx(directory, "nginx, TLS and bcrypt", free_port(), "users-bcrypt", AUTHORIZATION),
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
