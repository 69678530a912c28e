"""The page and the terminal's table: whole, escaped, and no larger than they may be."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llavakit.errors import LlavaError, UsageError
from llavakit.synth.report import MOST_BYTES, Findings, look, summary, write_report

HOSTILE = (
    "</script></title><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
)
THINGS = ("dog", "cat", "car", "umbrella", "kite", "bench", "clock", "vase")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Of the paper's kinds and two more, with all that a report can tell of."""
    for place in range(count):
        thing, other = THINGS[place % 8], THINGS[(place * 3 + 1) % 8]
        options = "\n".join(f"{letter}. a {each}" for letter, each in zip("ABCD", THINGS, strict=False))
        said = {
            "conversation": [
                (f"How many {thing}s are there?", f"{place % 4} {thing}s."),
                (f"Is there a {other}?", "Yes." if place % 3 else "No."),
            ],
            "detail": [("Describe the picture in detail.", f"A {thing} stands beside a {other}. " * 9)],
            "reasoning": [(f"Why might the {thing} be there?", f"Someone may have left the {thing}.")],
            "absent": [(f"Is there a {other} in the picture?", f"No, there is no {other}.")],
            "choice": [(f"What is there?\n{options}", "ABCD"[place % 4])],
        }
        for kind, turns in said.items():
            sides = [
                {"from": who, "value": text}
                for turn in turns
                for who, text in zip(("human", "gpt"), turn, strict=True)
            ]
            yield {
                "id": f"{place}-{kind}", "image": f"{place}.jpg", "conversations": sides, "kind": kind,
                "teacher": "offline", "named": 2, "unsupported": [other] if place % 5 == 0 else [],
            }  # fmt: skip


def hostile() -> dict[str, Any]:
    sides = [{"from": "human", "value": f"<image>\n{HOSTILE} \ud800"}, {"from": "gpt", "value": HOSTILE}]
    return {
        "id": HOSTILE, "image": HOSTILE, "conversations": sides, "kind": HOSTILE, "teacher": HOSTILE,
        "unsupported": [HOSTILE],
    }  # fmt: skip


def replies(count: int) -> Iterator[dict[str, Any]]:
    for place in range(count):
        yield {
            "id": f"{place}-detail", "kind": "detail", "reason_kind": ("leak", "form", "support")[place % 3],
            "reason": "it speaks of its caption", "text": f"The caption says {place}.", "image": "1.jpg",
        }  # fmt: skip
    yield {"id": HOSTILE, "kind": "detail", "reason_kind": HOSTILE, "reason": HOSTILE, "text": HOSTILE}


def everything() -> Findings:
    return look(
        [hostile(), *rows(40), {"id": "broken"}], rejected=replies(30), name=f"rows {HOSTILE}.jsonl",
        like=lambda id_, turns: "0-detail" if id_.startswith("8-") else None,
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of it: text by element, ids, links, and elements that were not ended."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.titles: list[str] = []
        self.scripts = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self.ids += [held["id"] or ""] if "id" in held else []
        self.links += [(held["href"] or "")[1:]] if "href" in held else []
        self.addresses += [value or "" for name, value in attrs if name in ("src", "srcset", "action")]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        self.scripts += tag == "script"
        if tag not in ("meta", "input", "br", "img"):
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.opened and self.opened[-1] == "title":
            self.titles.append(data)


def written(path: Path, found: Findings, **more: Any) -> str:
    write_report(path, found, **more)
    return path.read_text(encoding="utf-8")


def test_the_page_has_every_part_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    page = Page(written(tmp_path / "report.html", everything()))
    assert page.opened == []
    parts = ["overview", "kinds", "lengths", "questions", "answers", "words", "rejected", "rows"]
    assert page.links == parts
    assert set(parts) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_hostile_text_stays_text_and_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    text = written(tmp_path / "report.html", everything())
    page = Page(text)
    assert page.scripts == 1
    assert page.addresses == []
    assert "<img" not in text
    assert not re.search(r"(?:https?:)?//[a-z]", text.replace("document.", ""), re.I)
    assert page.titles[0] == f"Instruction data: rows {HOSTILE}.jsonl"
    assert text.count("default-src 'none'".replace("'", "&#x27;")) == 1


def test_numbers_stand_on_the_page_as_they_were_found(tmp_path: Path) -> None:
    found = look(rows(40), rejected=replies(30))
    text = re.sub(r"<[^>]+>", " ", written(tmp_path / "report.html", found))
    assert re.search(r"Rows\s+200\s", text)
    assert re.search(r"conversation\s+40\s+20\.0 %\s+33\.3 %\s+36\.7 %\s+2\.0\s+0\s+100\.0 %", text)
    assert re.search(r"detail\s+40\s+20\.0 %\s+33\.3 %\s+14\.6 %\s+1\.0\s+31\s+56\.3 %", text)
    assert "how many → dog: 5 (2.1 %)" in text
    assert "A type-token" not in text
    assert "11 of 31 that were rejected" not in text


def test_a_large_sample_is_cut_to_the_bytes_that_there_are(tmp_path: Path) -> None:
    long = "<&\"'> " * 1400
    wide = [
        {
            "id": f"{place}-detail",
            "conversations": [{"from": "human", "value": long}, {"from": "gpt", "value": long}],
        }
        for place in range(130)
    ]
    refused = (
        {"id": "1", "kind": "detail", "reason_kind": "form", "reason": "", "text": long} for _ in range(130)
    )
    found = look(wide, rejected=refused)
    path = tmp_path / "report.html"
    Page(written(path, found))
    assert path.stat().st_size <= MOST_BYTES
    text = written(path, found, most_bytes=400_000)
    assert path.stat().st_size <= 400_000
    shown = re.search(r"(\d+) of 130 rows, drawn with seed 0, and (\d+) of 130 that were rejected", text)
    assert shown is not None
    assert int(shown[1]) > 0 and int(shown[2]) > 0


def test_parts_that_nothing_is_known_of_are_not_there(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Describe it."}, {"from": "gpt", "value": ""}]
    page = Page(written(tmp_path / "report.html", look([{"id": "1", "conversations": turns}])))
    assert page.links == ["overview", "kinds", "lengths", "questions", "words", "rows"]
    only = look([], rejected=replies(3))
    assert Page(written(tmp_path / "report.html", only)).links == ["overview", "kinds", "rejected", "rows"]


def test_without_a_row_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.json: there is no row to report on: row 1 is not an object"):
        write_report(tmp_path / "report.html", look(["text"], name="a.json"))  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", look(rows(1)))


def test_the_terminal_shows_kinds_and_reasons() -> None:
    screen = Console(file=StringIO(), width=160)
    screen.print(summary(everything()))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"conversation\s+40\s+19\.9 %\s+36\.7 %\s+2\.0", text)
    assert "rejected for: form 32.3 %" in text
    assert "1 unreadable: row 202 has no `conversations`" in text
    screen.print(summary(look([])))
