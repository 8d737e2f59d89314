"""The Prometheus Operator's own types and validators, as its npm package carries them, against our objects.

The validators know what each value may be, and let unknown keys pass, as a cluster does; TypeScript refuses those.
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
    """What the package says of these objects; nothing if all is well."""
    # Within node_modules, which is ignored, so that the package is found.
    work = HERE / "node_modules/.objects"
    work.mkdir(exist_ok=True)
    source = work / "objects.mts"
    package = f"@kubernetes-models/prometheus-operator/{GROUP}"
    lines = [f'import {{ {kind}, type I{kind} }} from "{package}/{kind}";' for kind in KINDS]
    for index, one in enumerate(objects):
        kind = one["kind"]
        assert one["apiVersion"] == GROUP and kind in KINDS, f"the package does not judge {one['apiVersion']} {kind}"
        lines += [f"const object{index}: I{kind} = {json.dumps(one)};", f"new {kind}(object{index}).validate();"]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    compiler = HERE / "node_modules/.bin/tsc"
    for command in ([str(compiler), *OPTIONS, str(source)], ["node", str(source.with_suffix(".mjs"))]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr)[:2000]
    return ""
