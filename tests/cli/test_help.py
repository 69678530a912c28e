"""`--help` of every verb."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from llavakit.cli import app


def commands(group: Any, *path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)


VERBS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("verb", VERBS)
def test_examples_stand_on_lines_of_their_own(verb: str) -> None:
    blocks = (VERBS[verb].help or "").split("\n\n")
    shown = [
        block
        for block in blocks
        if any(line.startswith(("llava ", "torchrun ")) for line in block.split("\n"))
    ]
    assert all(block.startswith("\b\n") for block in shown)  # else they are filled into one paragraph


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_every_option_says_what_it_is_for(verb: str) -> None:
    command = VERBS[verb]
    assert command.help
    assert not [option.name for option in command.params if not getattr(option, "help", "")]
