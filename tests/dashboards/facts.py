"""Facts that several panels show. Each of them must show the same number."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boards
import history

Numbers = list[float]


def zeros(numbers: Numbers) -> float:
    return sum(number == 0 for number in numbers)


def ones(numbers: Numbers) -> float:
    return sum(number == 1 for number in numbers)


def positive(numbers: Numbers) -> float:
    return sum(number > 0 for number in numbers)


def rows(numbers: Numbers) -> float:
    return len(numbers)


@dataclass(frozen=True)
class Shown:
    """A query of a panel, and how a reader gets the fact from its rows."""

    board: str
    panel: str
    ref: str = "A"
    read: Callable[[Numbers], float] = sum

    def __str__(self) -> str:
        return f"{self.board}: {self.panel} {self.ref}"


RISK, READ = "Risk by account", "Requests by account"
LEVELS_OVER_TIME = "Users at risk, by level"

FACTS: dict[str, list[Shown]] = {
    "accounts": [
        Shown("overview", "Accounts"),
        Shown("overview", RISK, "A", rows),
        Shown("overview", "Age of the data, by account", "A", rows),
        Shown("exporter", READ, "A", rows),
    ],
    "accounts failing": [
        Shown("overview", "Accounts failing"),
        Shown("exporter", "Accounts failing"),
        Shown("overview", RISK, "A", zeros),
        Shown("exporter", READ, "A", zeros),
    ],
    "users at high risk": [
        Shown("overview", "High-risk users"),
        Shown("users", "High-risk users"),
        Shown("overview", RISK, "B"),
        Shown("overview", LEVELS_OVER_TIME, "A"),
        Shown("overview", "High-risk users compared with yesterday and last week", "A"),
    ],
    "compared with usual": [Shown("overview", "Compared with usual"), Shown("users", "Compared with usual")],
    "users on the list": [
        Shown("overview", "Users on the list"),
        Shown("users", "Users on the list"),
        Shown("overview", RISK, "G"),
    ],
    "new at high risk": [Shown("overview", "New at high risk"), Shown("overview", RISK, "D")],
    "resets": [Shown("overview", "Resets"), Shown("users", "Resets"), Shown("overview", RISK, "E")],
    "risk events": [
        Shown("overview", "Risk events"),
        Shown("overview", RISK, "F"),
        Shown("overview", "Behaviors", "C"),
        Shown("behaviors", "Behaviors", "C"),
    ],
    "longest at high risk": [
        Shown("overview", "Longest at high risk"),
        Shown("users", "Longest at high risk"),
        Shown("overview", RISK, "H", max),
    ],
    "age of the data": [
        Shown("overview", "Age of the data"),
        Shown("exporter", "Age of the data"),
        Shown("overview", RISK, "I", max),
        Shown("overview", "Age of the data, by account", "A", max),
        Shown("exporter", READ, "B", max),
    ],
    "budget used": [
        Shown("exporter", "Budget used"),
        Shown("exporter", READ, "D", max),
        Shown("exporter", "Request budget used", "A"),
    ],
    "accounts blocked": [Shown("exporter", "Blocked accounts"), Shown("exporter", READ, "E", positive)],
    "pending users": [
        Shown("exporter", "Pending users"),
        Shown("exporter", READ, "F"),
        Shown("exporter", "Pending users over time", "A"),
    ],
    "the first token expires": [Shown("exporter", "Token expires in"), Shown("exporter", READ, "H", min)],
    "behaviors enabled": [Shown("behaviors", "Behaviors enabled"), Shown("behaviors", "Behaviors", "A", ones)],
    "behaviors disabled": [Shown("behaviors", "Disabled"), Shown("behaviors", "Behaviors", "A", zeros)],
    "enabled, without events": [
        Shown("behaviors", "Enabled, without events"),
        Shown("behaviors", "Behaviors without events", "A", rows),
    ],
    "changes": [Shown("behaviors", "Changes"), Shown("behaviors", "Behaviors", "E")],
    "integrations active": [Shown("behaviors", "Integrations active"), Shown("overview", "Integrations", "A", ones)],
    "integrations inactive": [
        Shown("behaviors", "Integrations inactive"),
        Shown("behaviors", "Integrations", "A", zeros),
    ],
    "repeat offenders": [Shown("users", "Repeat offenders"), Shown("users", "Users who are back", "A", rows)],
}


def ambiguous_titles(found: dict[str, dict[str, Any]]) -> list[str]:
    """Panels with the same title and other queries."""
    seen: dict[str, tuple[str, list[str]]] = {}
    wrong = []
    for name, board in found.items():
        for panel in boards.panels(board):
            expressions = [target["expr"] for target in panel.get("targets", [])]
            first, others = seen.setdefault(panel["title"], (name, expressions))
            if others != expressions:
                wrong.append(f"{name}: {panel['title']}: other queries than in {first}")
    return wrong


def different(server: history.Prometheus, found: dict[str, dict[str, Any]], span: int, end: int) -> list[str]:
    """Facts whose panels show different numbers at the end of a time range of `span` seconds."""
    queries = {
        (query.board, query.place, query.ref): query
        for name, board in found.items()
        for query in boards.queries(name, board)
    }

    def number(shown: Shown) -> float:
        query = queries[shown.board, shown.panel, shown.ref]
        expr = boards.substituted(query, span, boards.all_values(found[shown.board]))
        result = server.get("query", query=expr, time=end)["result"]
        numbers = [float(one["value"][1]) for one in result]
        return float(shown.read(numbers)) if numbers or shown.read in (sum, rows, zeros, ones, positive) else math.nan

    wrong = []
    for fact, panels in FACTS.items():
        numbers = {str(shown): number(shown) for shown in panels}
        first = next(iter(numbers.values()))
        if not all(math.isclose(one, first, rel_tol=1e-9, abs_tol=1e-6) for one in numbers.values()):
            wrong.append(f"{fact}: {numbers}")
    return wrong
