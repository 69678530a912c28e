"""Findings as a terminal shows them."""

from typing import TYPE_CHECKING

from llavakit.synth.report.charts import count, percent
from llavakit.synth.report.findings import Findings, KindFindings, share

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

_MOST_NAMED = 8


def summary(found: Findings) -> "Group":
    """A table of the kinds, and lines about the whole; a rich renderable."""
    from rich.console import Group
    from rich.text import Text

    lines = [
        f"{found.rows:,} rows, {found.pictures:,} pictures, {found.all.turns.total:,} turns"
        f", {found.words.total:,} words of answers ({found.words.different:,} different)"
    ]
    if found.unreadable:
        lines.append(f"{found.unreadable:,} unreadable: {'; '.join(found.faults)}")
    told: list[RenderableType] = [Text(line) for line in lines]
    told += [Text(), _kinds(found), Text(), *(Text(line) for line in _lines(found))]
    return Group(*told)


def _kinds(found: Findings) -> "Table":
    from rich.table import Table
    from rich.text import Text

    paper = any(found.paper(each.name) for each in found.kinds)
    # Narrow enough for 80 columns; the page has the rest.
    heads = ["kind", "rows", "share", *(["paper's"] if paper else []), "turns", "asked", "answered"]
    heads += ["accepted"] if found.refused is not None else []
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head == "kind" else "right", no_wrap=True)
    listed = [*found.kinds, *([found.all] if len(found.kinds) > 1 else [])]
    for each in listed:
        table.add_row(Text(each.name), *_cells(found, each, paper))  # a name in brackets is no markup
    return table


def _cells(found: Findings, kind: KindFindings, paper: bool) -> list[str]:
    cells = [count(kind.rows), percent(share(kind.rows, found.rows))]
    if paper:
        both = found.paper(kind.name)
        cells.append(percent(both[1]) if both else "")
    cells.append(f"{kind.turns.mean:.1f}")
    cells += [f"{each.median} ({each.low}–{each.high})" for each in (kind.questions, kind.answers)]
    if found.refused is not None:
        cells.append(percent(kind.acceptance))
    return cells


def _lines(found: Findings) -> list[str]:
    whole, asked = found.all, found.asked
    lines = [
        "asked, answered: words, median (5 %–95 %)"
        + (
            "; paper's: of the three kinds alone"
            if any(found.paper(each.name) for each in found.kinds)
            else ""
        ),
        f"different questions: {percent(share(asked.different, asked.total))}; begin with "
        + _named(tuple((root or "other", times) for root, times in asked.roots), asked.total),
    ]
    if whole.yes + whole.no:
        lines.append(
            f"yes: {percent(share(whole.yes, whole.yes + whole.no))} of {whole.yes + whole.no:,} yes or no"
        )
    if found.letters:
        rights = tuple((each.name, each.right) for each in found.letters)
        lines.append(f"right options: {_named(rights, sum(times for _, times in rights))}")
    if found.near is not None:
        lines.append(f"near-duplicates: {percent(share(found.near, found.rows))}")
    if found.checked:
        lines.append(
            f"things named that the scene does not tell of: {percent(share(whole.unsupported, whole.named))}"
        )
    if found.refused is not None and found.refused.rows:
        lines.append(f"rejected for: {_named(found.refused.reasons, found.refused.rows)}")
    return lines


def _named(counts: tuple[tuple[str, int], ...], total: int) -> str:
    return ", ".join(f"{name} {percent(share(times, total))}" for name, times in counts[:_MOST_NAMED])
