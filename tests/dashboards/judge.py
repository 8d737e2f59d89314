"""Judges the dashboards; see `run`."""

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

import yaml
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common, dashboard, timeseries

import boards
import history
import lint

HERE = Path(__file__).resolve().parent
DAY = 86_400

KINDS = {"timeseries", "stat", "bargauge", "table", "text"}
# What Grafana documents of the transformations that are used; the SDK knows nothing of their options.
TRANSFORMATIONS = {
    "merge": set(),
    "filterFieldsByName": {"include"},
    "joinByField": {"byField", "mode"},
    "organize": {"indexByName", "renameByName", "excludeByName"},
}
CUSTOM = {"timeseries": timeseries.FieldConfig, "table": common.TableFieldOptions}
# Prometheus makes these itself at each scrape.
OF_PROMETHEUS = {"up", "scrape_duration_seconds"}


def regenerated() -> list[str]:
    """Whether the files are what their source makes of them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, boards.FOLDER / "generate.py", folder], check=True)
        made, kept = (
            {path.name: path.read_bytes() for path in Path(place).glob("*.json")} for place in (folder, boards.FOLDER)
        )
    different = [name for name in sorted(made.keys() | kept.keys()) if made.get(name) != kept.get(name)]
    return [f"{name}: is not what dashboards/generate.py writes; run it" for name in different]


def _lost(said: Any, understood: Any, path: str) -> list[str]:
    """What does not come back from the SDK."""
    if hasattr(understood, "to_json"):
        understood = understood.to_json()
    if isinstance(said, dict) and isinstance(understood, dict):
        pairs = [(f"{path}.{key}", value, understood.get(key)) for key, value in said.items()]
    elif isinstance(said, list) and isinstance(understood, list) and len(said) == len(understood):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(said, understood, strict=True))]
    else:
        return [] if said == understood else [f"{path}: {said!r} is read as {understood!r}"]
    return [complaint for where, left, right in pairs for complaint in _lost(left, right, where)]


def misspelt(name: str, board: dict[str, Any]) -> list[str]:
    """Keys that Grafana's own types do not know."""
    rest = {key: value for key, value in board.items() if key not in ("__requires", "id")}
    understood = dashboard.Dashboard.from_json(rest)
    wrong = [f"{name}{complaint}" for complaint in _lost(rest, understood, "")]
    for panel in boards.panels(board):
        where = f"{name}: {panel['title']}"
        if panel["type"] not in KINDS:
            wrong.append(f"{where}: of the kind {panel['type']}")
        wrong += [
            f"{where}: transformation {one}"
            for one in panel.get("transformations", [])
            if not one["options"].keys() <= TRANSFORMATIONS.get(one["id"], set())
        ]
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            wrong += [f"{where}: no property {one['id']}" for one in override["properties"] if not _known(panel, one)]
    return wrong


def _known(panel: dict[str, Any], one: dict[str, Any]) -> bool:
    key, _, custom = one["id"].partition(".")
    if custom:
        return key == "custom" and custom in CUSTOM[panel["type"]].from_json({custom: one["value"]}).to_json()
    return key in dashboard.FieldConfig.from_json({key: one["value"]}).to_json()


def framed(found: dict[str, dict[str, Any]]) -> list[str]:
    """What belongs to every dashboard so that it works on the first import, and leads to the others."""
    wrong = []
    for name, board in found.items():
        for key, wanted in {"id": None, "uid": f"zt-risk-{name}", "schemaVersion": 41, "graphTooltip": 1}.items():
            if board.get(key) != wanted:
                wrong.append(f"{name}: {key} is {board.get(key)!r}, not {wanted!r}")
        if "__inputs" in board or not board.get("__requires"):
            wrong.append(f"{name}: __inputs must be absent, and __requires there")
        if [one["name"] for one in boards.variables(board)] != ["datasource", "job", "instance", "account"]:
            wrong.append(f"{name}: other variables than the rest")
        ties = [one for one in board["links"] if one["tags"] and set(one["tags"]) <= set(board["tags"])]
        if not any(one["includeVars"] and one["keepTime"] for one in ties):
            wrong.append(f"{name}: no link to the others that keeps variables and time")
        uids = {one["uid"] for one in found.values()}
        leads = re.findall(r'"/d/([\w-]+)\?', str(board).replace("'", '"'))
        wrong += [f"{name}: leads to {uid}, which is not there" for uid in leads if uid not in uids]
    return wrong


