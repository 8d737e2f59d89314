"""Checks the dashboards; see `run`."""

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common, dashboard, timeseries

import boards
import facts
import history
import lint
import pictures
from target_labels import with_target_labels

HERE = Path(__file__).resolve().parent
HOUR, DAY = 3_600, 86_400
SCREEN = 1_260  # pixels for panels on a screen of 1280

KINDS = {"timeseries", "stat", "table", "text", "logs"}
# The documented options of the transformations in use, because the SDK does not check them.
TRANSFORMATIONS = {
    "merge": set(),
    "filterFieldsByName": {"include"},
    "joinByField": {"byField", "mode"},
    "organize": {"indexByName", "renameByName", "excludeByName"},
}
CUSTOM_FIELD_CONFIGS = {"timeseries": timeseries.FieldConfig, "table": common.TableFieldOptions}
# Prometheus adds these metrics at each scrape.
SCRAPE_METRICS = {"up", "scrape_duration_seconds"}


def outdated_files() -> list[str]:
    """Committed files that differ from the output of the generator."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, boards.FOLDER / "generate.py", folder], check=True)
        generated, committed = (
            {path.name: path.read_bytes() for path in Path(place).glob("*.json")} for place in (folder, boards.FOLDER)
        )
    different = [
        name for name in sorted(generated.keys() | committed.keys()) if generated.get(name) != committed.get(name)
    ]
    return [f"{name}: out of date, run dashboards/generate.py" for name in different]


def _lost(original: Any, parsed: Any, path: str) -> list[str]:
    """Values that the SDK drops or changes."""
    if hasattr(parsed, "to_json"):
        parsed = parsed.to_json()
    if isinstance(original, dict) and isinstance(parsed, dict):
        pairs = [(f"{path}.{key}", value, parsed.get(key)) for key, value in original.items()]
    elif isinstance(original, list) and isinstance(parsed, list) and len(original) == len(parsed):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(original, parsed, strict=True))]
    else:
        return [] if original == parsed else [f"{path}: {original!r} is parsed as {parsed!r}"]
    return [complaint for where, left, right in pairs for complaint in _lost(left, right, where)]


def unknown_keys(name: str, board: dict[str, Any]) -> list[str]:
    """Keys that do not exist in Grafana's own types."""
    rest = {key: value for key, value in board.items() if key not in ("__requires", "id")}
    parsed = dashboard.Dashboard.from_json(rest)
    wrong = [f"{name}{complaint}" for complaint in _lost(rest, parsed, "")]
    for panel in boards.panels(board):
        where = f"{name}: {panel['title']}"
        if panel["type"] not in KINDS:
            wrong.append(f"{where}: unexpected panel type {panel['type']}")
        wrong += [
            f"{where}: unknown transformation or option {one}"
            for one in panel.get("transformations", [])
            if not one["options"].keys() <= TRANSFORMATIONS.get(one["id"], set())
        ]
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            wrong += [
                f"{where}: unknown property {one['id']}" for one in override["properties"] if not _known(panel, one)
            ]
    return wrong


def _known(panel: dict[str, Any], one: dict[str, Any]) -> bool:
    key, _, custom = one["id"].partition(".")
    if custom:
        return (
            key == "custom"
            and custom in CUSTOM_FIELD_CONFIGS[panel["type"]].from_json({custom: one["value"]}).to_json()
        )
    return key in dashboard.FieldConfig.from_json({key: one["value"]}).to_json()


def frame_errors(found: dict[str, dict[str, Any]]) -> list[str]:
    """Errors in the parts of every dashboard that make it work on the first import and link to the others."""
    wrong = []
    for name, board in found.items():
        for key, wanted in {"id": None, "uid": f"zt-risk-{name}", "schemaVersion": 41, "graphTooltip": 1}.items():
            if board.get(key) != wanted:
                wrong.append(f"{name}: {key} is {board.get(key)!r}, not {wanted!r}")
        if "__inputs" in board or not board.get("__requires"):
            wrong.append(f"{name}: must have __requires and no __inputs")
        loki = ["loki"] if name == "users" else []
        if [one["name"] for one in boards.variables(board)] != ["datasource", "job", "instance", "account", *loki]:
            wrong.append(f"{name}: unexpected variables")
        wrong += [f"{name}: {text}" for text in asking_without_loki(board)]
        links = [one for one in board["links"] if one["tags"] and set(one["tags"]) <= set(board["tags"])]
        if not any(one["includeVars"] and one["keepTime"] for one in links):
            wrong.append(f"{name}: no link to the other dashboards that keeps variables and time")
        uids = {one["uid"] for one in found.values()}
        targets = re.findall(r'"/d/([\w-]+)\?', str(board).replace("'", '"'))
        wrong += [f"{name}: links to {uid}, which does not exist" for uid in targets if uid not in uids]
    return wrong


