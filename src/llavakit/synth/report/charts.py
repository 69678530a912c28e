"""The plots of the page, as SVG: bars, and histograms of lengths. Hovering over a bar tells its number."""

from collections.abc import Sequence

from llavakit.markup import Markup, element, join
from llavakit.synth.report.counting import EDGES

_COLOURS = 8  # that the style sheet has
_WIDTH, _HEIGHT, _FOOT = 520, 120, 24
_HEAD = 4
_MOST_TICKS = 11


def colour(index: int) -> str:
    """A class of the style sheet."""
    return f"c{index % _COLOURS}"


def count(value: int) -> str:
    return f"{value:,}"


def percent(share: float | None) -> str:
    if share is None:
        return "–"
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def bar(*shares: tuple[float, str]) -> Markup:
    """A horizontal bar, as wide as its place: shares of it with their colours, one after another."""
    parts = [element("rect", x="0", y="0", width="100%", height="14", class_="track")]
    at = 0.0
    for share, tone in shares:
        width = max(0.0, min(share, 1 - at))
        parts.append(
            element("rect", x=f"{100 * at:.2f}%", y="0", width=f"{100 * width:.2f}%", height="14",
                    class_=f"bar {tone}")
        )  # fmt: skip
        at += width
    return element("svg", *parts, width="100%", height="14", aria_hidden="true", class_="bars")


def used(histograms: Sequence[Sequence[int]]) -> tuple[int, int]:
    """From which bin to behind which one there is anything."""
    places = [place for bins in histograms for place, times in enumerate(bins) if times]
    return (min(places), max(places) + 1) if places else (1, 2)


def histogram(bins: Sequence[int], span: tuple[int, int], tone: str, what: str, told: str) -> Markup:
    """How many lengths there are from each of `EDGES` to the next.

    Args:
        span: the bins that are drawn; the same for histograms that are compared
        what: is counted, as "words"
        told: the chart in words
    """
    shown = range(*span)
    step = _WIDTH / len(shown)
    most, whole = max([*bins, 1]), max(sum(bins), 1)
    parts = []
    for index, place in enumerate(shown):
        tall = (_HEIGHT - _HEAD - _FOOT) * bins[place] / most
        if bins[place]:
            tall = max(tall, 1.5)  # one of thousands is seen as well
        hint = f"{between(place)} {what}: {bins[place]:,} ({percent(bins[place] / whole)})"
        parts.append(
            element(
                "g", element("title", hint),
                element("rect", x=index * step, y=0, width=step, height=_HEIGHT - _FOOT, class_="hover"),
                element("rect", x=index * step + 1, y=_HEIGHT - _FOOT - tall, width=max(step - 2, 1),
                        height=tall, class_=f"bar {tone}"),
            )
        )  # fmt: skip
    every = -(-len(shown) // _MOST_TICKS)
    ticks = [
        element("text", _edge(place), x=index * step + step / 2, y=_HEIGHT - 6, text_anchor="middle")
        for index, place in enumerate(shown)
        if index % every == 0
    ]
    line = element("line", x1=0, y1=_HEIGHT - _FOOT, x2=_WIDTH, y2=_HEIGHT - _FOOT, class_="axis")
    return element(
        "svg", join(*parts), line, *ticks, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        class_="histogram", aria_label=told,
    )  # fmt: skip


def _edge(place: int) -> str:
    return f"{EDGES[place]}+" if place == len(EDGES) - 1 else str(EDGES[place])


def between(place: int) -> str:
    """The lengths of a bin, in words: "24–31"."""
    if place == len(EDGES) - 1:
        return f"{EDGES[place]} or more"
    low, high = EDGES[place], EDGES[place + 1] - 1
    return str(low) if low == high else f"{low}–{high}"
