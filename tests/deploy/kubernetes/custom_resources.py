"""Checks custom resources with the types and validators of their projects, from npm packages.

The validators check values, but accept unknown keys, like a cluster does. TypeScript rejects unknown keys.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OPERATOR = "monitoring.coreos.com/v1"
GATEWAY = "gateway.networking.k8s.io/v1"
# The npm package and the kinds of each group.
GROUPS = {
    OPERATOR: ("@kubernetes-models/prometheus-operator", {"PodMonitor", "PrometheusRule", "ServiceMonitor"}),
    GATEWAY: ("@kubernetes-models/gateway-api", {"HTTPRoute"}),
}
OPTIONS = ["--module", "nodenext", "--target", "es2022", "--strict", "--skipLibCheck"]


def is_custom(one: dict[str, Any]) -> bool:
    return one["apiVersion"] in GROUPS


def complaints(objects: list[dict[str, Any]]) -> str:
    """The errors in these objects, or an empty string."""
    # In node_modules, so that the packages are found. Git ignores this directory.
    work = HERE / "node_modules/.objects"
    work.mkdir(exist_ok=True)
    source = work / "objects.mts"
    lines = [
        f'import {{ {kind}, type I{kind} }} from "{package}/{group}/{kind}";'
        for group, (package, kinds) in GROUPS.items()
        for kind in sorted(kinds)
    ]
    for index, one in enumerate(objects):
        kind = one["kind"]
        assert kind in GROUPS[one["apiVersion"]][1], f"the package has no type for {one['apiVersion']} {kind}"
        lines += [f"const object{index}: I{kind} = {json.dumps(one)};", f"new {kind}(object{index}).validate();"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    compiler = HERE / "node_modules/.bin/tsc"
    for command in ([str(compiler), *OPTIONS, str(source)], ["node", str(source.with_suffix(".mjs"))]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr)[:2000]
    return ""
