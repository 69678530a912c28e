"""The parts of the page that tell of rows: how many, of which kinds, how long, and which were rejected."""

from collections.abc import Sequence

from llavakit.markup import Content, Markup, element, scrolling, section
from llavakit.synth.report.charts import bar, colour, count, histogram, percent, used
from llavakit.synth.report.counting import Spread
from llavakit.synth.report.findings import Findings, KindFindings, share
from llavakit.synth.report.tables import bars, table


def overview(found: Findings) -> Markup:
    whole, asked, words = found.all, found.asked, found.words
    ratio = "" if words.ratio is None else f"type-token ratio {words.ratio:.3f}"
    figures: list[tuple[str, str, str]] = [
        ("Rows", count(found.rows), f"{found.unreadable:,} unreadable" if found.unreadable else ""),
        (
            "Pictures", _about(found.pictures, found.exact),
            f"{found.bare:,} rows without" if found.bare else "",
        ),
        ("Turns", count(whole.turns.total), f"{whole.turns.mean:.1f} a row"),
        (
            "Different questions", percent(share(asked.different, asked.total)),
            _about(asked.different, asked.exact),
        ),
        ("Words of answers", count(words.total), f"{whole.answers.mean:.1f} an answer"),
        ("Different words", _about(words.different, words.exact), ratio),
    ]  # fmt: skip
    if found.near is not None:
        figures.append(("Near-duplicates", percent(share(found.near, found.rows)), f"{found.near:,} rows"))
    if found.checked:
        told = f"{whole.unsupported:,} of {whole.named:,} things named"
        figures.append(("Unsupported", percent(share(whole.unsupported, whole.named)), told))
    if found.refused is not None:
        told = f"{found.refused.rows:,} replies rejected"
        figures.append(("Accepted", percent(whole.acceptance), told))
    cells = (
        element("div", element("dt", name), element("dd", element("b", value), element("small", note)))
        for name, value, note in figures
    )
    teachers = ", ".join(
        f"{name} ({times:,} {'row' if times == 1 else 'rows'})" for name, times in found.teachers
    )
    notes = [f"Written by {teachers}." if teachers else None, *map(_sentence, found.faults)]
    listed = [element("p", note, class_="note") for note in notes if note]
    return section("overview", "Overview", element("dl", *cells, class_="figures"), *listed)


def _about(number: int, exact: bool) -> str:
    return count(number) if exact else f"about {number:,}"


def _sentence(fault: str) -> str:
    return f"Unreadable: {fault}."


def kinds(found: Findings) -> Markup:
    paper = any(found.paper(each.name) for each in found.kinds)
    accepted = found.refused is not None
    heads = ["kind", "", "rows", "share"]
    heads += ["of the three", "in the paper"] if paper else []
    heads += ["turns a row", *(["rejected", "accepted"] if accepted else [])]
    most = max([each.rows for each in found.kinds] or [1]) or 1
    rows = []
    for index, each in enumerate(found.kinds):
        row: list[Content] = [
            each.name, bar((each.rows / most, colour(index))), count(each.rows),
            percent(share(each.rows, found.rows)),
        ]  # fmt: skip
        if paper:
            pair = found.paper(each.name)
            row += [percent(part) for part in pair] if pair else ["–", "–"]
        row.append(f"{each.turns.mean:.1f}" if each.rows else "–")
        if accepted:
            row += [count(each.rejected or 0), percent(each.acceptance)]
        rows.append(row)
    note = element("p", _PAPER, class_="note") if paper else None
    return section("kinds", "Kinds", table(heads, rows, "Kinds", "wide-bar"), note)


_PAPER = (
    "“In the paper”: LLaVA-Instruct-158K has 58,000 conversations, 23,000 detailed descriptions and 77,000 "
    "rows of complex reasoning; “of the three” is the share of a kind among these three here."
)


def lengths(found: Findings) -> Markup:
    shown = [each for each in found.kinds if each.rows]
    listed = [*shown, found.all] if len(shown) > 1 else shown
    groups = ("turns of a row", "words of a question", "words of an answer")
    top = element(
        "tr", element("th", "kind", scope="col", rowspan=2),
        *(element("th", name, scope="colgroup", colspan=len(_SPREAD), class_="group") for name in groups),
    )  # fmt: skip
    second = element("tr", *(element("th", name, scope="col") for name in _SPREAD * len(groups)))
    body = [
        element(
            "tr", element("th", each.name, scope="row"),
            *(element("td", cell) for spread in (each.turns, each.questions, each.answers)
              for cell in _quantiles(spread)),
        )
        for each in listed
    ]  # fmt: skip
    made = element("table", element("thead", top, second), element("tbody", *body), class_="lengths")
    charts = _histograms(shown)
    return section(
        "lengths", "Lengths", scrolling(made, "Lengths"), charts, element("p", _BINS, class_="note")
    )


_SPREAD = ("5 %", "median", "95 %", "longest")
_BINS = (
    "A turn is a question with its answer. A bar counts lengths from the number below it to the next, which "
    "is about half as much again."
)


def _quantiles(spread: Spread) -> tuple[str, ...]:
    return tuple(map(count, (spread.low, spread.median, spread.high, spread.longest)))


def _histograms(shown: Sequence[KindFindings]) -> Markup:
    figures = []
    for side in ("question", "answer"):
        spreads = [each.questions if side == "question" else each.answers for each in shown]
        span = used([each.bins for each in spreads])
        for index, (kind, spread) in enumerate(zip(shown, spreads, strict=True)):
            told = (
                f"Words of {spread.n:,} {side}s of kind {kind.name}: median {spread.median}, "
                f"5 % have {spread.low} or fewer, 95 % have {spread.high} or fewer."
            )
            drawn = histogram(spread.bins, span, colour(index), "words", told)
            caption = element("figcaption", element("b", kind.name), f", words of {side}s")
            figures.append(element("figure", caption, drawn))
    pairs = [each for both in zip(figures[: len(shown)], figures[len(shown) :], strict=True) for each in both]
    return element("div", *pairs, class_="charts")


def refused(found: Findings) -> Markup | None:
    told = found.refused
    if told is None:
        return None
    if not told.rows:
        return section("rejected", "Rejected", element("p", "No reply was rejected."))
    reasons = [name for name, _ in told.reasons]
    rows = [
        (each.name, count(each.rows), count(each.rejected or 0), percent(each.acceptance),
         *(count(told.kinds.get(each.name, {}).get(why, 0)) for why in reasons))
        for each in (*found.kinds,)
    ]  # fmt: skip
    rows.append((
        "all", count(found.rows), count(told.rows), percent(found.all.acceptance),
        *(count(times) for _, times in told.reasons),
    ))  # fmt: skip
    note = f"{told.unreadable:,} rows of the rejected could not be read." if told.unreadable else None
    return section(
        "rejected", "Rejected",
        element("div", bars(("reason", "replies"), told.reasons, told.rows, "c1"), class_="narrow"),
        table(("kind", "rows", "rejected", "accepted", *reasons), rows, "Rejected by kind and reason"),
        element("p", note, class_="note") if note else None,
    )  # fmt: skip
