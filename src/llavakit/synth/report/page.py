"""`report.html`: what a file of instruction data is like, in one file that asks nothing of any network.

What teachers wrote is hostile text: all of it is escaped (`markup.py`), and a policy in the page allows no
script but the page's own.
"""

from pathlib import Path

from llavakit.errors import UsageError
from llavakit.files import write_whole
from llavakit.markup import Markup, element, head, join, with_paging
from llavakit.synth.report.cards import cards
from llavakit.synth.report.findings import Findings
from llavakit.synth.report.language import answers, questions, words
from llavakit.synth.report.sections import kinds, lengths, overview, refused

MOST_BYTES = 3_000_000  # of the file
_HERE = Path(__file__).parent


def write_report(
    path: Path, found: Findings, *, heading: str = "Instruction data", most_bytes: int = MOST_BYTES
) -> None:
    """Write the page, whole or not at all; where it would be larger than `most_bytes`, with fewer rows.

    Raises:
        UsageError: there is nothing to report.
        LlavaError: the file cannot be written.
    """
    if not found.rows and (found.refused is None or not found.refused.rows):
        why = f": {found.faults[0]}" if found.faults else ""
        raise UsageError(f"{found.name or 'These rows'}: there is no row to report on{why}")
    write_whole(path, _page(found, heading, most_bytes))


def _page(found: Findings, heading: str, most_bytes: int) -> bytes:
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = with_paging((_HERE / "page.js").read_text(encoding="utf-8"))
    named = [("Overview", overview(found)), ("Kinds", kinds(found))]
    if found.rows:
        named += [("Lengths", lengths(found)), ("Questions", questions(found))]
        told = answers(found)
        named += [("Answers", told)] if told is not None else []
        named.append(("Words", words(found)))
    left_out = refused(found)
    named += [("Rejected", left_out)] if left_out is not None else []
    links = (element("a", name, href=f"#{name.lower()}") for name in (*(name for name, _ in named), "Rows"))
    top = join(
        head(f"{heading}: {found.name}" if found.name else heading, style, script),
        Markup("\n<body>\n"),
        element(
            "header", element("h1", heading), element("p", found.name, class_="file") if found.name else None,
            element("nav", *links, aria_label="Parts of this page"),
        ),
    )  # fmt: skip
    sections = join(*(made for _, made in named))
    room = most_bytes - sum(len(part.encode("utf-8", "replace")) for part in (top, sections, script))
    main = element("main", sections, cards(found, room))
    end = element("script", Markup(script))
    page = join(Markup('<!doctype html>\n<html lang="en">\n'), top, main, end, Markup("\n</body>\n</html>\n"))
    return page.encode("utf-8", "replace")
