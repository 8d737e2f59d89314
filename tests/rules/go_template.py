"""Parses the templates of alert texts by the grammar of Go's text/template, and finds the names that they use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# The functions of Go and of Prometheus that a text can need. In Grafana, `query` returns nothing.
GO = {
    "and",
    "eq",
    "ge",
    "gt",
    "index",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
}
PROMETHEUS = {
    *("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp"),
    *("match", "reReplaceAll", "stripDomain", "stripPort", "title", "toLower", "toUpper"),
}
VARIABLES = {"$", "$labels", "$value", "$values"}

TEXT = re.compile(r"\{\{(?:-\s)?(?P<action>(?:\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\"`])*?)(?:\s-)?\}\}", re.DOTALL)
TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`)|(?P<number>[+-]?\d[\w.]*)"
    r"|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<name>[A-Za-z_]\w*)|(?P<symbol>:=|[=|(),])"
)
# A name, a field or a variable must end before one of these.
TERMINATOR = re.compile(r"[\s.,|:)(=]|$")


class TemplateError(ValueError):
    """The text is not a template, or it uses a name that does not exist."""


@dataclass
class Used:
    """The variables that a template reads, with their fields: `$labels.account`. `guarded` are those of `with`."""

    variables: list[str] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)


def parsed(text: str) -> Used:
    """What the template uses. Raises TemplateError if Grafana could not expand it."""
    used = Used()
    open_blocks: list[str] = []
    scope = [set(VARIABLES)]
    rest = TEXT.sub("", text)
    if "{{" in rest or "}}" in rest:
        raise TemplateError(f"an action that does not end: {text!r}")
    for action in TEXT.finditer(text):
        _action(action["action"].strip(), open_blocks, scope, used)
    if open_blocks:
        raise TemplateError(f"{open_blocks[-1]} without end")
    return used


def _action(action: str, open_blocks: list[str], scope: list[set[str]], used: Used) -> None:
    if action.startswith("/*"):
        return
    tokens = _tokens(action)
    keyword = tokens[0][1] if tokens and tokens[0][0] == "name" else ""
    if keyword == "end":
        if not open_blocks:
            raise TemplateError("end without a block")
        open_blocks.pop()
        scope.pop()
        tokens = tokens[1:]
    elif keyword == "else":
        if not open_blocks:
            raise TemplateError("else without a block")
        tokens = tokens[1:]
        if tokens and tokens[0][1] in ("if", "with"):
            _pipeline(tokens[1:], scope, used.guarded)
            return
    elif keyword in ("if", "with", "range"):
        open_blocks.append(keyword)
        scope.append(set())
        _pipeline(tokens[1:], scope, used.guarded)
        return
    elif keyword in ("define", "template", "block", "break", "continue"):
        raise TemplateError(f"{keyword} is of no use in an alert's text")
    else:
        _pipeline(tokens, scope, used.variables)
        return
    if tokens:
        raise TemplateError(f"unexpected {tokens[0][1]!r} after {keyword}")


def _tokens(action: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(action):
        token = TOKEN.match(action, at)
        if not token:
            raise TemplateError(f"bad character {action[at]!r} in {action!r}")
        at = token.end()
        kind = str(token.lastgroup)
        if kind in ("variable", "field", "name") and not TERMINATOR.match(action, at):
            raise TemplateError(f"bad character {action[at]!r} in {action!r}")
        if kind == "field" and found and found[-1][0] in ("variable", "field") and action[token.start() - 1] != " ":
            # Fields belong to what stands before them: $values.A.Value.
            found[-1] = (found[-1][0], found[-1][1] + token[0])
        else:
            found.append((kind, token[0]))
    return [(kind, text) for kind, text in found if kind != "space"]


def _pipeline(tokens: list[tuple[str, str]], scope: list[set[str]], read: list[str]) -> None:
    """One or more commands, each an operand or a function with operands, with | between them."""
    declared = [text for kind, text in tokens if kind == "symbol" and text in (":=", "=")]
    if declared:
        at = [text for _, text in tokens].index(declared[0])
        for kind, text in tokens[:at]:
            if kind == "variable":
                scope[-1].add(text)
            elif text != ",":
                raise TemplateError(f"{text!r} before {declared[0]}")
        tokens = tokens[at + 1 :]
    command: list[tuple[str, str]] = []
    depth = 0
    for token in [*tokens, ("symbol", "|")]:
        kind, text = token
        if text == "(" and kind == "symbol":
            depth += 1
        elif text == ")" and kind == "symbol":
            depth -= 1
            if depth < 0:
                raise TemplateError("unexpected right parenthesis")
        if token == ("symbol", "|") and depth == 0:
            _command(command, scope, read)
            command = []
        else:
            command.append(token)
    if depth:
        raise TemplateError("unclosed left parenthesis")


def _command(tokens: list[tuple[str, str]], scope: list[set[str]], read: list[str]) -> None:
    if not tokens:
        raise TemplateError("a missing value for a command")
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        if kind == "symbol" and text == "(":
            end, depth = at, 0
            while True:
                depth += {"(": 1, ")": -1}.get(tokens[end][1], 0) if tokens[end][0] == "symbol" else 0
                if depth == 0:
                    break
                end += 1
            _pipeline(tokens[at + 1 : end], scope, read)
            at = end
        elif kind == "symbol":
            raise TemplateError(f"unexpected {text!r}")
        elif kind == "name" and text not in GO | PROMETHEUS | {"true", "false", "nil"}:
            raise TemplateError(f"there is no function {text}")
        elif kind == "variable":
            if not any(text.partition(".")[0] in names for names in scope):
                raise TemplateError(f"undefined variable {text.partition('.')[0]}")
            read.append(text)
        at += 1
    first = tokens[0][0]
    if len(tokens) > 1 and first not in ("name", "field") and not (first == "symbol"):
        raise TemplateError(f"{tokens[0][1]} is no function and takes no arguments")
