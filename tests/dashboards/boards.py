"""The committed dashboards, and the queries that Grafana sends for them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"

SCRAPE_INTERVAL = 60  # seconds; the step of the recorded history
POINTS = 1_000  # data points of a line, about the width of a screen


@dataclass(frozen=True)
class Query:
    """One expression with its location in a dashboard and its kind."""

    board: str
    place: str  # the title of a panel, `$name` of a variable, or the name of an annotation
    ref: str
    expr: str
    instant: bool
    min_interval: int = 0

    def __str__(self) -> str:
        return f"{self.board}: {self.place} {self.ref}".rstrip()


def load() -> dict[str, dict[str, Any]]:
    """The dashboards, by file name without extension."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels except rows, including the panels inside rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def targets(panel: dict[str, Any], source: str) -> list[dict[str, Any]]:
    """The queries of a panel for this type of data source."""
    return [one for one in panel.get("targets", []) if one["datasource"]["type"] == source]


def variables(board: dict[str, Any]) -> list[dict[str, Any]]:
    return board["templating"]["list"]


def queries(name: str, board: dict[str, Any]) -> Iterator[Query]:
    """The queries of panels and annotations for Prometheus. Grafana reads those of variables by another API."""
    for panel in panels(board):
        for target in targets(panel, "prometheus"):
            min_interval = seconds(panel["interval"]) if "interval" in panel else 0
            instant = bool(target.get("instant"))
            yield Query(name, panel["title"], target["refId"], target["expr"], instant, min_interval)
    for annotation in board["annotations"]["list"]:
        if annotation["datasource"]["type"] == "loki":
            continue
        yield Query(name, annotation["name"], "", annotation["expr"], False, seconds(annotation["step"]))


def seconds(duration: str) -> int:
    """The seconds of a duration such as 30m."""
    number, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]


def step(query: Query, span: int) -> int:
    """The step in seconds that Grafana chooses for a time range of `span` seconds."""
    return max(span // POINTS, query.min_interval, SCRAPE_INTERVAL)


def substituted(query: Query, span: int, variable_values: dict[str, str]) -> str:
    """The expression with all variables replaced, as Grafana does. Unknown variables stay."""
    interval = step(query, span)
    values = {
        **variable_values,
        "__interval": f"{interval}s",
        "__rate_interval": f"{max(interval + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)}s",
        "__range": f"{span}s",
    }
    return re.sub(r"\$(\w+)", lambda name: values.get(name[1], name[0]), query.expr)


def all_values(board: dict[str, Any]) -> dict[str, str]:
    """The values of the query variables if All is selected."""
    return {one["name"]: one.get("allValue", ".*") for one in variables(board) if one["type"] == "query"}
