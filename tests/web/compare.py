"""Compares the web configuration with node_exporter's, and scrapes through it while the certificate is renewed.

ZT_RISK_EXPORTER is the path of the exporter, which runs as `demo`. Both exporters get the same files and the same
requests; `differences.yaml` lists what differs, each with its reason, and nothing else may differ. `renewal.py` does
the rest. Needs openssl, curl and prometheus. `../conformance-prometheus/download` gets node_exporter 1.11, Prometheus 3
and vmagent; without them, the test reports what it skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import renewal
import yaml
from rig import NEW_KEY, Place, downloaded, ours, theirs

HERE = Path(__file__).resolve().parent


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
        renewal.scraped(place, [shutil.which("prometheus"), downloaded("prometheus")], downloaded("vmagent"))


if __name__ == "__main__":
    main()
