"""The template of a Modelfile writes what the template itself writes.

Ollama fills it in with Go's `text/template`, of which a handful of rules is written out here.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.prompt.ollama import go_template
from llavakit.prompt.templates import TEMPLATES, Template


class Go:
    """Words in quotes, `.Field`, `$variable`, `if`, `else if`, `range`; `{{-` takes the space before it."""

    def __init__(self, source: str) -> None:
        source = re.sub(r"\s*\{\{- ", "{{ ", source)
        self.tokens = re.split(r"(\{\{ .*? \}\})", source)

    def fill(self, data: dict[str, Any]) -> str:
        self.at, self.variables, self.out = 0, {}, []
        self.block(data, live=True)
        assert self.at == len(self.tokens)
        return "".join(self.out)

    def block(self, dot: dict[str, Any], live: bool) -> str:
        """Run to the end of a block; returns what ended it."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if not token.startswith("{{ "):
                self.out += [token] * live
                continue
            action = token[3:-3]
            if action == "end" or action.startswith("else"):
                return action
            if action.startswith("if "):
                self.choose(action, dot, live)
            elif action.startswith("range "):
                begin, items = self.at, self.value(action[6:], dot) if live else []
                for item in items:
                    self.at = begin
                    self.block(item, live=True)
                if not items:
                    self.block(dot, live=False)
            elif live and (assigned := re.fullmatch(r"(\$\w+) :?= (.+)", action)):
                self.variables[assigned[1]] = self.value(assigned[2], dot)
            elif live:
                self.out.append(self.value(action, dot))
        return ""

    def choose(self, action: str, dot: dict[str, Any], live: bool) -> None:
        taken = False
        while action != "end":
            condition = action.removeprefix("else ").removeprefix("if ")
            chosen = live and not taken and (action == "else" or bool(self.value(condition, dot)))
            taken |= chosen
            action = self.block(dot, chosen)

    def value(self, expression: str, dot: dict[str, Any]) -> Any:
        if expression.startswith("eq "):
            left, right = expression[3:].split(" ", 1)
            return self.value(left, dot) == self.value(right, dot)
        if expression.startswith("not "):
            return not self.value(expression[4:], dot)
        if expression.startswith("."):
            return dot[expression[1:]]
        return self.variables[expression] if expression.startswith("$") else json.loads(expression)


def ollama(template: Template, messages: Sequence[Message]) -> str:
    """As Ollama calls it: system messages together, and the Modelfile's where there are none."""
    written = go_template(template)
    assert written is not None
    first = messages[0]
    said = first.text if first.role == "system" else template.system
    turns = [{"Role": message.role, "Content": message.text} for message in messages]
    if first.role != "system" and said:
        turns.insert(0, {"Role": "system", "Content": said})
    return Go(written).fill({"System": said, "Messages": turns})


CONVERSATIONS = [
    (user("What is this?"),),
    (user('Words in "quotes", {{ braces }} and\nlines.'),),
    (system("Be brief."), user("What is this?")),
    (user("What is this?"), assistant("A cat."), user("Sure?")),
    (system("Be brief."), user("What is this?"), assistant("A cat."), user("Sure?")),
]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "plain"])
def test_a_modelfile_writes_what_the_template_writes(name: str, messages: tuple[Message, ...]) -> None:
    template = TEMPLATES[name]
    expected = "".join(span.text for span in template.spans(messages, reply=True))
    assert ollama(template, messages) == expected


def test_captions_are_no_conversation() -> None:
    assert go_template(TEMPLATES["plain"]) is None
