"""Parses math expressions of Grafana's alert rules, such as `is_number($A)`, by the same grammar as Grafana.

or      -> and {"||" and}
and     -> compare {"&&" compare}
compare -> sum {("==" | "!=" | ">" | ">=" | "<" | "<=") sum}
sum     -> product {("+" | "-") product}
product -> power {("*" | "/" | "%") power}
power   -> unary {"**" unary}
unary   -> ("!" | "-") unary | "(" or ")" | number | variable | function "(" [or {"," or}] ")"
"""

from __future__ import annotations

import re

# The functions of Grafana, and how many arguments each takes.
FUNCTIONS = {
    **dict.fromkeys(("abs", "log", "is_nan", "is_inf", "is_null", "is_number", "round", "ceil", "floor"), 1),
    **dict.fromkeys(("nan", "inf", "infn", "null"), 0),
}
LEVELS = [["||"], ["&&"], ["==", "!=", ">=", "<=", ">", "<"], ["+", "-"], ["*", "/", "%"], ["**"]]
TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<variable>\$[A-Za-z]\w*|\$\{[^}]+\})|(?P<name>[A-Za-z_]+)"
    r"|(?P<symbol>\|\||&&|[=!<>]=|\*\*|[!<>+\-*/%(),]))"
)


class MathError(ValueError):
    """The expression does not follow the grammar."""


def variables(expression: str) -> list[str]:
    """The names of all variables of the expression. Raises MathError if Grafana would not parse it."""
    return _Parser(expression).parse()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.found: list[str] = []
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(expression.rstrip()):
            token = TOKEN.match(expression, at)
            if not token:
                raise MathError(f"unexpected {expression[at:]!r}")
            self.tokens.append((str(token.lastgroup), token[0].strip()))
            at = token.end()
        self.tokens.append(("end", ""))

    def parse(self) -> list[str]:
        self.level(0)
        if self.tokens[0][0] != "end":
            raise MathError(f"unexpected {self.tokens[0][1]!r}")
        return self.found

    def take(self, *texts: str) -> bool:
        if self.tokens[0][0] == "symbol" and self.tokens[0][1] in texts:
            self.tokens.pop(0)
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise MathError(f"{self.tokens[0][1]!r} instead of {text!r}")

    def level(self, number: int) -> None:
        if number == len(LEVELS):
            self.unary()
            return
        self.level(number + 1)
        while self.take(*LEVELS[number]):
            self.level(number + 1)

    def unary(self) -> None:
        if self.take("!", "-"):
            self.unary()
            return
        if self.take("("):
            self.level(0)
            self.expect(")")
            return
        kind, text = self.tokens.pop(0)
        if kind == "variable":
            self.found.append(text.strip("${}"))
        elif kind == "name":
            self.call(text)
        elif kind != "number":
            raise MathError(f"unexpected {text!r}")

    def call(self, function: str) -> None:
        if function not in FUNCTIONS:
            raise MathError(f"there is no function {function}")
        self.expect("(")
        arguments = 0
        while not self.take(")"):
            if arguments:
                self.expect(",")
            self.level(0)
            arguments += 1
        if arguments != FUNCTIONS[function]:
            raise MathError(f"{function} has {arguments} arguments instead of {FUNCTIONS[function]}")
