#!/usr/bin/env python3
"""Writes the dashboards to the directory of this file.

    python3 -m venv tests/.env
    tests/.env/bin/pip install -r tests/dashboards/requirements.txt
    tests/.env/bin/python dashboards/generate.py

`tests/dashboards/run` compares the committed files with the output of this script, and runs every query in a real
Prometheus. `KEEP=folder tests/dashboards/run` keeps the history of that run, and prints how to start a Prometheus
with it. A tool that renders dashboards without Grafana can then draw dashboards/pictures from folder/pictures, with the
printed start and end. These dashboards have no panels that the accelerated clock of the history falsifies.
"""

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from source import behaviors, exporter, overview, users

HERE = Path(__file__).resolve().parent
BOARDS = {"overview": overview, "users": users, "behaviors": behaviors, "exporter": exporter}

# Grafana 10.4 loads this version unchanged. Later versions migrate it.
SCHEMA_VERSION = 41
GRAFANA = "10.4.0"


def requirements(panels: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What Grafana needs to show these panels."""
    kinds = sorted({panel["type"] for panel in panels} - {"row"})
    needed = [{"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA}]
    sources = sorted({panel["datasource"]["type"] for panel in panels if "datasource" in panel})
    needed += [{"type": "datasource", "id": kind, "name": kind.title(), "version": "1.0.0"} for kind in sources]
    return needed + [{"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds]


def all_panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels, including those inside rows."""
    return [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]


def dashboard_json(name: str) -> str:
    """The JSON of a dashboard, as committed."""
    board = json.loads(json.dumps(BOARDS[name].dashboard().build(), cls=JSONEncoder))
    # The SDK would put links and annotations into a menu, where users do not find them.
    for item in (
        *board["links"],
        *board["annotations"]["list"],
        *(link for panel in all_panels(board) for link in panel.get("links", [])),
    ):
        item.pop("placement")
    panels = all_panels(board)
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    board |= {"id": None, "schemaVersion": SCHEMA_VERSION, "version": 1, "__requires": requirements(panels)}
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name in BOARDS:
        (folder / f"{name}.json").write_text(dashboard_json(name), encoding="utf-8")


if __name__ == "__main__":
    main()
