"""The page's charts, with what is read beside them."""

from collections.abc import Sequence

from llavakit.evaluate.published import MODELS, Line, title
from llavakit.evaluate.report.charts import FEWEST_AXES, Axis, Series, bar, colour, radar, swatch
from llavakit.evaluate.report.runs import Run, categories, outcome_lines, task_names
from llavakit.evaluate.report.words import count, figure
from llavakit.markup import Markup, element, scrolling, section

_RADAR_PEERS = ("LLaVA-1.5 13B", "Qwen-VL-Chat", "InstructBLIP 13B")  # drawn at first, as in the paper


def radar_section(runs: Sequence[Run]) -> Markup:
    found = [line for task in task_names(runs) if (line := _radar_line(task, runs)) is not None]
    if len(found) < FEWEST_AXES:
        said = f"The radar chart needs {FEWEST_AXES} tasks with published figures; {len(found)} are here."
        return section("radar", "Radar", element("p", said, class_="note"))
    axes = []
    for line in found:
        measured = (line.value(run.tasks[line.task].outcome) for run in runs if line.task in run.tasks)
        values = [
            *(each.value for each in line.figures.values()),
            *(value for value in measured if value is not None),
        ]
        axes.append(Axis(title(line.task), min(values), max(values)))
    theirs: list[Series] = []
    for model in MODELS:
        values_of = {title(line.task): line.figures[model].value for line in found if model in line.figures}
        if len(values_of) >= FEWEST_AXES:
            tone = f"p{len(theirs) % _DASHES}"
            theirs.append(Series(model, tone, values_of, measured=False, shown=model in _RADAR_PEERS))
    ours: list[Series] = []
    for index, run in enumerate(runs):
        values_of = {}
        for line in found:
            value = line.value(run.tasks[line.task].outcome) if line.task in run.tasks else None
            if value is not None:
                values_of[title(line.task)] = value
        ours.append(Series(run.model, colour(index), values_of, measured=True, shown=True))
    keys = element(
        "div", _boxes("Measured here", ours), _boxes("Published by others", theirs), class_="series"
    )
    return section(
        "radar", "Radar", element("div", radar(axes, [*theirs, *ours]), keys, class_="beside"),
        element("p", _RADAR, class_="note"),
    )  # fmt: skip


_DASHES = 9  # that the style sheet has
_RADAR = (
    "Each axis has its own scale: the inner ring is the lowest figure of all these models, the outer ring "
    "the highest. Differences look larger than they are; the table has the intervals."
)


def _radar_line(task: str, runs: Sequence[Run]) -> Line | None:
    """The first of the task's figures that others publish, with at least two of theirs to scale by."""
    return next(
        (
            line
            for line in outcome_lines(task, runs)
            if len({each.value for each in line.figures.values()}) > 1
        ),
        None,
    )


def _boxes(name: str, series: Sequence[Series]) -> Markup:
    """What shows and hides each model."""
    labels = (
        element(
            "label",
            element("input", type="checkbox", data_shows=each.name, checked=each.shown),
            swatch(each.colour, each.measured),
            each.name,
        )
        for each in series
    )
    return element("fieldset", element("legend", name), *labels)


def bars_section(runs: Sequence[Run]) -> Markup:
    parts: list[Markup] = []
    for task in task_names(runs):
        held = [categories(run.tasks[task]) if task in run.tasks else {} for run in runs]
        names = list(dict.fromkeys(name for each in held for name in each))
        if not names:
            continue
        rows = []
        for name in names:
            with_it = [(index, each[name]) for index, each in enumerate(held) if name in each]
            for place, (index, category) in enumerate(with_it):
                label = element("th", name, scope="rowgroup", rowspan=len(with_it)) if place == 0 else None
                spread = category.interval
                told = "" if spread is None else f"{figure(spread[0])} – {figure(spread[1])}"
                rows.append(element(
                    "tr", label, element("td", runs[index].model, class_="who"),
                    element("td", bar(category.value, spread, colour(index)), class_="drawn"),
                    element("td", element("b", figure(category.value))), element("td", told, class_="spread"),
                    element("td", "" if category.n is None else count(category.n), class_="n"),
                    class_="first" if place == 0 else None,
                ))  # fmt: skip
        head = element("tr", *(
            element("th", name, scope="col", class_=kind)
            for name, kind in (
                ("Category", None), ("Model", "who"), ("0 – 100", "drawn"), ("Score", None),
                ("95 %", "spread"), ("n", "n"),
            )
        ))  # fmt: skip
        table = element("table", element("thead", head), element("tbody", *rows), class_="categories")
        parts.append(element(
            "details", element("summary", f"{title(task)} ({len(names)})"), table, _all_metrics(task, runs),
            open=not parts,
        ))  # fmt: skip
    said = _BARS if parts else "None of these tasks has categories."
    return section("categories", "Categories", *parts, element("p", said, class_="note"))


_BARS = (
    "A category's score is the task's own where it has one in percent, else the mean mark of its questions."
)


def _all_metrics(task: str, runs: Sequence[Run]) -> Markup:
    """Every figure that the task gives, as it is."""
    having = [run for run in runs if task in run.tasks]
    names = list(dict.fromkeys(name for run in having for name in run.tasks[task].outcome.metrics))
    head = element(
        "tr", *(element("th", name, scope="col") for name in ("Metric", *(run.model for run in having)))
    )
    rows = [
        element("tr", element("th", name, scope="row"), *(
            element("td", figure(run.tasks[task].outcome.metrics.get(name))) for run in having
        ))
        for name in names
    ]  # fmt: skip
    table = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "details", element("summary", f"All {len(names)} figures of the task"), scrolling(table, task)
    )
