"""Reads the file of Grafana-managed alerts as Grafana does.

Grafana expands variables of the environment in most fields: `$NAME` and `${NAME}`, with `$$` for a dollar. It takes
`model` and `annotations` as they are, because their dollars belong to expressions and templates. Its newest versions
expand `${NAME}` in annotations, but no other dollar.
"""

from __future__ import annotations

from typing import Any

import go_template
import grafana_math

EXPRESSIONS = "__expr__"  # the uid of Grafana's own expressions, in place of a data source
RAW = ("model", "annotations")


class GrafanaError(ValueError):
    """Grafana would refuse the file, or an alert in it could not be evaluated."""


def read(value: Any, place: str = "") -> Any:
    """The content as Grafana has it after the import. Raises GrafanaError where it depends on the environment."""
    if isinstance(value, dict):
        return {key: inner if key in RAW else read(inner, f"{place}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list):
        return [read(inner, place) for inner in value]
    if isinstance(value, str):
        if any("$" in part for part in value.split("$$")):
            raise GrafanaError(f"{place}: {value!r} has a variable of the environment")
        return value.replace("$$", "$")
    return value


def check_rule(rule: dict[str, Any]) -> None:
    """Raises GrafanaError unless Grafana can evaluate the rule and expand its texts. `rule` is what `read` returns."""
    queries = {query["refId"]: query for query in rule["data"]}
    for ref, query in queries.items():
        if query["model"]["refId"] != ref:
            raise GrafanaError(f"{rule['title']}: query {ref} is called {query['model']['refId']} in its model")
        if query["datasourceUid"] == EXPRESSIONS:
            _check_math(rule["title"], query["model"], set(queries) - {ref})
        elif "$" in query["model"]["expr"]:
            raise GrafanaError(f"{rule['title']}: {query['model']['expr']!r} has a variable that alerts do not have")
    if queries[rule["condition"]]["datasourceUid"] != EXPRESSIONS:
        raise GrafanaError(f"{rule['title']}: the condition is not an expression")
    for name, text in rule["annotations"].items():
        _check_text(f"{rule['title']}: {name}", text, set(queries))


def _check_math(title: str, model: dict[str, Any], others: set[str]) -> None:
    if model["type"] != "math":
        raise GrafanaError(f"{title}: there is no parser here for expressions of the type {model['type']}")
    try:
        used = grafana_math.variables(model["expression"])
    except grafana_math.MathError as error:
        raise GrafanaError(f"{title}: {model['expression']!r}: {error}") from error
    if not used or not set(used) <= others:
        raise GrafanaError(f"{title}: {model['expression']!r} reads {used} instead of {sorted(others)}")


def _check_text(place: str, text: str, refs: set[str]) -> None:
    if "${" in text:
        raise GrafanaError(f"{place}: {text!r} has a variable of the environment")
    try:
        used = go_template.parsed(text)
    except go_template.TemplateError as error:
        raise GrafanaError(f"{place}: {error}") from error
    for variable in (*used.variables, *used.guarded):
        name, *fields = variable.split(".")
        # `$value` is a text with all values in Grafana, not a number as in Prometheus.
        right = name != "$value" and (name != "$values" or _is_of_a_query(fields, refs))
        if not right or (name == "$labels" and len(fields) != 1):
            raise GrafanaError(f"{place}: {variable} is not a label or a value")


def _is_of_a_query(fields: list[str], refs: set[str]) -> bool:
    """Whether these fields of `$values` are the value of a query, or one of its labels."""
    match fields:
        case [ref, "Value"] | [ref, "Labels", _]:
            return ref in refs
    return False


def without_values(rule: dict[str, Any]) -> list[str]:
    """What the texts of a rule would show as "[no value]" if its queries fail. It has no labels and values then."""
    used = [go_template.parsed(text) for text in rule["annotations"].values()]
    return [variable for one in used for variable in one.variables if variable.startswith(("$labels.", "$values."))]