def unknown_metrics(found: dict[str, dict[str, Any]]) -> list[str]:
    """Metrics that the exporter does not have."""
    declared = set()
    for source in ("exposition", "telemetry"):
        text = (history.ROOT / "src" / source / "families.rs").read_text(encoding="utf-8")
        declared |= set(re.findall(r'name: "(\w+)"', text))
    histograms = {f"{name}{end}" for name in declared for end in ("_bucket", "_sum", "_count")}
    wrong = []
    for name, board in found.items():
        for question in boards.questions(name, board):
            used = {metric for metric, _, _ in lint.selectors(question.expr)}
            wrong += [f"{question}: no metric {one}" for one in sorted(used - declared - histograms - OF_PROMETHEUS)]
    return wrong


def _values(result: list[dict[str, Any]]) -> list[float]:
    """All numbers of an answer."""
    return [float(value) for one in result for _, value in one.get("values", [one.get("value")])]


def answered(server: history.Prometheus, found: dict[str, dict[str, Any]], end: int) -> tuple[int, list[str]]:
    """Asks everything that Grafana would ask for the last day, with All chosen and with one account."""
    declared = yaml.safe_load((HERE / "empty.yaml").read_text(encoding="utf-8"))
    expected = {(one["board"], one["place"], one["ref"]) for one in declared if one["reason"]}
    asked, wrong, empty = 0, [], set()
    for name, board in found.items():
        everything = boards.everything(board)
        for variable in boards.variables(board):
            if variable["type"] != "query":
                continue
            query = lint.label_values(variable)
            metric = re.sub(r"\$(\w+)", lambda one, values=everything: values[one[1]], query["metric"])
            asked += 1
            span = {"start": end - DAY, "end": end}
            if not server.ask(f"label/{query['label']}/values", **{"match[]": metric}, **span):
                empty.add((name, f"${variable['name']}", ""))
        for question in boards.questions(name, board):
            for chosen in (everything, {**everything, "account": "(branch)"}):
                asked += 1
                expr = boards.substituted(question, DAY, chosen)
                try:
                    values = _values(ask(server, question, expr, end))
                except ValueError as error:
                    wrong.append(f"{question}: {expr}: {error}")
                    break
                if chosen is everything and all(math.isnan(value) for value in values):
                    empty.add((name, question.place, question.ref))
    wrong += [f"{': '.join(one)}: no answer" for one in sorted(empty - expected)]
    wrong += [f"{': '.join(one)}: an answer, although empty.yaml expects none" for one in sorted(expected - empty)]
    return asked, [f"Prometheus {server.version}: {one}" for one in wrong]


def ask(server: history.Prometheus, question: boards.Question, expr: str, end: int) -> list[dict[str, Any]]:
    if question.instant:
        return server.ask("query", query=expr, time=end)["result"]
    step = boards.step(question, DAY)
    return server.ask("query_range", query=expr, start=end - DAY, end=end, step=step)["result"]


def give_up_if(wrong: list[str]) -> None:
    if wrong:
        sys.exit("\n".join(["dashboards:", *wrong]))


def main() -> None:
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            sys.exit(f"dashboards: {tool} is not installed (Debian: prometheus)")
    register_default_plugins()
    found = boards.load()
    give_up_if(regenerated())
    give_up_if([complaint for name, board in found.items() for complaint in misspelt(name, board)])
    give_up_if(framed(found) + unknown_metrics(found) + lint.complaints(found))
    print(f"{len(found)} dashboards are what their source makes of them, and keep {len(lint.RULES)} rules")

    with ExitStack() as stack:
        work = Path(os.environ.get("KEEP") or stack.enter_context(tempfile.TemporaryDirectory()))
        recorded, blocks = Path(os.environ.get("HISTORY") or work / "recorded"), work / "data"
        if "HISTORY" not in os.environ:
            recorded.mkdir(parents=True)
            history.record(recorded)
        history.load(recorded, blocks)
        end = history.end(recorded)
        newer = history.prometheus_3()
        for binary in filter(None, ("prometheus", newer)):
            server = history.Prometheus(stack, binary, blocks)
            asked, wrong = answered(server, found, end)
            give_up_if(wrong)
            print(f"Prometheus {server.version}: {asked} questions answered")
        if "KEEP" in os.environ:
            (work / "prometheus.yml").write_text("{}", encoding="utf-8")
            print(f"kept: prometheus --config.file={work}/prometheus.yml --storage.tsdb.path={blocks}", end=" ")
            print(f"--storage.tsdb.retention.time=100y; the last day is --from {(end - DAY) * 1000} --to {end * 1000}")
    if not newer:
        print("dashboards: NOT JUDGED BY PROMETHEUS 3: it could not be brought here", file=sys.stderr)


if __name__ == "__main__":
    main()
