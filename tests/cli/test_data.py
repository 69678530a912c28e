"""`llava data`: what it says, where, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.inside import Said, inside
from data.files import gpt, human, picture, row, write_json

Llava = Callable[..., Said]
ASK = human("<image>\nWhat?")


@pytest.fixture
def llava(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], saved_llava: Path) -> Llava:
    def run(*words: str | Path, model: bool = True) -> Said:
        return inside(monkeypatch, capsys, "data", *words, *(("--model", saved_llava) if model else ()))

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Three rows: a good one, one whose picture is missing, one without an answer."""
    (tmp_path / "a.png").write_bytes(picture("red", 40, 30))
    values: list[Any] = [
        row(ASK, gpt("A \x1b[2Jcat."), id="x", image="a.png"),
        row(ASK, gpt("Two."), id="x", image="no.png"),
        row(human("Hi"), id="y"),
    ]
    return write_json(tmp_path / "rows.json", values)


def test_a_report_counts_and_names_what_is_wrong_and_exits_with_1(llava: Llava, rows: Path) -> None:
    said = llava("check", rows)
    assert said.code == 1
    assert "3 rows, 2 would be left out (66.7%)" in said.out
    for words in (
        "a picture that is not there",
        "row 2 has a picture 'no.png'",
        "turns out of order",
        "an id that",
    ):
        assert words in said.out
    assert "--images says where the pictures lie" in said.out
    assert said.err.strip() == ""


def test_a_clean_file_exits_with_0(llava: Llava, tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.jsonl", [row(human("Hi"), gpt("Ho"))])
    said = llava("check", path, "--max-length", "500")
    assert (said.code, "1 rows, 0 would be left out" in said.out) == (0, True)
    assert "cut at 500" in said.out


def test_a_report_can_be_read_by_a_program(llava: Llava, rows: Path) -> None:
    said = llava("check", rows, "--json", "--fast")
    told = json.loads(said.out)
    assert (said.code, told["rows"], told["skipped"], told["pictures_opened"]) == (1, 3, 1, False)
    (first,) = told["found"]["order"]["first"]
    assert first.pop("reason").startswith("has no answer to learn from")
    assert first == {"source": str(rows), "row": 3, "id": "y"}
    assert told["found"]["duplicate"]["count"] == 1
    assert told["tokens"]["pictures"] == 2 * 16


def test_a_clean_copy_is_written_and_what_was_done_is_said(llava: Llava, rows: Path) -> None:
    out = rows.parent / "clean.json"
    said = llava("check", rows, "--fix", out)
    assert said.code == 0
    assert "clean.json: 1 rows" in said.out
    assert "1 left out: a picture that is not there" in said.out
    assert llava("check", out).code == 0


def test_fast_with_images_looks_whether_they_are_there(llava: Llava, rows: Path) -> None:
    told = json.loads(llava("check", rows, "--fast", "--images", rows.parent, "--json").out)
    assert told["found"]["missing"]["count"] == 1


def test_a_row_is_shown_as_the_model_reads_it(llava: Llava, rows: Path) -> None:
    said = llava("show", rows)
    assert said.code == 0
    assert "row 1 (id x)" in said.out
    assert "[picture 1: 16 tokens, a.png, 40x30]\nWhat?" in said.out
    assert "ASSISTANT:⟦ A ?[2Jcat.</s>⟧" in said.out  # what would clear the screen is shown as letters
    assert "16 of pictures, 12 supervised; none is cut at 1024" in said.out


def test_in_a_terminal_what_is_learned_is_green_and_a_picture_a_block(
    llava: Llava, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    said = llava("show", rows)
    assert "\x1b[1;32m A ?[2Jcat.</s>\x1b[0m" in said.out
    assert "\x1b[30;46m[picture 1: 16 tokens, a.png, 40x30]\x1b[0m" in said.out


def test_token_ids_and_where_a_run_cuts_are_shown(llava: Llava, rows: Path) -> None:
    said = llava("show", rows, "--ids", "--template", "plain", "--max-length", "18")
    assert "259 × 16" in said.out
    assert "cut at 18 tokens: a run does not read what follows" in said.out
    assert "are cut off" in said.out


def test_a_picture_that_is_not_there_is_stood_in_for_and_said_to_be(llava: Llava, rows: Path) -> None:
    said = llava("show", rows, "--row", "2")
    assert "no.png, not opened" in said.out
    assert "row 2 has a picture 'no.png' that cannot be opened" in said.err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["show", "--row", "3"], 1, "row 3 (id y) has no answer"),
        (["show", "--row", "4"], 2, "has rows 1 to 3, not 4"),
        (["show", "--row", "0"], 2, "Invalid value for '--row'"),
        (["show", "--template", "vicuna"], 2, "did you mean 'vicuna_v1'"),
        (["check", "--images", "nowhere"], 2, "nowhere: "),
        (["check", "--fix", "rows.json"], 2, "is there already"),
        (["check", "--quick"], 2, "No such option"),
    ],
)
def test_wrong_words_are_explained(
    llava: Llava, rows: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, reason: str
) -> None:
    monkeypatch.chdir(rows.parent)
    said = llava(words[0], rows.name, *words[1:])
    assert (said.code, said.out) == (code, "")
    assert reason in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_not_there_or_no_json_is_explained(llava: Llava, tmp_path: Path) -> None:
    assert llava("check", tmp_path / "none.json")[0::2] == (
        2, f"llava: {tmp_path / 'none.json'} cannot be read: there is no such file\n"
    )  # fmt: skip
    (tmp_path / "a.json").write_text("[{")
    said = llava("check", tmp_path / "a.json")
    assert (said.code, "not valid JSON" in said.err) == (1, True)


@pytest.mark.parametrize("verb", ["check", "show"])
def test_each_verb_explains_itself_with_examples(llava: Llava, verb: str) -> None:
    said = llava(verb, "--help", model=False)
    assert said.code == 0
    assert f"llava data {verb} chat.json" in said.out
