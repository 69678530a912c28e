"""Rows to be looked at: as many as there is room for, kept ones and rejected ones."""

from collections.abc import Iterable, Iterator, Sequence

from llavakit.markup import Markup, element, section
from llavakit.synth.report.charts import count
from llavakit.synth.report.findings import Example, Findings

_SHOWN = 3  # turns of a row; the others unfold
_ABOUT = 500  # bytes of the section around the cards, and more


def cards(found: Findings, room: int) -> Markup:
    """A section with the sampled rows, of at most `room` bytes.

    They are part of the page: its script only hides and pages them.
    """
    refused = () if found.refused is None else found.refused.examples
    room -= 8 * _ABOUT
    rejected = list(_fitting(map(_rejected, refused), room // 2))
    kept = list(_fitting(map(_kept, found.examples), room - sum(map(_size, rejected))))
    if not kept and not rejected:
        return section("rows", "Rows", element("p", "None."))
    told = f"{len(kept):,} of {found.rows:,} rows, drawn with seed {found.seed}"
    if found.refused is not None:
        told += f", and {len(rejected):,} of {found.refused.rows:,} that were rejected"
    told += "; of each kind and reason about as many. Pictures are named only."
    return section(
        "rows", "Rows", element("p", told, class_="note"), _controls(found, bool(kept), bool(rejected)),
        element("p", id="found", role="status"), _paging("Pages"),
        element("ol", *kept, *rejected, id="list", class_="cards"), _paging("Pages, below the rows"),
        element("p", "Keys: ← and → turn pages, / searches.", class_="note keys", hidden=True),
    )  # fmt: skip


def _fitting(made: Iterable[Markup], room: int) -> Iterator[Markup]:
    for each in made:
        room -= _size(each)
        if room >= 0:
            yield each


def _size(made: Markup) -> int:
    return len(made.encode("utf-8", "replace"))


def _controls(found: Findings, kept: bool, rejected: bool) -> Markup:
    shows = [("", "all"), ("kept", "kept"), ("rejected", "rejected")] if kept and rejected else [("", "all")]
    if found.refused is not None:
        shows += [(f"rejected {why}", f"rejected: {why}") for why, _ in found.refused.reasons]
    kinds = [("", "all"), *((each.name, each.name) for each in found.kinds)]
    return element(
        "form", _choice("Show", "show", shows), _choice("Kind", "kind", kinds),
        element("label", "Search", element("input", id="search", type="search", autocomplete="off",
                placeholder="words, or an id")),
        class_="controls", role="search", hidden=True,
    )  # fmt: skip


def _choice(label: str, name: str, options: Sequence[tuple[str, str]]) -> Markup:
    listed = (element("option", told, value=value) for value, told in options)
    return element("label", label, element("select", *listed, id=name))


def _paging(label: str) -> Markup:
    return element(
        "nav",
        element("button", "← Previous", type="button", data_step="-1"),
        element("span", data_where=True),
        element("button", "Next →", type="button", data_step="1"),
        class_="paging", aria_label=label, hidden=True,
    )  # fmt: skip


def _kept(example: Example) -> Markup:
    said = [
        element("div", element("dt", name), element("dd", text, class_="text", dir="auto"), class_=side)
        for question, answer in example.turns
        for name, text, side in (("Question", question, "asked"), ("Answer", answer, "said"))
    ]
    first, further = said[: 2 * _SHOWN], said[2 * _SHOWN :]
    out = element("p", f"{count(example.left_out)} more are left out.", class_="note")
    more = element(
        "details", element("summary", f"{_turns(len(further) // 2 + example.left_out)} more"),
        element("dl", *further), out if example.left_out else None,
    )  # fmt: skip
    unsupported = ", ".join(example.unsupported)
    return element(
        "li", _about(example, "kept"), element("dl", *first),
        more if further or example.left_out else None,
        element("p", f"Named without support: {unsupported}", class_="note") if unsupported else None,
        class_="card", data_kind=example.kind, data_show="kept",
    )  # fmt: skip


def _turns(number: int) -> str:
    return "1 turn" if number == 1 else f"{number:,} turns"


def _rejected(example: Example) -> Markup:
    text = element("p", example.text, class_="text", dir="auto")
    return element(
        "li", _about(example, "rejected"), element("p", example.reason, class_="reason"),
        text if example.text else element("p", "There is no text.", class_="note"),
        class_="card", data_kind=example.kind, data_show=f"rejected {example.why}",
    )  # fmt: skip


def _about(example: Example, status: str) -> Markup:
    badge = "kept" if status == "kept" else f"rejected: {example.why}"
    told = (f"row {count(example.row)}", example.id, example.picture, example.teacher)
    return element(
        "p", element("span", badge, class_=f"badge {status}"), element("b", example.kind),
        *(element("span", each) for each in told if each), class_="about",
    )  # fmt: skip
