"""The 17 rules of Grafana's dashboard-linter. Each yields complaints as (panel title or an empty string, message)."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from grafana_foundation_sdk.models import units

import boards

Board = dict[str, Any]
Complaint = tuple[str, str]

SOURCES = {"prometheus": {"$datasource", "${datasource}"}, "loki": {"${loki}"}}
UNITS = {value for name, value in vars(units).items() if name[:1].isupper() and isinstance(value, str)}
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf"}
SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<matchers>\{[^}]*\})?(?!\w|\s*\()")


# A stream selector, filters of labels, and a format of the line.
LOGQL = re.compile(r'\{(\w+=~?"[^"]+"(, )?)+\}( \| (\w+="[^"]+"|line_format `[^`]+`))*')


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def selectors(expr: str) -> list[tuple[str, str, str]]:
    """Each metric with its matchers and the text before it."""
    # Texts, lists of labels and windows contain names that are not metrics.
    bare = re.sub(r'([=~]\s*)?"[^"]*"', lambda text: text[0] if text[1] else _blank(text), expr)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", _blank, bare)
    bare = re.sub(r"\[[^]]*\]|\boffset\s+\S+", _blank, bare)
    found = SELECTOR.finditer(bare)
    return [(one["name"], one["matchers"] or "", bare[: one.start()]) for one in found if one["name"] not in WORDS]


def _targets(board: Board) -> Iterator[tuple[str, str]]:
    for panel in boards.panels(board):
        for target in boards.targets(panel, "prometheus"):
            yield panel["title"], target["expr"]


def _variable(board: Board, name: str, label: str) -> Iterator[Complaint]:
    found = [one for one in boards.variables(board) if one["name"] == name]
    if not found:
        yield "", f"there is no variable {name}"
    for one in found:
        wanted = {"type": "query", "label": label, "multi": True, "includeAll": True, "allValue": ".+"}
        for key, value in wanted.items():
            if one.get(key) != value:
                yield "", f"{key} of the variable {name} is {one.get(key)!r}, not {value!r}"
        if one["datasource"]["uid"] not in SOURCES["prometheus"]:
            yield "", f"the variable {name} does not use $datasource"


def template_datasource(board: Board) -> Iterator[Complaint]:
    found = [one for one in boards.variables(board) if one["type"] == "datasource"]
    names = [(one["name"], one.get("label"), one["query"]) for one in found]
    # The rule is about the first. Loki is optional.
    if names[:1] != [("datasource", "Data source", "prometheus")] or names[1:] not in ([], [("loki", "Loki", "loki")]):
        yield "", f"there must be a variable `datasource` with the label `Data source`, not {names}"


def template_job(board: Board) -> Iterator[Complaint]:
    yield from _variable(board, "job", "Job")


def template_instance(board: Board) -> Iterator[Complaint]:
    yield from _variable(board, "instance", "Instance")


def template_label_promql(board: Board) -> Iterator[Complaint]:
    for one in boards.variables(board):
        if one["type"] == "query" and not label_values(one):
            yield "", f"the query of the variable {one['name']} is not label_values(metric, label)"


def label_values(variable: dict[str, Any]) -> re.Match[str] | None:
    """The metric and the label in the query of a variable."""
    return re.fullmatch(r"label_values\((?P<metric>\w+(?:\{.*\})?),\s*(?P<label>\w+)\)", variable["query"]["query"])


def template_on_time_change_reload(board: Board) -> Iterator[Complaint]:
    for one in boards.variables(board):
        if one["type"] == "query" and one.get("refresh") != 2:
            yield "", f"the variable {one['name']} is not refreshed when the time range changes"


def panel_datasource(board: Board) -> Iterator[Complaint]:
    for panel in boards.panels(board):
        for holder in (panel, *panel.get("targets", [])):
            source = holder.get("datasource", {})
            if panel["type"] != "text" and source.get("uid") not in SOURCES.get(source.get("type"), ()):
                yield panel["title"], "does not use the variable of its data source"


def panel_title_description(board: Board) -> Iterator[Complaint]:
    for panel in boards.panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "has no title or no description"


def panel_units(board: Board) -> Iterator[Complaint]:
    for panel in boards.panels(board):
        overridden = [
            one["value"]
            for override in panel.get("fieldConfig", {}).get("overrides", [])
            for one in override["properties"]
            if one["id"] == "unit"
        ]
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        used = [*overridden, *([] if panel["type"] in ("text", "logs") else [defaults.get("unit")])]
        for unit in used:
            if unit not in UNITS:
                yield panel["title"], f"{unit!r} is not a unit in Grafana"
            if unit == "short":
                yield panel["title"], "the unit short shows 1,050 and 1,450 both as 1 K"


def panel_no_targets(board: Board) -> Iterator[Complaint]:
    for panel in boards.panels(board):
        if panel["type"] != "text" and not panel.get("targets"):
            yield panel["title"], "has no query"


def target_logql(board: Board) -> Iterator[Complaint]:
    # No parser of LogQL can be had here, so only the parts that the dashboards use are valid.
    for panel in boards.panels(board):
        for target in boards.targets(panel, "loki"):
            if not LOGQL.fullmatch(target["expr"]):
                yield panel["title"], f"has a query of a new shape for Loki: {target['expr']}"
    for annotation in board["annotations"]["list"]:
        if annotation["datasource"]["type"] == "loki" and not LOGQL.fullmatch(annotation["expr"]):
            yield "", f"{annotation['name']} has a query of a new shape for Loki: {annotation['expr']}"


def target_logql_auto(board: Board) -> Iterator[Complaint]:
    for panel in boards.panels(board):
        for target in boards.targets(panel, "loki"):
            if "[" in target["expr"] and "[$__auto]" not in target["expr"]:
                yield panel["title"], "has a window other than [$__auto]"


def target_promql(board: Board) -> Iterator[Complaint]:
    # A real Prometheus checks the syntax in another test. This rule finds unknown variables.
    for query in boards.queries("", board):
        expr = boards.substituted(query, 86_400, boards.all_values(board))
        if "$" in expr:
            yield query.place, f"unknown variable: {expr}"


def target_rate_interval(board: Board) -> Iterator[Complaint]:
    for title, expr in _targets(board):
        for window in re.findall(r"\bi?rate\([^\[]*\[([^]]*)\]", expr):
            if window != "$__rate_interval":
                yield title, f"a rate over [{window}] instead of [$__rate_interval]"


def _matched(board: Board, matcher: str) -> Iterator[Complaint]:
    for title, expr in _targets(board):
        for name, matchers, _ in selectors(expr):
            if matcher not in matchers:
                yield title, f"{name} without {matcher}"


def target_job(board: Board) -> Iterator[Complaint]:
    yield from _matched(board, 'job=~"$job"')


def target_instance(board: Board) -> Iterator[Complaint]:
    yield from _matched(board, 'instance=~"$instance"')


def target_counter_agg(board: Board) -> Iterator[Complaint]:
    for title, expr in _targets(board):
        for name, _, before in selectors(expr):
            if name.endswith("_total") and not re.search(r"\b(rate|irate|increase)\(\s*$", before):
                yield title, f"the counter {name} without rate, irate or increase"


def uneditable_dashboard(board: Board) -> Iterator[Complaint]:
    if board.get("editable") is not False:
        yield "", "editable must be false"


RULES: dict[str, Callable[[Board], Iterator[Complaint]]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql_auto,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard-rule": uneditable_dashboard,
}


def complaints(found: dict[str, Board]) -> list[str]:
    """Complaints without an exception, and exceptions that are not needed."""
    exceptions = yaml.safe_load((boards.FOLDER / ".lint").read_text(encoding="utf-8"))
    excepted = {
        (rule, entry["dashboard"], entry.get("panel", ""))
        for kind in ("exclusions", "warnings")
        for rule, exception in exceptions[kind].items()
        if exception["reason"]
        for entry in exception["entries"]
    }
    wrong, needed = [], set()
    for name, board in found.items():
        for rule, check in RULES.items():
            for panel, text in check(board):
                if (rule, board["uid"], panel) in excepted:
                    needed.add((rule, board["uid"], panel))
                else:
                    wrong.append(f"{name}: {rule}: {panel or 'the dashboard'}: {text}")
    return wrong + [f".lint: not needed: {one}" for one in sorted(excepted - needed)]
