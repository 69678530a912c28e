"""The page's tables: scores beside published figures, and models compared question by question."""

from collections.abc import Sequence

from llavakit.evaluate.compare import Comparison, compare
from llavakit.evaluate.published import FIGURES, MODELS, NOTES, SOURCES, Line, title
from llavakit.evaluate.report.charts import colour, swatch
from llavakit.evaluate.report.runs import Run, TaskRun, categories, outcome_lines, task_names
from llavakit.evaluate.report.words import count, figure, probability, signed
from llavakit.markup import Markup, element, join, scrolling, section


def scores(runs: Sequence[Run]) -> Markup:
    rows = [line for task in task_names(runs) for line in outcome_lines(task, runs)]
    theirs = [model for model in MODELS if any(model in line.figures for line in rows)]
    used = list(dict.fromkeys(each.source for model in theirs for each in FIGURES if each.model == model))
    sign = {source: chr(ord("a") + place) for place, source in enumerate(used)}
    origin = {each.model: each.source for each in FIGURES}
    groups = [("Measured here", len(runs) + 1), ("Published by others, not measured here", len(theirs))]
    top = element(
        "tr",
        element("th", "Task", scope="col", rowspan=2),
        *(
            element("th", name, scope="colgroup", colspan=columns, class_="group")
            for name, columns in groups
            if columns
        ),
    )
    names = element(
        "tr",
        *(element("th", swatch(colour(index)), run.model, scope="col") for index, run in enumerate(runs)),
        element("th", "Chance", scope="col"),
        *(
            element("th", _unbroken(model), element("sup", sign[origin[model]]), scope="col", class_="theirs")
            for model in theirs
        ),
    )
    body = []
    for line in rows:
        ours = [_score_cell(run.tasks.get(line.task), line) for run in runs]
        chances = [run.tasks[line.task].outcome.chance for run in runs if line.task in run.tasks]
        chance = next((each for each in chances if each is not None), None) if line.metric is None else None
        cells = [
            element("td", figure(each.value if (each := line.figures.get(model)) else None), class_="theirs")
            for model in theirs
        ]
        head = element("th", line.title, scope="row", class_=None if line.metric is None else "further")
        body.append(element("tr", head, *ours, element("td", figure(chance)), *cells))
    table = element("table", element("thead", top, names), element("tbody", *body), class_="scores")
    return section(
        "scores", "Scores", scrolling(table, "Scores"), element("p", _SCORES, class_="note"),
        _sources(rows, sign) if theirs else None, _oddities(runs),
    )  # fmt: skip


_SCORES = (
    "On 0–100, except MME, which counts points. Below a score: its 95 % interval, the number of questions, "
    "and those without an answer or a judgement. Chance: always giving the commonest answer, or guessing "
    "among the choices."
)


def _score_cell(task: TaskRun | None, line: Line) -> Markup:
    value = None if task is None else line.value(task.outcome)
    if task is None or value is None:
        return element("td", "–")
    outcome = task.outcome
    if line.metric is None:
        spread, n = outcome.interval, outcome.n
        missing = outcome.missing
    else:
        category = categories(task).get(line.metric)
        known = category is not None and category.interval is not None and abs(category.value - value) < 1e-6
        if category is None or not known or category.interval is None or category.n is None:
            return element("td", element("b", figure(value)))
        spread, n, missing = category.interval, category.n, 0
    return element(
        "td",
        element("b", figure(value)),
        element("small", f"{figure(spread[0])} – {figure(spread[1])}"),
        element("small", f"n {count(n)}", _missing(missing)),
    )


def _missing(number: int) -> Markup | None:
    return join(", ", element("span", f"{count(number)} missing", class_="missing")) if number else None


def _unbroken(name: str) -> str:
    return name.replace("-", "\N{NON-BREAKING HYPHEN}")


def _sources(rows: Sequence[Line], sign: dict[str, str]) -> Markup:
    items = [element("li", element("sup", letter), f" {SOURCES[source]}") for source, letter in sign.items()]
    tasks = dict.fromkeys(line.task for line in rows if line.figures)
    told = "; ".join(f"{title(task)}: {NOTES[task]}" for task in tasks if task in NOTES)
    return element(
        "div",
        element("p", "Published figures are those of their source's prompts, splits and judges:"),
        element("ul", *items),
        element("p", f"{told}." if told else None),
        class_="note",
    )


def _oddities(runs: Sequence[Run]) -> Markup | None:
    """What tasks remark on answers: duplicates, strangers, and their own notes."""
    items = []
    for run in runs:
        for name, task in run.tasks.items():
            outcome = task.outcome
            said = [
                *(
                    [f"{count(outcome.duplicates)} answers replaced by later ones"]
                    if outcome.duplicates
                    else []
                ),
                *([f"{count(outcome.strangers)} answers to no question"] if outcome.strangers else []),
                *outcome.notes,
            ]
            items += [
                element("li", element("b", f"{run.model}, {title(name)}"), f": {each}") for each in said
            ]
    if not items:
        return None
    return element("details", element("summary", f"Remarks on answers ({len(items)})"), element("ul", *items))


def comparisons(runs: Sequence[Run]) -> Markup | None:
    if len(runs) < 2:
        return None
    first, *others = runs
    rows = []
    for task, held in first.tasks.items():
        for other in others:
            if task not in other.tasks:
                continue
            marks, theirs = held.outcome.marks, other.tasks[task].outcome.marks
            if set(marks) & set(theirs):
                rows.append(_comparison_row(task, other.model, compare(marks, theirs)))
    if not rows:
        return None
    columns = (
        "Task", "Model", "Questions", "Its mean", f"{first.model}'s", "Difference", "95 %", "Better", "Worse",
        "p",
    )  # fmt: skip
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    return section(
        "compared", f"Compared with {first.model}",
        scrolling(element("table", element("thead", head), element("tbody", *rows)), "Comparison"),
        element("p", _COMPARED, class_="note"),
    )  # fmt: skip


_COMPARED = (
    "Means of the marks of questions that both have, in percent: not the benchmark's own score where that "
    "counts otherwise. Better, worse: questions whose mark rose or fell. p is how often chance alone makes "
    "as large a difference: McNemar's, exact, where marks are right or wrong, else that of flipped signs. "
    "With many tasks, a few are small by chance."
)


def _comparison_row(task: str, model: str, found: Comparison) -> Markup:
    low, high = found.interval
    cells = (
        model, count(found.n), figure(found.mean_b), figure(found.mean_a), signed(found.difference),
        f"{signed(low)} … {signed(high)}", count(len(found.gained)), count(len(found.lost)),
        probability(found.p),
    )  # fmt: skip
    return element("tr", element("th", title(task), scope="row"), *(element("td", cell) for cell in cells))