def asking_without_loki(board: dict[str, Any]) -> list[str]:
    """What asks Loki before somebody opens a row or enables an annotation, as not everybody has a Loki."""
    shown = [one for one in board["panels"] if one["type"] != "row"]
    wrong = [f"{one['title']} is not in a collapsed row" for one in shown if boards.targets(one, "loki")]
    wrong += [
        f"{one['title']} is not collapsed"
        for one in board["panels"]
        if one["type"] == "row"
        and not one["collapsed"]
        and any(boards.targets(panel, "loki") for panel in one.get("panels", []))
    ]
    marks = [one for one in board["annotations"]["list"] if one["datasource"]["type"] == "loki"]
    return wrong + [f"{one['name']} is enabled" for one in marks if one["enable"]]


def alarming_without_a_value(found: dict[str, dict[str, Any]]) -> list[str]:
    """Panels that show a missing value, such as a token without a date, in the color of a bad one."""
    return [
        f"{name}: {panel['title']}: a missing value is {color}"
        for name, board in found.items()
        for panel in boards.panels(board)
        if panel["type"] == "stat"
        for color in [panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"]]
        if color != "text"
    ]


def cut_off(found: dict[str, dict[str, Any]]) -> list[str]:
    """Titles and columns that are wider than their panel on a screen of 1280 pixels."""
    wrong = []
    for name, board in found.items():
        for panel in boards.panels(board):
            where, width = f"{name}: {panel['title']}", SCREEN * panel["gridPos"]["w"] / 24
            # An average letter of a title has 8 pixels. Beside it there are margins and the icon of the description.
            if 8 * len(panel["title"]) + 48 > width:
                wrong.append(f"{where}: the title is cut off")
            columns = [
                one["value"]
                for override in panel.get("fieldConfig", {}).get("overrides", [])
                for one in override["properties"]
                if panel["type"] == "table" and one["id"] in ("custom.width", "custom.minWidth")
            ]
            if sum(columns) + 16 > width:
                wrong.append(f"{where}: the columns need {sum(columns)} of {width:.0f} pixels")
    return wrong


def unknown_metrics(found: dict[str, dict[str, Any]]) -> list[str]:
    """Metrics in queries that the exporter does not have."""
    declared = set()
    for path in (history.ROOT / "src/metrics/families").glob("*.rs"):
        text = path.read_text(encoding="utf-8")
        declared |= set(re.findall(r'name: "(\w+)"', text))
    histograms = {f"{name}{end}" for name in declared for end in ("_bucket", "_sum", "_count")}
    wrong = []
    for name, board in found.items():
        for query in boards.queries(name, board):
            used = {metric for metric, _, _ in lint.selectors(query.expr)}
            wrong += [f"{query}: no metric {one}" for one in sorted(used - declared - histograms - SCRAPE_METRICS)]
    return wrong


def _values(result: list[dict[str, Any]]) -> list[float]:
    """All values in a result."""
    return [float(value) for one in result for _, value in one.get("values", [one.get("value")])]


def query_errors(server: history.Prometheus, found: dict[str, dict[str, Any]], end: int) -> tuple[int, list[str]]:
    """Runs all queries for the last day, with All and with one account. Returns their number and the errors."""
    sent, wrong, empty = 0, [], set()
    for name, board in found.items():
        all_values = boards.all_values(board)
        for variable in boards.variables(board):
            if variable["type"] != "query":
                continue
            label_query = lint.label_values(variable)
            metric = re.sub(r"\$(\w+)", lambda one, values=all_values: values[one[1]], label_query["metric"])
            sent += 1
            span = {"start": end - DAY, "end": end}
            if not server.get(f"label/{label_query['label']}/values", **{"match[]": metric}, **span):
                empty.add((name, f"${variable['name']}", ""))
        for query in boards.queries(name, board):
            for variables in (all_values, {**all_values, "account": "(branch)"}):
                sent += 1
                expr = boards.substituted(query, DAY, variables)
                try:
                    values = _values(run_query(server, query, expr, end))
                except ValueError as error:
                    wrong.append(f"{query}: {expr}: {error}")
                    break
                if variables is all_values and all(math.isnan(value) for value in values):
                    empty.add((name, query.place, query.ref))
    wrong += [f"{': '.join(one)}: no result" for one in sorted(empty)]
    return sent, [f"Prometheus {server.version}: {one}" for one in wrong]


def run_query(server: history.Prometheus, query: boards.Query, expr: str, end: int) -> list[dict[str, Any]]:
    if query.instant:
        return server.get("query", query=expr, time=end)["result"]
    step = boards.step(query, DAY)
    # Grafana puts the points at full steps.
    first, last = ((end - DAY) // step * step, end // step * step)
    return server.get("query_range", query=expr, start=first, end=last, step=step)["result"]


def bars_of_past_intervals(found: dict[str, dict[str, Any]]) -> list[str]:
    """Bars that cover the time before their point. The bar of the current interval would be missing until its end."""
    return [
        f"{query}: a bar must cover the time after its point"
        for name, board in found.items()
        for query in boards.queries(name, board)
        if query.expr.count("[$__interval]") != query.expr.count("[$__interval] offset -$__interval")
    ]


def missing_bars(server: history.Prometheus, found: dict[str, dict[str, Any]], start: int) -> list[str]:
    """Panels of bars that are empty five minutes after the start of the exporter."""
    wrong = []
    for name, board in found.items():
        for query in boards.queries(name, board):
            # Without failures, the panel of failed requests has no bars.
            if "$__interval" not in query.expr or query.expr.endswith("> 0"):
                continue
            expr = boards.substituted(query, DAY, boards.all_values(board))
            if all(math.isnan(value) for value in _values(run_query(server, query, expr, start + 300))):
                wrong.append(f"Prometheus {server.version}: {query}: no bar five minutes after the start")
    return wrong


def exit_on(wrong: list[str]) -> None:
    if wrong:
        sys.exit("\n".join(["dashboards:", *wrong]))


def main() -> None:
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            sys.exit(f"dashboards: {tool} is not installed (Debian: prometheus)")
    register_default_plugins()
    found = boards.load()
    exit_on(outdated_files())
    exit_on([complaint for name, board in found.items() for complaint in unknown_keys(name, board)])
    exit_on(
        frame_errors(found)
        + facts.ambiguous_titles(found)
        + alarming_without_a_value(found)
        + cut_off(found)
        + bars_of_past_intervals(found)
        + unknown_metrics(found)
        + lint.complaints(found)
    )
    print(f"{len(found)} dashboards are up to date and follow {len(lint.RULES)} rules")

    with ExitStack() as stack:
        work = Path(os.environ.get("KEEP") or stack.enter_context(tempfile.TemporaryDirectory()))
        recorded, blocks = Path(os.environ.get("HISTORY") or work / "recorded"), work / "data"
        if "HISTORY" not in os.environ:
            recorded.mkdir(parents=True)
            history.record(recorded)
        history.relabeled(recorded, work / "scraped", with_target_labels)
        history.load(work / "scraped", blocks)
        start, end = history.start(recorded), history.end(recorded)
        newer = history.prometheus_3()
        for binary in filter(None, ("prometheus", newer)):
            server = history.Prometheus(stack, binary, blocks)
            sent, wrong = query_errors(server, found, end)
            # Of a day, and of an hour, in which fewer samples are further apart.
            wrong += [
                f"different numbers: {one}" for span in (DAY, HOUR) for one in facts.different(server, found, span, end)
            ]
            exit_on(wrong + missing_bars(server, found, start))
            print(f"Prometheus {server.version}: {sent} queries answered")
        if "KEEP" in os.environ:
            (work / "prometheus.yml").write_text("{}", encoding="utf-8")
            pictures.write(found, work / "pictures")
            print(f"kept: prometheus --config.file={work}/prometheus.yml --storage.tsdb.path={blocks}", end=" ")
            print(f"--storage.tsdb.retention.time=100y; the last day is --from {(end - DAY) * 1000} --to {end * 1000}")
    if not newer:
        print("skipped: dashboards with Prometheus 3, because it could not be downloaded", file=sys.stderr)


if __name__ == "__main__":
    main()
