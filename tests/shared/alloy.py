"""Parses what deploy/ uses of Alloy's syntax: blocks, attributes, strings, numbers, lists, objects, references."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(
    r'\s+|//[^\n]*|(?P<string>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z_][\w.]*)|(?P<number>\d+)|(?P<sign>[][{}=,])'
)


@dataclass(frozen=True)
class Reference:
    """A reference to an export of another component, such as `discovery.relabel.pods.output`."""

    path: str


@dataclass
class Block:
    name: str
    label: str | None
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


class Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            found = TOKEN.match(text, position)
            assert found, f"invalid syntax: {text[position : position + 40]!r}"
            if found.lastgroup:
                self.tokens.append((found.lastgroup, found.group()))
            position = found.end()
        self.tokens.append(("end", ""))

    def peek(self) -> str:
        return self.tokens[0][1]

    def take(self, *wanted: str) -> str:
        """The next token, which must be of one of these kinds or one of these signs."""
        kind, text = self.tokens.pop(0)
        assert kind in wanted or text in wanted, f"found {text or 'the end'!r}, expected {' or '.join(wanted)}"
        return text

    def body(self, into: Block, end: str) -> Block:
        while self.peek() != end:
            name = self.take("name")
            if self.peek() == "=":
                self.take("=")
                assert name not in into.attributes, f"{name} twice in {into.name}"
                into.attributes[name] = self.value()
                continue
            label = self.take("string")[1:-1] if self.tokens[0][0] == "string" else None
            self.take("{")
            into.blocks.append(self.body(Block(name, label), "}"))
            self.take("}")
        return into

    def value(self) -> Any:
        kind, text = self.tokens.pop(0)
        if kind == "string":
            return text[1:-1]
        if kind == "name":
            return Reference(text)
        if kind == "number":
            return int(text)
        assert text in ("[", "{"), f"found {text!r}, expected a value"
        items: list[Any] = []
        end = "]" if text == "[" else "}"
        while self.peek() != end:
            if text == "{":
                key = self.take("string")[1:-1]
                self.take("=")
                items.append((key, self.value()))
            else:
                items.append(self.value())
            if self.peek() != end:
                self.take(",")
        self.take(end)
        return items if text == "[" else dict(items)


def parse(text: str) -> list[Block]:
    parser = Parser(text)
    return parser.body(Block("file", None), "").blocks
