"""What `llava eval` says as it goes, and at the end."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from llavakit.cli.telling import say

if TYPE_CHECKING:
    from llavakit.evaluate.answers import Question
    from llavakit.evaluate.result import Result


def tell_failed(question: "Question", reason: str) -> None:
    say(f"question {question.id} has no answer: {reason}")


def show(results: "Sequence[Result]", as_json: bool) -> None:
    from rich.console import Console

    from llavakit.evaluate.report import outcomes_table

    if as_json:
        told = [result.outcome.told() for result in results]
        typer.echo(json.dumps(told[0] if len(told) == 1 else {"tasks": told}, indent=2, ensure_ascii=False))
        return
    console = Console()
    console.print(outcomes_table([result.outcome for result in results]))
    for result in results:
        for note in result.outcome.notes:
            console.print(f"{result.outcome.task}: {note}", highlight=False, markup=False)
