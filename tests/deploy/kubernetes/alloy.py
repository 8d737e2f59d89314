"""Reads the part of Alloy's syntax that config.alloy uses: blocks, attributes, strings, lists, objects, references."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r'\s+|//[^\n]*|(?P<string>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z_][\w.]*)|(?P<sign>[][{}=,])')


@dataclass(frozen=True)
class Reference:
    """What another component exports, such as `discovery.relabel.pods.output`."""

    path: str


@dataclass
class Block:
    name: str
    label: str | None
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


class Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            found = TOKEN.match(text, position)
            assert found, f"not Alloy's syntax: {text[position : position + 40]!r}"
            if found.lastgroup:
                self.tokens.append((found.lastgroup, found.group()))
            position = found.end()
        self.tokens.append(("end", ""))

    def peek(self) -> str:
        return self.tokens[0][1]

    def take(self, *wanted: str) -> str:
        """The next token, of one of these kinds or being one of these signs."""
        kind, text = self.tokens.pop(0)
        assert kind in wanted or text in wanted, f"{text or 'the end'!r} where {' or '.join(wanted)} belongs"
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
        assert text in ("[", "{"), f"{text!r} where a value belongs"
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


def read(text: str) -> list[Block]:
    reader = Reader(text)
    return reader.body(Block("file", None), "").blocks
