"""Dashboards as they are committed, and the questions that Grafana would ask for them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"

SCRAPE_INTERVAL = 60  # seconds, as the history was recorded
POINTS = 1_000  # of a line, which is what fits on a screen


@dataclass(frozen=True)
class Question:
    """One expression, where it stands, and how it is asked."""

    board: str
    place: str  # the title of a panel, `$name` of a variable, or the name of an annotation
    ref: str
    expr: str
    instant: bool
    min_interval: int = 0

    def __str__(self) -> str:
        return f"{self.board}: {self.place} {self.ref}".rstrip()


def load() -> dict[str, dict[str, Any]]:
    """The dashboards by the names of their files."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but rows, those inside of rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def variables(board: dict[str, Any]) -> list[dict[str, Any]]:
    return board["templating"]["list"]


def questions(name: str, board: dict[str, Any]) -> Iterator[Question]:
    """Every query of the panels and annotations; variables are asked in another way."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            least = seconds(panel["interval"]) if "interval" in panel else 0
            instant = bool(target.get("instant"))
            yield Question(name, panel["title"], target["refId"], target["expr"], instant, least)
    for annotation in board["annotations"]["list"]:
        yield Question(name, annotation["name"], "", annotation["expr"], False, seconds(annotation["step"]))


def seconds(duration: str) -> int:
    """Of a span such as 30m."""
    number, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]


def step(question: Question, span: int) -> int:
    """The interval in seconds that Grafana would choose for so many seconds on the screen."""
    return max(span // POINTS, question.min_interval, SCRAPE_INTERVAL)


def substituted(question: Question, span: int, chosen: dict[str, str]) -> str:
    """The expression with all variables in it replaced, as Grafana does; one that is not known stays."""
    interval = step(question, span)
    values = {
        **chosen,
        "__interval": f"{interval}s",
        "__rate_interval": f"{max(interval + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)}s",
        "__range": f"{span}s",
    }
    return re.sub(r"\$(\w+)", lambda name: values.get(name[1], name[0]), question.expr)


def everything(board: dict[str, Any]) -> dict[str, str]:
    """The values of the query variables when All is chosen."""
    return {one["name"]: one.get("allValue", ".*") for one in variables(board) if one["type"] == "query"}
