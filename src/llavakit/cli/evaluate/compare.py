"""`llava eval diff` and `llava eval report`: results side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavakit.cli import options
from llavakit.cli.telling import say
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.evaluate.result import Result

_RESULTS = "A result.json of llava eval, or a folder that holds some."


def diff(
    a: Annotated[Path, typer.Argument(help=_RESULTS)],
    b: Annotated[Path, typer.Argument(help="The other, on the same tasks.")],
    show: Annotated[int, typer.Option(min=0, help="Questions that are shown of each kind.")] = 5,
    as_json: options.Json = False,
) -> None:
    """Compare two runs question by question: what flipped, and whether chance alone would flip as many.

    \b
    llava eval diff eval/llava-v1.5-7b/pope eval/ours/pope
    """
    from llavakit.evaluate.compare import compare
    from llavakit.evaluate.result import results_in

    ours, theirs = ({each.outcome.task: each for each in results_in(path)} for path in (a, b))
    both = [task for task in ours if task in theirs]
    if not both:
        raise UsageError(f"{a} has {_listed(ours)}, {b} has {_listed(theirs)}: no task is in both")
    told = {}
    for task in both:
        compared = compare(ours[task].outcome.marks, theirs[task].outcome.marks)
        told[task] = {"task": task, "a": ours[task].model, "b": theirs[task].model} | compared.told()
        low, high = compared.interval
        if not as_json:
            typer.echo(
                f"{task}: {compared.mean_a:.2f} -> {compared.mean_b:.2f} on {compared.n} questions; "
                f"{compared.difference:+.2f}, 95 %: {low:+.2f} to {high:+.2f}, "
                f"p = {compared.p:.3g} ({compared.test})"
            )
            for name, ids in (("better in B", compared.gained), ("worse in B", compared.lost)):
                typer.echo(f"  {len(ids)} {name}")
                for one in ids[:show]:
                    typer.echo(_shown(one, ours[task], theirs[task]))
    if as_json:
        typer.echo(json.dumps(told[both[0]] if len(both) == 1 else {"tasks": list(told.values())}, indent=2))


def _listed(results: "dict[str, Result]") -> str:
    return ", ".join(results)


def _shown(one: str, a: "Result", b: "Result") -> str:
    question = next((each for each in a.questions if each.id == one), None)
    asked = "" if question is None else f" {question.text.splitlines()[0][:80]!r} ({question.truth})"
    return f"    {one}{asked}: {a.texts.get(one, '')[:60]!r} -> {b.texts.get(one, '')[:60]!r}"


def report(
    results: Annotated[list[Path], typer.Argument(help=_RESULTS)],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one page with all scores, beside published ones, and every question to look through.

    \b
    llava eval report eval/llava-v1.5-7b eval/ours
    """
    from llavakit.evaluate.pictures import Pictures
    from llavakit.evaluate.report import gathered, thumbnail, write_report
    from llavakit.evaluate.result import results_in

    found = [each for path in results for each in results_in(path)]
    places = {each.outcome.task: Pictures(map(Path, each.folders)) for each in found}

    def shown(task: str, name: str) -> str | None:
        source = places[task].find(name)
        return None if source is None else thumbnail(source)

    write_report(out, gathered(found), thumbnails=shown)
    say(f"written: {out}")
