"""Servers of one text, nginx among them, and the CPU time of a request to them."""

import re
import statistics
import subprocess
import sys
from pathlib import Path

from process import Process

CODINGS = ["identity", "gzip"]

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
PROTECTION = """
        ssl_certificate {directory}/server.crt;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        auth_basic "metrics";
        auth_basic_user_file {directory}/{users};
"""


class Served:
    """A server, the URL of its metrics, and what its requests cost in each coding."""

    def __init__(self, name, process, url, *headers):
        self.name, self.process, self.url = name, process, url
        self.headers = [part for header in headers for part in ("--header", header)]
        self.costs = {coding: [] for coding in CODINGS}

    def load(self, coding, seconds):
        """One round: appends the microseconds of CPU time for each request."""
        command = ["wrk", "--threads", "1", "--connections", "1", "--duration", f"{seconds}s"]
        command += ["--header", f"Accept-Encoding: {coding}", *self.headers, self.url]
        before = self.process.cpu()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = self.process.cpu()
        if "Non-2xx" in output or "Socket errors" in output:
            sys.exit(f"{self.name}:\n{output}")
        requests = int(re.search(r"(\d+) requests in", output)[1])
        self.costs[coding].append((after - before) * 1e6 / requests)

    def cost(self, coding):
        return statistics.median(self.costs[coding])


def nginx(directory, name, port, users=None, *headers):
    """nginx with the files in `directory`/www. With a password file, it asks for a password, and uses TLS."""
    protection, tls = "", ""
    if users:
        protection, tls = PROTECTION.format(directory=directory, users=users), " ssl"
    file = Path(directory) / f"nginx-{port}.conf"
    text = NGINX.format(directory=directory, port=port, tls=tls, protection=protection)
    file.write_text(text, encoding="utf-8")
    process = Process("nginx", "-e", "stderr", "-c", str(file))
    return Served(name, process, f"http{'s' if users else ''}://127.0.0.1:{port}/metrics", *headers)
