"""Checks objects with the types and validators of the Prometheus Operator, from its npm package.

The validators check values, but accept unknown keys, like a cluster does. TypeScript rejects unknown keys.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GROUP = "monitoring.coreos.com/v1"
KINDS = ["PodMonitor", "PrometheusRule", "ServiceMonitor"]
OPTIONS = ["--module", "nodenext", "--target", "es2022", "--strict", "--skipLibCheck"]


def complaints(objects: list[dict[str, Any]]) -> str:
    """The errors in these objects, or an empty string."""
    # In node_modules, so that the package is found. Git ignores this directory.
    work = HERE / "node_modules/.objects"
    work.mkdir(exist_ok=True)
    source = work / "objects.mts"
    package = f"@kubernetes-models/prometheus-operator/{GROUP}"
    lines = [f'import {{ {kind}, type I{kind} }} from "{package}/{kind}";' for kind in KINDS]
    for index, one in enumerate(objects):
        kind = one["kind"]
        assert one["apiVersion"] == GROUP and kind in KINDS, f"the package has no type for {one['apiVersion']} {kind}"
        lines += [f"const object{index}: I{kind} = {json.dumps(one)};", f"new {kind}(object{index}).validate();"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    compiler = HERE / "node_modules/.bin/tsc"
    for command in ([str(compiler), *OPTIONS, str(source)], ["node", str(source.with_suffix(".mjs"))]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr)[:2000]
    return ""
