"""Numbers as tables, plain and with bars."""

from collections.abc import Iterable, Sequence

from llavakit.markup import Content, Markup, element, scrolling
from llavakit.synth.report.charts import bar, count, percent
from llavakit.synth.report.findings import share


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]], label: str, kind: str = "") -> Markup:
    """A row's first cell is its heading."""
    top = element("tr", *(element("th", head, scope="col") for head in heads))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    made = element("table", element("thead", top), element("tbody", *body), class_=kind or None)
    return scrolling(made, label)


def bars(
    heads: tuple[str, str], counts: Sequence[tuple[str, int]], total: int, tone: str, most: int | None = None
) -> Markup:
    """Counts as bars.

    Args:
        most: the count whose bar is as wide as its place; default: the highest of these
    """
    most = most or max([times for _, times in counts] or [1]) or 1
    rows = [
        element(
            "tr", element("th", name or "–", scope="row"),
            element("td", bar((times / most, tone)), class_="drawn"),
            element("td", count(times)), element("td", percent(share(times, total))),
        )
        for name, times in counts
    ]  # fmt: skip
    top = element("tr", *(element("th", head, scope="col") for head in (heads[0], "", heads[1], "share")))
    return element("table", element("thead", top), element("tbody", *rows), class_="barred")
